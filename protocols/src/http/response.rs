//! A response: its `Connection` field, and what it may wait for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};

use sluicegate_reactor::fs::NewFile;
use sluicegate_reactor::{ConnId, Peer, Sent};

use super::multipart::FormLimits;
use super::status::Status;

/// The `Connection` field of a response (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: in HTTP/1.1 the connection stays open.
    Implied,
    /// `keep-alive`, for a 1.0 client that requested it.
    KeepAlive,
    /// `close`.
    Close,
    /// `Upgrade`: the connection changes its protocol.
    Upgrade,
}

/// The result of a call to the service.
#[derive(Debug)]
pub(super) enum Outcome<V> {
    Finished(Finished),
    Waits(Awaited<V>),
}

/// A response that was finished in the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) status: Status,
    /// Bytes of the body that were queued.
    pub(super) body: u64,
    pub(super) persistence: Persistence,
}

/// What a response waits for that was not finished in the call.
#[derive(Debug)]
pub(super) enum Awaited<V> {
    /// The owner of the [`Deferred`](super::Deferred) or the [`Postponed`](super::Postponed). With
    /// a state, the service receives the request body in the meantime: in pieces, or relayed to
    /// this connection.
    Response(Arc<PendingResponse>, Option<(V, Option<ConnId>)>),
    /// The request body, for which the service has set this state aside.
    Body { mode: BodyMode, state: V, is_last: bool },
}

/// How the service receives a request body.
#[derive(Debug)]
pub(super) enum BodyMode {
    /// In this file. Boxed, as the others are short.
    File(Box<NewFile>),
    /// In memory, at most this many bytes.
    Memory(usize),
    Pieces,
    Form(FormLimits),
}

impl<V> Awaited<V> {
    /// The response that is finished after the call, if one is awaited.
    pub(super) fn response(&self) -> Option<&Arc<PendingResponse>> {
        match self {
            Awaited::Response(pending, _) => Some(pending),
            Awaited::Body { .. } => None,
        }
    }

    /// Whether the connection closes after the response, even if the whole request body is
    /// received.
    pub(super) fn is_last(&self) -> bool {
        match self {
            Awaited::Body { is_last, .. } => *is_last,
            Awaited::Response(pending, _) => pending.mode.after_body == Persistence::Close,
        }
    }

    pub(super) fn map<W>(self, change: impl FnOnce(V) -> W) -> Awaited<W> {
        match self {
            Awaited::Response(pending, body) => {
                Awaited::Response(pending, body.map(|(state, to)| (change(state), to)))
            }
            Awaited::Body { mode, state, is_last } => {
                Awaited::Body { mode, state: change(state), is_last }
            }
        }
    }
}

/// How a response is written, as its request decides it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseMode {
    pub(super) persistence: Persistence,
    /// The same if the whole request body is received before the response begins.
    pub(super) after_body: Persistence,
    /// Whether the body is left out: the response to HEAD.
    pub(super) head_only: bool,
    /// Whether the client knows chunks and interim responses: not in HTTP/1.0.
    pub(super) is_modern: bool,
}

/// The state that a connection shares with the [`Deferred`](super::Deferred) of its request.
#[derive(Debug)]
pub(super) struct PendingResponse {
    pub(super) mode: ResponseMode,
    /// Whether the whole request body was received.
    is_body_read: AtomicBool,
    /// Whether the service closes the connection, whatever the mode says.
    is_last: AtomicBool,
    /// Whether the request was refused: its response comes from elsewhere.
    is_refused: AtomicBool,
    /// The thread of the reactor that has received the request.
    thread: ThreadId,
    /// Set once the head has been sent, after which the response can only continue.
    stream: OnceLock<StreamedResponse>,
    finished: OnceLock<QueuedResponse>,
    /// Whether somebody has the [`Postponed`](super::Postponed) of the request.
    is_postponed: AtomicBool,
    /// Whether the request is to be delivered to the service again.
    again: AtomicBool,
}

/// The state of a response that is being streamed.
#[derive(Debug)]
pub(super) struct StreamedResponse {
    pub(super) status: Status,
    /// The position after its head, in bytes sent on the connection.
    start: u64,
    /// Bytes of the body that were queued.
    body: AtomicU64,
    /// Whether the service waits for room.
    is_full: AtomicBool,
}

