//! The header fields that frame a message, and those that determine what follows it.

use super::fault::Fault;
use super::grammar::{are_parameters, is_token, list, split_token};
use super::request::{BodyLength, Version};

/// The values of `Content-Length`, `Transfer-Encoding` and `Connection`; repeated fields are
/// combined.
#[derive(Default)]
pub(super) struct Framing {
    length: Option<u64>,
    codings: Codings,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    /// Adds a field, if it is one of them.
    #[inline]
    pub(super) fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Fault> {
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case("content-length") => self.length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.codings.add(value),
            _ => Ok(()),
        }
    }

    /// The value of `Content-Length`.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Whether the sender keeps the connection open after this message (RFC 9112, section 9.3).
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Fault> {
        // What browsers send needs no parsing.
        if value == b"keep-alive" {
            self.keep_alive = true;
            return Ok(());
        }
        for option in list(value) {
            if !is_token(option) {
                return Err(Fault::Connection);
            }
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(())
    }

    /// One field with one number. Repetitions are refused even if they are equal, as RFC 9110,
    /// section 8.6, allows: they suggest that several parties have edited the message.
    fn length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() || value.is_empty() {
            return Err(Fault::ContentLength);
        }
        let mut length = 0u64;
        for byte in value {
            let digit = byte.wrapping_sub(b'0');
            let next = length.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            length = next.filter(|_| digit < 10).ok_or(Fault::ContentLength)?;
        }
        self.length = Some(length);
        Ok(())
    }

    /// The length of the body (RFC 9112, sections 6.1 and 6.3), of at most `longest` bytes.
    pub(super) fn body_length(&self, version: Version, longest: u64) -> Result<BodyLength, Fault> {
        if self.codings.present {
            if version == Version::Http10 || self.length.is_some() {
                return Err(Fault::TransferEncoding);
            }
            return match self.codings {
                Codings { unknown: true, .. } => Err(Fault::UnknownCoding),
                Codings { chunked: true, .. } => Ok(BodyLength::Chunked),
                // A field without codings frames nothing.
                _ => Err(Fault::TransferEncoding),
            };
        }
        match self.length {
            Some(length) if length > longest => Err(Fault::BodyLength),
            Some(length) => Ok(BodyLength::Exact(length)),
            None => Ok(BodyLength::None),
        }
    }
}

/// The transfer codings of a message in their order. Only `chunked` is known; it must come last and
/// only once.
#[derive(Default)]
struct Codings {
    /// Whether there is a `Transfer-Encoding`, if only an empty one.
    present: bool,
    chunked: bool,
    unknown: bool,
}

impl Codings {
    fn add(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.present = true;
        for coding in list(value) {
            let (name, parameters) = split_token(coding).ok_or(Fault::TransferEncoding)?;
            let is_chunked = name.eq_ignore_ascii_case(b"chunked");
            if self.chunked || !are_parameters(parameters) || (is_chunked && !parameters.is_empty())
            {
                return Err(Fault::TransferEncoding);
            }
            self.chunked |= is_chunked;
            self.unknown |= !is_chunked;
        }
        Ok(())
    }
}
