//! The request that a client sends.

use sluicegate_reactor::fs::Region;
use sluicegate_reactor::{Bytes, ConnId, Outgoing, Target as Origin, Turn};

use crate::http::grammar::{field, is_token, list, values};
use crate::http::request::Method;
use crate::http::target::{Target, is_authority};
use crate::http::writer::{Own, write_decimal, write_field};

/// A request to send with [`Client::send`](super::Client::send).
///
/// The client writes `Host`, `Content-Length`, `Transfer-Encoding` and `Connection` itself.
///
/// ```
/// use sluicegate_protocols::http::Method;
/// use sluicegate_protocols::http::client::Request;
///
/// let search = Request::get("/search?q=reactor").header("Accept", "text/html");
/// let note = Request::new(Method::Post, "/notes").body("buy milk");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    /// The request line and the header fields.
    head: Vec<u8>,
    /// The length of the request line with its CRLF.
    line: usize,
    /// The length of the line of `Host`, which is next; 0 until there is one.
    host: usize,
    body: Body,
    traits: Traits,
    /// Why it cannot be sent.
    invalid: Option<&'static str>,
}

/// The properties of a request that the client needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub(super) is_head: bool,
    /// Whether sending it twice has the same effect as once (RFC 9110, section 9.2.2).
    is_idempotent: bool,
    /// Whether it states a length even without a body.
    expects_body: bool,
    /// Whether the head announces trailers.
    pub(super) has_trailers: bool,
    pub(super) upgrades: bool,
}

/// The body of a request.
#[derive(Clone, Debug)]
enum Body {
    None,
    Bytes(Bytes),
    Region(Region),
    /// Streamed; of this length, or chunked.
    Stream(Option<u64>),
}

impl Request {
    /// Creates a request without a body. The target is a percent-encoded path, with or without a
    /// query, or `*` for OPTIONS. CONNECT is not supported.
    pub fn new(method: Method<'_>, target: &str) -> Request {
        let name = method.as_str();
        let invalid = match Target::of(method, target) {
            _ if !is_token(name.as_bytes()) => Some("the method is not a token"),
            _ if method == Method::Connect => Some("CONNECT is not supported"),
            Ok(parsed) if parsed.authority.is_none() => None,
            _ => Some("the target is not an encoded path"),
        };
        let mut head = Vec::with_capacity(256);
        for part in [name, " ", target, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        let traits = Traits {
            is_head: method == Method::Head,
            is_idempotent: method.is_idempotent(),
            expects_body: matches!(method, Method::Post | Method::Put | Method::Patch),
            has_trailers: false,
            upgrades: false,
        };
        Request { line: head.len(), head, host: 0, body: Body::None, traits, invalid }
    }

    /// Creates a GET request.
    pub fn get(target: &str) -> Request {
        Request::new(Method::Get, target)
    }

    /// Adds a header field.
    ///
    /// Invalid fields, with which an attacker could split the request, are omitted and logged:
    /// those whose name is not a token or whose value contains CR, LF or NUL. The same applies to
    /// the fields that the client writes itself.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        write_field(&mut self.head, name, value.as_ref(), Own::Host);
        self.traits.has_trailers |= name.eq_ignore_ascii_case("trailer");
        self
    }

    /// Adds `Name: value\r\n` lines. The caller has checked their syntax, and none of them is a
    /// field that the client writes itself.
    pub(crate) fn fields(mut self, lines: &[u8], has_trailers: bool) -> Self {
        self.head.extend_from_slice(lines);
        self.traits.has_trailers |= has_trailers;
        self
    }

    /// Whether it can be sent.
    pub(crate) fn is_valid(&self) -> bool {
        self.invalid.is_none()
    }

