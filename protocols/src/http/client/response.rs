//! The response that an exchange gets, and its framing (RFC 9112, section 6.3).

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::Header;
use sluicegate_reactor::ConnId;

use crate::http::fault::Fault;
use crate::http::framing::Framing;
use crate::http::request::{BodyLength, Version};
use crate::http::status::Status;

/// The head of a response, which was checked. It borrows from the received bytes.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    status: Status,
    version: Version,
    headers: &'a [Header<'a>],
    content_length: Option<u64>,
    length: Length,
    keeps_alive: bool,
    connection: ConnId,
}

/// How the end of a response body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// By its length, which is 0 if there is no body.
    Exact(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

impl Length {
    /// The maximum number of bytes that can follow; `None` for chunks.
    pub(super) fn most(self) -> Option<u64> {
        match self {
            Length::Exact(length) => Some(length),
            Length::Chunked => None,
            Length::UntilClose => Some(u64::MAX),
        }
    }
}

/// The head of a response of version 1.2 to 1.9 as one of version 1.1, the highest that is known
/// here (RFC 9110, section 2.5).
pub(super) fn with_known_version(head: &[u8]) -> Cow<'_, [u8]> {
    let mut head = Cow::Borrowed(head);
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', ..] = *head {
        head.to_mut()[7] = b'1';
    }
    head
}

impl<'a> Response<'a> {
    /// Parses a complete head, up to and including its empty line.
    pub(super) fn parse(
        head: &'a [u8],
        slots: &'a mut [MaybeUninit<Header<'a>>],
        is_to_head: bool,
        connection: ConnId,
    ) -> Result<Response<'a>, Fault> {
        // The parser would skip empty lines.
        if !head.starts_with(b"HTTP/") {
            return Err(Fault::StatusLine);
        }
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, head, slots) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::FieldCount),
            Err(httparse::Error::Version | httparse::Error::Status) => {
                return Err(Fault::StatusLine);
            }
            Ok(httparse::Status::Partial) | Err(_) => return Err(Fault::Field),
        }
        let status = parsed.code.and_then(Status::received).ok_or(Fault::StatusLine)?;
        let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let headers: &'a [Header<'a>] = parsed.headers;
        let mut framing = Framing::default();
        for header in headers {
            framing.add(header.name, header.value)?;
        }
        let has_no_body = is_to_head || status.is_interim() || matches!(status.code(), 204 | 304);
        let framed = framing.body_length(version, u64::MAX);
        // A faulty server may send the body that it announces. It would be the next response.
        let is_ambiguous = match framed {
            Ok(BodyLength::None | BodyLength::Exact(0)) => false,
            Ok(_) => status.code() == 204,
            Err(_) => true,
        };
        let length = match framed {
            _ if has_no_body => Length::Exact(0),
            Ok(BodyLength::None) => Length::UntilClose,
            Ok(BodyLength::Exact(length)) => Length::Exact(length),
            Ok(BodyLength::Chunked) => Length::Chunked,
            Err(fault) => return Err(fault),
        };
        let has_end = length != Length::UntilClose && !is_ambiguous;
        let keeps_alive = framing.keeps_alive(version) && has_end;
        let content_length = framing.content_length();
        Ok(Response { status, version, headers, content_length, length, keeps_alive, connection })
    }

    /// The status. It is from 100 to 199 in an interim response.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The protocol version. Versions from 1.2 to 1.9 count as 1.1.
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

    /// Whether a body may follow. It may still be empty.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.length != Length::Exact(0)
    }

    /// The length of the body, if it is known. Unlike the value of
    /// [`content_length`](Response::content_length), it is 0 in a response to HEAD.
    #[must_use]
    pub fn body_length(&self) -> Option<u64> {
        match self.length {
            Length::Exact(length) => Some(length),
            Length::Chunked | Length::UntilClose => None,
        }
    }

    /// The value of `Content-Length`.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The connection of the response. An exchange can [pause](sluicegate_reactor::Peer::pause) it,
    /// and receives no more until it resumes it.
    #[must_use]
    pub fn connection(&self) -> ConnId {
        self.connection
    }

    /// Whether an origin that closes an idle connection may have sent it, before it received a
    /// request (RFC 9110, section 15.5.9).
    pub(super) fn is_idle_timeout(&self) -> bool {
        self.status == Status::REQUEST_TIMEOUT && !self.keeps_alive
    }

    pub(super) fn length(&self) -> Length {
        self.length
    }

    /// Whether another request may follow on the connection.
    pub(super) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }
}
