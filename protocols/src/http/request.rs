//! A request as a service sees it.

use httparse::Header;

/// A request whose head was checked. All of it borrows from the bytes received.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) method: Method<'a>,
    pub(super) target: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) version: Version,
    pub(super) host: Option<&'a [u8]>,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) headers: &'a [Header<'a>],
}

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// By its length.
    Length(u64),
    /// By its last chunk.
    Chunked,
}

impl<'a> Request<'a> {
    /// The method.
    #[must_use]
    pub fn method(&self) -> Method<'a> {
        self.method
    }

    /// The request target as it was sent.
    #[must_use]
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The target's path, still percent-encoded. It begins with `/`, or is `*` for `OPTIONS *`. Of
    /// an absolute target it is the path alone, `/` if there is none. It may contain characters
    /// beyond ASCII that should have been encoded.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What follows the first `?` of the target.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The protocol version. A later 1.x counts as 1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of the first header field of that name, in any case, without the whitespace around
    /// it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The header fields in the order they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The length announced for the body; `None` without one, and for a chunked body.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked => None,
        }
    }

    /// Whether the client wants to send more requests on this connection.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Host and port as the client named them: from an absolute target, else from `Host`. Its
    /// syntax was checked. `None` only in 1.0; it may be empty.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.host.and_then(|host| str::from_utf8(host).ok())
    }
}

/// A request method. They are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method<'a> {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// TRACE; never reaches a service.
    Trace,
    /// CONNECT; never reaches a service.
    Connect,
    /// PATCH
    Patch,
    /// Any other, as it was sent.
    Other(&'a str),
}

impl<'a> From<&'a str> for Method<'a> {
    fn from(name: &'a str) -> Method<'a> {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "CONNECT" => Method::Connect,
            "PATCH" => Method::Patch,
            other => Method::Other(other),
        }
    }
}

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}
