//! Answering a request.

use std::io::Write;
use std::sync::Arc;

use sluicegate_reactor::fs::NewFile;
use sluicegate_reactor::{ConnId, Context, Outgoing, Sent, Turn};

use super::Status;
use super::date::Clock;
use super::deferred::Pending;
use super::fields::is_token;

/// Bodies in memory up to this size are copied behind their head: that costs less than one more
/// piece in a gathered send.
const INLINE: usize = 4 << 10;

/// With so many bytes of answers put together they are handed to the queue before the next one.
const BATCH: usize = 16 << 10;

/// Where answers are put together: one for all connections, since it is empty between callbacks.
pub(super) struct Scratch {
    /// Whole heads and small bodies, in order, for the current connection.
    pub(super) out: Vec<u8>,
    /// Header fields of the answer in the making.
    fields: Vec<u8>,
    pub(super) clock: Clock,
    /// Whether the body of the request can be asked for.
    pub(super) has_body: bool,
    /// What the answer in the making waits for, until its connection takes it.
    pub(super) open: Option<Open>,
    /// The second in which it was last logged that a body is not saved.
    pub(super) logged_at: u64,
}

/// What an answer waits for that is not made in the call.
pub(super) enum Open {
    /// For whoever has the token.
    Answer(Arc<Pending>),
    /// For the request's body, which goes into this file.
    Body(NewFile),
}

impl Scratch {
    pub(super) fn new() -> Scratch {
        Scratch::with(BATCH + 2 * INLINE, Clock::new())
    }

    /// For a single answer at this time.
    pub(super) fn for_one(unix_time: u64) -> Scratch {
        let mut clock = Clock::new();
        clock.set(unix_time);
        Scratch::with(0, clock)
    }

    fn with(room: usize, clock: Clock) -> Scratch {
        let (out, fields) = (Vec::with_capacity(room), Vec::with_capacity(1 << 10));
        Scratch { out, fields, clock, has_body: false, open: None, logged_at: 0 }
    }

    /// Starts for a connection. What a panic in a service has left belongs to another one.
    pub(super) fn begin(&mut self, cx: &Context<'_>) {
        self.out.clear();
        if self.open.is_some() {
            self.open = None;
        }
        self.clock.set(cx.unix_time());
    }

    /// Hands over what was put together.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        if !self.out.is_empty() {
            cx.send(&self.out[..]);
            self.out.clear();
        }
    }

    pub(super) fn flush_to(&mut self, to: &mut To<'_, '_>) {
        if !self.out.is_empty() {
            to.send(Outgoing::Slice(&self.out));
            self.out.clear();
        }
    }
}

/// Where an answer goes.
pub(super) enum To<'a, 'cx> {
    /// To the current connection.
    Current(&'a mut Context<'cx>),
    /// To a connection whose request was answered later than in the call.
    Later(&'a mut Turn, ConnId),
}

impl<'cx> To<'_, 'cx> {
    fn send(&mut self, what: Outgoing<'_>) -> Sent {
        match self {
            To::Current(cx) => cx.send(what),
            To::Later(turn, id) => turn.peer(*id).send(what),
        }
    }

    pub(super) fn turn(&mut self) -> &mut Turn {
        match self {
            To::Current(cx) => cx,
            To::Later(turn, _) => turn,
        }
    }

    pub(super) fn connection(&self) -> ConnId {
        match self {
            To::Current(cx) => cx.id(),
            To::Later(_, id) => *id,
        }
    }
}

/// What an answer says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: in 1.1 it stays.
    Implied,
    /// That it stays, as a 1.0 client has asked.
    KeepAlive,
    /// That it closes.
    Close,
    /// That it changes its protocol.
    Upgrade,
    /// Nothing yet: the answer is not made in the call.
    Open,
}

/// Proof that a request was answered, or that its answer was put off. Only finishing a [`Reply`]
/// makes one.
#[derive(Debug)]
#[must_use]
pub struct Answered {
    pub(super) status: Status,
    /// Bytes of the body that were handed over.
    pub(super) body: u64,
    pub(super) persistence: Persistence,
}

/// An answer in the making. Without a [`status`](Reply::status) it is 200.
///
/// Nothing of it is sent before [`send`](Reply::send) or [`error`](Reply::error).
#[must_use]
pub struct Reply<'a, 'cx> {
    pub(super) to: To<'a, 'cx>,
    pub(super) scratch: &'a mut Scratch,
    status: Status,
    pub(super) persistence: Persistence,
    pub(super) head_only: bool,
}

impl<'a, 'cx> Reply<'a, 'cx> {
    #[inline]
    pub(super) fn new(
        to: To<'a, 'cx>,
        scratch: &'a mut Scratch,
        persistence: Persistence,
        head_only: bool,
    ) -> Self {
        scratch.fields.clear();
        Reply { to, scratch, status: Status::OK, persistence, head_only }
    }

