//! The request target and its four forms (RFC 9112, section 3.2).

use std::net::Ipv6Addr;

use memchr::{memchr, memchr2};

use super::grammar::class;
use super::request::Method;
use super::status::Status;

/// The parts of a request target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) whole: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// The authority of an absolute target. It wins over `Host`.
    pub(super) authority: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Parses a target. Refuses invalid bytes, fragments, and forms that the method does not have.
    #[inline]
    pub(super) fn of(method: Method<'_>, whole: &'a str) -> Result<Target<'a>, Status> {
        if method != Method::Connect && whole.starts_with('/') {
            let (path, query) = split_query(whole)?;
            return Ok(Target { whole, path, query, authority: None });
        }
        Target::of_rare_form(method, whole).ok_or(Status::BAD_REQUEST)
    }

    fn of_rare_form(method: Method<'_>, whole: &'a str) -> Option<Target<'a>> {
        match method {
            Method::Connect => {
                let target = Target { whole, path: whole, query: None, authority: Some(whole) };
                is_authority(whole.as_bytes()).then_some(target)
            }
            Method::Options if whole == "*" => {
                Some(Target { whole, path: whole, query: None, authority: None })
            }
            _ => {
                let (scheme, rest) = whole.split_once("://")?;
                if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
                    return None;
                }
                let end = memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                let (path, query) = split_query(rest).ok()?;
                let path = if path.is_empty() { "/" } else { path };
                let target = Target { whole, path, query, authority: Some(authority) };
                is_authority(authority.as_bytes()).then_some(target)
            }
        }
    }
}

/// Splits path and query. Refuses fragments, percent signs that encode no byte, and all bytes
/// outside visible ASCII, in UTF-8 or not.
#[inline]
fn split_query(target: &str) -> Result<(&str, Option<&str>), Status> {
    match target.bytes().position(|byte| !PLAIN[usize::from(byte)]) {
        None => Ok((target, None)),
        Some(at) => split_special(target, at),
    }
}

/// Does the same for a target with a byte that is not [`PLAIN`], the first of them at `at`.
fn split_special(target: &str, mut at: usize) -> Result<(&str, Option<&str>), Status> {
    let mut query = None;
    while at < target.len() {
        at += match target.as_bytes()[at..] {
            [b'?', ..] => {
                query = query.or(Some(at));
                1
            }
            [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => 3,
            [byte, ..] if PLAIN[usize::from(byte)] => 1,
            _ => return Err(Status::BAD_REQUEST),
        };
    }
    Ok(match query {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    })
}

/// Whether `text` is a non-empty host with an optional port (RFC 3986, section 3.2.2). User
/// information and IP versions after 6 are refused. A valid authority is ASCII.
#[inline]
pub(super) fn is_authority(text: &[u8]) -> bool {
    let end = text.iter().position(|&byte| !NAME[usize::from(byte)]).unwrap_or(text.len());
    match &text[end..] {
        [] => end > 0,
        [b':', port @ ..] => end > 0 && is_port(port),
        _ => is_rare_authority(text),
    }
}

/// The last valid `Host`. Most requests name the same one, and comparing is cheaper than parsing.
#[derive(Default)]
pub(super) struct HostCache(Vec<u8>);

impl HostCache {
    /// The longest host that is kept, in bytes: the longest domain name with a port.
    const MAX: usize = 253 + 6;

    /// Whether `host` is empty or a valid authority.
    #[inline]
    pub(super) fn is_valid(&mut self, host: &[u8]) -> bool {
        host == self.0 || self.is_valid_unknown(host)
    }

    #[inline(never)]
    fn is_valid_unknown(&mut self, host: &[u8]) -> bool {
        let is_valid = host.is_empty() || is_authority(host);
        if is_valid && host.len() <= HostCache::MAX {
            self.0.clear();
            self.0.extend_from_slice(host);
        }
        is_valid
    }
}

/// Whether `text` is such an authority although it has bytes that are rare in a name: those of an
/// address in brackets, or of a percent-encoded name.
fn is_rare_authority(text: &[u8]) -> bool {
    let (is_host, rest) = if let [b'[', rest @ ..] = text {
        let Some(end) = memchr(b']', rest) else { return false };
        let address = str::from_utf8(&rest[..end]).ok().map(str::parse::<Ipv6Addr>);
        (matches!(address, Some(Ok(_))), &rest[end + 1..])
    } else {
        let (name, rest) = text.split_at(memchr(b':', text).unwrap_or(text.len()));
        (is_encoded_name(name), rest)
    };
    is_host && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

fn is_port(digits: &[u8]) -> bool {
    let mut port = 0u32;
    digits.len() <= 5
        && digits.iter().all(|digit| {
            port = port * 10 + u32::from(digit.wrapping_sub(b'0'));
            digit.is_ascii_digit()
        })
        && port <= 65_535
}

fn is_encoded_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            _ if NAME[usize::from(*first)] => after,
            _ => return false,
        };
    }
    !name.is_empty()
}

/// The bytes of a registered name that are not encoded: `unreserved` and `sub-delims`.
const NAME: [bool; 256] = class(b"-._~!$&'()*+,;=");

