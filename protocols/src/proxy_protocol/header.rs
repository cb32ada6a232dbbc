//! A header as a value, independent of its version.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

use sluicegate_reactor::{Address, Context};

use super::tlv::{self, Ssl, Tlv, Tlvs};

/// The two formats of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text, with IP addresses only.
    V1,
    /// Binary, with Unix addresses and TLVs too.
    V2,
}

/// A PROXY protocol header: the source and the destination of the client's connection.
///
/// ```
/// use sluicegate_protocols::proxy_protocol::{Header, Tlv, Version};
///
/// let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n";
/// let (header, len) = Header::parse(line)?.expect("a complete header");
/// assert_eq!(header.source(), Some(&"192.0.2.1:56324".parse()?));
/// assert_eq!(&line[len..], b"GET / HTTP/1.1\r\n");
///
/// let header = header.with(Tlv::AUTHORITY, b"example.org")?;
/// let bytes = header.encode(Version::V2);
/// assert_eq!(Header::parse(&bytes)?, Some((header, bytes.len())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Shared with the endpoints of each request, since Unix addresses are large.
    pub(super) addresses: Option<(Arc<Address>, Arc<Address>)>,
    /// TLVs, encoded and valid.
    pub(super) tlvs: Vec<u8>,
}

/// The addresses of a header, as they are encoded.
pub(super) enum Endpoints<'a> {
    V4(SocketAddrV4, SocketAddrV4),
    V6(SocketAddrV6, SocketAddrV6),
    Unix(&'a Address, &'a Address),
}

/// The bytes of a Unix address.
pub(super) const UNIX_PATH: usize = 108;

/// The bytes of two Unix addresses, the longest ones.
pub(super) const UNIX: usize = 2 * UNIX_PATH;

/// The maximum number of bytes of TLVs that fit behind any addresses. The length field of a header
/// has 16 bits.
const MAX_TLVS: usize = u16::MAX as usize - UNIX;

impl Header {
    /// A header for a client's connection from `source` to `destination`.
    #[must_use]
    pub fn new(source: impl Into<Address>, destination: impl Into<Address>) -> Header {
        let addresses = Some((Arc::new(source.into()), Arc::new(destination.into())));
        Header { addresses, tlvs: Vec::new() }
    }

    /// A header for the client of the current connection: the header with which the connection
    /// began, or else a new one with the addresses of the connection.
    ///
    /// If the client uses [TLS](crate::tls), the header also describes the TLS connection, unless
    /// it already does: the negotiated protocol, the server name, the version, the cipher, and
    /// whether the client has presented a certificate. These are TLVs, which only version 2
    /// supports.
    ///
    /// # Errors
    /// The errors of [`Context::peer_address`] and [`Context::local_address`], if the connection
    /// was just reset.
    pub fn of(cx: &Context<'_>) -> io::Result<Header> {
        let header = match cx.transport::<Header>().filter(|header| header.addresses.is_some()) {
            Some(header) => header.clone(),
            None => Header::new(cx.peer_address()?, cx.local_address()?),
        };
        #[cfg(feature = "tls")]
        if let Some(client) = cx.transport().filter(|_| header.ssl().is_none()) {
            return super::tls::describe(header, client).map_err(io::Error::other);
        }
        Ok(header)
    }

    /// A header for a connection that the proxy makes for itself, such as a health check. The
    /// receiver uses the addresses of the connection.
    #[must_use]
    pub fn local() -> Header {
        Header::default()
    }

    /// The address of the client; `None` if those of the connection apply.
    #[must_use]
    pub fn source(&self) -> Option<&Address> {
        self.addresses.as_ref().map(|(source, _)| &**source)
    }

    /// The address that the client connected to; `None` if those of the connection apply.
    #[must_use]
    pub fn destination(&self) -> Option<&Address> {
        self.addresses.as_ref().map(|(_, destination)| &**destination)
    }

    /// The TLVs, in order.
    #[must_use]
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(&self.tlvs)
    }

    /// The host name that the client requested, such as the server name of TLS. The client chooses
    /// it, so do not trust it. `None` if it is not UTF-8.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.tlvs().find_text(Tlv::AUTHORITY)
    }

    /// The client's TLS connection to the proxy.
    #[must_use]
    pub fn ssl(&self) -> Option<Ssl<'_>> {
        self.tlvs().find(Tlv::SSL).and_then(Ssl::new)
    }

    /// Adds a TLV.
    ///
    /// # Errors
    /// If all TLVs together would take more than 65,319 bytes, or if the value is not valid for its
    /// type: [`Tlv::UNIQUE_ID`], [`Tlv::SSL`] and [`Tlv::CRC32C`] have rules.
    pub fn with(mut self, kind: u8, value: &[u8]) -> Result<Header, HeaderError> {
        tlv::put(&mut self.tlvs, kind, value)?;
        if self.tlvs.len() > MAX_TLVS {
            return Err(HeaderError("the TLVs take more than 65,319 bytes"));
        }
        tlv::check(&self.tlvs)?;
        Ok(self)
    }

    /// Adds a [`Tlv::SSL`] about the client's TLS connection. `client` consists of the flags of
    /// [`Ssl`], `verify` is 0 if a certificate was verified, and `parts` are TLVs such as
    /// [`Tlv::SSL_VERSION`].
    ///
    /// # Errors
    /// Those of [`with`](Header::with).
    pub fn with_ssl(
        self,
        client: u8,
        verify: u32,
        parts: &[(u8, &[u8])],
    ) -> Result<Header, HeaderError> {
        let mut value = vec![client];
        value.extend(verify.to_be_bytes());
        for (kind, part) in parts {
            tlv::put(&mut value, *kind, part)?;
        }
        self.with(Tlv::SSL, &value)
    }

    /// Adds a checksum of the whole header, [`Tlv::CRC32C`].
    ///
    /// # Errors
    /// Those of [`with`](Header::with), or if there is one already.
    pub fn with_checksum(self) -> Result<Header, HeaderError> {
        self.with(Tlv::CRC32C, &[0; 4])
    }

    /// The addresses as they are encoded, if they are of the same kind.
    pub(super) fn endpoints(&self) -> Option<Endpoints<'_>> {
        match (self.source()?, self.destination()?) {
            (Address::Ip(source), Address::Ip(destination)) => {
                let v4 = (to_v4(*source), to_v4(*destination));
                Some(match v4 {
                    (Some(source), Some(destination)) => Endpoints::V4(source, destination),
                    _ => Endpoints::V6(to_v6(*source), to_v6(*destination)),
                })
            }
            (source @ Address::Unix(_), destination @ Address::Unix(_)) => {
                Some(Endpoints::Unix(source, destination))
            }
            _ => None,
        }
    }
}

/// An IPv4 address, mapped or not.
fn to_v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, address.port())),
        IpAddr::V6(_) => None,
    }
}

/// An IPv6 address, with an IPv4 one mapped. A header has no room for a zone.
fn to_v6(address: SocketAddr) -> SocketAddrV6 {
    let ip: Ipv6Addr = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddrV6::new(ip, address.port(), 0, 0)
}

/// Why bytes are not a header, or a TLV cannot be added to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderError(pub(super) &'static str);

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PROXY protocol: {}", self.0)
    }
}

impl std::error::Error for HeaderError {}
