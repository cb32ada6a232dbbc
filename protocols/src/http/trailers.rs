//! The trailer fields of a chunked body (RFC 9110, section 6.5).

use super::grammar::field;

/// The fields after a chunked body. Their syntax has been checked.
///
/// They are separate from the header fields. Use only fields that are meant to be trailers, such as
/// a checksum: a filter in front of the server may have checked `Authorization` only in the head.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trailers<'a> {
    lines: &'a [u8],
}

impl<'a> Trailers<'a> {
    pub(super) fn new(lines: &'a [u8]) -> Trailers<'a> {
        Trailers { lines }
    }

    /// The value of the first field with this name. The case of the name does not matter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether there are no trailer fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The fields, in the order in which they were received.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let lines = self.lines.split_inclusive(|&byte| byte == b'\n');
        lines.filter_map(|line| field(line.strip_suffix(b"\r\n")?))
    }
}
