//! Responses in flight, which are logged once they are sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use memchr::memchr2;

use super::credentials;
use super::record::LogRecord;
use super::request::Request;
use super::response::QueuedResponse;
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
    /// `None` while there is no response.
    response: Option<QueuedResponse>,
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

    /// Notes a response. It completes the entry of the request that waits for its response, if
    /// there is one: there is never more than one, and it is the last.
    pub(super) fn note(
        &mut self,
        head: &[u8],
        request: Option<&Request<'_>>,
        response: QueuedResponse,
    ) {
        if !self.is_pending() {
            self.push(head, request);
        }
        self.complete(response);
    }

    fn push(&mut self, head: &[u8], request: Option<&Request<'_>>) {
        let line = &head[..memchr2(b'\r', b'\n', head).unwrap_or(head.len())];
        let field = |name| request.and_then(|request| request.header(name));
        let user = field("authorization").and_then(credentials::basic).map(|(user, _)| user.into());
        let entry = Entry {
            response: None,
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
    pub(super) fn note_pending(&mut self, head: &[u8], request: &Request<'_>) {
        if !self.is_pending() {
            self.push(head, Some(request));
        }
    }

    /// Whether a request waits for its response.
    fn is_pending(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.response.is_none())
    }

    /// Completes the entry of the request that waits for its response, if there is one.
    pub(super) fn complete(&mut self, response: QueuedResponse) {
        if let Some(entry) = self.entries.back_mut() {
            entry.response.get_or_insert(response);
        }
    }

    /// Whether no more responses should be noted for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// Whether there are responses to report when they have left.
    pub(super) fn is_waiting(&self) -> bool {
        self.entries.front().is_some_and(|entry| entry.response.is_some())
    }

    /// Reports the responses that have left when the connection has sent `sent` bytes.
    pub(super) fn report(&mut self, sent: u64, on_sent: &mut impl FnMut(&LogRecord<'_>)) {
        while let Some(Entry { response: Some(response), .. }) = self.entries.front()
            && response.end <= sent
        {
            self.report_first(*response, sent, on_sent);
        }
    }

    /// Reports all requests when the connection has ended after `sent` bytes, at this time.
    pub(super) fn report_all(
        &mut self,
        (sent, time): (u64, u64),
        on_sent: &mut impl FnMut(&LogRecord<'_>),
    ) {
        let (status, end) = (Status::CLIENT_CLOSED, u64::MAX);
        self.complete(QueuedResponse { status, body: 0, end, time });
        while let Some(Entry { response: Some(response), .. }) = self.entries.front() {
            self.report_first(*response, sent, on_sent);
        }
    }

    fn report_first(
        &mut self,
        response: QueuedResponse,
        sent: u64,
        on_sent: &mut impl FnMut(&LogRecord<'_>),
    ) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.bytes -= entry.bytes();
        let QueuedResponse { status, body, end, time } = response;
        on_sent(&LogRecord {
            peer: self.peer,
            user: entry.user.as_deref(),
            time,
            request_line: &entry.request_line,
            status,
            body_sent: body.saturating_sub(end.saturating_sub(sent)),
            referer: entry.referer.as_deref(),
            user_agent: entry.user_agent.as_deref(),
        });
    }
}