    /// Whether sending it twice has the same effect as once.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.traits.is_idempotent
    }

    /// Sets `Host` to something other than the origin's name and port.
    pub fn host(mut self, host: &str) -> Self {
        if !host.is_empty() && !is_authority(host.as_bytes()) {
            self.invalid = Some("the host is not a name with or without a port");
        }
        self.write_host(host);
        self
    }

    /// Writes `Host` as the first field, replacing any existing one.
    fn write_host(&mut self, host: &str) {
        let name = b"Host: ";
        let text = name.iter().chain(host.as_bytes()).chain(b"\r\n").copied();
        self.head.splice(self.line..self.line + self.host, text);
        self.host = name.len() + host.len() + 2;
    }

    /// Sets a body of known length: bytes, or a region of a file.
    ///
    /// Borrowed bytes are copied. A request whose body is in memory can be retried. One with a
    /// region cannot, because the file may change.
    pub fn body<'b>(mut self, body: impl Into<Outgoing<'b>>) -> Self {
        self.body = match body.into() {
            Outgoing::Slice(slice) => Body::Bytes(Bytes::copy_from_slice(slice)),
            Outgoing::Shared(bytes) => Body::Bytes(bytes),
            Outgoing::Region(region) => Body::Region(region),
        };
        self
    }

    /// Gives the request a body that is sent piece by piece. Once the head has been sent,
    /// [`Exchange::on_stream`](super::Exchange::on_stream) gets a
    /// [`RequestStream`](super::RequestStream). If `length` is given, the head states it. Otherwise
    /// the body is chunked, which an HTTP/1.0 server does not understand.
    pub fn stream(mut self, length: Option<u64>) -> Self {
        self.body = Body::Stream(length);
        self
    }

    /// Requests an upgrade of the connection to another protocol. If the origin agrees,
    /// [`Exchange::on_upgrade`](super::Exchange::on_upgrade) is called. The request has a connection
    /// to itself. It should have no long body: until the origin has read that, its response may not
    /// be read.
    pub fn upgrade(mut self, protocol: &str) -> Self {
        write_field(&mut self.head, "Upgrade", protocol.as_bytes(), Own::Host);
        self.traits.upgrades = true;
        self
    }

    /// Completes the head. `host` is the value of `Host` unless the request has its own.
    ///
    /// # Errors
    /// Why the request cannot be sent.
    pub(super) fn prepare(mut self, host: &str) -> Result<Prepared, &'static str> {
        if let Some(why) = self.invalid {
            return Err(why);
        }
        if self.host == 0 {
            self.write_host(host);
        }
        let Request { mut head, body, traits, .. } = self;
        if traits.upgrades {
            head.extend_from_slice(b"Connection: Upgrade\r\n");
        }
        let length = match &body {
            Body::None => traits.expects_body.then_some(0),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Region(region) => Some(region.len()),
            Body::Stream(length) => *length,
        };
        if let Some(length) = length {
            head.extend_from_slice(b"Content-Length: ");
            write_decimal(&mut head, length);
            head.extend_from_slice(b"\r\n\r\n");
        } else if let Body::Stream(None) = body {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        } else {
            head.extend_from_slice(b"\r\n");
        }
        Ok(Prepared { head, body, traits })
    }
}

/// A request with a complete head.
pub(super) struct Prepared {
    head: Vec<u8>,
    body: Body,
    pub(super) traits: Traits,
}

impl Prepared {
    /// Sends all but a streamed body. Unless there is no body, it requests a call once that has
    /// been sent: then a stream begins, or the origin's time for the response.
    pub(super) fn transmit(&self, cx: &mut Turn, connection: ConnId) {
        let mut peer = cx.peer(connection);
        peer.send(&self.head);
        match &self.body {
            Body::None => return,
            Body::Bytes(bytes) => _ = peer.send(bytes),
            Body::Region(region) => _ = peer.send(region.clone()),
            Body::Stream(_) => {}
        }
        peer.request_drain();
    }

    /// Whether it offers to upgrade to all of these protocols, and there is one.
    pub(super) fn offers<'a>(&self, protocols: impl Iterator<Item = &'a [u8]>) -> bool {
        let lines = self.head.split(|byte| *byte == b'\n');
        let fields = lines.filter_map(|line| field(line.strip_suffix(b"\r")?));
        let offered: Vec<_> = values(fields, "Upgrade").flat_map(list).collect();
        let mut protocols = protocols.peekable();
        self.traits.upgrades
            && protocols.peek().is_some()
            && protocols.all(|other| offered.iter().any(|one| one.eq_ignore_ascii_case(other)))
    }

    /// Whether it may be sent to two connections, as far as it decides that.
    pub(super) fn is_repeatable(&self) -> bool {
        self.traits.is_idempotent && matches!(self.body, Body::None | Body::Bytes(_))
    }

    /// Whether its body is streamed; of this length, or chunked.
    pub(super) fn stream(&self) -> Option<Option<u64>> {
        match self.body {
            Body::Stream(length) => Some(length),
            _ => None,
        }
    }
}

