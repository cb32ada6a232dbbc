//! Type-length-value fields (TLVs), which a version 2 header contains in addition to addresses.

use super::HeaderError;

/// The longest unique id.
const MAX_UNIQUE_ID: usize = 128;

/// The bytes of [`Tlv::SSL`] before the TLVs within it.
const SSL_FIXED: usize = 5;

/// A value with its type. The constants are the registered types; those from 0xE0 to 0xEF are free
/// for applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The type.
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

impl Tlv<'_> {
    /// The application protocol that was negotiated with the client, such as `h2`.
    pub const ALPN: u8 = 0x01;
    /// See [`Header::authority`](super::Header::authority).
    pub const AUTHORITY: u8 = 0x02;
    /// See [`Header::with_checksum`](super::Header::with_checksum). A header has at most one.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// An id of up to 128 bytes that identifies the connection across proxies.
    pub const UNIQUE_ID: u8 = 0x05;
    /// See [`Header::ssl`](super::Header::ssl).
    pub const SSL: u8 = 0x20;
    /// Within `SSL`: the version of TLS, such as `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// Within `SSL`: the common name in the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    /// Within `SSL`: the cipher, such as `TLS_AES_128_GCM_SHA256`.
    pub const SSL_CIPHER: u8 = 0x23;
    /// Within `SSL`: how the proxy's certificate is signed, such as `RSA-SHA256`.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// Within `SSL`: the key of the proxy's certificate, such as `RSA2048`.
    pub const SSL_KEY_ALG: u8 = 0x25;
    /// Within `SSL`: the key exchange, such as `secp256r1`.
    pub const SSL_GROUP: u8 = 0x26;
    /// Within `SSL`: the signature in the handshake, such as `rsa_pss_rsae_sha256`.
    pub const SSL_SIG_SCHEME: u8 = 0x27;
    /// Within `SSL`: the client's certificate, as DER.
    pub const SSL_CLIENT_CERT: u8 = 0x28;
    /// The name of the client's network namespace.
    pub const NETNS: u8 = 0x30;
}

/// An iterator over TLVs.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
}

impl<'a> Tlvs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Tlvs<'a> {
        Tlvs { rest: bytes }
    }

    /// Returns the value of the first TLV of this type.
    ///
    /// ```
    /// use sluicegate_protocols::proxy_protocol::{Header, Tlv};
    ///
    /// fn id(header: &Header) -> Option<&[u8]> {
    ///     header.tlvs().find(Tlv::UNIQUE_ID)
    /// }
    /// ```
    #[must_use]
    pub fn find(mut self, kind: u8) -> Option<&'a [u8]> {
        self.find_map(|tlv| (tlv.kind == kind).then_some(tlv.value))
    }

    /// Like [`find`](Tlvs::find), as text. `None` if it is not UTF-8.
    #[must_use]
    pub fn find_text(self, kind: u8) -> Option<&'a str> {
        self.find(kind).and_then(|value| str::from_utf8(value).ok())
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    /// Ends early at a TLV that is longer than what is left.
    fn next(&mut self) -> Option<Tlv<'a>> {
        let (&[kind, high, low], rest) = self.rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        self.rest = rest;
        Some(Tlv { kind, value })
    }
}

/// The value of [`Tlv::SSL`]: the client's TLS connection to the proxy.
#[derive(Clone, Debug)]
pub struct Ssl<'a> {
    client: u8,
    verify: u32,
    parts: &'a [u8],
}

impl<'a> Ssl<'a> {
    /// Flag: the client uses TLS.
    pub const CLIENT_SSL: u8 = 0x01;
    /// Flag: the client presented a certificate on this connection.
    pub const CLIENT_CERT_CONN: u8 = 0x02;
    /// Flag: the client presented a certificate in the TLS session, perhaps on another connection.
    pub const CLIENT_CERT_SESS: u8 = 0x04;

    /// `None` if the value is too short.
    pub(super) fn new(value: &'a [u8]) -> Option<Ssl<'a>> {
        let (&[client, verify @ ..], parts) = value.split_first_chunk::<SSL_FIXED>()?;
        Some(Ssl { client, verify: u32::from_be_bytes(verify), parts })
    }

    /// Whether the client uses TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.client & Ssl::CLIENT_SSL != 0
    }

    /// Whether the client presented a certificate, on this connection or earlier in its session.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.client & (Ssl::CLIENT_CERT_CONN | Ssl::CLIENT_CERT_SESS) != 0
    }

    /// Whether the client presented a certificate that the proxy has verified. The verification
    /// result alone is not sufficient: HAProxy also reports success if there is no certificate.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.has_certificate() && self.verify == 0
    }

    /// The nested TLVs, such as [`Tlv::SSL_VERSION`].
    #[must_use]
    pub fn parts(&self) -> Tlvs<'a> {
        Tlvs::new(self.parts)
    }
}

/// Appends a TLV.
pub(super) fn put(to: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), HeaderError> {
    let too_long = |_| HeaderError("the value of a TLV is longer than 65,535 bytes");
    let length = u16::try_from(value.len()).map_err(too_long)?;
    to.push(kind);
    to.extend(length.to_be_bytes());
    to.extend(value);
    Ok(())
}

/// Checks all TLVs. Returns where the checksum begins, if there is one.
pub(super) fn check(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    let mut tlvs = Tlvs::new(bytes);
    let mut checksum = None;
    while let Some(tlv) = tlvs.next() {
        match tlv.kind {
            Tlv::CRC32C if checksum.is_some() => {
                return Err(HeaderError("there are two checksums"));
            }
            Tlv::CRC32C if tlv.value.len() == 4 => {
                checksum = Some(bytes.len() - tlvs.rest.len() - 4);
            }
            Tlv::CRC32C => return Err(HeaderError("the checksum does not have 4 bytes")),
            Tlv::UNIQUE_ID if tlv.value.len() > MAX_UNIQUE_ID => {
                return Err(HeaderError("the unique id is longer than 128 bytes"));
            }
            Tlv::SSL => {
                let too_short = HeaderError("a TLV about SSL is too short");
                end_of(Ssl::new(tlv.value).ok_or(too_short)?.parts())?;
            }
            _ => {}
        }
    }
    end_of(tlvs)?;
    Ok(checksum)
}

/// Checks that TLVs end where the last of them does.
fn end_of(mut tlvs: Tlvs<'_>) -> Result<(), HeaderError> {
    while tlvs.next().is_some() {}
    match tlvs.rest {
        [] => Ok(()),
        _ => Err(HeaderError("a TLV is longer than what is left of the header")),
    }
}
