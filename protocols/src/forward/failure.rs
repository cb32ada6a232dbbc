//! What a client gets when the origin does not answer.

use std::io::ErrorKind;

use crate::http::Status;
use crate::http::client::Cause;

/// The status of the response to a request whose exchange with the origin has failed.
pub(super) fn status_of(cause: &Cause) -> Status {
    match cause {
        Cause::TimedOut(_) | Cause::Unconnected(ErrorKind::TimedOut) => Status::GATEWAY_TIMEOUT,
        Cause::QueueFull | Cause::Stopped => Status::SERVICE_UNAVAILABLE,
        Cause::InvalidRequest(_) => Status::BAD_REQUEST,
        _ => Status::BAD_GATEWAY,
    }
}

/// Whether the origin or the path to it has failed, which its operator should know.
pub(super) fn is_of_origin(cause: &Cause) -> bool {
    !matches!(
        cause,
        Cause::InvalidRequest(_) | Cause::NotRelayed | Cause::UnfinishedRequest | Cause::Stopped
    )
}
