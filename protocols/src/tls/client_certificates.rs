//! Whether a server requests certificates of its clients.

use super::roots::Roots;

/// Whether clients must present certificates.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// Client certificates are not requested.
    #[default]
    None,
    /// Clients may present a certificate. If they do, the handshake fails unless one of these
    /// authorities has signed it.
    Optional(Roots),
    /// The handshake fails unless the client presents a certificate that one of these authorities
    /// has signed.
    Required(Roots),
}
