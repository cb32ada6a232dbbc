//! Writes replies, and the commands of clients.

use memchr::memchr2;
use sluicegate_reactor::{Bytes, Context, Peer};

use super::header;
use super::parse::CRLF;

/// The version of the protocol that a client understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2, which every client understands. Connections start with it.
    #[default]
    Resp2,
    /// RESP3, which adds maps, sets, doubles, booleans, big numbers, verbatim strings and pushes.
    /// Clients request it with `HELLO 3`.
    Resp3,
}

/// The destination of an [`Encoder`]: the current connection, another one, or memory.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends shared bytes. A connection references long ones instead of copying them.
    fn put_shared(&mut self, bytes: &Bytes) {
        self.put(bytes);
    }
}

impl Sink for Context<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.send(bytes);
    }

    #[inline]
    fn put_shared(&mut self, bytes: &Bytes) {
        self.send(bytes);
    }
}

impl Sink for Peer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.send(bytes);
    }

    #[inline]
    fn put_shared(&mut self, bytes: &Bytes) {
        self.send(bytes);
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes values, in the order of the calls.
///
/// For an aggregate, such as an [`array`](Encoder::array), the method writes only the header; write
/// its elements afterwards. For a RESP2 client, RESP3 types are converted to RESP2 types; each
/// method documents the conversion.
///
/// A client writes a command as an array of bulk strings.
///
/// ```
/// use sluicegate_protocols::resp::{Encoder, Version};
///
/// let mut bytes = Vec::new();
/// let mut reply = Encoder::new(&mut bytes, Version::Resp2);
/// reply.array(3).integer(-1).bulk(b"two").null();
/// assert_eq!(bytes, b"*3\r\n:-1\r\n$3\r\ntwo\r\n$-1\r\n");
/// ```
#[derive(Debug)]
pub struct Encoder<'a, S> {
    sink: &'a mut S,
    version: Version,
}

impl<'a, S: Sink> Encoder<'a, S> {
    /// Creates an encoder for a client that understands this version.
    pub fn new(sink: &'a mut S, version: Version) -> Encoder<'a, S> {
        Encoder { sink, version }
    }

    /// Writes a simple string, such as `OK`. Line breaks in it become spaces.
    pub fn simple(&mut self, text: &str) -> &mut Self {
        self.line(b"+", text)
    }

    /// Writes an error. By convention its first word is a code, such as `ERR`, followed by text for
    /// people. Line breaks in it become spaces.
    pub fn error(&mut self, text: &str) -> &mut Self {
        self.line(b"-", text)
    }

    /// Writes an integer.
    pub fn integer(&mut self, number: i64) -> &mut Self {
        self.header(b':', number)
    }

    /// Writes a bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) -> &mut Self {
        self.header(b'$', bytes.len() as i64);
        self.sink.put(bytes);
        self.end()
    }

    /// Writes a bulk string. A connection references its bytes if it is long.
    #[inline]
    pub fn bulk_shared(&mut self, bytes: &Bytes) -> &mut Self {
        self.header(b'$', bytes.len() as i64);
        self.sink.put_shared(bytes);
        self.end()
    }

    /// Writes a bulk string as [`bulk_shared`](Encoder::bulk_shared) does, or a null.
    #[inline]
    pub fn bulk_or_null(&mut self, bytes: Option<&Bytes>) -> &mut Self {
        match bytes {
            Some(bytes) => self.bulk_shared(bytes),
            None => self.null(),
        }
    }

    /// Writes a null: in RESP2, a null bulk string.
    pub fn null(&mut self) -> &mut Self {
        self.put(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        })
    }

    /// Writes a null instead of an array: in RESP2, a null array.
    pub fn null_array(&mut self) -> &mut Self {
        self.put(match self.version {
            Version::Resp2 => b"*-1\r\n",
            Version::Resp3 => b"_\r\n",
        })
    }

    /// Begins an array of `len` values.
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.header(b'*', len as i64)
    }

    /// Begins a map of `len` keys, each followed by its value. In RESP2, an array of twice as many
    /// values.
    pub fn map(&mut self, len: usize) -> &mut Self {
        match self.version {
            Version::Resp2 => self.array(2 * len),
            Version::Resp3 => self.header(b'%', len as i64),
        }
    }

    /// Begins a set of `len` values. In RESP2, an array.
    pub fn set(&mut self, len: usize) -> &mut Self {
        self.aggregate(b'~', len)
    }

    /// Begins a push of `len` values: an out-of-band message, which can be sent only between
    /// replies. In RESP2, an array.
    pub fn push(&mut self, len: usize) -> &mut Self {
        self.aggregate(b'>', len)
    }

    /// Writes a number with a fraction. In RESP2, a bulk string.
    pub fn double(&mut self, number: f64) -> &mut Self {
        let text = if number.is_nan() { "nan".to_owned() } else { number.to_string() };
        self.scalar(b",", &text)
    }

    /// Writes a boolean. In RESP2, the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.put(match (self.version, value) {
            (Version::Resp2, true) => b":1\r\n",
            (Version::Resp2, false) => b":0\r\n",
            (Version::Resp3, true) => b"#t\r\n",
            (Version::Resp3, false) => b"#f\r\n",
        })
    }

    /// Writes an integer of any size, in decimal digits. In RESP2, a bulk string.
    pub fn big_number(&mut self, digits: &str) -> &mut Self {
        self.scalar(b"(", digits)
    }

    /// Writes text in a format of three characters, such as `txt` or `mkd`. In RESP2, a bulk string
    /// without the format.
    pub fn verbatim(&mut self, format: [u8; 3], text: &str) -> &mut Self {
        if self.version == Version::Resp2 {
            return self.bulk(text.as_bytes());
        }
        self.header(b'=', (format.len() + 1 + text.len()) as i64);
        self.sink.put(&format);
        self.sink.put(b":");
        self.sink.put(text.as_bytes());
        self.end()
    }

    #[inline]
    fn header(&mut self, kind: u8, number: i64) -> &mut Self {
        self.put(&header::encode(kind, number))
    }

    fn aggregate(&mut self, kind: u8, len: usize) -> &mut Self {
        match self.version {
            Version::Resp2 => self.array(len),
            Version::Resp3 => self.header(kind, len as i64),
        }
    }

    /// Writes what RESP3 has in a line.
    fn scalar(&mut self, kind: &[u8], text: &str) -> &mut Self {
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => self.line(kind, text),
        }
    }

    fn line(&mut self, kind: &[u8], text: &str) -> &mut Self {
        self.sink.put(kind);
        if memchr2(b'\r', b'\n', text.as_bytes()).is_none() {
            self.sink.put(text.as_bytes());
        } else {
            self.sink.put(text.replace(['\r', '\n'], " ").as_bytes());
        }
        self.end()
    }

    #[inline]
    fn end(&mut self) -> &mut Self {
        self.put(CRLF)
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.sink.put(bytes);
        self
    }
}
