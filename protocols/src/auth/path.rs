//! The path of a request, as rules are compared with it.

use std::borrow::Cow;

use crate::http::percent;

/// Decodes a path, and removes empty segments and the last slash. `None` if it depends on the
/// service what the path leads to: it has the segments `.` or `..`, an encoded slash or NUL, or an
/// invalid escape.
pub(super) fn plain(raw: &str) -> Option<Cow<'_, [u8]>> {
    if !raw.contains('%') && !raw.contains("//") && !raw.contains("/.") {
        return Some(Cow::Borrowed(raw.strip_suffix('/').unwrap_or(raw).as_bytes()));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
        decoded.push(b'/');
        let start = decoded.len();
        percent::decode(segment.as_bytes(), &mut decoded)?;
        let name = &decoded[start..];
        if matches!(name, b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
            return None;
        }
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_has_no_empty_segments() {
        for (raw, expected) in [
            ("/", ""),
            ("//", ""),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("//a///b//", "/a/b"),
            ("/%61/b%20c", "/a/b c"),
            ("/%2561", "/%61"),
            ("/.a/..b/c.", "/.a/..b/c."),
            ("*", "*"),
        ] {
            assert_eq!(plain(raw).as_deref(), Some(expected.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn a_path_whose_meaning_depends_on_the_service_is_none() {
        for raw in [
            "/a/..",
            "/a/../b",
            "/./a",
            "/%2e%2e/a",
            "/.%2E",
            "/a%2fb",
            "/a%2F..%2Fb",
            "/a%00",
            "/%",
            "/%4",
            "/%zz",
            "/a//../b",
        ] {
            assert_eq!(plain(raw), None, "{raw}");
        }
    }
}
