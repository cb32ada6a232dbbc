//! Searches for the end of a head.

use memchr::memchr_iter;

use super::fault::Fault;

/// How far a head has been searched for its end. Each byte is examined once, however the head
/// arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadScan {
    /// Bytes searched.
    at: u32,
    /// Bytes of the complete lines among them.
    lines: u32,
}

impl HeadScan {
    /// The number of bytes in the complete lines that were found.
    pub(super) fn lines(&self) -> usize {
        self.lines as usize
    }

    /// The length of the head at the start of `bytes`, or `None` if its end has not arrived. The
    /// first line may have `line` bytes without its CRLF, and the whole head `head` bytes.
    ///
    /// # Errors
    /// [`Fault::LineEnd`] for a bare line feed, and the rules about the two lengths.
    #[inline]
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        line: usize,
        head: usize,
    ) -> Result<Option<usize>, Fault> {
        // A line that leaves no room for the end of the head is too long, however it is split.
        let line = line.min(head.saturating_sub(2));
        let from = self.at as usize;
        for at in memchr_iter(b'\n', &bytes[from..]) {
            let at = from + at;
            if self.lines == 0 && at > line + 1 {
                return Err(Fault::FirstLineLength);
            }
            if at >= head {
                return Err(Fault::HeadLength);
            }
            if at == 0 || bytes[at - 1] != b'\r' {
                return Err(Fault::LineEnd);
            }
            if at >= 2 && bytes[at - 2] == b'\n' {
                return Ok(Some(at + 1));
            }
            self.lines = at as u32 + 1;
        }
        if self.lines == 0 && bytes.len() > line + 1 {
            return Err(Fault::FirstLineLength);
        }
        if bytes.len() > head {
            return Err(Fault::HeadLength);
        }
        self.at = bytes.len() as u32;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(bytes: &[u8], scan: &mut HeadScan) -> Result<Option<usize>, Fault> {
        scan.find_end(bytes, 8 << 10, 32 << 10)
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let more = [head, &b"GET"[..]].concat();
        assert_eq!(find(head, &mut HeadScan::default()), Ok(Some(head.len())));
        assert_eq!(find(&more, &mut HeadScan::default()), Ok(Some(head.len())));
        for end in 0..head.len() {
            let mut scan = HeadScan::default();
            assert_eq!(find(&head[..end], &mut scan), Ok(None), "{end}");
            assert_eq!(find(head, &mut scan), Ok(Some(head.len())), "{end}");
        }
    }

    #[test]
    fn no_byte_is_searched_twice() {
        let mut scan = HeadScan::default();
        assert_eq!(find(b"GET / HTTP/1.1\r\nA", &mut scan), Ok(None));
        // Would be the end of a head, and a bare line feed, if it were searched again.
        assert_eq!(find(b"GET / HTTP\r\n\r\n\n\nA: b", &mut scan), Ok(None));
        assert_eq!(find(b"GET / HTTP\r\n\r\n\n\nA: b\r\n\r\n", &mut scan), Ok(Some(24)));
    }

    #[test]
    fn row_10_a_bare_line_feed_ends_the_search() {
        for bytes in ["\n", "GET /\n", "GET /\r\nA\n", "GET /\r\n\n"] {
            let found = find(bytes.as_bytes(), &mut HeadScan::default());
            assert_eq!(found, Err(Fault::LineEnd), "{bytes:?}");
        }
    }
}
