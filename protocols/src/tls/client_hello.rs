//! Parses the first message of a TLS client, without taking part in the handshake.

use std::borrow::Cow;
use std::fmt;

/// The first message of a TLS client, for a proxy that relays TLS without decrypting it, such as
/// [`ServerNames`](crate::raw::relay::ServerNames).
///
/// ```
/// use sluicegate_protocols::tls::ClientHello;
///
/// assert_eq!(ClientHello::parse(b"\x16\x03\x01\x02")?, None);
/// assert!(ClientHello::parse(b"GET / HTTP/1.1\r\n").is_err());
/// # Ok::<(), sluicegate_protocols::tls::ClientHelloError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    server_name: Option<Box<str>>,
}

impl ClientHello {
    /// The maximum length of the message in bytes, including its record headers: 16 KiB. Browsers
    /// send about 2 KiB.
    pub const MOST: usize = 16 << 10;

    /// Parses the message at the start of `bytes`, which are the first bytes that a client has
    /// sent. It may be split into any number of records. Returns `None` if it is incomplete. Bytes
    /// after the message are ignored.
    ///
    /// # Errors
    /// [`ClientHelloError`] if the bytes are neither a valid message nor the start of one, or if
    /// the message is longer than [`MOST`](ClientHello::MOST) bytes.
    pub fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, ClientHelloError> {
        let within = &bytes[..bytes.len().min(ClientHello::MOST)];
        match message(within)? {
            Some(message) => parse_message(&message).map(Some),
            None if bytes.len() >= ClientHello::MOST => Err(TOO_LONG),
            None => Ok(None),
        }
    }

    /// The name of the server that the client wants to reach (SNI), in lower case and without a dot
    /// at the end. It consists of letters, digits, hyphens, underscores and dots. `None` if the
    /// client does not name a server.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

/// Why bytes are not the first message of a TLS client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHelloError(&'static str);

impl fmt::Display for ClientHelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS ClientHello: {}", self.0)
    }
}

impl std::error::Error for ClientHelloError {}

const NOT_TLS: ClientHelloError = ClientHelloError("the connection does not start with TLS");
const TOO_LONG: ClientHelloError = ClientHelloError("longer than 16 KiB");
const TWO_NAMES: ClientHelloError = ClientHelloError("there are two server names");
const MALFORMED: ClientHelloError = ClientHelloError("a length within it is wrong");

/// The type of records with handshake messages, and the major version in all records.
const RECORD: [u8; 2] = [22, 3];

/// The maximum number of bytes of a record without its header (RFC 8446, section 5.1).
const LONGEST_RECORD: usize = 16 << 10;

/// The type of the message in a handshake.
const CLIENT_HELLO: u8 = 1;

/// The extension with the name of the server (RFC 6066, section 3), and the type of a host name.
const SERVER_NAME: usize = 0;
const HOST_NAME: u8 = 0;

/// The longest name in DNS (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 255;

/// The body of the message, joined from its records if there are several. `None` if it is
/// incomplete.
fn message(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ClientHelloError> {
    let mut joined = Cow::Borrowed(&[][..]);
    let mut rest = bytes;
    while let Some(fragment) = record(&mut rest)? {
        match &mut joined {
            Cow::Borrowed([]) => joined = Cow::Borrowed(fragment),
            joined => joined.to_mut().extend_from_slice(fragment),
        }
        if joined[0] != CLIENT_HELLO {
            return Err(ClientHelloError("the first message is not a ClientHello"));
        }
        let Some(&[_, high, middle, low]) = joined.first_chunk() else { continue };
        let end = 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
        if end > ClientHello::MOST {
            return Err(TOO_LONG);
        }
        if joined.len() >= end {
            return Ok(Some(match joined {
                Cow::Borrowed(message) => Cow::Borrowed(&message[4..end]),
                Cow::Owned(message) => Cow::Owned(message[4..end].to_vec()),
            }));
        }
    }
    Ok(None)
}

/// Takes the record at the start of `rest`. Returns it without its header, which leaves at least
/// one byte, or `None` if it is incomplete.
fn record<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ClientHelloError> {
    if rest.iter().zip(RECORD).any(|(byte, expected)| *byte != expected) {
        return Err(NOT_TLS);
    }
    let Some((&[.., high, low], behind)) = rest.split_first_chunk::<5>() else { return Ok(None) };
    match usize::from(u16::from_be_bytes([high, low])) {
        0 => Err(ClientHelloError("a record is empty")),
        length if length > LONGEST_RECORD => Err(ClientHelloError("a record is too long")),
        length => Ok(behind.split_at_checked(length).map(|(fragment, next)| {
            *rest = next;
            fragment
        })),
    }
}

/// Parses the body of the message (RFC 8446, section 4.1.2).
fn parse_message(body: &[u8]) -> Result<ClientHello, ClientHelloError> {
    let mut rest = Reader(body);
    // The version and the random bytes, the session, the ciphers, and the compression methods.
    rest.take(2 + 32)?;
    rest.prefixed(1)?;
    rest.prefixed(2)?;
    rest.prefixed(1)?;
    let mut server_name = None;
    // A message of TLS 1.2 may have no extensions.
    if !rest.0.is_empty() {
        let mut extensions = Reader(rest.prefixed(2)?);
        while !extensions.0.is_empty() {
            let kind = extensions.number(2)?;
            let content = extensions.prefixed(2)?;
            if kind == SERVER_NAME && server_name.replace(host_name(content)?).is_some() {
                return Err(TWO_NAMES);
            }
        }
    }
    rest.end()?;
    Ok(ClientHello { server_name })
}

/// Parses the list of names in the extension, of which there is one.
fn host_name(extension: &[u8]) -> Result<Box<str>, ClientHelloError> {
    let mut extension = Reader(extension);
    let mut list = Reader(extension.prefixed(2)?);
    extension.end()?;
    let is_host_name = list.take(1)? == [HOST_NAME];
    let name = list.prefixed(2)?;
    if !list.0.is_empty() {
        return Err(TWO_NAMES);
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    str::from_utf8(name)
        .ok()
        .filter(|name| is_host_name && is_server_name(name))
        .map(|name| name.to_ascii_lowercase().into())
        .ok_or(ClientHelloError("the server name is invalid"))
}

/// Whether text consists of labels with dots between them, as [`ClientHello::server_name`] does.
pub(crate) fn is_server_name(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_valid);
    text.len() <= LONGEST_NAME && text.split('.').all(is_label)
}

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ClientHelloError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of `size` bytes, the highest first.
    fn number(&mut self, size: usize) -> Result<usize, ClientHelloError> {
        Ok(self.take(size)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Bytes that follow their length, which takes `size` bytes.
    fn prefixed(&mut self, size: usize) -> Result<&'a [u8], ClientHelloError> {
        let length = self.number(size)?;
        self.take(length)
    }

    /// Checks that there is nothing left.
    fn end(self) -> Result<(), ClientHelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(MALFORMED) }
    }
}
