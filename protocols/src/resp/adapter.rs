//! The handler that splits the input into commands.

use std::mem;
use std::ops::ControlFlow;
use std::time::Duration;

use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

use super::command::{Command, Kept, Place};
use super::parse::{self, Ahead, Argument, CRLF};
use super::{CommandEof, CommandHandler, RespError};
use crate::line::{Delimiter, Split, Splitter};
use crate::quantum::{self, MESSAGES_PER_TURN};

/// The limits of commands. They bound the memory that a connection needs for a command: its bytes,
/// plus 12 for each argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandLimits {
    /// The maximum number of arguments of a command, including its name. The default is 65,536.
    pub arguments: usize,
    /// The maximum total length of the arguments of a command in bytes, up to 4 GiB.
    /// [`Limits::max_exact`](sluicegate_reactor::Limits::max_exact) must be at least two
    /// bytes more. The default is 16 MiB minus two bytes, which fits its default.
    pub bytes: usize,
    /// The maximum length of an inline command in bytes.
    /// [`Limits::max_unread`](sluicegate_reactor::Limits::max_unread) must be at least two bytes
    /// more. The default is 8 KiB.
    pub inline: usize,
    /// How long a command may take to arrive, from its first byte. Time during which the connection
    /// does not read may be added. It bounds clients that send little at a time; those that are
    /// silent are [idle](sluicegate_reactor::Limits::idle). The default is 5 minutes.
    pub time: Option<Duration>,
}

impl Default for CommandLimits {
    fn default() -> CommandLimits {
        CommandLimits {
            arguments: 1 << 16,
            bytes: (16 << 20) - CRLF.len(),
            inline: 8 << 10,
            time: Some(Duration::from_secs(300)),
        }
    }
}

/// Turns a [`CommandHandler`] into a [`Handler`].
///
/// If a command arrives whole, its arguments are borrowed from the input. Otherwise the arguments
/// that have arrived are copied, and the argument that is incomplete is
/// [received](sluicegate_reactor::Context::receive_exact) in one piece: a long one goes into its
/// own buffer, where it [stays](Command::to_bytes).
///
/// The handler delivers at most 1,024 commands of a connection in one turn. It stops as soon as the
/// connection is paused or closed, or its send queue is full. So pipelines of any depth need no
/// memory: commands that cannot be handled yet are not received.
///
/// While a command is incomplete, the [own
/// deadline](sluicegate_reactor::Peer::set_deadline) of the connection is
/// [`CommandLimits::time`], unless the command handler has set one before.
#[derive(Debug)]
pub struct Commands<H> {
    handler: H,
    limits: CommandLimits,
    splitter: Splitter,
    /// The places of the arguments of the command that is being delivered.
    places: Vec<Place>,
    /// The arguments of the inline command that is being delivered.
    inline: Kept,
}

impl<H: CommandHandler> Commands<H> {
    /// Creates a handler with the default limits.
    pub fn new(handler: H) -> Commands<H> {
        Commands::with(handler, CommandLimits::default())
    }

    /// Creates a handler with these limits.
    pub fn with(handler: H, limits: CommandLimits) -> Commands<H> {
        let limits = CommandLimits { bytes: limits.bytes.min(u32::MAX as usize), ..limits };
        let splitter = Splitter::new(Delimiter::newline(), limits.inline);
        Commands { handler, limits, splitter, places: Vec::new(), inline: Kept::default() }
    }

    /// The command handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }
}

/// The state of a connection: the handler's session, and the command that is incomplete.
#[derive(Debug)]
pub struct CommandSession<S> {
    /// The command whose arguments are collected.
    partial: Option<Box<Partial>>,
    /// How many bytes of an inline command were searched.
    scanned: u32,
    /// Whether the connection's own deadline is the time that the command has.
    is_timed: bool,
    own: S,
}

impl<S> CommandSession<S> {
    /// Creates the session of a connection whose input starts with a command.
    pub fn new(own: S) -> CommandSession<S> {
        CommandSession { partial: None, scanned: 0, is_timed: false, own }
    }
}

const _: () = assert!(size_of::<CommandSession<()>>() <= 16);

/// A command that is incomplete.
#[derive(Debug)]
struct Partial {
    /// The arguments that have arrived.
    kept: Kept,
    ahead: Ahead,
}

impl<H: CommandHandler> Handler for Commands<H> {
    type Session = CommandSession<H::Session>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session {
        CommandSession::new(self.handler.on_open(cx))
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
        quantum::deliver(MESSAGES_PER_TURN, cx, input, |cx, input| {
            self.step(cx, session, input).unwrap_or_else(|error| {
                self.handler.on_malformed(cx, &mut session.own, error);
                cx.close();
                ControlFlow::Break(())
            })
        });
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        bytes: Payload<'_>,
    ) {
        if let Err(error) = self.received(cx, session, bytes) {
            self.handler.on_malformed(cx, &mut session.own, error);
            cx.close();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_drain(cx, &mut session.own);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let is_clean = session.partial.is_none() && cx.unread() == 0;
        let eof = if is_clean { CommandEof::Clean } else { CommandEof::InCommand };
        self.handler.on_eof(cx, &mut session.own, eof);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        self.handler.on_stop(cx, &mut session.own);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        if which == Timeout::Own && mem::take(&mut session.is_timed) && !cx.wants_input() {
            // The connection did not read, so the client could not go on.
            return self.wait(cx, session);
        }
        self.handler.on_timeout(cx, &mut session.own, which);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        self.handler.on_close(cx, id, session.own, why);
    }
}

impl<M, S, H: Receive<M, S>> Receive<M, CommandSession<S>> for Commands<H> {
    fn on_message(&mut self, cx: &mut Sessions<'_, CommandSession<S>>, message: M) {
        cx.map(|session| &mut session.own, |cx| self.handler.on_message(cx, message));
    }
}

impl<H: CommandHandler> Commands<H> {
    /// Delivers what is at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut CommandSession<H::Session>,
        input: &mut Input<'_>,
    ) -> Result<ControlFlow<()>, RespError> {
        if session.partial.is_some() {
            return self.continue_partial(cx, session, input);
        }
        match input.first() {
            None => Ok(ControlFlow::Break(())),
            Some(b'*') => self.start(cx, session, input),
            Some(_) => self.inline(cx, session, input),
        }
    }

