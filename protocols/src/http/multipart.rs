//! Decodes `multipart/form-data` (RFC 7578), the format in which browsers send forms with files.
//!
//! [`FormDecoder`] decodes a body in pieces of any size, and returns the heads and the data of its
//! parts. It buffers the head of one part, but no data. For request bodies, use
//! [`Reply::read_form`](super::Reply::read_form).
//!
//! It is strict where all clients behave alike, and lenient where they differ:
//!
//! - Nothing may follow a delimiter on its line. Up to 8 KiB before the first delimiter are
//!   ignored, and everything after the last one.
//! - Lines end with CRLF. Each part has one `Content-Disposition: form-data` with a `name`. All
//!   other fields except `Content-Type` are ignored, even `Content-Transfer-Encoding`, which is
//!   obsolete.
//! - In a quoted string, `%22` stands for a quotation mark, as browsers write it, and so does `\"`,
//!   as other clients do; `\\` is a backslash, and any other backslash stands for itself.
//!   `filename*` is ignored: RFC 7578, section 4.2, forbids it.
//!
//! ```
//! use sluicegate_protocols::http::multipart::{FormDecoder, FormEvent, FormLimits};
//!
//! let content_type = b"multipart/form-data; boundary=xyz";
//! let mut form = FormDecoder::new(content_type, FormLimits::default())?;
//! let mut input = &b"--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xyz--"[..];
//! let mut events = Vec::new();
//! loop {
//!     match form.next(&mut input)? {
//!         FormEvent::Part(part) => events.push(part.name().to_vec()),
//!         FormEvent::Data(data) => events.push(data.to_vec()),
//!         FormEvent::PartEnd => events.push(b"end".to_vec()),
//!         FormEvent::NeedInput | FormEvent::End => break,
//!     }
//! }
//! assert_eq!(events, [&b"a"[..], b"1", b"end"]);
//! # Ok::<(), sluicegate_protocols::http::multipart::FormError>(())
//! ```

use std::error::Error;
use std::fmt;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::grammar::{class, field, split_token};
use super::status::Status;

/// The longest boundary in bytes (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The maximum length of what precedes the first delimiter, with its line end, in bytes. RFC 2046
/// allows any length; clients send an empty line or a note for old mail readers.
const MAX_PREAMBLE: usize = 8 << 10;

/// The limits on a form. [`HttpLimits::body`](super::HttpLimits::body) limits the length of the
/// whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormLimits {
    /// The maximum number of parts. Default 1000.
    pub parts: usize,
    /// The maximum length of the head of a part in bytes. Default 8 KiB.
    pub part_head: usize,
}

impl Default for FormLimits {
    fn default() -> FormLimits {
        FormLimits { parts: 1000, part_head: 8 << 10 }
    }
}

/// A decoder for one form.
#[derive(Debug)]
pub struct FormDecoder {
    /// Searches for the delimiter: CRLF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    /// How much of the delimiter the consumed input ends with.
    matched: usize,
    expected: Expected,
    /// The line end after the delimiter, and the part of the next head that has arrived.
    head: Vec<u8>,
    /// The part whose head was decoded last.
    part: FormPart,
    parts: usize,
    limits: FormLimits,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Bytes that are ignored, of which so many have been consumed, or the first delimiter.
    Preamble(usize),
    /// The line end after a delimiter, or the hyphens after the last one.
    LineEnd,
    Head,
    Data,
    /// Bytes that are ignored.
    Epilogue,
}

/// The next event of a form.
#[derive(Debug, PartialEq, Eq)]
pub enum FormEvent<'a> {
    /// All input was consumed, and more is needed.
    NeedInput,
    /// The head of the next part.
    Part(&'a FormPart),
    /// A piece of the part's data, never empty. It is either the start of the input, or a few bytes
    /// of an earlier input that might have belonged to a delimiter.
    Data(&'a [u8]),
    /// The part is complete.
    PartEnd,
    /// The form is complete. Further input is consumed and ignored.
    End,
}

/// The head of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormPart {
    name: Vec<u8>,
    file_name: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
}

impl FormPart {
    /// The name of the form's field, in the character set of the form; nearly always UTF-8.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The file name that the client sent. Do not trust it: it can be anything, such as
    /// `../../etc/passwd`. Empty if the user has not chosen a file; `None` if the field is not a
    /// file field.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.file_name.as_deref()
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&[u8]> {
        self.content_type.as_deref()
    }

