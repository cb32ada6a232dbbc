//! The two versions of a header as bytes.

use super::header::{Header, Version};
use super::{HeaderError, binary, text};

/// The first byte of a TLS handshake, a frequent mistake that gets a specific message.
const TLS: u8 = 22;

impl Header {
    /// Parses the header at the start of `bytes`, of either version. Returns it and its length, or
    /// `None` if it is incomplete.
    ///
    /// A header without addresses that apply to a stream (LOCAL, UNKNOWN, UNSPEC and datagrams) is
    /// equal to [`Header::local`]: anything else in it is skipped, as the specification requires.
    /// The same applies to Unix addresses that this system does not support.
    ///
    /// # Errors
    /// [`HeaderError`] as soon as the bytes cannot become a valid header.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => text::parse(bytes),
            Some(b'\r') => binary::parse(bytes),
            Some(&TLS) => Err(HeaderError(
                "the connection starts with TLS; the PROXY header must come before TLS",
            )),
            Some(_) => Err(HeaderError("the connection does not start with a PROXY header")),
        }
    }

    /// The header as bytes to send first on a connection.
    ///
    /// If one address is IPv4 and the other IPv6, both are written as IPv6 addresses. Two
    /// IPv4-mapped IPv6 addresses are written as IPv4 addresses. Version 1 has no TLVs and is
    /// `PROXY UNKNOWN` unless both addresses are IP addresses.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V1 => text::encode(self),
            Version::V2 => binary::encode(self),
        }
    }
}
