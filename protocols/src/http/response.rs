//! A response: what it says about the connection, and what it may wait for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sluicegate_reactor::fs::NewFile;

use super::status::Status;

/// What a response says about the connection (RFC 9112, section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: in HTTP/1.1 the connection stays open.
    Implied,
    /// `keep-alive`, for a 1.0 client that has asked for it.
    KeepAlive,
    /// `close`.
    Close,
    /// `Upgrade`: the connection changes its protocol.
    Upgrade,
    /// Nothing yet: the response is not finished in the call.
    Undecided,
}

/// What a response waits for that is not finished in the call.
pub(super) enum Awaited {
    /// The owner of the [`Deferred`](super::Deferred).
    Response(Arc<PendingResponse>),
    /// The request body, which is received into this file.
    File(NewFile),
    /// The request body, of at most this many bytes.
    Memory(usize),
    /// The request body, in pieces.
    Pieces,
}

/// What a request says about the form of its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) persistence: Persistence,
    /// Whether the body is left out: the response to HEAD.
    pub(super) head_only: bool,
    /// Whether the client knows chunks and interim responses: not in HTTP/1.0.
    pub(super) is_modern: bool,
}

/// The state that a connection shares with the [`Deferred`](super::Deferred) of its request.
#[derive(Debug)]
pub(super) struct PendingResponse {
    pub(super) form: Form,
    /// Whether the head has left, so that the response can only go on.
    is_streaming: AtomicBool,
    finished: OnceLock<FinishedResponse>,
}

/// A deferred response that is in the send queue.
#[derive(Debug)]
pub(super) struct FinishedResponse {
    pub(super) status: Status,
    /// Bytes of the body that were queued.
    pub(super) body: u64,
    /// The position behind its last byte, in bytes sent on the connection.
    pub(super) end: u64,
}

impl PendingResponse {
    pub(super) fn new(form: Form) -> PendingResponse {
        PendingResponse { form, is_streaming: AtomicBool::new(false), finished: OnceLock::new() }
    }

    pub(super) fn start_stream(&self) {
        self.is_streaming.store(true, Ordering::Relaxed);
    }

    /// Whether a stream has begun and not ended.
    pub(super) fn is_streaming(&self) -> bool {
        self.is_streaming.load(Ordering::Relaxed) && self.finished().is_none()
    }

    pub(super) fn finished(&self) -> Option<&FinishedResponse> {
        self.finished.get()
    }

    pub(super) fn finish(&self, response: FinishedResponse) {
        let finished = self.finished.set(response);
        debug_assert!(finished.is_ok(), "one Deferred, one response");
    }

    /// Whether the `Deferred` or the stream was dropped, so that no response will ever come.
    pub(super) fn is_abandoned(self: &Arc<PendingResponse>) -> bool {
        Arc::strong_count(self) == 1 && self.finished().is_none()
    }
}
