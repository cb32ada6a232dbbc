//! Decodes the path of a request, and encodes links.
//!
//! A decoded path has no segments that lead outside the root. Security does not depend on that:
//! [`Dir`](sluicegate_reactor::fs::Dir) opens nothing outside it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use sluicegate_reactor::fs::is_temporary;

use crate::http::percent;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathError {
    /// It contains a malformed escape or an encoded NUL, or leads above the root.
    Malformed,
    /// It is not served, whether it exists or not.
    NotServed,
    /// It is the prefix without its slash. The decoded path is empty.
    NeedsSlash,
}

/// The route prefix that an option states, as [`decode`] needs it.
pub(super) fn parse_prefix(option: &str) -> io::Result<Vec<u8>> {
    let trimmed = option.trim_matches('/');
    if trimmed.is_empty() {
        return Ok(Vec::new());
    }
    if trimmed.split('/').any(|name| matches!(name, "" | "." | "..") || name.contains('\0')) {
        let what = format!("prefix {option:?}: no request has this path");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(format!("{trimmed}/").into_bytes())
}

/// Decodes the path of a request, once, into a path relative to the root.
///
/// `decoded` is overwritten. It has no empty segments. The path of a directory ends with a slash,
/// except that the root is empty.
///
/// As in nginx, the segments `.` and `..` are resolved after decoding (RFC 3986, section 5.2.4),
/// and slashes are merged. Unlike there, `%2F` is refused, as no name contains a slash. `prefix` is
/// empty or ends with a slash; paths that do not begin with it are refused. Names that begin with a
/// dot are refused unless `hidden` is set, except for `/.well-known` (RFC 8615). The temporary
/// names of uploads are always refused.
pub(super) fn decode(
    raw: &str,
    prefix: &[u8],
    hidden: bool,
    decoded: &mut Vec<u8>,
) -> Result<(), PathError> {
    decoded.clear();
    let (mut has_dotted_names, mut ends_in_dots) = (false, false);
    for segment in raw.as_bytes().split(|byte| *byte == b'/').filter(|s| !s.is_empty()) {
        let parent = decoded.len();
        if parent > 0 {
            decoded.push(b'/');
        }
        let start = decoded.len();
        percent::decode(segment, decoded).ok_or(PathError::Malformed)?;
        match memchr::memchr2(0, b'/', &decoded[start..]) {
            None => {}
            Some(at) if decoded[start + at] == 0 => return Err(PathError::Malformed),
            Some(_) => return Err(PathError::NotServed),
        }
        ends_in_dots = false;
        if decoded.get(start) == Some(&b'.') {
            ends_in_dots = resolve_dots(parent, start, decoded)?;
            has_dotted_names |= !ends_in_dots;
        }
    }
    if (ends_in_dots || raw.ends_with('/')) && !decoded.is_empty() {
        decoded.push(b'/');
    }
    if !prefix.is_empty() {
        remove_prefix(prefix, decoded)?;
    }
    if has_dotted_names && !are_names_served(decoded, hidden, prefix.is_empty()) {
        return Err(PathError::NotServed);
    }
    Ok(())
}

/// Resolves the last segment, which begins at `start` and whose parent ends at `parent`, if it is
/// `.` or `..`. Returns whether it is.
fn resolve_dots(parent: usize, start: usize, path: &mut Vec<u8>) -> Result<bool, PathError> {
    let climbs = match path[start..] {
        [b'.'] => false,
        [b'.', b'.'] => true,
        _ => return Ok(false),
    };
    path.truncate(parent);
    if climbs {
        if path.is_empty() {
            return Err(PathError::Malformed);
        }
        path.truncate(memchr::memrchr(b'/', path).unwrap_or(0));
    }
    Ok(true)
}

fn remove_prefix(prefix: &[u8], path: &mut Vec<u8>) -> Result<(), PathError> {
    if path.starts_with(prefix) {
        path.drain(..prefix.len());
        return Ok(());
    }
    let is_prefix = prefix.strip_suffix(b"/") == Some(path);
    path.clear();
    Err(if is_prefix { PathError::NeedsSlash } else { PathError::NotServed })
}

/// Whether all names of a path are served.
fn are_names_served(path: &[u8], hidden: bool, at_site_root: bool) -> bool {
    path.split(|byte| *byte == b'/').enumerate().all(|(depth, name)| match name {
        b".well-known" if depth == 0 && at_site_root => true,
        name => is_served(name, hidden),
    })
}

/// Whether a file with this name is served: those that begin with a dot only if `hidden` is set, and
/// temporary ones never.
pub(super) fn is_served(name: &[u8], hidden: bool) -> bool {
    !name.starts_with(b".") || hidden && !is_temporary(OsStr::from_bytes(name))
}

/// The name under which a file that a client calls `name` is saved: the part after the last slash
/// or backslash, because some clients send a whole path. `decode` would accept it as the last
/// segment.
pub(super) fn file_name(name: &[u8], hidden: bool) -> Result<&[u8], PathError> {
    let start = name.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
    let name = &name[start..];
    if name.is_empty() || name.iter().any(u8::is_ascii_control) {
        return Err(PathError::Malformed);
    }
    if matches!(name, b"." | b"..") || !are_names_served(name, hidden, false) {
        return Err(PathError::NotServed);
    }
    Ok(name)
}

/// Splits a path into the directory, with its slash, and the name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1))
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

/// Appends a name as the extended value of a parameter (RFC 8187, section 3.2).
pub(super) fn encode_parameter(name: &[u8], out: &mut Vec<u8>) {
    encode_except(name, b"-._~!#$&+^`|", out);
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
        decode(raw, b"", false, &mut out).map(|()| out)
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
    fn dot_segments_are_resolved_whether_escaped_or_not() {
        let table: [(&str, &[u8]); 15] = [
            ("/.", b""),
            ("/./", b""),
            ("/./a", b"a"),
            ("/a/.", b"a/"),
            ("/a/./b", b"a/b"),
            ("/a/..", b""),
            ("/a/../", b""),
            ("/a/../b", b"b"),
            ("/a/b/..", b"a/"),
            ("/a//../b/", b"b/"),
            ("/a/%2e%2E/b/%2e/c", b"b/c"),
            ("/a/.%2e/b", b"b"),
            ("/a/b/../../c", b"c"),
            ("/.git/../a", b"a"),
            ("/a/...", b"a/..."),
        ];
        for (raw, expected) in table {
            let mut out = Vec::new();
            assert_eq!(decode(raw, b"", true, &mut out), Ok(()), "{raw}");
            assert_eq!(out, expected, "{raw}");
        }
    }

    #[test]
    fn a_path_above_the_root_is_malformed() {
        for raw in ["/..", "/../", "/%2e%2e/b", "/.%2E/", "/a/../..", "/a/../../a", "//../a"] {
            assert_eq!(decoded(raw), Err(PathError::Malformed), "{raw}");
        }
        assert_eq!(decoded("/%252e%252e/b").as_deref(), Ok(&b"%2e%2e/b"[..]));
        assert_eq!(decoded("/..%2fb"), Err(PathError::NotServed));
    }

    #[test]
    fn a_prefix_is_a_path_with_or_without_slashes_around_it() {
        for option in ["", "/", "//"] {
            assert_eq!(parse_prefix(option).unwrap(), b"", "{option}");
        }
        for option in ["a b/c", "/a b/c", "a b/c/", "/a b/c/"] {
            assert_eq!(parse_prefix(option).unwrap(), b"a b/c/", "{option}");
        }
        for option in ["/a//b", "/./a", "a/..", "/a\0"] {
            let error = parse_prefix(option).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{option}");
            assert!(error.to_string().contains(&format!("{option:?}")), "{error}");
        }
    }

    #[test]
    fn only_paths_beneath_the_prefix_are_served_without_it() {
        let beneath = |raw| {
            let mut out = Vec::new();
            decode(raw, b"a b/c/", false, &mut out).map(|()| out)
        };
        for (raw, expected) in [
            ("/a%20b/c/", &b""[..]),
            ("/a%20b//c//d/", b"d/"),
            ("/a%20b/x/../c/d", b"d"),
            ("/a%20b/c/.", b""),
        ] {
            assert_eq!(beneath(raw).as_deref(), Ok(expected), "{raw}");
        }
        for raw in ["/", "/a%20b/", "/a%20b/cd", "/d", "/a%20b/c/../d", "/c/", "/x/a%20b/c/d"] {
            assert_eq!(beneath(raw), Err(PathError::NotServed), "{raw}");
        }
        for raw in ["/a%20b/c", "/a%20b/./c", "//a%20b/c"] {
            assert_eq!(beneath(raw), Err(PathError::NeedsSlash), "{raw}");
        }
        // The well-known names are those of the site.
        assert_eq!(beneath("/a%20b/c/.well-known/x"), Err(PathError::NotServed));
        assert_eq!(beneath("/a%20b/c/../../.."), Err(PathError::Malformed));
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
            assert_eq!(decode(raw, b"", true, &mut Vec::new()), Ok(()), "{raw}");
        }
        assert_eq!(decoded("/.well-known/x").as_deref(), Ok(&b".well-known/x"[..]));
    }

    #[test]
    fn row_51_a_client_names_a_file_and_no_path() {
        type Named<'a> = Result<&'a [u8], PathError>;
        let table: [(&[u8], Named<'_>); 14] = [
            (b"a.txt", Ok(b"a.txt")),
            (b"a b\xc3\xa4\xff\"'<>", Ok(b"a b\xc3\xa4\xff\"'<>")),
            (b"../../etc/passwd", Ok(b"passwd")),
            (b"C:\\dir\\a.txt", Ok(b"a.txt")),
            (b"", Err(PathError::Malformed)),
            (b"a/", Err(PathError::Malformed)),
            (b"a\\", Err(PathError::Malformed)),
            (b"a\0b", Err(PathError::Malformed)),
            (b"a\tb", Err(PathError::Malformed)),
            (b"a\x7f", Err(PathError::Malformed)),
            (b".", Err(PathError::NotServed)),
            (b"/..", Err(PathError::NotServed)),
            (b".bashrc", Err(PathError::NotServed)),
            (b".well-known", Err(PathError::NotServed)),
        ];
        for (name, expected) in table {
            assert_eq!(file_name(name, false), expected, "{}", name.escape_ascii());
        }
        assert_eq!(file_name(b".bashrc", true), Ok(&b".bashrc"[..]));
        for name in [&b"."[..], b"..", b".0123456789abcdef.part"] {
            assert_eq!(file_name(name, true), Err(PathError::NotServed));
        }
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
            prop_assert_eq!(decode(&raw, b"", true, &mut back), Ok(()));
            prop_assert_eq!(back, path);
        }

        #[test]
        fn no_request_decodes_to_a_path_that_climbs(raw in "/[./%a2eEfF0]{0,24}") {
            let mut out = Vec::new();
            if decode(&raw, b"", true, &mut out).is_ok() {
                prop_assert!(!out.starts_with(b"/"));
                prop_assert!(out.split(|b| *b == b'/').all(|s| s != b".." && s != b"."));
            }
        }
    }
}
