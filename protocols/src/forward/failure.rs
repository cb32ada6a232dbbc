//! The response to a client when the origin fails.

use std::io::ErrorKind;

use crate::http::Status;
use crate::http::client::{Cause, Phase, Request};

/// The status of the response to a request whose exchange with the origin has failed.
pub(super) fn status_of(cause: &Cause) -> Status {
    match cause {
        Cause::TimedOut(_) | Cause::Unconnected(ErrorKind::TimedOut) => Status::GATEWAY_TIMEOUT,
        Cause::QueueFull
        | Cause::MemoryBudget
        | Cause::Stopped
        | Cause::Unconnected(ErrorKind::QuotaExceeded) => Status::SERVICE_UNAVAILABLE,
        Cause::InvalidRequest(_) => Status::BAD_REQUEST,
        Cause::Panicked => Status::INTERNAL_SERVER_ERROR,
        _ => Status::BAD_GATEWAY,
    }
}

/// Whether the origin or the path to it has failed, which its operator should know.
pub(super) fn is_of_origin(cause: &Cause) -> bool {
    !matches!(
        cause,
        Cause::InvalidRequest(_)
            | Cause::MemoryBudget
            | Cause::NotRelayed
            | Cause::Panicked
            | Cause::UnfinishedRequest
            | Cause::Stopped
    )
}

/// Whether a failure before a response counts against the origin. It does not if the proxy had no
/// room for the request.
pub(super) fn counts(cause: &Cause) -> bool {
    let no_room = matches!(
        cause,
        Cause::QueueFull
            | Cause::TimedOut(Phase::Waiting)
            | Cause::Unconnected(ErrorKind::QuotaExceeded)
    );
    is_of_origin(cause) && !no_room
}

/// Whether another origin may get a request whose exchange has failed: it was not sent, or sending
/// it twice does no harm.
pub(super) fn is_unsent(cause: &Cause, request: &Request) -> bool {
    match cause {
        Cause::Unconnected(_) => true,
        // The origin may also have refused the first records after the handshake, and thus have got
        // the request.
        Cause::Transport(_) => request.is_idempotent(),
        _ => false,
    }
}
