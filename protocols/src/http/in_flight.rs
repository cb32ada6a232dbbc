//! Responses in flight, which are logged once they are sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use memchr::memchr2;

use super::credentials;
use super::record::LogRecord;
use super::reply::Answered;
use super::request::Request;
use super::status::Status;

/// A connection is not read while the log entries of its responses in flight have this many bytes.
const MAX_BYTES: usize = 64 << 10;

/// The responses of a connection that are in flight, for the access log.
pub(super) struct InFlight {
    peer: Option<SocketAddr>,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Whether the connection is paused until entries have been reported.
    pub(super) has_paused: bool,
}

struct Entry {
    /// The position after the response's last byte, in bytes sent on the connection; `u64::MAX`
    /// while there is no response.
    end: u64,
    body: u64,
    status: Status,
    time: u64,
    user: Option<Box<[u8]>>,
    request_line: Box<[u8]>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let length = |bytes: &Option<Box<[u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        let fields = length(&self.user) + length(&self.referer) + length(&self.user_agent);
        size_of::<Entry>() + self.request_line.len() + fields
    }
}

impl InFlight {
    pub(super) fn new(peer: Option<SocketAddr>) -> InFlight {
        InFlight { peer, entries: VecDeque::new(), bytes: 0, has_paused: false }
    }

    /// Notes a response that ends at `end`. It completes the entry of the request that waits for
    /// its response, if there is one: there is never more than one, and it is the last.
    pub(super) fn note<V>(
        &mut self,
        head: &[u8],
        request: Option<&Request<'_>>,
        answered: &Answered<V>,
        end: u64,
        time: u64,
    ) {
        let Answered { status, body, .. } = *answered;
        if !self.complete(status, body, end) {
            self.push(head, request, (status, body), (end, time));
        }
    }

    fn push(
        &mut self,
        head: &[u8],
        request: Option<&Request<'_>>,
        (status, body): (Status, u64),
        (end, time): (u64, u64),
    ) {
        let line = &head[..memchr2(b'\r', b'\n', head).unwrap_or(head.len())];
        let field = |name| request.and_then(|request| request.header(name));
        let user = field("authorization").and_then(credentials::basic).map(|(user, _)| user.into());
        let entry = Entry {
            end,
            body,
            status,
            time,
            user,
            request_line: line.into(),
            referer: field("referer").map(Box::from),
            user_agent: field("user-agent").map(Box::from),
        };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// Notes a request whose response comes later, unless it is noted already: a request whose body
    /// was saved can be deferred after that.
    pub(super) fn note_pending(&mut self, head: &[u8], request: &Request<'_>, time: u64) {
        if self.entries.back().is_some_and(|entry| entry.end == u64::MAX) {
            return;
        }
        self.push(head, Some(request), (Status::CLIENT_CLOSED, 0), (u64::MAX, time));
    }

    /// Completes the entry of a request that waits for its response. Returns whether there was one.
    pub(super) fn complete(&mut self, status: Status, body: u64, end: u64) -> bool {
        let pending = self.entries.back_mut().filter(|entry| entry.end == u64::MAX);
        let Some(entry) = pending else { return false };
        (entry.status, entry.body, entry.end) = (status, body, end);
        true
    }

    /// Whether no more responses should be noted for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// Whether there are responses to report when they have left.
    pub(super) fn is_waiting(&self) -> bool {
        self.entries.front().is_some_and(|entry| entry.end != u64::MAX)
    }

    /// Reports the responses that have left when the connection has sent `sent` bytes.
    pub(super) fn report(&mut self, sent: u64, on_sent: &mut impl FnMut(&LogRecord<'_>)) {
        while self.entries.front().is_some_and(|entry| entry.end <= sent) {
            self.report_first(sent, on_sent);
        }
    }

    /// Reports all responses: the connection is closed.
    pub(super) fn report_all(&mut self, sent: u64, on_sent: &mut impl FnMut(&LogRecord<'_>)) {
        while !self.entries.is_empty() {
            self.report_first(sent, on_sent);
        }
    }

    fn report_first(&mut self, sent: u64, on_sent: &mut impl FnMut(&LogRecord<'_>)) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.bytes -= entry.bytes();
        let unsent = entry.end.saturating_sub(sent);
        on_sent(&LogRecord {
            peer: self.peer,
            user: entry.user.as_deref(),
            time: entry.time,
            request_line: &entry.request_line,
            status: entry.status,
            body_sent: entry.body.saturating_sub(unsent),
            referer: entry.referer.as_deref(),
            user_agent: entry.user_agent.as_deref(),
        });
    }
}
