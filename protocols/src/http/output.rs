//! The buffer in which responses are built before they enter the send queue.

use std::cell::Cell;
use std::fmt::Display;
use std::sync::Arc;

use sluicegate_reactor::{ConnId, Context, Outgoing, Sent, Turn};

use super::date::Clock;
use super::response::{PendingResponse, Persistence, ResponseMode};
use super::status::Status;
use super::unsaved::WriteErrors;
use super::writer::{write_decimal, write_status_line};

/// Bodies in memory up to this size are copied after their head: a short copy is cheaper than one
/// more segment in a gathered send.
const INLINE_BODY: usize = 4 << 10;

/// Responses are handed to the send queue when they add up to this many bytes.
const BATCH: usize = 16 << 10;

/// A buffer for single responses is not kept if it has grown beyond this many bytes.
const MOST_SPARE: usize = 64 << 10;

/// The output buffer. All connections of a handler share one, as each callback starts with an empty
/// one.
pub(super) struct Output {
    /// Whole heads and short bodies for the current connection, in order.
    pub(super) bytes: Vec<u8>,
    /// The header fields of the response that is being built.
    pub(super) fields: Vec<u8>,
    pub(super) clock: Clock,
    /// Why request bodies could not be saved.
    pub(super) unsaved: WriteErrors,
}

thread_local! {
    /// The buffer for single responses, unless one is being built.
    // Clippy 1.96 reports the initializer, which is const, on systems without `#[thread_local]`.
    #[allow(clippy::missing_const_for_thread_local)]
    static SPARE: Cell<Option<Box<Output>>> = const { Cell::new(None) };
}

impl Output {
    pub(super) fn new() -> Output {
        Output {
            bytes: Vec::with_capacity(BATCH + 2 * INLINE_BODY),
            fields: Vec::with_capacity(1 << 10),
            clock: Clock::new(),
            unsaved: WriteErrors::of(module_path!()),
        }
    }

    /// Builds a single response at this time, when the handler's buffer is out of reach. The buffer
    /// is kept for the next one.
    pub(super) fn for_one<R>(unix_time: u64, build: impl FnOnce(&mut Output) -> R) -> R {
        // A response may be built while another one is: then the second one gets a new buffer.
        let mut output = SPARE.take().unwrap_or_else(|| Box::new(Output::new()));
        output.clock.set(unix_time);
        let result = build(&mut output);
        output.bytes.clear();
        if output.bytes.capacity().max(output.fields.capacity()) <= MOST_SPARE {
            SPARE.set(Some(output));
        }
        result
    }

    /// Starts a callback. The output left by a service that panicked belongs to another connection.
    pub(super) fn begin(&mut self, cx: &Context<'_>) {
        self.bytes.clear();
        self.clock.set(cx.unix_time());
    }