/// The bytes of paths and queries that are not encoded: visible ASCII other than `#`, `%` and `?`.
/// RFC 3986 excludes some of them, but browsers send `[`, `]` and `|` in a path, and also `\`, `^`,
/// `` ` ``, `{` and `}` in a query.
const PLAIN: [bool; 256] = class(b"!\"$&'()*+,-./:;<=>@[\\]^_`{|}~");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_14_a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "a",
            "a.example",
            "a-b_c~d.example:8080",
            "127.0.0.1:80",
            "a:",
            "[::1]",
            "[::1]:80",
            "[fe80::1:2]",
            "%41.example",
            "a!$&'()*+,;=b",
            "xn--bcher-kva.example",
            "a:65535",
        ] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+80",
            "a b",
            "a/b",
            "a@b",
            "a\"b",
            "a<b",
            "[::1",
            "::1",
            "[::1]80",
            "[]",
            "[::g]",
            "[a]",
            "%4",
            "%zz",
            "a\\b",
            "bücher.example",
            "http://a",
            "a?b",
            "a#b",
            "a|b",
        ] {
            assert!(!is_authority(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_host_is_valid_or_not_whatever_came_before_it() {
        let mut hosts = HostCache::default();
        let long = "a".repeat(1000);
        for _ in 0..2 {
            for (host, is_valid) in
                [("a", true), ("a", true), ("a b", false), ("ab", true), ("", true), (&long, true)]
            {
                assert_eq!(hosts.is_valid(host.as_bytes()), is_valid, "{host}");
            }
        }
        assert!(hosts.0.len() <= HostCache::MAX);
    }

    #[test]
    fn row_15_each_form_belongs_to_its_methods() {
        let path =
            |method, target| Target::of(method, target).map(|t| (t.path, t.query, t.authority));
        let get = |target| path(Method::Get, target);
        assert_eq!(get("/"), Ok(("/", None, None)));
        assert_eq!(get("/a?b?c"), Ok(("/a", Some("b?c"), None)));
        assert_eq!(get("/a?"), Ok(("/a", Some(""), None)));
        assert_eq!(get("//a//b"), Ok(("//a//b", None, None)));
        assert_eq!(get("http://h"), Ok(("/", None, Some("h"))));
        assert_eq!(get("HTTPS://h:1/a?b"), Ok(("/a", Some("b"), Some("h:1"))));
        assert_eq!(get("http://h?a/b"), Ok(("/", Some("a/b"), Some("h"))));
        assert_eq!(path(Method::Options, "*"), Ok(("*", None, None)));
        assert_eq!(path(Method::Options, "/a"), Ok(("/a", None, None)));
        assert_eq!(path(Method::Connect, "h:80"), Ok(("h:80", None, Some("h:80"))));
        for target in [
            "*",
            "a",
            "h:80",
            "ftp://h/",
            "http:///a",
            "http://u@h/",
            "http://",
            "?a",
            "**",
            "http:a",
        ] {
            assert_eq!(get(target), Err(Status::BAD_REQUEST), "{target}");
        }
        for target in ["/", "http://h/", "h:a"] {
            assert_eq!(path(Method::Connect, target), Err(Status::BAD_REQUEST), "{target}");
        }
    }

    #[test]
    fn row_40_a_target_is_visible_ascii() {
        for byte in b'!'..=b'~' {
            let byte = char::from(byte);
            for (before, after) in
                [("/a", "b"), ("/a?b", "c"), ("http://h/", ""), ("http://h/a?", "b"), ("/", "")]
            {
                let target = format!("{before}{byte}{after}");
                let valid = Target::of(Method::Get, &target).is_ok();
                assert_eq!(valid, !matches!(byte, '#' | '%'), "{target}");
            }
        }
        for rest in ["\u{e9}", "a\u{20ac}b", "?\u{e9}", "?a=\u{1f600}&b", "\u{80}", "\u{ff}"] {
            for before in ["/", "/a?b=", "http://h/", "http://h?"] {
                let target = format!("{before}{rest}");
                let parsed = Target::of(Method::Get, &target);
                assert_eq!(parsed, Err(Status::BAD_REQUEST), "{target}");
            }
        }
    }

    #[test]
    fn row_40_a_percent_sign_begins_an_encoded_byte() {
        for before in ["/", "/a", "/a?", "/a?b=", "http://h/a", "http://h?", "http://h"] {
            for encoded in ["%00", "%41", "%aF", "%Af%fA", "%25", "%25%32%35"] {
                let target = format!("{before}{encoded}");
                assert!(Target::of(Method::Get, &target).is_ok(), "{target}");
                assert!(Target::of(Method::Get, &format!("{target}b")).is_ok(), "{target}b");
            }
            for malformed in ["%", "%4", "%%41", "%g1", "%1g", "%+1", "%4%41", "%u0041", "%41%"] {
                for after in ["", "/", "?", "?b", "&b", "/%41"] {
                    let target = format!("{before}{malformed}{after}");
                    let parsed = Target::of(Method::Get, &target);
                    assert_eq!(parsed, Err(Status::BAD_REQUEST), "{target}");
                }
            }
        }
        for target in ["%", "h%:80", "h%4:80", "h:%38"] {
            let parsed = Target::of(Method::Connect, target);
            assert_eq!(parsed, Err(Status::BAD_REQUEST), "{target}");
        }
    }

    #[test]
    fn row_11_a_fragment_is_refused_wherever_it_stands() {
        for target in ["/#", "/a#b", "/a?b#c", "/#?", "http://h/#a", "http://h#a", "http://h/?#"] {
            assert_eq!(Target::of(Method::Get, target), Err(Status::BAD_REQUEST), "{target}");
        }
    }
}