    /// Parses the lines of a head.
    fn parse(lines: &[u8]) -> Option<FormPart> {
        let mut part = FormPart::default();
        let mut is_form_data = false;
        let mut rest = lines;
        while let Some(end) = memchr(b'\r', rest) {
            // The last line ends with CRLF, and `field` accepts no CR or LF.
            let (name, value) = field(&rest[..end])?;
            rest = rest[end..].strip_prefix(b"\r\n")?;
            if name.eq_ignore_ascii_case("Content-Disposition") {
                if std::mem::replace(&mut is_form_data, true) {
                    return None;
                }
                part.add_disposition(value)?;
            } else if name.eq_ignore_ascii_case("Content-Type") {
                part.content_type = Some(value.to_vec());
            }
        }
        (is_form_data && rest.is_empty()).then_some(part)
    }

    /// Parses the value of `Content-Disposition`.
    fn add_disposition(&mut self, value: &[u8]) -> Option<()> {
        let (kind, rest) = split_token(value)?;
        let mut name = None;
        parameters(rest, |key, value| {
            let known = match key {
                key if key.eq_ignore_ascii_case(b"name") => &mut name,
                key if key.eq_ignore_ascii_case(b"filename") => &mut self.file_name,
                _ => return Some(()),
            };
            known.replace(value).is_none().then_some(())
        })?;
        self.name = name?;
        kind.eq_ignore_ascii_case(b"form-data").then_some(())
    }
}

impl FormDecoder {
    /// Creates a decoder for a body with this `Content-Type`.
    ///
    /// # Errors
    /// [`FormError::OtherType`] if it is not `multipart/form-data`; [`FormError::Malformed`] if it
    /// has no valid boundary.
    pub fn new(content_type: &[u8], limits: FormLimits) -> Result<FormDecoder, FormError> {
        let end = memchr(b';', content_type).unwrap_or(content_type.len());
        let (kind, rest) = content_type.split_at(end);
        if !kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(FormError::OtherType);
        }
        let mut boundary = None;
        parameters(rest, |key, value| {
            let is_first =
                !key.eq_ignore_ascii_case(b"boundary") || boundary.replace(value).is_none();
            is_first.then_some(())
        })
        .ok_or(FormError::Malformed)?;
        let boundary = boundary.filter(|b| is_boundary(b)).ok_or(FormError::Malformed)?;
        let delimiter = [b"\r\n--", &boundary[..]].concat();
        Ok(FormDecoder {
            delimiter: Finder::new(&delimiter).into_owned(),
            // The line end that precedes the others is missing before the first.
            matched: 2,
            expected: Expected::Preamble(0),
            head: Vec::new(),
            part: FormPart::default(),
            parts: 0,
            limits,
        })
    }

    /// Whether the last delimiter was found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.expected, Expected::Epilogue)
    }

    /// Decodes the next event in the input and consumes it.
    ///
    /// # Errors
    /// The body is not a form, or exceeds a limit. The decoder must not be used again.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<FormEvent<'a>, FormError> {
        loop {
            if input.is_empty() && !self.is_complete() {
                return Ok(FormEvent::NeedInput);
            }
            match self.expected {
                Expected::Preamble(before) => {
                    if let FormEvent::Data(ignored) = self.take_data(input) {
                        let consumed = before + ignored.len();
                        if consumed > MAX_PREAMBLE {
                            return Err(FormError::Malformed);
                        }
                        self.expected = Expected::Preamble(consumed);
                    }
                }
                Expected::LineEnd => self.take_line_end(input)?,
                Expected::Head => {
                    if self.take_head(input)? {
                        return Ok(FormEvent::Part(&self.part));
                    }
                }
                Expected::Data => return Ok(self.take_data(input)),
                Expected::Epilogue => {
                    *input = &[];
                    return Ok(FormEvent::End);
                }
            }
        }
    }

    /// Consumes the rest of a delimiter of which a part was consumed, as far as it has arrived.
    /// Returns whether the input continues it.
    fn continue_delimiter(&mut self, input: &mut &[u8]) -> bool {
        let rest = &self.delimiter.needle()[self.matched..];
        let count = rest.len().min(input.len());
        if input[..count] != rest[..count] {
            return false;
        }
        *input = &input[count..];
        self.matched += count;
        if count == rest.len() {
            self.matched = 0;
            self.head.clear();
            self.expected = Expected::LineEnd;
        }
        true
    }

    /// Consumes the two bytes after a delimiter.
    fn take_line_end(&mut self, input: &mut &[u8]) -> Result<(), FormError> {
        let count = input.len().min(2 - self.head.len());
        self.head.extend_from_slice(&input[..count]);
        *input = &input[count..];
        match &self.head[..] {
            b"\r\n" if self.parts >= self.limits.parts => return Err(FormError::TooManyParts),
            b"\r\n" => {
                self.parts += 1;
                self.expected = Expected::Head;
            }
            b"--" => self.expected = Expected::Epilogue,
            b"\r" | b"-" => {}
            _ => return Err(FormError::Malformed),
        }
        Ok(())
    }

    /// Consumes the head of a part, as far as it has arrived. Returns whether it is complete.
    fn take_head(&mut self, input: &mut &[u8]) -> Result<bool, FormError> {
        let count = memchr(b'\n', input).map_or(input.len(), |end| end + 1);
        if self.head.len() + count > self.limits.part_head.saturating_add(2) {
            return Err(FormError::HeadTooLong);
        }
        self.head.extend_from_slice(&input[..count]);
        *input = &input[count..];
        // An empty head ends with the line end after the delimiter.
        if !self.head.ends_with(b"\r\n\r\n") {
            return Ok(false);
        }
        let lines = &self.head[2..self.head.len() - 2];
        self.part = FormPart::parse(lines).ok_or(FormError::Malformed)?;
        self.expected = Expected::Data;
        Ok(true)
    }

    /// Consumes data or a delimiter. The input must not be empty.
    fn take_data<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> FormEvent<'a> {
        if self.matched > 0 {
            if self.continue_delimiter(input) {
                return self.delimiter_event();
            }
            // CR is only the first byte of a delimiter, so none begins within these bytes.
            let matched = std::mem::take(&mut self.matched);
            return FormEvent::Data(&self.delimiter.needle()[..matched]);
        }
        let end = self.delimiter.find(input).unwrap_or_else(|| self.partial_delimiter(input));
        if end > 0 {
            let (data, rest) = input.split_at(end);
            *input = rest;
            return FormEvent::Data(data);
        }
        self.continue_delimiter(input);
        self.delimiter_event()
    }

    /// The event of bytes that belong to a delimiter.
    fn delimiter_event(&self) -> FormEvent<'static> {
        match self.expected {
            Expected::LineEnd => FormEvent::PartEnd,
            _ => FormEvent::NeedInput,
        }
    }

    /// Where a delimiter may begin whose end has not arrived; the end of the input if nowhere.
    fn partial_delimiter(&self, input: &[u8]) -> usize {
        let needle = self.delimiter.needle();
        let from = input.len().saturating_sub(needle.len() - 1);
        let start = memrchr(b'\r', &input[from..]).map(|at| from + at);
        start.filter(|start| needle.starts_with(&input[*start..])).unwrap_or(input.len())
    }
}

