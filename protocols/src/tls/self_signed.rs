//! Self-signed certificates, for trying out TLS.

use std::io;

use rustls::pki_types::PrivateKeyDer;

use super::identity::Identity;
use super::invalid;

impl Identity {
    /// Creates a key and a self-signed certificate for these host names and IP addresses, for
    /// trying out TLS and for tests. Clients must be configured to trust it: those of the same
    /// program with [`Roots::only`](super::Roots::only).
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if a name is not valid in a certificate.
    pub fn self_signed(names: impl IntoIterator<Item = String>) -> io::Result<Identity> {
        let made = rcgen::generate_simple_self_signed(names.into_iter().collect::<Vec<_>>())
            .map_err(|error| invalid(format_args!("self-signed certificate: {error}")))?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Identity::new(vec![made.cert.der().clone()], key)
    }
}
