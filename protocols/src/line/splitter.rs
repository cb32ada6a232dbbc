//! Where a line ends: a pure function of the bytes and of how far they were looked at before.

use memchr::memchr;

/// What ends a line.
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
    /// The byte that is searched for.
    last: u8,
    /// What has to stand in front of it.
    before: Box<[u8]>,
    /// Whether a `\r` in front of it belongs to the delimiter, not to the line.
    optional_return: bool,
}

impl Delimiter {
    /// `\n`, or `\r\n`: what people type and most programs send.
    #[must_use]
    pub fn newline() -> Delimiter {
        Delimiter { last: b'\n', before: Box::default(), optional_return: true }
    }

    /// `\r\n` and nothing else: a `\r` or `\n` alone belongs to the line.
    #[must_use]
    pub fn crlf() -> Delimiter {
        Delimiter::new(b"\r\n")
    }

    /// Any bytes. The first place where all of them stand ends the line. It is the last of them
    /// that is searched for, so one that is rare in the lines is cheapest.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Delimiter {
        let (&last, before) = bytes.split_last().expect("a delimiter has at least one byte");
        Delimiter { last, before: before.into(), optional_return: false }
    }

    /// Most bytes that it has.
    fn len(&self) -> usize {
        self.before.len() + usize::from(self.optional_return) + 1
    }

    /// The last byte of the first delimiter that ends at `from` or behind.
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

    /// Whether what precedes the last byte stands in front of `at`.
    #[inline]
    fn is_whole(&self, bytes: &[u8], at: usize) -> bool {
        // Byte by byte, since most delimiters have one or two. What memcmp costs for none at all,
        // at the dangling address of an empty box, was 170 ns on the machine where this was
        // measured.
        let mut pairs = self.before.iter().rev().zip(bytes[..at].iter().rev());
        at >= self.before.len() && pairs.all(|(expected, byte)| expected == byte)
    }

    /// How long the line is whose delimiter's last byte is at `at`.
    #[inline]
    fn content(&self, bytes: &[u8], at: usize) -> usize {
        let returned = self.optional_return && bytes[..at].last() == Some(&b'\r');
        at - self.before.len() - usize::from(returned)
    }

    /// How many bytes at the end may be the beginning of a delimiter: never a whole one.
    fn begun(&self, bytes: &[u8]) -> usize {
        if self.optional_return {
            return usize::from(bytes.ends_with(b"\r"));
        }
        let begins = |len: &usize| bytes.ends_with(&self.before[..*len]);
        (0..=self.before.len()).rev().find(begins).unwrap_or(0)
    }
}

/// The search that every byte of a line goes through once.
#[inline]
fn search(byte: u8, bytes: &[u8]) -> Option<usize> {
    let found = memchr(byte, bytes);
    #[cfg(all(test, feature = "testing"))]
    super::tests::note_scanned(found.map_or(bytes.len(), |at| at + 1));
    found
}

/// Finds lines, each with a maximum length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splitter {
    delimiter: Delimiter,
    most: usize,
}

/// What stands at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A line.
    Line {
        /// Its length without the delimiter.
        len: usize,
        /// Where the next one begins.
        end: usize,
    },
    /// The beginning of one, not too long so far.
    Incomplete,
    /// More than a line may have, whatever follows.
    TooLong,
}

impl Splitter {
    /// Lines of at most `most` bytes, the delimiter not counted.
    #[must_use]
    pub fn new(delimiter: Delimiter, most: usize) -> Splitter {
        Splitter { delimiter, most }
    }

    /// The maximum length of a line in bytes.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// The least [`Limits::keep`](sluicegate_reactor::Limits::keep) for these lines: while the rest
    /// of one is awaited, the reactor keeps the part that has arrived.
    ///
    /// ```
    /// use sluicegate_protocols::line::{Delimiter, Splitter};
    /// use sluicegate_reactor::Limits;
    ///
    /// let splitter = Splitter::new(Delimiter::newline(), 1 << 20);
    /// let limits = Limits { keep: splitter.keep(), ..Limits::default() };
    /// assert!(limits.keep > 1 << 20);
    /// ```
    #[must_use]
    pub fn keep(&self) -> usize {
        self.most.saturating_add(self.delimiter.len())
    }

    /// Looks at the front of `bytes`, the beginning of a line. `scanned` says how far it was looked
    /// at before: 0 for a new line; after [`Split::Incomplete`] it is to be given again, with the
    /// same bytes and what follows them, so that each byte is searched once.
    #[inline]
    pub fn split(&self, bytes: &[u8], scanned: &mut usize) -> Split {
        let bytes = &bytes[..bytes.len().min(self.keep())];
        let Some(at) = self.delimiter.find(bytes, *scanned) else {
            *scanned = bytes.len();
            // What may become the delimiter is not a part of the line yet.
            let too_long =
                bytes.len() > self.most && bytes.len() - self.delimiter.begun(bytes) > self.most;
            return if too_long { Split::TooLong } else { Split::Incomplete };
        };
        let len = self.delimiter.content(bytes, at);
        if len > self.most {
            *scanned = at;
            return Split::TooLong;
        }
        *scanned = 0;
        Split::Line { len, end: at + 1 }
    }

    /// Goes on after [`Split::TooLong`]: where the next line begins, or how much of this one can be
    /// forgotten. `scanned` then belongs to what is left.
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
    /// [`Delimiter::newline`] and 8 KiB.
    fn default() -> Splitter {
        Splitter::new(Delimiter::newline(), 8 << 10)
    }
}
