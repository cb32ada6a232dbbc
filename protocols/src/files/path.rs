//! Decodes the path of a request, and encodes links.
//!
//! A decoded path has no segments that lead outside the root. Security does not depend on that:
//! [`Dir`](sluicegate_reactor::fs::Dir) opens nothing outside it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sluicegate_reactor::fs::is_temporary;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathError {
    /// It contains a malformed escape or an encoded NUL.
    Malformed,
    /// It is not served, whether it exists or not.
    NotServed,
}

/// Decodes the path of a request, once, into a path relative to the root.
///
/// `decoded` is overwritten. It has no empty segments. The path of a directory ends with a slash,
/// except that the root is empty.
///
/// The segments `.` and `..` are refused, as clients resolve them (RFC 3986, section 5.2.4), and so
/// is `%2F`, as no name contains a slash. Names that begin with a dot are refused unless `hidden`
/// is set, except for `/.well-known` (RFC 8615). The temporary names of uploads are always refused.
pub(super) fn decode(raw: &str, hidden: bool, decoded: &mut Vec<u8>) -> Result<(), PathError> {
    decoded.clear();
    for segment in raw.as_bytes().split(|byte| *byte == b'/').filter(|s| !s.is_empty()) {
        if !decoded.is_empty() {
            decoded.push(b'/');
        }
        let start = decoded.len();
        decode_segment(segment, decoded)?;
        let name = &decoded[start..];
        if name.starts_with(b".") && !is_served(name, start == 0, hidden) {
            return Err(PathError::NotServed);
        }
    }
    if raw.ends_with('/') && !decoded.is_empty() {
        decoded.push(b'/');
    }
    Ok(())
}

/// Whether a segment that begins with a dot is served.
fn is_served(name: &[u8], first: bool, hidden: bool) -> bool {
    match name {
        b"." | b".." => false,
        b".well-known" if first => true,
        _ => hidden && !is_temporary(OsStr::from_bytes(name)),
    }
}

fn decode_segment(segment: &[u8], decoded: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = segment;
    while let Some(at) = memchr::memchr(b'%', rest) {
        decoded.extend_from_slice(&rest[..at]);
        let [high, low, ..] = rest[at + 1..] else { return Err(PathError::Malformed) };
        match (hex(high), hex(low)) {
            (Some(0), Some(0)) | (None, _) | (_, None) => return Err(PathError::Malformed),
            (Some(2), Some(15)) => return Err(PathError::NotServed),
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
        }
        rest = &rest[at + 3..];
    }
    decoded.extend_from_slice(rest);
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Appends a path or a name, encoded so that it is safe in a reference, in a header field and in a
/// quoted HTML attribute. Slashes stay.
pub(super) fn encode(path: &[u8], out: &mut Vec<u8>) {
    encode_except(path, b"-._~!$()*+,=:@/", out);
}

/// Appends the query of a request to a reference. Escapes stay as they are.
pub(super) fn encode_query(query: &str, out: &mut Vec<u8>) {
    encode_except(query.as_bytes(), b"-._~!$()*+,=:@/?%&;'", out);
}

fn encode_except(bytes: &[u8], kept: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(byte);
        } else {
            let digit = |value: u8| DIGITS[usize::from(value)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(raw: &str) -> Result<Vec<u8>, PathError> {
        let mut out = b"left over".to_vec();
        decode(raw, false, &mut out).map(|()| out)
    }

    #[test]
    fn a_path_is_decoded_once() {
        let table: [(&str, &[u8]); 9] = [
            ("/", b""),
            ("//", b""),
            ("/a", b"a"),
            ("/a/", b"a/"),
            ("//a///b//", b"a/b/"),
            ("/%41%2e%74xt", b"A.txt"),
            ("/a%2520b", b"a%20b"),
            ("/%ff%c3%a4", b"\xff\xc3\xa4"),
            ("/a..b/c.", b"a..b/c."),
        ];
        for (raw, expected) in table {
            assert_eq!(decoded(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn a_bad_escape_and_a_nul_are_malformed() {
        for raw in ["/%", "/%4", "/%4/1", "/%zz", "/%+1", "/a%00", "/%00/b", "/%u0041"] {
            assert_eq!(decoded(raw), Err(PathError::Malformed), "{raw}");
        }
    }

    #[test]
    fn nothing_leads_upwards_whether_escaped_or_not() {
        for raw in ["/..", "/../", "/a/../b", "/%2e%2e/b", "/.%2E/", "/a/./b", "/%2e", "/..%2fb"] {
            assert_eq!(decoded(raw), Err(PathError::NotServed), "{raw}");
            assert_eq!(decode(raw, true, &mut Vec::new()), Err(PathError::NotServed), "{raw}");
        }
        assert_eq!(decoded("/%252e%252e/b").as_deref(), Ok(&b"%2e%2e/b"[..]));
    }

    #[test]
    fn an_escaped_slash_is_in_no_name() {
        assert_eq!(decoded("/a%2Fb"), Err(PathError::NotServed));
        assert_eq!(decoded("/a%2fb"), Err(PathError::NotServed));
    }

    #[test]
    fn names_with_a_dot_in_front_are_hidden_unless_asked_for() {
        for raw in ["/.git/config", "/a/.env", "/%2eenv", "/a/.well-known/x", "/.well-known2"] {
            assert_eq!(decoded(raw), Err(PathError::NotServed), "{raw}");
            assert_eq!(decode(raw, true, &mut Vec::new()), Ok(()), "{raw}");
        }
        assert_eq!(decoded("/.well-known/x").as_deref(), Ok(&b".well-known/x"[..]));
    }

    #[test]
    fn a_query_keeps_its_escapes_and_loses_what_could_split_a_field() {
        let mut out = Vec::new();
        encode_query("a=%0d%0a&b=\u{e4}\"<>", &mut out);
        assert_eq!(out, b"a=%0d%0a&b=%C3%A4%22%3C%3E");
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_the_same(
            names in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 1..12)
                    .prop_filter("a name", |n| !n.iter().any(|b| [0, b'/'].contains(b)))
                    .prop_filter("not a dot segment", |n| !matches!(&n[..], b"." | b"..")),
                0..4,
            ),
        ) {
            let path = names.join(&b'/');
            let mut raw = b"/".to_vec();
            encode(&path, &mut raw);
            let raw = String::from_utf8(raw).unwrap();
            prop_assert!(raw.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>&\\".contains(&b)));
            let mut back = Vec::new();
            prop_assert_eq!(decode(&raw, true, &mut back), Ok(()));
            prop_assert_eq!(back, path);
        }

        #[test]
        fn no_request_decodes_to_a_path_that_climbs(raw in "/[./%a2eEfF0]{0,24}") {
            let mut out = Vec::new();
            if decode(&raw, true, &mut out).is_ok() {
                prop_assert!(!out.starts_with(b"/"));
                prop_assert!(out.split(|b| *b == b'/').all(|s| s != b".." && s != b"."));
            }
        }
    }
}
