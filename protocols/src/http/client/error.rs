//! Why an exchange failed.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

use crate::http::fault::Fault;
use crate::unconnected;

/// Why an exchange failed, and with which origin.
///
/// Its text names both: `10.0.0.1:80: the connection was closed before a response`.
#[derive(Debug)]
pub struct ClientError {
    origin: Rc<str>,
    cause: Cause,
}

/// Why an exchange failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The request cannot be sent because its method, target or host is invalid.
    InvalidRequest(&'static str),
    /// Too many requests are waiting for a connection: see
    /// [`ClientOptions::waiting`](super::ClientOptions::waiting).
    QueueFull,
    /// No connection was established. The kinds are those of
    /// [`Reason::Unconnected`](sluicegate_reactor::Reason::Unconnected). With a transport,
    /// `TimedOut` also means that its handshake took too long, and `ConnectionReset` that the
    /// origin ended the connection during the handshake.
    Unconnected(io::ErrorKind),
    /// The [transport](sluicegate_reactor::transport) failed, such as the handshake of TLS. The
    /// text says why.
    Transport(String),
    /// A deadline has passed.
    TimedOut(Phase),
    /// The connection ended before the first byte of a response.
    Closed,
    /// The connection ended within the response. If the end of the connection marks the end of the
    /// response, the stream was [cut off](sluicegate_reactor::Context::is_cut).
    Truncated,
    /// The response breaks a rule of HTTP or exceeds a limit, such as that of
    /// [`Take::Whole`](super::Take::Whole).
    InvalidResponse(Fault),
    /// The response body could not be written to its file.
    NotSaved(io::Error),
    /// The connection that the response body was [relayed](super::Take::Relay) to has ended.
    NotRelayed,
    /// The [`RequestStream`](super::RequestStream) was dropped unfinished, or sent more or less
    /// than its length.
    UnfinishedRequest,
    /// The socket or a file that was being sent failed. The log names the error.
    Failed,
    /// A callback of the exchange panicked.
    Panicked,
    /// The [memory budget](sluicegate_reactor::Reactor::set_memory_budget) of the reactor was used
    /// up, and the connection held most.
    MemoryBudget,
    /// The reactor stopped, and its grace period has passed.
    Stopped,
}

/// What an exchange was waiting for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A free connection.
    Waiting,
    /// The origin accepting more of the request.
    Request,
    /// The head of the response.
    Response,
    /// More of the body of the response.
    Body,
}

impl ClientError {
    pub(super) fn new(origin: &Rc<str>, cause: Cause) -> ClientError {
        ClientError { origin: origin.clone(), cause }
    }

    /// The origin, as it was passed to the client.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The cause.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.cause)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::NotSaved(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::InvalidRequest(why) => write!(f, "the request is invalid: {why}"),
            Cause::QueueFull => f.write_str("too many requests are waiting for a connection"),
            Cause::Unconnected(kind) => write!(f, "cannot connect: {}", unconnected::text(*kind)),
            Cause::Transport(why) => f.write_str(why),
            Cause::TimedOut(phase) => write!(f, "timed out while waiting for {phase}"),
            Cause::Closed => f.write_str("the connection was closed before a response"),
            Cause::Truncated => f.write_str("the response was cut off"),
            Cause::InvalidResponse(fault) => write!(f, "the response is invalid: {fault}"),
            Cause::NotSaved(error) => write!(f, "the response could not be saved: {error}"),
            Cause::NotRelayed => f.write_str("the response could not be relayed"),
            Cause::UnfinishedRequest => f.write_str("the request body was not finished"),
            Cause::Failed => f.write_str("the connection failed"),
            Cause::Panicked => f.write_str("a callback of the exchange panicked"),
            Cause::MemoryBudget => f.write_str("the memory budget is used up"),
            Cause::Stopped => f.write_str("the reactor stopped"),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Waiting => "a connection",
            Phase::Request => "the origin to accept the request",
            Phase::Response => "the head of the response",
            Phase::Body => "the body of the response",
        })
    }
}
