//! What an access log needs to know of an answer that has left, and the line it makes of it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::net::SocketAddr;

use memchr::memchr2;

use super::date::log_date;
use super::reply::Persistence;
use super::{Answered, Request, Service, Status};

/// With so many bytes of requests noted whose answers have not left, a connection is not read.
const MOST_BYTES: usize = 64 << 10;

/// An answer that has left, or was cut off. Its `Display` is a line of the Combined Log Format,
/// without the line's end. Whatever a client has sent is escaped there as `\xNN` if it is a quote,
/// a backslash or not printable ASCII.
///
/// ```
/// use sluicegate_protocols::http::{Record, Status};
///
/// let record = Record {
///     peer: Some("127.0.0.1:40000".parse().unwrap()),
///     time: 971_211_336,
///     request_line: b"GET /a\"b HTTP/1.1",
///     status: Status::OK,
///     body_sent: 2326,
///     referer: None,
///     user_agent: Some(b"curl/8.0"),
/// };
/// assert_eq!(
///     record.to_string(),
///     "127.0.0.1 - - [10/Oct/2000:20:55:36 +0000] \
///      \"GET /a\\x22b HTTP/1.1\" 200 2326 \"-\" \"curl/8.0\""
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The client's address, if it was known; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// When the request was answered, in seconds since 1970.
    pub time: u64,
    /// The request line as it was sent; what there was of it if it was refused.
    pub request_line: &'a [u8],
    /// The answer's status; 499 if it was [put off](super::Reply::defer) and the client has left
    /// before, as other servers have it.
    pub status: Status,
    /// Bytes of the answer's body that the kernel has taken.
    pub body_sent: u64,
    /// The request's `Referer`.
    pub referer: Option<&'a [u8]>,
    /// The request's `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{}", peer.ip().to_canonical())?,
            None => f.write_char('-')?,
        }
        write!(f, " - - [{}] ", log_date(self.time))?;
        write_quoted(f, Some(self.request_line))?;
        write!(f, " {} ", self.status.code())?;
        match self.body_sent {
            0 => f.write_char('-')?,
            sent => write!(f, "{sent}")?,
        }
        f.write_char(' ')?;
        write_quoted(f, self.referer)?;
        f.write_char(' ')?;
        write_quoted(f, self.user_agent)
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, value: Option<&[u8]>) -> fmt::Result {
    f.write_char('"')?;
    match value {
        None | Some([]) => f.write_char('-')?,
        Some(bytes) => {
            for &byte in bytes {
                match byte {
                    b'"' | b'\\' => write!(f, "\\x{byte:02x}")?,
                    b' '..=b'~' => f.write_char(char::from(byte))?,
                    _ => write!(f, "\\x{byte:02x}")?,
                }
            }
        }
    }
    f.write_char('"')
}

/// The answers of one connection that are to be logged and have not left yet.
pub(super) struct Journal {
    peer: Option<SocketAddr>,
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    /// Position behind the answer's last byte, in bytes sent on the connection; the largest number
    /// as long as there is no answer.
    end: u64,
    body: u64,
    status: Status,
    time: u64,
    request_line: Box<[u8]>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let length = |bytes: &Option<Box<[u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let text = self.request_line.len() + length(&self.referer) + length(&self.user_agent);
        size_of::<Entry>() + text
    }
}

impl Journal {
    pub(super) fn new(peer: Option<SocketAddr>) -> Journal {
        Journal { peer, entries: VecDeque::new(), bytes: 0 }
    }

    /// Notes an answer that ends at a position: to the request that was not answered yet, if there
    /// is one, as there is never more than one and nothing is answered before it.
    pub(super) fn note(
        &mut self,
        head: &[u8],
        request: Option<&Request<'_>>,
        answered: &Answered,
        end: u64,
        time: u64,
    ) {
        if !self.complete(answered.status, answered.body, end) {
            self.push(head, request, answered, end, time);
        }
    }

    fn push(
        &mut self,
        head: &[u8],
        request: Option<&Request<'_>>,
        answered: &Answered,
        end: u64,
        time: u64,
    ) {
        let line = &head[..memchr2(b'\r', b'\n', head).unwrap_or(head.len())];
        let field = |name| request.and_then(|request| request.header(name)).map(Box::from);
        let entry = Entry {
            end,
            body: answered.body,
            status: answered.status,
            time,
            request_line: line.into(),
            referer: field("referer"),
            user_agent: field("user-agent"),
        };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// Notes a request that is not answered yet, unless it is noted: one that was received into a
    /// file can be put off then.
    pub(super) fn note_open(&mut self, head: &[u8], request: &Request<'_>, time: u64) {
        if self.entries.back().is_some_and(|entry| entry.end == u64::MAX) {
            return;
        }
        let persistence = Persistence::Open;
        let unanswered = Answered { status: Status::CLIENT_CLOSED, body: 0, persistence };
        self.push(head, Some(request), &unanswered, u64::MAX, time);
    }

    /// Completes a request that was not answered yet. Says whether there was one.
    pub(super) fn complete(&mut self, status: Status, body: u64, end: u64) -> bool {
        let open = self.entries.back_mut().filter(|entry| entry.end == u64::MAX);
        let Some(entry) = open else { return false };
        (entry.status, entry.body, entry.end) = (status, body, end);
        true
    }

    /// Whether no more should be noted for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }

    /// Whether there are answers that will be reported when they have left.
    pub(super) fn awaits_sending(&self) -> bool {
        self.entries.front().is_some_and(|entry| entry.end != u64::MAX)
    }

    /// Reports the answers that have left when so many bytes were sent.
    pub(super) fn report<S: Service>(&mut self, service: &mut S, sent: u64) {
        while self.entries.front().is_some_and(|entry| entry.end <= sent) {
            self.report_first(service, sent);
        }
    }

    /// Reports all: the connection is over.
    pub(super) fn report_cut_off<S: Service>(&mut self, service: &mut S, sent: u64) {
        while !self.entries.is_empty() {
            self.report_first(service, sent);
        }
    }

    fn report_first<S: Service>(&mut self, service: &mut S, sent: u64) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.bytes -= entry.bytes();
        service.on_sent(&Record {
            peer: self.peer,
            time: entry.time,
            request_line: &entry.request_line,
            status: entry.status,
            body_sent: sent.saturating_sub(entry.end - entry.body).min(entry.body),
            referer: entry.referer.as_deref(),
            user_agent: entry.user_agent.as_deref(),
        });
    }
}
