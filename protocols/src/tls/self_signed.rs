//! Certificates for trying TLS out.

use std::io;

use rustls::pki_types::PrivateKeyDer;

use super::identity::Identity;
use super::invalid;

impl Identity {
    /// Makes a key and a certificate for these host names and IP addresses that no authority has
    /// signed: for trying TLS out, and for tests. Clients have to be told to trust it.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if a name cannot be in a certificate.
    pub fn self_signed(names: impl IntoIterator<Item = String>) -> io::Result<Identity> {
        let made = rcgen::generate_simple_self_signed(names.into_iter().collect::<Vec<_>>())
            .map_err(|error| invalid(format_args!("self-signed certificate: {error}")))?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Identity::new(vec![made.cert.der().clone()], key)
    }
}