    /// Moves the finished responses to the send queue.
    #[inline]
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        self.flush_to(&mut Destination::Current(cx));
    }

    /// Moves the finished responses to the send queue of any connection. If it has ended, they stay
    /// until the next callback, so that what follows them is not taken for sent.
    #[inline]
    pub(super) fn flush_to(&mut self, to: &mut Destination<'_, '_>) {
        if !self.bytes.is_empty() && to.send(Outgoing::Slice(&self.bytes)) != Sent::Gone {
            self.bytes.clear();
        }
    }

    /// Moves the finished responses to the send queue if they add up to a [`BATCH`].
    pub(super) fn flush_batch(&mut self, to: &mut Destination<'_, '_>) {
        if self.bytes.len() >= BATCH {
            self.flush_to(to);
        }
    }

    /// Adds a piece of a body, and returns how many of its bytes were queued.
    #[inline(always)]
    pub(super) fn push(&mut self, to: &mut Destination<'_, '_>, piece: Outgoing<'_>) -> u64 {
        let length = piece.len();
        match piece {
            _ if length == 0 => {}
            Outgoing::Slice(slice) if slice.len() <= INLINE_BODY => {
                self.bytes.extend_from_slice(slice);
            }
            Outgoing::Shared(bytes) if bytes.len() <= INLINE_BODY => {
                self.bytes.extend_from_slice(&bytes);
            }
            piece => {
                self.flush_to(to);
                if to.send(piece) == Sent::Gone {
                    return 0;
                }
            }
        }
        length
    }

    /// Writes the status line, the header fields and the empty line.
    #[inline]
    pub(super) fn write_head(
        &mut self,
        status: Status,
        persistence: Persistence,
        length: Option<u64>,
    ) {
        let Output { bytes: out, fields, clock, .. } = self;
        if fields.starts_with(b"Date: ") {
            // The response of another server, which says when that made it.
            write_status_line(out, status);
        } else if status == Status::OK {
            out.extend_from_slice(clock.ok_and_date());
        } else {
            write_status_line(out, status);
            out.extend_from_slice(clock.date_line());
        }
        out.extend_from_slice(fields);
        match persistence {
            Persistence::Implied => {}
            Persistence::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            Persistence::Close => out.extend_from_slice(b"Connection: close\r\n"),
            Persistence::Upgrade => out.extend_from_slice(b"Connection: Upgrade\r\n"),
        }
        match length {
            Some(length) if status != Status::NO_CONTENT && status != Status::NOT_MODIFIED => {
                out.extend_from_slice(b"Content-Length: ");
                write_decimal(out, length);
                out.extend_from_slice(b"\r\n\r\n");
            }
            _ => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// The connection that a response goes to.
pub(super) enum Destination<'a, 'cx> {
    /// The current one, in the call in which the service can still ask for the request body.
    Call(&'a mut Context<'cx>),
    /// The current one.
    Current(&'a mut Context<'cx>),
    /// One whose response was deferred.
    Deferred(&'a mut Turn, ConnId, &'a Arc<PendingResponse>),
}

impl Destination<'_, '_> {
    pub(super) fn send(&mut self, what: Outgoing<'_>) -> Sent {
        match self {
            Destination::Call(cx) | Destination::Current(cx) => cx.send(what),
            Destination::Deferred(turn, id, _) => turn.peer(*id).send(what),
        }
    }

    pub(super) fn turn(&mut self) -> &mut Turn {
        match self {
            Destination::Call(cx) | Destination::Current(cx) => cx,
            Destination::Deferred(turn, ..) => turn,
        }
    }

    /// The state to share with the one who sends a response later.
    pub(super) fn pending(&self, mode: ResponseMode) -> Arc<PendingResponse> {
        match self {
            Destination::Call(_) | Destination::Current(_) => Arc::new(PendingResponse::new(mode)),
            Destination::Deferred(.., pending) => {
                pending.note_mode(mode);
                Arc::clone(pending)
            }
        }
    }

    /// Whether the service can still ask for the request body. Otherwise this is logged as a misuse
    /// of the request, which is answered with 500.
    pub(super) fn check_body_request(&mut self) -> bool {
        let is_call = matches!(self, Destination::Call(_));
        if !is_call {
            self.log_misuse("only `call` can request a body or postpone a request");
        }
        is_call
    }

    /// The reactor's limit on bodies in memory. It is 0 where no body can be received.
    pub(super) fn max_exact(&self) -> usize {
        match self {
            Destination::Call(cx) | Destination::Current(cx) => cx.limits().max_exact,
            Destination::Deferred(..) => 0,
        }
    }

    pub(super) fn transport<T: 'static>(&self) -> Option<&T> {
        match self {
            Destination::Call(cx) | Destination::Current(cx) => cx.transport(),
            Destination::Deferred(turn, id, _) => turn.transport_of(*id),
        }
    }

    /// Logs that the service has misused the request, which is answered with 500.
    #[cold]
    pub(super) fn log_misuse(&mut self, what: impl Display) {
        let id = self.connection();
        log::error!("{}: {what}", self.turn().peer(id).describe());
    }

    pub(super) fn connection(&self) -> ConnId {
        match self {
            Destination::Call(cx) | Destination::Current(cx) => cx.id(),
            Destination::Deferred(_, id, _) => *id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: Status, persistence: Persistence, length: u64) -> String {
        let mut output = Output::new();
        output.fields.extend_from_slice(b"A: b\r\n");
        output.write_head(status, persistence, Some(length));
        String::from_utf8(output.bytes).unwrap()
    }

    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    #[test]
    fn row_21_every_response_has_a_date() {
        let expected = format!("HTTP/1.1 200 OK\r\n{DATE}A: b\r\nContent-Length: 13\r\n\r\n");
        assert_eq!(head(Status::OK, Persistence::Implied, 13), expected);
        let expected = format!(
            "HTTP/1.1 404 Not Found\r\n{DATE}A: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(head(Status::NOT_FOUND, Persistence::Close, 0), expected);
    }

    #[test]
    fn row_22_responses_without_content_have_no_length() {
        for status in [Status::NO_CONTENT, Status::NOT_MODIFIED] {
            assert!(
                !head(status, Persistence::Implied, 0).contains("Content-Length"),
                "{status:?}"
            );
        }
        assert!(head(Status::RESET_CONTENT, Persistence::Implied, 0).contains("Content-Length: 0"));
    }

    #[test]
    fn row_32_keep_alive_is_sent_to_clients_that_asked_for_it() {
        let said = "Connection: keep-alive\r\n";
        assert!(head(Status::OK, Persistence::KeepAlive, 0).contains(said));
        assert!(!head(Status::OK, Persistence::Implied, 0).contains("Connection"));
    }
}
