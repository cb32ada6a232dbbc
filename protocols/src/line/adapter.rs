//! The handler that splits the input into lines.

use std::ops::ControlFlow;

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

use super::{LineEof, LineHandler, Next, Split, Splitter};
use crate::quantum::{self, MESSAGES_PER_TURN};

/// Turns a [`LineHandler`] into a [`Handler`].
///
/// The reactor keeps the start of an incomplete line, so
/// [`Limits::max_unread`](sluicegate_reactor::Limits::max_unread) must be at least
/// [`Splitter::keep`]. The defaults fit: lines of up to 8 KiB, and 64 KiB for unread input. Blocks
/// are never kept, regardless of their size, and raw bytes only if the handler does not consume
/// them.
///
/// A connection delivers at most [`per_turn`](Lines::per_turn) lines in one turn, so that a busy
/// client does not delay the others.
#[derive(Clone, Debug)]
pub struct Lines<H> {
    handler: H,
    splitter: Splitter,
    per_turn: u32,
}

impl<H: LineHandler> Lines<H> {
    /// Splits the input into lines of at most 8 KiB that end with `\n` or `\r\n`.
    pub fn new(handler: H) -> Lines<H> {
        Lines::with(handler, Splitter::default())
    }

    /// Splits the input with the given `splitter`.
    pub fn with(handler: H, splitter: Splitter) -> Lines<H> {
        Lines { handler, splitter, per_turn: MESSAGES_PER_TURN }
    }

    /// Sets the maximum number of lines and blocks of a connection that are delivered in one turn.
    /// The default is 1,024. The responses to them are sent together.
    #[must_use]
    pub fn per_turn(self, most: u32) -> Lines<H> {
        Lines { per_turn: most.max(1), ..self }
    }

    /// The line handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }
}

/// The state of a connection: the handler's session, and the kind of input that comes next.
#[derive(Debug)]
pub struct LineSession<S> {
    mode: Mode,
    own: S,
}

impl<S> LineSession<S> {
    /// Creates the session of a connection whose input starts with a line.
    pub fn new(own: S) -> LineSession<S> {
        LineSession { mode: Mode::LINE, own }
    }
}

const _: () = assert!(size_of::<LineSession<()>>() <= 16);

/// The kind of input that comes next.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// A line, `scanned` bytes of which were searched.
    Line { scanned: usize },
    /// The rest of a line that is too long.
    Skip { scanned: usize },
    /// A block of which `left` bytes are to come, at least one.
    Block { left: u64 },
    /// A block of `count` bytes that is delivered in one piece, at least one byte.
    Whole { count: usize },
    /// Raw bytes.
    Raw,
}

impl Mode {
    const LINE: Mode = Mode::Line { scanned: 0 };
}

impl<H: LineHandler> Handler for Lines<H> {
    type Session = LineSession<H::Session>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session {
        LineSession::new(self.handler.on_open(cx))
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_ready(cx, &mut session.own);
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) {
        quantum::deliver(self.per_turn, cx, input, |cx, input| self.step(cx, session, input));
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        bytes: Payload<'_>,
    ) {
        session.mode = Mode::LINE;
        self.handler.on_whole(cx, &mut session.own, bytes);
    }

    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        saved: Result<Saved, NotSaved>,
    ) {
        self.handler.on_saved(cx, &mut session.own, saved);
    }

    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, left: u64) {
        self.handler.on_relayed(cx, &mut session.own, left);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_drain(cx, &mut session.own);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let eof = match session.mode {
            Mode::Line { .. } if cx.unread() == 0 => LineEof::Clean,
            Mode::Line { .. } | Mode::Skip { .. } => LineEof::InLine,
            Mode::Block { left } => LineEof::InBlock { left },
            Mode::Whole { count } => LineEof::InBlock { left: (count - cx.unread()) as u64 },
            Mode::Raw => LineEof::Clean,
        };
        self.handler.on_eof(cx, &mut session.own, eof);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        self.handler.on_timeout(cx, &mut session.own, which);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_stop(cx, &mut session.own);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        self.handler.on_close(cx, id, session.own, why);
    }
}

impl<M, S, H: Receive<M, S>> Receive<M, LineSession<S>> for Lines<H> {
    fn on_message(&mut self, cx: &mut Sessions<'_, LineSession<S>>, message: M) {
        cx.map(|session| &mut session.own, |cx| self.handler.on_message(cx, message));
    }
}

impl<H: LineHandler> Lines<H> {
    /// Delivers what is at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut LineSession<H::Session>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        match &mut session.mode {
            Mode::Line { scanned } => {
                let bytes = input.bytes();
                match self.splitter.split(bytes, scanned) {
                    Split::Line { len, end } => {
                        input.consume(end);
                        let next = self.handler.on_line(cx, &mut session.own, &bytes[..len]);
                        self.follow(cx, session, next);
                    }
                    Split::Incomplete => return ControlFlow::Break(()),
                    Split::TooLong => {
                        session.mode = Mode::Skip { scanned: *scanned };
                        let start = &bytes[..self.splitter.max_len()];
                        self.handler.on_too_long(cx, &mut session.own, start);
                    }
                }
            }
            Mode::Skip { scanned } => match self.splitter.skip(input, scanned) {
                Ok(end) => {
                    input.consume(end);
                    session.mode = Mode::LINE;
                }
                Err(forgotten) => {
                    input.consume(forgotten);
                    return ControlFlow::Break(());
                }
            },
            Mode::Block { left } => {
                let bytes = input.bytes();
                let count = usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                if count == 0 {
                    return ControlFlow::Break(());
                }
                input.consume(count);
                *left -= count as u64;
                let left = *left;
                if left == 0 {
                    session.mode = Mode::LINE;
                }
                self.handler.on_block(cx, &mut session.own, &bytes[..count], left);
            }
            Mode::Whole { count } => {
                let count = *count;
                return self.deliver_whole(cx, session, input, count);
            }
            Mode::Raw if input.is_empty() => return ControlFlow::Break(()),
            Mode::Raw => match self.handler.on_raw(cx, &mut session.own, input) {
                Next::Raw => return ControlFlow::Break(()),
                next => self.follow(cx, session, next),
            },
        }
        ControlFlow::Continue(())
    }

    /// Delivers a block in one piece, or requests its missing bytes.
    fn deliver_whole(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut LineSession<H::Session>,
        input: &mut Input<'_>,
        count: usize,
    ) -> ControlFlow<()> {
        let Some((block, _)) = input.bytes().split_at_checked(count) else {
            if let Err(error) = cx.receive_exact(count) {
                log::error!("{}: {error}", cx.describe());
                cx.abort();
            }
            return ControlFlow::Break(());
        };
        input.consume(count);
        session.mode = Mode::LINE;
        self.handler.on_whole(cx, &mut session.own, block.into());
        ControlFlow::Continue(())
    }

    /// Continues with the input that the handler has requested.
    #[inline]
    fn follow(&mut self, cx: &mut Context<'_>, session: &mut LineSession<H::Session>, next: Next) {
        session.mode = match next {
            Next::Line => Mode::LINE,
            Next::Raw => Mode::Raw,
            Next::Block(0) => {
                // At once: no input may ever follow that would deliver it later.
                if cx.is_open() {
                    self.handler.on_block(cx, &mut session.own, &[], 0);
                }
                Mode::LINE
            }
            Next::Block(left) => Mode::Block { left },
            Next::Whole(0) => {
                if cx.is_open() {
                    self.handler.on_whole(cx, &mut session.own, Payload::Borrowed(&[]));
                }
                Mode::LINE
            }
            Next::Whole(count) => Mode::Whole { count },
        };
    }
}
