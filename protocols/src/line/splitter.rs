//! Finds the ends of lines: a pure function of the bytes and the number of bytes that have been
//! searched already.

use memchr::memchr;

/// The delimiter that ends a line.
///
/// ```
/// use sluicegate_protocols::line::{Delimiter, Split, Splitter};
///
/// let splitter = Splitter::new(Delimiter::newline(), 100);
/// assert_eq!(splitter.split(b"one\r\ntwo", &mut 0), Split::Line { len: 3, end: 5 });
/// let splitter = Splitter::new(Delimiter::new(b"--"), 100);
/// assert_eq!(splitter.split(b"a-b--c", &mut 0), Split::Line { len: 3, end: 5 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiter {
    /// Its last byte, which is searched for.
    last: u8,
    /// The bytes before the last one.
    before: Box<[u8]>,
    /// Whether a `\r` before it belongs to the delimiter and not to the line.
    optional_return: bool,
}

impl Delimiter {
    /// `\n` or `\r\n`, which is what people type and most programs send.
    #[must_use]
    pub fn newline() -> Delimiter {
        Delimiter { last: b'\n', before: Box::default(), optional_return: true }
    }

    /// Only `\r\n`: a single `\r` or `\n` belongs to the line.
    #[must_use]
    pub fn crlf() -> Delimiter {
        Delimiter::new(b"\r\n")
    }

    /// Exactly these bytes. The splitter searches for the last byte, so it is fastest if that byte
    /// is rare in the lines.
    ///
    /// # Panics
    /// If `bytes` is empty.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Delimiter {
        let (&last, before) = bytes.split_last().expect("a delimiter must have at least one byte");
        Delimiter { last, before: before.into(), optional_return: false }
    }

    /// Its greatest length in bytes.
    fn len(&self) -> usize {
        self.before.len() + usize::from(self.optional_return) + 1
    }

    /// The position of the last byte of the first delimiter that ends at `from` or later.
    #[inline]
    fn find(&self, bytes: &[u8], mut from: usize) -> Option<usize> {
        loop {
            let at = from + search(self.last, bytes.get(from..)?)?;
            if self.is_whole(bytes, at) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// Whether the delimiter whose last byte is at `at` is complete.
    #[inline]
    fn is_whole(&self, bytes: &[u8], at: usize) -> bool {
        // Byte by byte, as most delimiters have one or two: a call of memcmp costs more, above all
        // for none, at the dangling address of an empty box.
        let mut pairs = self.before.iter().rev().zip(bytes[..at].iter().rev());
        at >= self.before.len() && pairs.all(|(expected, byte)| expected == byte)
    }

    /// The length of the line whose delimiter has its last byte at `at`.
    #[inline]
    fn content(&self, bytes: &[u8], at: usize) -> usize {
        let returned = self.optional_return && bytes[..at].last() == Some(&b'\r');
        at - self.before.len() - usize::from(returned)
    }

    /// How many bytes at the end may be the start of a delimiter.
    fn begun(&self, bytes: &[u8]) -> usize {
        if self.optional_return {
            return usize::from(bytes.ends_with(b"\r"));
        }
        let begins = |len: &usize| bytes.ends_with(&self.before[..*len]);
        (0..=self.before.len()).rev().find(begins).unwrap_or(0)
    }
}

/// Searches a byte. Every byte of a line is searched once.
#[inline]
fn search(byte: u8, bytes: &[u8]) -> Option<usize> {
    let found = memchr(byte, bytes);
    #[cfg(all(test, feature = "testing"))]
    super::tests::note_scanned(found.map_or(bytes.len(), |at| at + 1));
    found
}

/// Splits bytes into lines of a maximum length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splitter {
    delimiter: Delimiter,
    max_len: usize,
}

/// The result of [`Splitter::split`]: the kind of input at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A line.
    Line {
        /// Its length without the delimiter.
        len: usize,
        /// The position of the next line.
        end: usize,
    },
    /// The start of a line, not too long so far.
    Incomplete,
    /// A line that exceeds the maximum length.
    TooLong,
}

impl Splitter {
    /// Creates a splitter for lines of at most `max_len` bytes, not counting the delimiter.
    #[must_use]
    pub fn new(delimiter: Delimiter, max_len: usize) -> Splitter {
        Splitter { delimiter, max_len }
    }

    /// The maximum length of a line in bytes, without its delimiter.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// The smallest [`Limits::max_unread`](sluicegate_reactor::Limits::max_unread) that works for
    /// these lines: the reactor keeps the start of a line until its end arrives.
    ///
    /// ```
    /// use sluicegate_protocols::line::{Delimiter, Splitter};
    /// use sluicegate_reactor::Limits;
    ///
    /// let splitter = Splitter::new(Delimiter::newline(), 1 << 20);
    /// let limits = Limits { max_unread: splitter.keep(), ..Limits::default() };
    /// assert!(limits.max_unread > 1 << 20);
    /// ```
    #[must_use]
    pub fn keep(&self) -> usize {
        self.max_len.saturating_add(self.delimiter.len())
    }

    /// Searches for the end of the line at the front of `bytes`. `scanned` is the number of bytes
    /// that have been searched already: 0 for a new line. After [`Split::Incomplete`], pass it
    /// again with the same bytes and those that follow, so that each byte is searched only once.
    #[inline]
    pub fn split(&self, bytes: &[u8], scanned: &mut usize) -> Split {
        let bytes = &bytes[..bytes.len().min(self.keep())];
        let Some(at) = self.delimiter.find(bytes, *scanned) else {
            *scanned = bytes.len();
            // A delimiter that may have begun does not count.
            let too_long = bytes.len() > self.max_len
                && bytes.len() - self.delimiter.begun(bytes) > self.max_len;
            return if too_long { Split::TooLong } else { Split::Incomplete };
        };
        let len = self.delimiter.content(bytes, at);
        if len > self.max_len {
            *scanned = at;
            return Split::TooLong;
        }
        *scanned = 0;
        Split::Line { len, end: at + 1 }
    }

    /// Continues after [`Split::TooLong`]. Returns the position of the next line, or as an error
    /// how many bytes can be discarded; `scanned` then counts from the first byte that is left.
    pub(super) fn skip(&self, bytes: &[u8], scanned: &mut usize) -> Result<usize, usize> {
        if let Some(at) = self.delimiter.find(bytes, *scanned) {
            *scanned = 0;
            return Ok(at + 1);
        }
        // The delimiter may have begun.
        *scanned = self.delimiter.before.len().min(bytes.len());
        Err(bytes.len() - *scanned)
    }
}

impl Default for Splitter {
    /// [`Delimiter::newline`] and at most 8 KiB.
    fn default() -> Splitter {
        Splitter::new(Delimiter::newline(), 8 << 10)
    }
}
