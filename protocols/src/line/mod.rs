//! Lines, with optional blocks of known size and raw bytes between them.
//!
//! A [`LineHandler`] gets one line at a time, borrowed from the input and without its delimiter. It
//! returns the [`Next`] input to expect: another line, a block whose size the line has announced,
//! or raw bytes.
//!
//! A block can also bypass the handler. Instead of returning [`Next::Block`], the callback calls
//! [`receive_file`](sluicegate_reactor::Context::receive_file),
//! [`relay_part`](sluicegate_reactor::Peer::relay_part) or
//! [`discard`](sluicegate_reactor::Context::discard), and returns [`Next::Line`]: the next line
//! follows the block. Do this only where a block can begin, and not when a message arrives or a
//! deadline passes: part of a line may have arrived by then.
//!
//! The calls do not depend on how the network splits the input. Lines have a maximum length, each
//! byte is examined once, and the responses to all lines of one receive are sent together.

use sluicegate_reactor::fs::{NotSaved, Saved};
use sluicegate_reactor::{ConnId, Context, Input, Payload, Reason, Timeout, Turn};

mod adapter;
mod splitter;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use adapter::{LineSession, Lines};
pub use splitter::{Delimiter, Split, Splitter};

/// An application that handles lines.
///
/// Delivery stops as soon as a callback pauses or closes the connection, fills its send queue, or
/// directs its input elsewhere. It continues with the next line once the connection reads again.
///
/// ```
/// use sluicegate_protocols::line::{LineHandler, Lines, Next};
/// use sluicegate_reactor::{Context, Reactor};
///
/// /// `put 5` and five bytes store a value; `get` returns it.
/// struct Shelf;
///
/// impl LineHandler for Shelf {
///     type Session = Vec<u8>;
///
///     fn on_open(&mut self, _: &mut Context<'_>) -> Vec<u8> {
///         Vec::new()
///     }
///
///     fn on_line(&mut self, cx: &mut Context<'_>, value: &mut Vec<u8>, line: &[u8]) -> Next {
///         let line = String::from_utf8_lossy(line);
///         match line.split_once(' ') {
///             Some(("put", size)) => {
///                 value.clear();
///                 return Next::Block(size.parse().unwrap_or(0));
///             }
///             _ => cx.send(&value[..]),
///         };
///         Next::Line
///     }
///
///     fn on_block(&mut self, cx: &mut Context<'_>, value: &mut Vec<u8>, piece: &[u8], left: u64) {
///         value.extend_from_slice(piece);
///         if left == 0 {
///             cx.send("stored\n");
///         }
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let handler = reactor.register(Lines::new(Shelf));
/// # Ok(())
/// # }
/// ```
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait LineHandler: Sized + 'static {
    /// The state of a connection.
    type Session: 'static;

    /// A connection was accepted.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that was not accepted is ready for use, or a transport that was started is: see
    /// [`Handler::on_ready`](sluicegate_reactor::Handler::on_ready).
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// A line has arrived. `line` does not contain its delimiter.
    fn on_line(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, line: &[u8]) -> Next;

    /// A piece of a block has arrived, and `left` bytes of the block are still to come: 0 with the
    /// last piece. A block that arrives in one receive is one piece. By default blocks are
    /// discarded.
    fn on_block(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        piece: &[u8],
        left: u64,
    ) {
    }

    /// A block requested with [`Next::Whole`] has arrived. By default it is discarded.
    ///
    /// A block longer than [`Limits::receive_direct`](sluicegate_reactor::Limits::receive_direct)
    /// that does not arrive together with its line is owned: it stays in the buffer that it
    /// was received into.
    fn on_whole(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, block: Payload<'_>) {}

    /// Raw bytes have arrived. Bytes that are not consumed are offered again together with the next
    /// ones. If this returns something other than [`Next::Raw`], the unconsumed bytes are the start
    /// of that input. By default raw bytes are discarded.
    fn on_raw(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) -> Next {
        input.take();
        Next::Raw
    }

    /// A line is longer than the maximum. `start` is its beginning, of the maximum length; its end
    /// may not have arrived yet. By default the connection is closed. If it stays open, the rest of
    /// the line is skipped.
    fn on_too_long(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, start: &[u8]) {
        cx.close();
    }

    /// A file that a callback has requested is complete, or could not be written: see
    /// [`Handler::on_saved`](sluicegate_reactor::Handler::on_saved). By default the connection is
    /// closed if the file could not be written.
    fn on_saved(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        saved: Result<Saved, NotSaved>,
    ) {
        if saved.is_err() {
            cx.close();
        }
    }

    /// The relay of a part has ended: see
    /// [`Handler::on_relayed`](sluicegate_reactor::Handler::on_relayed). By default the connection
    /// is closed if `left` is not 0.
    fn on_relayed(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, left: u64) {
        if left > 0 {
            cx.close();
        }
    }

    /// The send queue has drained: see
    /// [`Handler::on_drain`](sluicegate_reactor::Handler::on_drain).
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {}

    /// The peer has shut down its sending side. By default the connection is closed when the send
    /// queue is empty.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, eof: LineEof) {
        cx.close();
    }

    /// A deadline has passed. The default is that of
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

/// The kind of input that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line,
    /// A block of this many bytes, for [`LineHandler::on_block`]; then lines. An empty block is
    /// delivered immediately, even if the connection was just paused.
    Block(u64),
    /// A block of this many bytes in one piece, for [`LineHandler::on_whole`]; then lines. An empty
    /// block is delivered immediately. The length is bounded by
    /// [`Limits::max_exact`](sluicegate_reactor::Limits::max_exact): a connection whose
    /// handler requests more is reset.
    Whole(usize),
    /// Raw bytes, for [`LineHandler::on_raw`], until that returns something else.
    Raw,
}

/// Where in the input the stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEof {
    /// Between two lines, in raw bytes, or in a block that is directed elsewhere.
    Clean,
    /// In a line: its delimiter never came. [`Context::unread`] is the number of its bytes that
    /// have arrived, unless the line was too long.
    InLine,
    /// In a block.
    InBlock {
        /// How many bytes of the block never came.
        left: u64,
    },
}