    /// Delivers the command at the front of the input, or begins to collect it.
    #[inline]
    fn start(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut CommandSession<H::Session>,
        input: &mut Input<'_>,
    ) -> Result<ControlFlow<()>, RespError> {
        let bytes = input.bytes();
        let Some((arguments, start)) = parse::count(bytes, self.limits.arguments)? else {
            self.wait(cx, session);
            return Ok(ControlFlow::Break(()));
        };
        let mut ahead = Ahead { arguments, bytes: self.limits.bytes };
        self.places.clear();
        let end = parse::arguments(bytes, start, &mut ahead, &mut self.places)?;
        if ahead.arguments > 0 {
            self.wait(cx, session);
            let mut kept = Kept::default();
            for index in 0..self.places.len() {
                let command = Command::new(bytes, &self.places, &[]);
                kept.push(command.get(index).unwrap_or_default());
            }
            input.consume(end);
            session.partial = Some(Box::new(Partial { kept, ahead }));
            return Ok(ControlFlow::Continue(()));
        }
        input.consume(end);
        Self::stop_waiting(cx, session);
        if !self.places.is_empty() {
            let command = Command::new(bytes, &self.places, &[]);
            self.handler.on_command(cx, &mut session.own, command);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Collects arguments of a command that has not arrived whole.
    fn continue_partial(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut CommandSession<H::Session>,
        input: &mut Input<'_>,
    ) -> Result<ControlFlow<()>, RespError> {
        let Some(partial) = &mut session.partial else { return Ok(ControlFlow::Break(())) };
        while partial.ahead.arguments > 0 {
            match parse::argument(input, &mut partial.ahead)? {
                Argument::Whole { start, end } => {
                    partial.kept.push(&input[start..end]);
                    input.consume(end + CRLF.len());
                }
                Argument::Begun { start, len } => {
                    input.consume(start);
                    cx.receive_exact(len + CRLF.len()).map_err(|_| RespError::Length)?;
                    return Ok(ControlFlow::Break(()));
                }
                Argument::Incomplete => return Ok(ControlFlow::Break(())),
            }
        }
        self.deliver_partial(cx, session);
        Ok(ControlFlow::Continue(()))
    }

    /// Takes an argument that was received in one piece.
    fn received(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut CommandSession<H::Session>,
        bytes: Payload<'_>,
    ) -> Result<(), RespError> {
        let Some(partial) = &mut session.partial else { return Ok(()) };
        if !bytes.ends_with(CRLF) {
            return Err(RespError::Unterminated);
        }
        let len = bytes.len() - CRLF.len();
        match bytes {
            Payload::Borrowed(bytes) => partial.kept.push(&bytes[..len]),
            Payload::Owned(bytes) => partial.kept.push_separate(bytes.slice(..len)),
        }
        if partial.ahead.arguments == 0 {
            self.deliver_partial(cx, session);
        }
        Ok(())
    }

    /// Delivers a command whose arguments are all kept.
    fn deliver_partial(&mut self, cx: &mut Context<'_>, session: &mut CommandSession<H::Session>) {
        Self::stop_waiting(cx, session);
        if let Some(partial) = session.partial.take() {
            self.handler.on_command(cx, &mut session.own, partial.kept.command());
        }
    }

    /// Delivers the inline command at the front of the input.
    fn inline(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut CommandSession<H::Session>,
        input: &mut Input<'_>,
    ) -> Result<ControlFlow<()>, RespError> {
        let (bytes, mut searched) = (input.bytes(), session.scanned as usize);
        match self.splitter.split(bytes, &mut searched) {
            Split::TooLong => Err(RespError::InlineTooLong),
            Split::Incomplete => {
                session.scanned = searched as u32;
                self.wait(cx, session);
                Ok(ControlFlow::Break(()))
            }
            Split::Line { len, end } => {
                session.scanned = 0;
                input.consume(end);
                Self::stop_waiting(cx, session);
                self.inline.clear();
                parse::inline(&bytes[..len], &mut self.inline)?;
                if !self.inline.places.is_empty() {
                    self.handler.on_command(cx, &mut session.own, self.inline.command());
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// Starts the time that an incomplete command has, unless it is running. A deadline that the
    /// command handler has set is left alone, so that no client can postpone it.
    fn wait(&self, cx: &mut Context<'_>, session: &mut CommandSession<H::Session>) {
        if self.limits.time.is_some() && !cx.has_deadline() {
            session.is_timed = true;
            cx.set_deadline(self.limits.time);
        }
    }

    /// Ends that time, as the command is complete.
    #[inline]
    fn stop_waiting(cx: &mut Context<'_>, session: &mut CommandSession<H::Session>) {
        if mem::take(&mut session.is_timed) {
            cx.set_deadline(None);
        }
    }
}
