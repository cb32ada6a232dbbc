//! RESP, the protocol of Redis: commands from clients, and replies to them.
//!
//! ```
//! use sluicegate_protocols::resp::{Command, CommandHandler, Commands, Encoder, Version};
//! use sluicegate_reactor::{Bytes, Context, Reactor};
//!
//! /// `SET value` keeps a value, and `GET` returns it.
//! struct Shelf(Option<Bytes>);
//!
//! impl CommandHandler for Shelf {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_command(&mut self, cx: &mut Context<'_>, (): &mut (), command: Command<'_>) {
//!         let mut reply = Encoder::new(cx, Version::Resp2);
//!         if command.is("SET") && command.len() == 2 {
//!             self.0 = command.to_bytes(1);
//!             reply.simple("OK");
//!         } else if command.is("GET") {
//!             reply.bulk_or_null(self.0.as_ref());
//!         } else {
//!             reply.error("ERR unknown command");
//!         }
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let handler = reactor.register(Commands::new(Shelf(None)));
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | serve clients | [`CommandHandler`] in [`Commands`] |
//! | write replies, or the commands of a client | [`Encoder`] |
//! | read replies as a client | [`Decoder`] |
//!
//! A command is an array of bulk strings, or a line of words (an *inline command*), which a person
//! can type. A client may pipeline any number of commands. They are answered in order, and the
//! replies to the commands of one receive are sent together.
//!
//! Replies have the types of RESP2 or, if the client has requested it with `HELLO 3`, those of
//! RESP3. An [`Encoder`] for RESP2 converts RESP3 types in the same way as Redis.
//!
//! All lengths are checked before any memory is allocated for them, and memory grows only as data
//! arrives. On a protocol error, the client gets an error reply, and the connection is closed.

use sluicegate_reactor::{ConnId, Context, Reason, Timeout, Turn};

mod adapter;
mod command;
mod decoder;
mod encoder;
mod error;
mod header;
mod parse;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod value;

pub use adapter::{CommandLimits, CommandSession, Commands};
pub use command::Command;
pub use decoder::{Decoder, DecoderLimits};
pub use encoder::{Encoder, Sink, Version};
pub use error::RespError;
pub use value::Value;

/// An application that handles commands.
///
/// Delivery stops as soon as a callback pauses or closes the connection, or fills its send queue.
/// It continues with the next command once the connection reads again.
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait CommandHandler: Sized + 'static {
    /// The state of a connection.
    type Session: 'static;

    /// A connection was accepted.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that was not accepted is ready for use: see
    /// [`Handler::on_ready`](sluicegate_reactor::Handler::on_ready).
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// A command has arrived.
    fn on_command(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        command: Command<'_>,
    );

    /// The input is not a valid command, or exceeds a limit. By default the error is sent to the
    /// client. The connection is closed after this call, because the start of the next command is
    /// not known.
    fn on_malformed(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        error: RespError,
    ) {
        Encoder::new(cx, Version::Resp2).error(&format!("ERR Protocol error: {error}"));
    }

    /// The send queue has drained: see
    /// [`Handler::on_drain`](sluicegate_reactor::Handler::on_drain).
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// The peer has shut down its sending side. By default the connection is closed when the send
    /// queue is empty.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, eof: CommandEof) {
        cx.close();
    }

    /// A deadline has passed; [`Timeout::Own`] also means that a command has taken longer than
    /// [`CommandLimits::time`]. The default is that of
    /// [`Handler::on_timeout`](sluicegate_reactor::Handler::on_timeout).
    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        match which {
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle | Timeout::Own => cx.close(),
        }
    }

    /// The reactor is stopping: see [`Handler::on_stop`](sluicegate_reactor::Handler::on_stop). By
    /// default the connection is closed when the send queue is empty.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        cx.close();
    }

    /// The connection is closed. Called once for each session.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {}
}

/// Where in the input the stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEof {
    /// Between two commands.
    Clean,
    /// In a command.
    InCommand,
}
