//! The header fields that [`Http`](super::Http) itself acts on.

use httparse::Header;

use super::framing::Framing;
use super::grammar::{after_value, are_parameters, list, split_token};
use super::limits::HttpLimits;
use super::status::Status;
use super::target::HostCache;

/// The values of these fields; repeated ones are combined.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// Checked, and therefore ASCII.
    pub(super) host: Option<&'a [u8]>,
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
    pub(super) expects_other: bool,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn of(
        headers: &[Header<'a>],
        hosts: &mut HostCache,
        limits: &HttpLimits,
    ) -> Result<Fields<'a>, Status> {
        let mut fields = Fields::default();
        for header in headers {
            fields.add(header, hosts, limits)?;
        }
        Ok(fields)
    }

    #[inline]
    pub(super) fn add(
        &mut self,
        header: &Header<'a>,
        hosts: &mut HostCache,
        limits: &HttpLimits,
    ) -> Result<(), Status> {
        let (name, value) = (header.name, header.value);
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.host(value, hosts),
            6 if name.eq_ignore_ascii_case("expect") => self.expect(value),
            14 | 17 if limits.refuse_lookalikes && is_lookalike(name) => Err(Status::BAD_REQUEST),
            _ => Ok(self.framing.add(name, value)?),
        }
    }

    /// At most one, and a valid one (RFC 9112, section 3.2).
    fn host(&mut self, value: &'a [u8], hosts: &mut HostCache) -> Result<(), Status> {
        if self.host.is_some() || !hosts.is_valid(value) {
            return Err(Status::BAD_REQUEST);
        }
        self.host = Some(value);
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Status> {
        for expectation in list(value) {
            let is_continue = expectation.eq_ignore_ascii_case(b"100-continue");
            if !is_continue && !is_expectation(expectation) {
                return Err(Status::BAD_REQUEST);
            }
            self.expects_continue |= is_continue;
            self.expects_other |= !is_continue;
        }
        Ok(())
    }
}

/// Whether a name is `Content_Length` or `Transfer_Encoding`.
fn is_lookalike(name: &str) -> bool {
    name.eq_ignore_ascii_case("content_length") || name.eq_ignore_ascii_case("transfer_encoding")
}

/// Whether `bytes` is a member of `Expect` (RFC 9110, section 10.1.1).
fn is_expectation(bytes: &[u8]) -> bool {
    match split_token(bytes) {
        Some((_, [])) => true,
        Some((_, [b'=', value @ ..])) => after_value(value).is_some_and(are_parameters),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{BodyLength, Version};

    fn length_of(fields: &[(&str, &str)], version: Version) -> Result<BodyLength, u16> {
        let headers: Vec<_> =
            fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let limits = HttpLimits::default();
        Fields::of(&headers, &mut HostCache::default(), &limits)
            .and_then(|fields| Ok(fields.framing.body_length(version, limits.body)?))
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
    fn row_41_empty_members_of_transfer_encoding_are_skipped() {
        let of = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|v| ("Transfer-Encoding", *v)).collect();
            length_of(&fields, Version::Http11)
        };
        for values in [
            &["chunked,"][..],
            &[",chunked"],
            &[", \t, chunked ,\t,"],
            &["", "chunked"],
            &["chunked", ","],
        ] {
            assert_eq!(of(values), Ok(BodyLength::Chunked), "{values:?}");
        }
        for values in [&[""][..], &[","], &[" ,\t, "], &["", ","], &["chunked,,chunked"]] {
            assert_eq!(of(values), Err(400), "{values:?}");
        }
        assert_eq!(of(&["gzip,,chunked"]), Err(501));
    }

    #[test]
    fn row_41_members_of_lists_have_the_syntax_of_their_field() {
        let is_valid = |name, value: &str| {
            let status = length_of(&[(name, value)], Version::Http11).err();
            assert!(matches!(status, None | Some(400 | 501)), "{name}: {value}");
            status != Some(400)
        };
        let token = "!#$%&'*+-.^_`|~0aZ";
        for (name, value) in [
            ("Connection", "close"),
            ("Connection", "keep-alive"),
            ("Connection", " , keep-alive ,, Upgrade,\tHTTP2-Settings,"),
            ("Connection", token),
            ("Connection", ""),
            ("Connection", ","),
            ("Transfer-Encoding", token),
            ("Transfer-Encoding", "a;b=c"),
            ("Transfer-Encoding", "a ; b = c;d=\"e, chunked\", gzip"),
            ("Transfer-Encoding", "a;b=\"\\\", chunked\""),
            ("Transfer-Encoding", "a;b=\"\\\\\", chunked"),
            ("Expect", "100-continue"),
            ("Expect", ",100-Continue,,"),
            ("Expect", "a=b"),
            ("Expect", "a=\"b,c\";d=e"),
        ] {
            assert!(is_valid(name, value), "{name}: {value}");
        }
        for (name, value) in [
            ("Connection", "keep alive"),
            ("Connection", "close;a"),
            ("Connection", "keep-alive, \"close\""),
            ("Connection", "close, (comment)"),
            ("Connection", "a/b"),
            ("Connection", "=,close"),
            ("Connection", "\u{e9}"),
            ("Transfer-Encoding", "a b"),
            ("Transfer-Encoding", "a;"),
            ("Transfer-Encoding", "a;=b"),
            ("Transfer-Encoding", "a;b=\"c"),
            ("Transfer-Encoding", "a;b=\"c, chunked"),
            ("Transfer-Encoding", "\"a\""),
            ("Transfer-Encoding", "a=b"),
            ("Expect", "100 continue"),
            ("Expect", "a="),
            ("Expect", "=a"),
            ("Expect", "a=\"b"),
            ("Expect", "\"a\""),
            ("Expect", "a;b"),
        ] {
            assert!(!is_valid(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn row_42_a_name_that_imitates_the_length_of_a_body_is_refused() {
        let of = |name: &str, limits: &HttpLimits| {
            let headers = [Header { name, value: b"5" }];
            let fields = Fields::of(&headers, &mut HostCache::default(), limits);
            fields
                .and_then(|fields| Ok(fields.framing.body_length(Version::Http11, limits.body)?))
                .map_err(Status::code)
        };
        let switched_off = HttpLimits { refuse_lookalikes: false, ..HttpLimits::default() };
        for name in ["Content_Length", "content_length", "Transfer_Encoding", "TRANSFER_ENCODING"] {
            assert_eq!(of(name, &HttpLimits::default()), Err(400), "{name}");
            assert_eq!(of(name, &switched_off), Ok(BodyLength::None), "{name}");
        }
        for name in
            ["Content_Lengths", "Content_Type", "ContentLength", "If_Modified_Since", "User_Agent"]
        {
            assert_eq!(of(name, &HttpLimits::default()), Ok(BodyLength::None), "{name}");
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
