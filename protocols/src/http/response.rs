//! A response: what it says about the connection, and what it may wait for.

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
    Body(NewFile),
}

/// The state that a connection shares with the [`Deferred`](super::Deferred) of its request.
#[derive(Debug)]
pub(super) struct PendingResponse {
    pub(super) persistence: Persistence,
    pub(super) head_only: bool,
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
    pub(super) fn new(persistence: Persistence, head_only: bool) -> PendingResponse {
        PendingResponse { persistence, head_only, finished: OnceLock::new() }
    }

    pub(super) fn finished(&self) -> Option<&FinishedResponse> {
        self.finished.get()
    }

    pub(super) fn finish(&self, response: FinishedResponse) {
        let finished = self.finished.set(response);
        debug_assert!(finished.is_ok(), "one Deferred, one response");
    }

    /// Whether the `Deferred` was dropped, so that no response will ever come.
    pub(super) fn is_abandoned(self: &Arc<PendingResponse>) -> bool {
        Arc::strong_count(self) == 1 && self.finished().is_none()
    }
}
