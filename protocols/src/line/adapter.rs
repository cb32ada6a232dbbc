//! The handler around a protocol of lines.

use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Receive, Timeout, Turn};

use crate::PER_TURN;

use super::{Ending, Next, Protocol, Split, Splitter};

/// Makes a [`Protocol`] a [`Handler`].
///
/// While the rest of a line is awaited the reactor keeps what has arrived, so
/// [`Limits::keep`](sluicegate_reactor::Limits::keep) has to be at least [`Splitter::keep`]. The
/// defaults, lines of 8 KiB and 64 KiB kept, are. Blocks are not kept, whatever their size, and of
/// raw bytes only those that the protocol leaves.
///
/// After a number of lines in one turn ([`per_turn`](Lines::per_turn)) a connection's others wait
/// for the next, so that one that sends very many does not hold up the rest.
#[derive(Clone, Debug)]
pub struct Lines<P> {
    protocol: P,
    splitter: Splitter,
    per_turn: u32,
}

impl<P: Protocol> Lines<P> {
    /// Lines that end with `\n` or `\r\n` and are not longer than 8 KiB.
    pub fn new(protocol: P) -> Lines<P> {
        Lines::with(protocol, Splitter::default())
    }

    /// Lines as the splitter says.
    pub fn with(protocol: P, splitter: Splitter) -> Lines<P> {
        Lines { protocol, splitter, per_turn: PER_TURN }
    }

    /// Delivers at most so many lines and blocks of a connection in a callback: 1,024 at first. An
    /// answer of theirs leaves together with the others of that callback.
    #[must_use]
    pub fn per_turn(self, most: u32) -> Lines<P> {
        Lines { per_turn: most.max(1), ..self }
    }

    /// The protocol.
    pub fn protocol(&mut self) -> &mut P {
        &mut self.protocol
    }
}

/// What is kept for a connection: the protocol's own session, and where in its input it is.
#[derive(Debug)]
pub struct Session<S> {
    mode: Mode,
    own: S,
}

impl<S> Session<S> {
    /// For a connection that begins with a line.
    pub fn new(own: S) -> Session<S> {
        Session { mode: Mode::LINE, own }
    }
}

const _: () = assert!(size_of::<Session<()>>() <= 16);

/// What is expected next.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// A line, of which so much was searched.
    Line { scanned: usize },
    /// The rest of a line that is too long.
    Skip { scanned: usize },
    /// So many bytes, at least one.
    Block { left: u64 },
    /// Anything.
    Raw,
}

impl Mode {
    const LINE: Mode = Mode::Line { scanned: 0 };
}

/// Whether there may be more in the input.
enum Step {
    Again,
    Rest,
}

impl<P: Protocol> Handler for Lines<P> {
    type Session = Session<P::Session>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session {
        Session::new(self.protocol.on_open(cx))
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.protocol.on_ready(cx, &mut session.own);
    }

    fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) {
        for _ in 0..self.per_turn {
            if !cx.wants_input() {
                return;
            }
            if let Step::Rest = self.step(cx, session, input) {
                return;
            }
        }
        if !input.is_empty() {
            cx.yield_now();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.protocol.on_drain(cx, &mut session.own);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let ending = match session.mode {
            Mode::Line { .. } if cx.unread() == 0 => Ending::Whole,
            Mode::Line { .. } | Mode::Skip { .. } => Ending::InLine,
            Mode::Block { left } => Ending::InBlock { left },
            Mode::Raw => Ending::Whole,
        };
        self.protocol.on_eof(cx, &mut session.own, ending);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        self.protocol.on_timeout(cx, &mut session.own, which);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.protocol.on_stop(cx, &mut session.own);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        self.protocol.on_close(cx, id, session.own, why);
    }
}

impl<M, P: Receive<M>> Receive<M> for Lines<P> {
    fn on_message(&mut self, cx: &mut Turn, message: M) {
        self.protocol.on_message(cx, message);
    }
}

impl<P: Protocol> Lines<P> {
    /// Delivers what stands at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session<P::Session>,
        input: &mut Input<'_>,
    ) -> Step {
        match &mut session.mode {
            Mode::Line { scanned } => {
                let bytes = input.bytes();
                match self.splitter.split(bytes, scanned) {
                    Split::Line { len, end } => {
                        input.consume(end);
                        let next = self.protocol.on_line(cx, &mut session.own, &bytes[..len]);
                        self.follow(cx, session, next);
                    }
                    Split::Incomplete => return Step::Rest,
                    Split::TooLong => {
                        session.mode = Mode::Skip { scanned: *scanned };
                        let start = &bytes[..self.splitter.most()];
                        self.protocol.on_too_long(cx, &mut session.own, start);
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
                    return Step::Rest;
                }
            },
            Mode::Block { left } => {
                let bytes = input.bytes();
                let count = usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                if count == 0 {
                    return Step::Rest;
                }
                input.consume(count);
                *left -= count as u64;
                let left = *left;
                if left == 0 {
                    session.mode = Mode::LINE;
                }
                self.protocol.on_block(cx, &mut session.own, &bytes[..count], left);
            }
            Mode::Raw if input.is_empty() => return Step::Rest,
            Mode::Raw => match self.protocol.on_raw(cx, &mut session.own, input) {
                Next::Raw => return Step::Rest,
                next => self.follow(cx, session, next),
            },
        }
        Step::Again
    }

    /// Does what a line or raw bytes have asked for.
    #[inline]
    fn follow(&mut self, cx: &mut Context<'_>, session: &mut Session<P::Session>, next: Next) {
        session.mode = match next {
            Next::Line => Mode::LINE,
            Next::Raw => Mode::Raw,
            Next::Block(0) => {
                // Nothing will arrive that could bring it later.
                if cx.this().is_open() {
                    self.protocol.on_block(cx, &mut session.own, &[], 0);
                }
                Mode::LINE
            }
            Next::Block(left) => Mode::Block { left },
        };
    }
}
