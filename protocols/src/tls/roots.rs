//! Certificates that are trusted.

use std::io;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::identity::{Identity, certificates_from_pem};
use super::invalid;

/// The authorities whose signatures are trusted, by their certificates.
#[derive(Clone, Debug)]
pub struct Roots {
    pub(super) store: Arc<RootCertStore>,
}

impl Roots {
    /// The authorities that Mozilla trusts for the web, as of the release of the `webpki-roots`
    /// crate.
    #[must_use]
    pub fn web() -> Roots {
        let mut store = RootCertStore::empty();
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Roots { store: Arc::new(store) }
    }

    /// The authorities that the system trusts, from its certificate store or from `SSL_CERT_FILE`
    /// and `SSL_CERT_DIR`. This reads files, so call it before the reactor runs.
    ///
    /// # Errors
    /// `ErrorKind::NotFound` if there are none, with the reason if it is known. Certificates of the
    /// store that cannot be parsed are skipped.
    pub fn system() -> io::Result<Roots> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let reason = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            let text = format!("the system's store has no certificates{reason}");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(Roots { store: Arc::new(store) })
    }

    /// Trusts a self-signed certificate, and nothing else.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if the certificate cannot be trusted by itself.
    pub fn only(identity: &Identity) -> io::Result<Roots> {
        Roots::new(identity.key.cert.clone())
    }

    /// The authorities, or individual self-signed certificates, in a PEM text.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if there is no certificate, or if one cannot be parsed.
    pub fn from_pem(text: &[u8]) -> io::Result<Roots> {
        Roots::new(certificates_from_pem(text)?)
    }

    fn new(certificates: Vec<CertificateDer<'static>>) -> io::Result<Roots> {
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            let added = store.add(certificate);
            added.map_err(|error| invalid(format_args!("certificate of an authority: {error}")))?;
        }
        Ok(Roots { store: Arc::new(store) })
    }
}