/// The value of `Host` for an origin (RFC 9110, section 7.2), which omits the usual port of the
/// scheme. For a Unix socket it is `localhost`.
pub(super) fn host_of(origin: &Origin, usual_port: u16) -> String {
    let (host, port) = match origin {
        Origin::Name(name, port) => (name.to_string(), *port),
        Origin::Address(address) => match address.ip_and_port() {
            // Without the zone, which means nothing to the origin.
            Some(at) if at.is_ipv6() => (format!("[{}]", at.ip()), at.port()),
            Some(at) => (at.ip().to_string(), at.port()),
            None => return "localhost".to_owned(),
        },
    };
    if port == usual_port { host } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(request: Request) -> Result<String, &'static str> {
        let prepared = request.prepare("origin:8080")?;
        Ok(String::from_utf8(prepared.head).expect("text"))
    }

    #[test]
    fn the_client_writes_host_and_framing() {
        let get = Request::get("/a?b").header("Accept", "text/plain");
        let expected = "GET /a?b HTTP/1.1\r\nHost: origin:8080\r\nAccept: text/plain\r\n\r\n";
        assert_eq!(head(get).as_deref(), Ok(expected));
        for (request, expected) in [
            (Request::new(Method::Post, "/"), "Content-Length: 0\r\n\r\n"),
            (Request::new(Method::Post, "/").body("abc"), "Content-Length: 3\r\n\r\n"),
            (Request::get("/").body(""), "Content-Length: 0\r\n\r\n"),
            (Request::get("/").stream(Some(7)), "Content-Length: 7\r\n\r\n"),
            (Request::get("/").stream(None), "Transfer-Encoding: chunked\r\n\r\n"),
            (Request::get("/").upgrade("x"), "Upgrade: x\r\nConnection: Upgrade\r\n\r\n"),
            (Request::get("/").host("h"), "Host: h\r\n\r\n"),
            (Request::get("/").host("one").header("A", "b").host("h"), "Host: h\r\nA: b\r\n\r\n"),
            (Request::new(Method::Options, "*"), "OPTIONS * HTTP/1.1\r\nHost: origin:8080\r\n\r\n"),
        ] {
            let head = head(request).unwrap();
            assert!(head.ends_with(expected), "{head:?} {expected:?}");
        }
    }

    #[test]
    fn a_request_offers_the_protocols_that_it_names_in_any_case_and_no_others() {
        let request = Request::get("/upgrade:d").upgrade("a, B/1").upgrade("c").header("D", "d");
        let prepared = request.prepare("h").unwrap();
        for (protocols, expected) in [
            (&["a"][..], true),
            (&["c", "b/1", "A"], true),
            (&[], false),
            (&["b"], false),
            (&["d"], false),
            (&["a", "d"], false),
        ] {
            let protocols_named = protocols.iter().map(|protocol| protocol.as_bytes());
            assert_eq!(prepared.offers(protocols_named), expected, "{protocols:?}");
        }
        let silent = Request::get("/").header("Upgrade", "a").prepare("h").unwrap();
        assert!(!silent.offers([&b"a"[..]].into_iter()));
    }

    #[test]
    fn fields_that_would_split_a_request_or_change_its_framing_are_omitted() {
        let request = Request::get("/")
            .header("A", "b\r\nC: d")
            .header("bad name", "x")
            .header("Host", "evil")
            .header("content-length", "5")
            .header("Transfer-Encoding", "chunked")
            .header("Connection", "close")
            .header("Date", "today");
        let expected = "GET / HTTP/1.1\r\nHost: origin:8080\r\nDate: today\r\n\r\n";
        assert_eq!(head(request).as_deref(), Ok(expected));
    }

    #[test]
    fn invalid_requests_are_refused() {
        for target in ["", "a", "/a b", "/a\r\nb", "/%", "/#a", "http://h/", "*", "/\u{e9}"] {
            assert!(head(Request::get(target)).is_err(), "{target:?}");
        }
        for method in [Method::Other(""), Method::Other("A B"), Method::Connect] {
            assert!(head(Request::new(method, "/")).is_err(), "{method:?}");
        }
        assert!(head(Request::get("/").host("a b")).is_err());
    }

    #[test]
    fn the_host_is_that_of_the_origin_without_the_usual_port() {
        for (origin, usual_port, host) in [
            ("name:80", 80, "name"),
            ("name:8080", 80, "name:8080"),
            ("name:443", 443, "name"),
            ("name:80", 443, "name:80"),
            ("10.0.0.1:80", 80, "10.0.0.1"),
            ("[::1]:81", 80, "[::1]:81"),
            ("unix:/run/a.sock", 443, "localhost"),
        ] {
            assert_eq!(host_of(&origin.parse().unwrap(), usual_port), host);
        }
    }
}
