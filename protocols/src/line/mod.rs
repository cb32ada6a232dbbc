//! Lines, and what stands between them: blocks of a known size, and raw bytes.
//!
//! A [`Protocol`] is given one line at a time, borrowed from the input and without its delimiter.
//! Each answer to a line says what comes [`Next`]: another line, a block whose size the line has
//! announced, or bytes as they come. The rest of the same receive goes there.
//!
//! What is delivered does not depend on how the network has cut it. A line has a maximum length,
//! each byte of it is searched once, and all answers to the lines of one receive leave together.

use sluicegate_reactor::{ConnId, Context, Input, Reason, Timeout, Turn};

mod adapter;
mod splitter;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use adapter::{Lines, Session};
pub use splitter::{Delimiter, Split, Splitter};

/// An application that takes lines.
///
/// Delivery stops at once when a callback pauses or closes the connection, or when the queue is
/// full; it goes on with the next line when the connection reads again.
///
/// ```
/// use sluicegate_protocols::line::{Lines, Next, Protocol};
/// use sluicegate_reactor::{Context, Reactor};
///
/// /// `put 5` and five bytes; `get` gives them back.
/// struct Shelf;
///
/// impl Protocol for Shelf {
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
pub trait Protocol: Sized + 'static {
    /// What is kept for each connection.
    type Session: 'static;

    /// A connection was accepted.
    fn on_open(&mut self, cx: &mut Context<'_>) -> Self::Session;

    /// A connection that was not accepted is ready for use: see
    /// [`Handler::on_ready`](sluicegate_reactor::Handler::on_ready).
    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// A line has arrived; its delimiter is not part of it.
    fn on_line(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, line: &[u8]) -> Next;

    /// A piece of a block has arrived, and so many bytes of it are yet to come: 0 with the last
    /// piece. A block that came in one receive is one piece. By default blocks are discarded.
    fn on_block(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        piece: &[u8],
        left: u64,
    ) {
        let _ = (cx, session, piece, left);
    }

    /// Raw bytes have arrived. What is not consumed is offered again with what follows, or is what
    /// comes next if that is not [`Next::Raw`]. By default they are discarded.
    fn on_raw(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) -> Next {
        let _ = (cx, session);
        input.take();
        Next::Raw
    }

    /// A line has more than the maximum of bytes; `start` is as many of them. Its end may not have
    /// arrived. By default the connection is closed. If it is not, the rest of the line is skipped.
    fn on_too_long(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, start: &[u8]) {
        let _ = (session, start);
        cx.close();
    }

    /// What was sent has drained: see
    /// [`Handler::on_drain`](sluicegate_reactor::Handler::on_drain).
    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = (cx, session);
    }

    /// The peer has ended its direction, maybe in the middle of something. By default the
    /// connection is closed once all was sent.
    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, ending: Ending) {
        let _ = (session, ending);
        cx.close();
    }

    /// A deadline has passed. By default as
    /// [`Handler::on_timeout`](sluicegate_reactor::Handler::on_timeout).
    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Self::Session, which: Timeout) {
        let _ = session;
        match which {
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle | Timeout::Own => cx.close(),
        }
    }

    /// The reactor is stopping: see [`Handler::on_stop`](sluicegate_reactor::Handler::on_stop). By
    /// default the connection is closed once all was sent.
    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Self::Session) {
        let _ = session;
        cx.close();
    }

    /// The connection is over: called once for each session.
    fn on_close(&mut self, cx: &mut Turn, id: ConnId, session: Self::Session, why: Reason) {
        let _ = (cx, id, session, why);
    }
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line,
    /// A block of so many bytes, for [`Protocol::on_block`]; then lines. One without any is
    /// delivered at once, even to a connection that was just paused.
    Block(u64),
    /// Bytes as they come, for [`Protocol::on_raw`], until that says otherwise.
    Raw,
}

/// What the end of a stream has cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it came between two lines, or among raw bytes.
    Whole,
    /// A line: its delimiter never came. [`Context::unread`] says how much there is of it, unless
    /// it was too long.
    InLine,
    /// A block.
    InBlock {
        /// How many bytes of it never came.
        left: u64,
    },
}
