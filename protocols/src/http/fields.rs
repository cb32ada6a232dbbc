//! The header fields that [`Http`](super::Http) itself acts on.

use httparse::Header;

use super::grammar::{is_token, list};
use super::limits::HttpLimits;
use super::request::{BodyLength, Version};
use super::status::Status;
use super::target::HostCache;

/// Their values; repeated fields are combined.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// Checked, and therefore ASCII.
    pub(super) host: Option<&'a [u8]>,
    length: Option<u64>,
    codings: Codings,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) expects_other: bool,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn of(headers: &[Header<'a>], hosts: &mut HostCache) -> Result<Fields<'a>, Status> {
        let mut fields = Fields::default();
        for header in headers {
            let (name, value) = (header.name, header.value);
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => fields.host(value, hosts)?,
                6 if name.eq_ignore_ascii_case("expect") => fields.expect(value),
                10 if name.eq_ignore_ascii_case("connection") => fields.connection(value),
                14 if name.eq_ignore_ascii_case("content-length") => fields.length(value)?,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.codings.add(value)?;
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// At most one, and a valid one (RFC 9112, section 3.2).
    fn host(&mut self, value: &'a [u8], hosts: &mut HostCache) -> Result<(), Status> {
        if self.host.is_some() || !hosts.is_valid(value) {
            return Err(Status::BAD_REQUEST);
        }
        self.host = Some(value);
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) {
        for expectation in list(value) {
            let is_continue = expectation.eq_ignore_ascii_case(b"100-continue");
            self.expects_continue |= is_continue;
            self.expects_other |= !is_continue;
        }
    }

    fn connection(&mut self, value: &[u8]) {
        // What browsers send needs no parsing.
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// One field with one number. Repetitions are refused even if they are equal, as RFC 9110,
    /// section 8.6, allows: they suggest that several parties have edited the message.
    fn length(&mut self, value: &[u8]) -> Result<(), Status> {
        if self.length.is_some() || value.is_empty() {
            return Err(Status::BAD_REQUEST);
        }
        let mut length = 0u64;
        for byte in value {
            let digit = byte.wrapping_sub(b'0');
            let next = length.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            length = next.filter(|_| digit < 10).ok_or(Status::BAD_REQUEST)?;
        }
        self.length = Some(length);
        Ok(())
    }

    /// The length of the body (RFC 9112, sections 6.1 and 6.3).
    pub(super) fn body_length(
        &self,
        version: Version,
        limits: &HttpLimits,
    ) -> Result<BodyLength, Status> {
        if self.codings.any() {
            if version == Version::Http10 || self.length.is_some() {
                return Err(Status::BAD_REQUEST);
            }
            return if self.codings.unknown {
                Err(Status::NOT_IMPLEMENTED)
            } else {
                Ok(BodyLength::Chunked)
            };
        }
        match self.length {
            Some(length) if length > limits.body => Err(Status::CONTENT_TOO_LARGE),
            Some(length) => Ok(BodyLength::Exact(length)),
            None => Ok(BodyLength::None),
        }
    }
}

/// The transfer codings of a message in their order. Only `chunked` is known; it must come last and
/// only once.
#[derive(Default)]
struct Codings {
    chunked: bool,
    unknown: bool,
}

impl Codings {
    fn any(&self) -> bool {
        self.chunked || self.unknown
    }

    fn add(&mut self, value: &[u8]) -> Result<(), Status> {
        for coding in value.split(|&byte| byte == b',') {
            let mut parts = coding.splitn(2, |&byte| byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let is_chunked = name.eq_ignore_ascii_case(b"chunked");
            if self.chunked || !is_token(name) || (is_chunked && parts.next().is_some()) {
                return Err(Status::BAD_REQUEST);
            }
            self.chunked |= is_chunked;
            self.unknown |= !is_chunked;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length_of(fields: &[(&str, &str)], version: Version) -> Result<BodyLength, u16> {
        let headers: Vec<_> =
            fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        Fields::of(&headers, &mut HostCache::default())
            .and_then(|fields| fields.body_length(version, &HttpLimits::default()))
            .map_err(Status::code)
    }

    #[test]
    fn row_2_a_content_length_is_one_plain_number() {
        let length = |value| length_of(&[("Content-Length", value)], Version::Http11);
        for (value, number) in [("0", 0), ("5", 5), ("0005", 5), ("1073741824", 1 << 30)] {
            assert_eq!(length(value), Ok(BodyLength::Exact(number)), "{value}");
        }
        for value in [
            "",
            "+5",
            "-5",
            "0x5",
            "5,5",
            "5, 5",
            "5 5",
            "5.0",
            "five",
            "\u{665}",
            ",",
            "5;",
            "18446744073709551616",
            "99999999999999999999999999999999",
        ] {
            assert_eq!(length(value), Err(400), "{value:?}");
        }
    }

    #[test]
    fn row_2_two_content_lengths_are_refused_even_if_equal() {
        for second in ["5", "6"] {
            let fields = [("Content-Length", "5"), ("content-length", second)];
            assert_eq!(length_of(&fields, Version::Http11), Err(400));
        }
    }

    #[test]
    fn row_16_a_body_over_the_cap_is_too_large() {
        for value in ["1073741825", "18446744073709551615"] {
            assert_eq!(
                length_of(&[("Content-Length", value)], Version::Http11),
                Err(413),
                "{value}"
            );
        }
    }

    #[test]
    fn rows_1_3_and_4_transfer_codings() {
        let cases: &[(&[&str], Result<BodyLength, u16>)] = &[
            (&["chunked"], Ok(BodyLength::Chunked)),
            (&["CHUNKED"], Ok(BodyLength::Chunked)),
            (&["chunked, gzip"], Err(400)),
            (&["chunked", "gzip"], Err(400)),
            (&["chunked, chunked"], Err(400)),
            (&["chunked", "chunked"], Err(400)),
            (&["gzip, chunked"], Err(501)),
            (&["gzip", "chunked"], Err(501)),
            (&["gzip"], Err(501)),
            (&["identity"], Err(501)),
            (&["xchunked"], Err(501)),
            (&["foo;bar=1"], Err(501)),
            (&["chunked;bar=1"], Err(400)),
            (&["chunked,"], Err(400)),
            (&[",chunked"], Err(400)),
            (&[""], Err(400)),
            (&["chun ked"], Err(400)),
            (&["\u{b}chunked"], Err(400)),
            (&["\"chunked\""], Err(400)),
        ];
        for (values, expected) in cases {
            let fields: Vec<_> = values.iter().map(|value| ("Transfer-Encoding", *value)).collect();
            assert_eq!(length_of(&fields, Version::Http11), *expected, "{values:?}");
            assert_eq!(length_of(&fields, Version::Http10), Err(400), "{values:?} in 1.0");
        }
    }

    #[test]
    fn row_1_a_length_beside_a_coding_is_refused() {
        for coding in ["chunked", "gzip"] {
            let fields = [("Transfer-Encoding", coding), ("Content-Length", "5")];
            assert_eq!(length_of(&fields, Version::Http11), Err(400), "{coding}");
        }
    }
}
