//! The request that a service gets.

use std::io;
use std::net::IpAddr;

use httparse::Header;
use sluicegate_reactor::{Address, ConnId, Context, Endpoints};

/// A request whose head was checked. It borrows from the received bytes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) version: Version,
    pub(super) host: Option<&'a [u8]>,
    pub(super) body_length: BodyLength,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) headers: &'a [Header<'a>],
    pub(super) connection: &'a Connection<'a>,
}

/// The connection on which a request was received.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    id: ConnId,
    endpoints: &'a Endpoints<'a>,
    is_secure: bool,
}

impl<'a> Connection<'a> {
    /// The current connection, which has these endpoints.
    #[inline]
    pub(super) fn of(cx: &Context<'_>, endpoints: &'a Endpoints<'a>) -> Connection<'a> {
        Connection { id: cx.id(), endpoints, is_secure: cx.is_secure() }
    }
}

/// The length of a request body, as its head announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is no body.
    None,
    /// `Content-Length`, in bytes.
    Exact(u64),
    /// The body ends with its last chunk.
    Chunked,
}

impl BodyLength {
    /// The number of bytes, if the head says it.
    pub(super) fn known(self) -> Option<u64> {
        match self {
            BodyLength::None => Some(0),
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked => None,
        }
    }
}

impl<'a> Request<'a> {
    /// The method.
    #[must_use]
    pub fn method(&self) -> Method<'a> {
        Method::from(self.method)
    }

    /// The request target as it was received.
    #[must_use]
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The path of the target, still percent-encoded. It begins with `/`, or is `*` for `OPTIONS
    /// *`. An absolute target without a path has the path `/`. It is ASCII.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The query: the part after the first `?` of the target.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The protocol version. Later 1.x versions count as 1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of the first header field with this name, without surrounding whitespace. The case
    /// of the name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The header fields, in the order in which they were received.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// Whether the request has a body, even an empty one: it has a `Content-Length` or is chunked.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body_length != BodyLength::None
    }

    /// The value of `Content-Length`. `None` if the body is chunked, or if there is none.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.body_length {
            BodyLength::Exact(length) => Some(length),
            BodyLength::None | BodyLength::Chunked => None,
        }
    }

    /// Whether the client wants to keep the connection open for further requests.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The connection, for messages and timers that concern it.
    #[must_use]
    pub fn connection(&self) -> ConnId {
        self.connection.id
    }

    /// The address of the client. Behind a proxy, this is the address of the proxy, unless the
    /// [transport](sluicegate_reactor::transport) knows that of the client. A client of a Unix
    /// socket is usually unnamed.
    ///
    /// This usually makes a system call. A service that needs the address for every request should
    /// store it once per connection.
    ///
    /// # Errors
    /// The error of `getpeername(2)`, such as `NotConnected` after a reset.
    pub fn peer_address(&self) -> io::Result<Address> {
        self.connection.endpoints.peer()
    }

    /// What limits for each client count as one client. `None` on a Unix socket, and after a reset.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.peer_address().ok()?.client_network()
    }

    /// The address to which the client connected. This usually makes a system call too.
    ///
    /// # Errors
    /// The error of `getsockname(2)`.
    pub fn local_address(&self) -> io::Result<Address> {
        self.connection.endpoints.local()
    }

    /// Whether the connection's [transport](sluicegate_reactor::transport) protects its bytes, as
    /// TLS does. `X-Forwarded-Proto`, which a proxy in front of this server may send, is ignored.
    /// [`Reply::transport`](super::Reply::transport) returns details about the client.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.connection.is_secure
    }

    /// Whether a browser sends this request on behalf of a page of another origin. Any site can
    /// make a browser send forms to this server with the rights of its user (cross-site request
    /// forgery). A service should refuse such requests if they change anything.
    ///
    /// The result depends on `Sec-Fetch-Site` or, if that is absent, on whether `Origin` names
    /// [`host`](Request::host). A proxy must therefore pass on `Host`. Clients other than browsers
    /// send neither field.
    #[must_use]
    pub fn is_cross_origin(&self) -> bool {
        match (self.header("Sec-Fetch-Site"), self.header("Origin")) {
            (Some(site), _) => !matches!(site, b"same-origin" | b"none"),
            (None, Some(origin)) => {
                let authority =
                    origin.strip_prefix(b"https://").or(origin.strip_prefix(b"http://"));
                !authority.zip(self.host).is_some_and(|(from, to)| from.eq_ignore_ascii_case(to))
            }
            (None, None) => false,
        }
    }

    /// The host and port that the client requests, from an absolute target or else from `Host`.
    /// Their syntax has been checked. May be empty; `None` only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.host.and_then(|host| str::from_utf8(host).ok())
    }
}

/// A request method. Methods are case-sensitive.
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
    /// TRACE: refused before a service sees it.
    Trace,
    /// CONNECT: refused before a service sees it.
    Connect,
    /// PATCH
    Patch,
    /// Any other, as it was received.
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// The name, as in the request line.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }

    /// Whether requests with this method may be sent twice (RFC 9110, section 9.2.2).
    pub(super) fn is_idempotent(self) -> bool {
        let is_safe = matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace);
        is_safe || matches!(self, Method::Put | Method::Delete)
    }
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
