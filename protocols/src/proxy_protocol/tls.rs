//! The TLVs that describe a client's TLS connection.

use super::{Header, HeaderError, Ssl, Tlv};
use crate::tls::{Connection, Version};

/// Adds the known properties of a client's connection to its header. The common name of a
/// certificate is left out, since nothing here looks into certificates.
pub(super) fn describe(mut header: Header, client: &Connection) -> Result<Header, HeaderError> {
    let name = client.server_name().map(str::as_bytes);
    for (kind, value) in [(Tlv::ALPN, client.protocol()), (Tlv::AUTHORITY, name)] {
        let is_missing = header.tlvs().find(kind).is_none();
        if let Some(value) = value.filter(|_| is_missing) {
            header = header.with(kind, value)?;
        }
    }
    let version = match client.version() {
        Version::Tls12 => "TLSv1.2",
        Version::Tls13 => "TLSv1.3",
    };
    // The registered name, which other implementations write too.
    let cipher = client.cipher_suite().replace("TLS13_", "TLS_");
    let has_certificate = client.peer_certificates().next().is_some();
    let certificate = match (has_certificate, client.is_resumed()) {
        (false, _) => 0,
        (true, false) => Ssl::CLIENT_CERT_CONN | Ssl::CLIENT_CERT_SESS,
        (true, true) => Ssl::CLIENT_CERT_SESS,
    };
    header.with_ssl(
        Ssl::CLIENT_SSL | certificate,
        u32::from(!has_certificate),
        &[(Tlv::SSL_VERSION, version.as_bytes()), (Tlv::SSL_CIPHER, cipher.as_bytes())],
    )
}