    /// Sets the status.
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Adds a header field.
    ///
    /// A name that is not a token, and a value with CR, LF or NUL, would split the answer: such a
    /// field is left out and logged. So are `Connection`, `Content-Length`, `Date` and
    /// `Transfer-Encoding`, which are written here.
    #[inline]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let splits = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        if splits || !is_token(name.as_bytes()) || is_own(name) {
            log::warn!("header field {name:?} left out of an answer: not allowed here");
            return self;
        }
        let fields = &mut self.scratch.fields;
        fields.extend_from_slice(name.as_bytes());
        fields.extend_from_slice(b": ");
        fields.extend_from_slice(value);
        fields.extend_from_slice(b"\r\n");
        self
    }

    /// Adds ready-made `Name: value\r\n` lines, as they are: for what was put together before and
    /// is used often.
    #[inline]
    pub fn fields(self, lines: &[u8]) -> Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"), "a line without its end");
        self.scratch.fields.extend_from_slice(lines);
        self
    }

    /// Closes the connection after this answer.
    pub fn close(mut self) -> Self {
        self.persistence = Persistence::Close;
        self
    }

    /// Finishes the answer with a body of known length: bytes, or a region of a file.
    ///
    /// An answer to HEAD says the body's length and leaves it out. Statuses 204, 205 and 304 never
    /// have a body.
    #[inline]
    pub fn send<'b>(self, body: impl Into<Outgoing<'b>>) -> Answered {
        self.finish(body.into())
    }

    /// Finishes the answer to a HEAD without the length of its body, which may be left out if only
    /// making the body would tell it (RFC 9110, section 9.3.2). To any other method it is an
    /// answer with an empty body.
    pub fn send_head(self) -> Answered {
        let length = (!self.head_only).then_some(0);
        self.finish_head(length)
    }

    /// Finishes the answer without a body, whose length is told if there is one to tell.
    pub(super) fn finish_head(self, length: Option<u64>) -> Answered {
        let Reply { mut to, scratch, status, persistence, .. } = self;
        write_head(scratch, status, persistence, length);
        if scratch.out.len() >= BATCH {
            scratch.flush_to(&mut to);
        }
        Answered { status, body: 0, persistence }
    }

    /// Finishes the answer with a line of text that says the status.
    pub fn error(self, status: Status) -> Answered {
        let mut page = [0; 64];
        let mut rest = &mut page[..];
        let written = writeln!(rest, "{} {}", status.code(), status.reason());
        debug_assert!(written.is_ok(), "a reason phrase too long for its page");
        let length = 64 - rest.len();
        self.status(status)
            .fields(b"Content-Type: text/plain; charset=utf-8\r\n")
            .send(&page[..length])
    }

    /// The reactor, for its files, its time, and other connections.
    pub fn turn(&mut self) -> &mut Turn {
        self.to.turn()
    }

    /// Seconds since 1970, as the `Date` of this answer has them.
    #[must_use]
    pub fn unix_time(&self) -> u64 {
        self.scratch.clock.second()
    }

    fn finish(self, body: Outgoing<'_>) -> Answered {
        let Reply { mut to, scratch, status, persistence, head_only } = self;
        let has_content = !status.forbids_content();
        write_head(scratch, status, persistence, Some(if has_content { body.len() } else { 0 }));
        let mut length = if head_only || !has_content { 0 } else { body.len() };
        match body {
            _ if length == 0 => {}
            Outgoing::Slice(slice) if slice.len() <= INLINE => scratch.out.extend_from_slice(slice),
            Outgoing::Shared(bytes) if bytes.len() <= INLINE => {
                scratch.out.extend_from_slice(&bytes);
            }
            body => {
                scratch.flush_to(&mut to);
                if to.send(body) == Sent::Gone {
                    length = 0;
                }
            }
        }
        if scratch.out.len() >= BATCH {
            scratch.flush_to(&mut to);
        }
        Answered { status, body: length, persistence }
    }
}

/// Writes status line, fields and the empty line.
#[inline]
fn write_head(
    scratch: &mut Scratch,
    status: Status,
    persistence: Persistence,
    length: Option<u64>,
) {
    let Scratch { out, fields, clock, .. } = scratch;
    if status == Status::OK {
        out.extend_from_slice(clock.ok_and_date());
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(&status.digits());
        out.push(b' ');
        out.extend_from_slice(status.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(clock.date_line());
    }
    out.extend_from_slice(fields);
    match persistence {
        Persistence::Implied | Persistence::Open => {}
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

/// The fields that only this module writes.
fn is_own(name: &str) -> bool {
    let own = match name.len() {
        4 => "Date",
        10 => "Connection",
        14 => "Content-Length",
        17 => "Transfer-Encoding",
        _ => return false,
    };
    own.eq_ignore_ascii_case(name)
}

/// Appends a number in decimal.
fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: Status, persistence: Persistence, length: u64) -> String {
        let mut scratch = Scratch::new();
        scratch.fields.extend_from_slice(b"A: b\r\n");
        write_head(&mut scratch, status, persistence, Some(length));
        String::from_utf8(scratch.out).unwrap()
    }

    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    #[test]
    fn row_21_every_answer_has_a_date() {
        let expected = format!("HTTP/1.1 200 OK\r\n{DATE}A: b\r\nContent-Length: 13\r\n\r\n");
        assert_eq!(head(Status::OK, Persistence::Implied, 13), expected);
        let expected = format!(
            "HTTP/1.1 404 Not Found\r\n{DATE}A: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(head(Status::NOT_FOUND, Persistence::Close, 0), expected);
    }

    #[test]
    fn row_22_answers_without_content_have_no_length() {
        for status in [Status::NO_CONTENT, Status::NOT_MODIFIED] {
            assert!(
                !head(status, Persistence::Implied, 0).contains("Content-Length"),
                "{status:?}"
            );
        }
        assert!(head(Status::RESET_CONTENT, Persistence::Implied, 0).contains("Content-Length: 0"));
    }

    #[test]
    fn row_32_keep_alive_is_said_where_it_was_asked_for() {
        let said = "Connection: keep-alive\r\n";
        assert!(head(Status::OK, Persistence::KeepAlive, 0).contains(said));
        assert!(!head(Status::OK, Persistence::Implied, 0).contains("Connection"));
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 99, 100, 65_536, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
