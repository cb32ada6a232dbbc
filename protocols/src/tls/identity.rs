//! Certificates with their keys, and choosing one of several.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, verify_server_name};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, SupportedCipherSuite};

use super::{invalid, provider};

/// A certificate, the intermediate certificates that a peer needs to verify it, and its private
/// key.
///
/// Its `Debug` output shows only the certificate's fingerprint.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads certificates and a private key from PEM, as `certbot` and `openssl` write them. The
    /// identity's own certificate comes first, then the intermediate ones. Other sections are
    /// ignored, so that both arguments may be the same file.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if there is no certificate or no key, if one of them cannot be
    /// parsed or is of an unsupported kind, or if the key does not belong to the first certificate.
    /// Encrypted keys and certificates older than X.509 version 3 are not supported.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> io::Result<Identity> {
        let chain = certificates_from_pem(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                invalid("no private key in the PEM text, or it is encrypted")
            }
            error => damaged("private key", &error),
        })?;
        Identity::new(chain, key)
    }

    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> io::Result<Identity> {
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                invalid("the private key does not belong to the first certificate")
            }
            error => invalid(format_args!("certificate and key: {error}")),
        })?;
        Ok(Identity { key: Arc::new(key) })
    }

    /// The SHA-256 fingerprint of the certificate, as `openssl x509 -fingerprint -sha256` prints
    /// it.
    ///
    /// # Panics
    /// Never: every provider has a cipher suite with SHA-256.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = provider().cipher_suites.iter().find_map(|suite| match suite {
            SupportedCipherSuite::Tls13(suite) => {
                let provider = suite.common.hash_provider;
                (provider.output_len() == 32).then(|| provider.hash(&self.key.cert[0]))
            }
            SupportedCipherSuite::Tls12(_) => None,
        });
        let mut text = String::new();
        for byte in hash.expect("a suite with SHA-256").as_ref() {
            let colon = if text.is_empty() { "" } else { ":" };
            let _ = write!(text, "{colon}{byte:02X}");
        }
        text
    }

    /// Whether the certificate is for this name.
    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
        certificate.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.fingerprint()).finish()
    }
}

/// The error of a PEM text that cannot be decoded. The texts of the library list bytes as numbers.
fn damaged(what: &str, error: &pem::Error) -> io::Error {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => invalid(format_args!(
            "{what}: the file ends before `-----END {}-----`; copy the whole file again",
            end_marker.escape_ascii()
        )),
        pem::Error::IllegalSectionStart { line } => invalid(format_args!(
            "{what}: the line `{}` does not end with -----; copy the whole file again",
            line.escape_ascii()
        )),
        error => invalid(format_args!("{what}: {error}; copy the whole file again")),
    }
}

/// The certificates of a PEM text, of which there is at least one.
pub(super) fn certificates_from_pem(text: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = certificates.map_err(|error| damaged("certificate", &error))?;
    match certificates.is_empty() {
        true => Err(invalid("no certificate in the PEM text")),
        false => Ok(certificates),
    }
}

thread_local! {
    /// The name in the ClientHello that this thread processed last. rustls passes it to the
    /// certificate resolver, but an unbuffered connection does not return it.
    static SERVER_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The server name in the ClientHello that was just processed, if it has one.
pub(super) fn take_server_name() -> Option<Box<str>> {
    SERVER_NAME.take()
}

/// Chooses the identity that a server presents.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Vec<Identity>);

impl ResolvesServerCert for ByName {
    /// The first identity for the name with a key that the client supports, or else the first with
    /// such a key. If there is none, the first identity: rustls then finds that none matches, and
    /// reports why. Without an identity it would send `access_denied`.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        SERVER_NAME.set(hello.server_name().map(Box::from));
        let supported = |identity: &&Identity| {
            identity.key.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.filter(|_| self.0.len() > 1).and_then(|name| {
            self.0.iter().filter(supported).find(|identity| identity.is_for(&name))
        });
        let chosen = named.or_else(|| self.0.iter().find(supported)).or_else(|| self.0.first());
        chosen.map(|identity| identity.key.clone())
    }
}

/// The identity that a client presents if the server requests one.
#[derive(Debug)]
pub(super) struct Only(pub(super) Identity);

impl ResolvesClientCert for Only {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.key.choose_scheme(schemes).map(|_| self.0.key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