/// Whether a boundary is valid (RFC 2046, section 5.1.1).
fn is_boundary(boundary: &[u8]) -> bool {
    const ALLOWED: [bool; 256] = class(b"'()+_,-./:=? ");
    (1..=MAX_BOUNDARY).contains(&boundary.len())
        && boundary.iter().all(|byte| ALLOWED[usize::from(*byte)])
        && !boundary.ends_with(b" ")
}

/// Calls `take` with the name and the value of each parameter. `None` if they are malformed, or
/// `take` returns that.
fn parameters(bytes: &[u8], mut take: impl FnMut(&[u8], Vec<u8>) -> Option<()>) -> Option<()> {
    let mut rest = bytes.trim_ascii_start();
    while !rest.is_empty() {
        let (name, after) = split_token(rest.strip_prefix(b";")?.trim_ascii_start())?;
        let (value, after) =
            value(after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start())?;
        take(name, value)?;
        rest = after.trim_ascii_start();
    }
    Some(())
}

/// The token or quoted string at the start of `bytes`, unquoted, and what follows it.
fn value(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(mut rest) = bytes.strip_prefix(b"\"") else {
        return split_token(bytes).map(|(value, rest)| (value.to_vec(), rest));
    };
    let mut value = Vec::new();
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] => return Some((value, after)),
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'\\', byte @ (b'"' | b'\\'), after @ ..] | [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        value.push(byte);
        rest = after;
    }
}

/// Why a body cannot be decoded as a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// The body has another type.
    OtherType,
    /// It breaks a rule of RFC 7578 or RFC 2046.
    Malformed,
    /// The head of a part is longer than [`FormLimits::part_head`].
    HeadTooLong,
    /// There are more parts than [`FormLimits::parts`].
    TooManyParts,
}

impl FormError {
    /// The status with which to refuse the request.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            FormError::OtherType => Status::UNSUPPORTED_MEDIA_TYPE,
            FormError::Malformed => Status::BAD_REQUEST,
            FormError::HeadTooLong | FormError::TooManyParts => Status::CONTENT_TOO_LARGE,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormError::OtherType => "the type is not multipart/form-data",
            FormError::Malformed => "the form is malformed",
            FormError::HeadTooLong => "the head of a part is too long",
            FormError::TooManyParts => "there are too many parts",
        })
    }
}

impl Error for FormError {}

#[cfg(test)]
mod tests;