impl StreamedResponse {
    /// Notes that a part of the body was queued, and with what result. One thread does that.
    pub(super) fn note_part(&self, length: u64, sent: Sent) {
        self.body.store(self.body() + length, Ordering::Relaxed);
        if sent == Sent::Full {
            self.is_full.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn body(&self) -> u64 {
        self.body.load(Ordering::Relaxed)
    }

    /// Whether the service waits for room; it is notified now.
    pub(super) fn take_full(&self) -> bool {
        self.is_full.swap(false, Ordering::Relaxed)
    }
}

/// A response that is in the send queue, or has left it.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuedResponse {
    pub(super) status: Status,
    /// Bytes of the body that were queued.
    pub(super) body: u64,
    /// The position after its last byte, in bytes sent on the connection.
    pub(super) end: u64,
    /// When it ended, in seconds since 1970.
    pub(super) time: u64,
}

impl PendingResponse {
    pub(super) fn new(mode: ResponseMode) -> PendingResponse {
        PendingResponse {
            mode,
            is_body_read: AtomicBool::new(false),
            is_last: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            thread: thread::current().id(),
            stream: OnceLock::new(),
            finished: OnceLock::new(),
            is_postponed: AtomicBool::new(false),
            again: AtomicBool::new(false),
        }
    }

    /// Notes that the whole request body was received.
    pub(super) fn note_body_read(&self) {
        self.is_body_read.store(true, Ordering::Relaxed);
    }

    /// Notes that the request is refused.
    pub(super) fn note_refused(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    /// Notes that the response is deferred again in this mode.
    pub(super) fn note_mode(&self, mode: ResponseMode) {
        if mode.after_body == Persistence::Close {
            self.is_last.store(true, Ordering::Relaxed);
        }
    }

    /// The mode of a response that begins now.
    pub(super) fn mode_now(&self) -> ResponseMode {
        let mut mode = self.mode;
        if self.is_body_read.load(Ordering::Relaxed) {
            mode.persistence = mode.after_body;
        }
        if self.is_last.load(Ordering::Relaxed) {
            (mode.persistence, mode.after_body) = (Persistence::Close, Persistence::Close);
        }
        mode
    }

    /// Whether the connection can be in the reactor that is running. In a reactor of another
    /// thread, its id may name the connection of another client.
    pub(super) fn is_here(&self) -> bool {
        let is_here = self.thread == thread::current().id();
        if !is_here {
            log::error!("a response can be sent only by the reactor that received its request");
        }
        is_here
    }

    /// Notes that a head with this status has left, up to the position `start`.
    pub(super) fn start_stream(&self, status: Status, start: u64) {
        let (body, is_full) = (AtomicU64::new(0), AtomicBool::new(false));
        let started = self.stream.set(StreamedResponse { status, start, body, is_full });
        debug_assert!(started.is_ok(), "one response, one stream");
    }

    /// The stream that has begun and not ended.
    pub(super) fn stream(&self) -> Option<&StreamedResponse> {
        self.stream.get().filter(|_| self.finished().is_none())
    }

    /// Whether its head was sent.
    pub(super) fn has_begun(&self) -> bool {
        self.stream.get().is_some() || self.finished().is_some()
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.stream().is_some()
    }

    /// What was queued of the response when its connection ended, which was at this time. If a
    /// stream was cut, the position leaves out the chunk framing.
    pub(super) fn queued(&self, time: u64) -> Option<QueuedResponse> {
        self.finished().copied().or_else(|| {
            let stream = self.stream()?;
            let (status, body) = (stream.status, stream.body());
            Some(QueuedResponse { status, body, end: stream.start + body, time })
        })
    }

    pub(super) fn finished(&self) -> Option<&QueuedResponse> {
        self.finished.get()
    }

    /// Notes that all of the response is in the send queue of its connection. The session continues
    /// when it has left.
    pub(super) fn finish(
        &self,
        mut peer: Peer<'_>,
        response: QueuedResponse,
        persistence: Persistence,
    ) {
        let finished = self.finished.set(response);
        debug_assert!(finished.is_ok(), "one Deferred, one response");
        peer.set_deadline(None);
        match persistence {
            Persistence::Close => peer.close(),
            _ => peer.request_drain(),
        }
    }

    /// Notes whether the request is postponed. If it is answered instead, it is deferred.
    pub(super) fn set_postponed(&self, is_postponed: bool) {
        self.is_postponed.store(is_postponed, Ordering::Relaxed);
    }

    pub(super) fn is_postponed(&self) -> bool {
        self.is_postponed.load(Ordering::Relaxed)
    }

    pub(super) fn deliver_again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }

    /// Whether the request is to be delivered to the service again.
    pub(super) fn is_delivered_again(&self) -> bool {
        self.again.load(Ordering::Relaxed)
    }

    /// Whether the `Deferred` or the stream was dropped, so that no response will ever come.
    pub(super) fn is_abandoned(self: &Arc<PendingResponse>) -> bool {
        let waits = self.finished().is_none() && !self.is_delivered_again();
        Arc::strong_count(self) == 1 && waits
    }
}
