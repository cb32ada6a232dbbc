//! Receiving a known number of bytes.
//!
//! Few bytes arrive with others, in the reactor's buffer, and are lent to the handler from there:
//! several messages of one receive cost one call and no copy. Many go straight into a buffer of
//! their own, in which they stay.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::error::Error;
use std::{fmt, io};

use crate::core::Core;
use crate::core::connection::{Connection, Flags};
use crate::core::limits::{Limits, Quantum};
use crate::handler::context::Context;
use crate::turn::reactor::Reactor;

use super::{Kept, Mark, Strategy};

#[cfg(test)]
mod tests;

/// The first size of a buffer, if as much is expected: it grows with what arrives, not with what is
/// announced. What is not filled yet is address space, and no memory.
///
/// With 64 KiB, which have to be copied where there is no room to grow, the bare calls cost 1.1
/// times as much for messages of 128 KiB and 1 MiB; with 16 KiB or 256 KiB 1.05 to 1.25 times for
/// those of 1 MiB (bench `inbound`; Linux 6.18, loopback).
const FIRST: usize = 1 << 20;

/// How many times as large a full buffer becomes. A large one grows where it is (`mremap(2)`), but
/// a middling one may have to be copied: with 2 that is all of it once over, with 16 a part.
/// Messages of 16 MiB cost the bare calls 1 to 1.2 times as much with 4 or 2 (bench
/// `inbound`; Linux 6.18, loopback). What else was freed decides how often there is room to grow.
const GROWTH: usize = 16;

/// How much a receive for few bytes asks for after many: what it brings of the next large message
/// is copied. With all that there is, messages of 1 MiB behind a head of four bytes cost 1.4 times
/// as much, those of 128 KiB 0.9 times (bench `inbound`; Linux 6.18, loopback).
const AFTER_DIRECT: usize = 4 << 10;

/// Bytes that are expected, and those of them that are in a buffer of their own.
pub(crate) struct Exact {
    expected: usize,
    /// While there is something in it nothing is kept.
    buffer: Vec<u8>,
    /// Whether it was asked for when the bytes before had a buffer of their own.
    after_direct: bool,
    /// Whether the kernel waits for many bytes before it wakes this.
    pub(super) mark: Mark,
}

impl Exact {
    /// How many bytes are missing.
    pub(super) fn left(&self) -> usize {
        self.expected - self.buffer.len()
    }

    /// Whether the bytes belong in a buffer of their own, of which so many are kept by now.
    fn is_direct(&self, kept: usize, limits: &Limits) -> bool {
        self.expected > limits.receive_direct
            || !self.buffer.is_empty()
            || !Kept::would_be_small(kept)
    }

    /// Whether the next receive brings as much as there is, to lend it from there.
    pub(super) fn is_lent(&self, limits: &Limits) -> bool {
        !self.is_direct(0, limits) && !self.after_direct
    }

    /// Copies bytes, of which there are too few.
    fn fill(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        debug_assert!(bytes.len() < self.left());
        self.reserve(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes sure of room for so many bytes, and of some. A full buffer becomes [`GROWTH`] times as
    /// large, and it ends as large as what was asked for.
    fn reserve(&mut self, count: usize) -> Result<(), TryReserveError> {
        let (len, room) = (self.buffer.len(), self.buffer.capacity() - self.buffer.len());
        if room == 0 || room < count {
            let more = ((GROWTH - 1) * len).max(FIRST).max(count);
            self.buffer.try_reserve_exact(more.min(self.left()))?;
        }
        Ok(())
    }

    /// How many bytes are to come in one piece.
    pub(super) fn expected(&self) -> usize {
        self.expected
    }

    /// How many bytes have arrived and are in no other place.
    pub(super) fn unread(&self) -> usize {
        self.buffer.len()
    }
}

/// A request for more bytes than [`Limits::receive_exact`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// How many bytes were asked for.
    pub count: usize,
    /// How many may be.
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLarge { count, limit } = self;
        write!(f, "cannot receive {count} bytes in one piece: the limit is {limit}")
    }
}

impl Error for TooLarge {}

impl Context<'_> {
    /// Asks for the next `count` bytes in one piece: [`on_received`](crate::Handler::on_received)
    /// gets them when all are there. What this callback leaves unconsumed comes first.
    ///
    /// It is for messages whose length is known before they come, of any size. Those of up to
    /// [`Limits::receive_direct`] bytes are lent from the buffer that everything is received into;
    /// longer ones have a buffer of their own, which grows with what arrives (a peer that announces
    /// much and sends little costs 1 MiB of address space, and memory for what it sends) and which
    /// the handler may keep. A handler that only ever asks for the next piece, in `on_open` and in
    /// `on_received`, needs no `on_data`.
    ///
    /// - One request at a time: another one before the first is answered takes its place, and what
    ///   has arrived counts for it. 0 bytes are answered, too.
    /// - While it waits [`Limits::keep`] does not apply, and each byte that arrives puts off
    ///   [`Limits::idle`], though of few that is noticed [late](Limits::receive_low_water). Pausing
    ///   and a full queue hold it back like other input.
    /// - If the peer ends its direction before all is there, [`on_eof`](crate::Handler::on_eof)
    ///   comes instead, for each such request. [`unread`](Context::unread) says how many bytes
    ///   there were; who wants them asks for that many.
    /// - A [handed over](Context::hand_over) connection takes what has arrived along as input, and
    ///   not the request.
    /// - If there is no memory for the buffer the connection is reset, with
    ///   [`Reason::Failed`](crate::Reason::Failed).
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use sluicegate_reactor::{Context, Handler, Input};
    ///
    /// /// Sends back messages that have their length in front, in four bytes.
    /// struct Echo;
    ///
    /// enum Next {
    ///     Length,
    ///     Message,
    /// }
    ///
    /// impl Echo {
    ///     fn expect(cx: &mut Context<'_>, count: usize) {
    ///         if let Err(error) = cx.receive_exact(count) {
    ///             cx.send(error.to_string());
    ///             cx.close();
    ///         }
    ///     }
    /// }
    ///
    /// impl Handler for Echo {
    ///     type Session = Next;
    ///     fn on_open(&mut self, cx: &mut Context<'_>) -> Next {
    ///         Echo::expect(cx, 4);
    ///         Next::Length
    ///     }
    ///     fn on_data(&mut self, _: &mut Context<'_>, _: &mut Next, _: &mut Input<'_>) {
    ///         unreachable!("something is always asked for");
    ///     }
    ///     fn on_received(&mut self, cx: &mut Context<'_>, next: &mut Next, bytes: Cow<'_, [u8]>) {
    ///         match next {
    ///             Next::Length => {
    ///                 let length = u32::from_be_bytes(bytes[..].try_into().expect("four bytes"));
    ///                 *next = Next::Message;
    ///                 Echo::expect(cx, length as usize);
    ///             }
    ///             Next::Message => {
    ///                 cx.send(&(bytes.len() as u32).to_be_bytes());
    ///                 cx.send(bytes);
    ///                 *next = Next::Length;
    ///                 Echo::expect(cx, 4);
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TooLarge`] if `count` is over [`Limits::receive_exact`]. Nothing is changed by that: what
    /// comes next goes to [`on_data`](crate::Handler::on_data), or to the request before.
    pub fn receive_exact(&mut self, count: usize) -> Result<(), TooLarge> {
        let index = self.index;
        self.core.expect(index, count)
    }
}

impl Core {
    /// The request of a connection, if it has one.
    pub(super) fn exact(&mut self, index: u32) -> Option<&mut Exact> {
        match &mut self.get_mut(index)?.extras.as_mut()?.strategy {
            Strategy::Exact(exact) => Some(exact),
            _ => None,
        }
    }

    /// Makes a request. One that follows another, message after message, only writes it down.
    fn expect(&mut self, index: u32, count: usize) -> Result<(), TooLarge> {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return Ok(()) };
        let limit = self.groups[c.group as usize].limits.receive_exact;
        if count > limit {
            return Err(TooLarge { count, limit });
        }
        let (buffer, mark) = (Vec::new(), Mark::Off);
        let exact = Exact { expected: count, buffer, after_direct: false, mark };
        match c {
            Connection { extras: Some(extras), flags, .. }
                if matches!(extras.strategy, Strategy::Stream) && flags.has(Flags::LISTED) =>
            {
                extras.strategy = Strategy::Exact(exact);
                flags.set(Flags::OWES_KEPT);
            }
            _ => self.set_strategy(index, Strategy::Exact(exact)),
        }
        Ok(())
    }

    /// Gives a request up. What has arrived for it is input like any other.
    pub(crate) fn stop_exact(&mut self, index: u32) {
        self.lower_mark(index, Mark::Off);
        let extras = self.connections.0.get_mut(index as usize).and_then(|c| c.extras.as_mut());
        if let Some(extras) = extras
            && let Strategy::Exact(exact) = &extras.strategy
        {
            if !exact.buffer.is_empty() {
                extras.kept.store(&exact.buffer, &mut self.pool);
            }
            extras.strategy = Strategy::Stream;
        }
    }

    /// Puts what is left of a receive where it will stay, if it is the beginning of a long message.
    pub(super) fn begin_exact(&mut self, index: u32, rest: &[u8]) -> bool {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return false };
        let limits = &self.groups[c.group as usize].limits;
        match c.extras.as_mut().map(|extras| &mut extras.strategy) {
            Some(Strategy::Exact(exact))
                if rest.len() < exact.expected && exact.is_direct(rest.len(), limits) =>
            {
                let filled = exact.fill(rest);
                filled.unwrap_or_else(|error| self.fail_for_memory(index, &error));
                true
            }
            _ => false,
        }
    }

    /// Who makes a request may have let its peer say how much: that there is no memory for it costs
    /// this connection, and not the process.
    #[cold]
    fn fail_for_memory(&mut self, index: u32, error: &TryReserveError) {
        self.fail_with(index, &io::Error::new(io::ErrorKind::OutOfMemory, error.to_string()));
    }

    /// One receive into the request's own buffer. Says whether all is there.
    fn receive_direct(&mut self, index: u32, input: &mut Quantum) -> bool {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return false };
        let ledger = &mut self.groups[c.group as usize].ledger;
        let most = c.receivable(usize::MAX);
        let Some(extras) = &mut c.extras else { return false };
        let Strategy::Exact(exact) = &mut extras.strategy else { return false };
        if let Err(error) = exact.fill(extras.kept.bytes()).and_then(|()| exact.reserve(0)) {
            self.fail_for_memory(index, &error);
            return false;
        }
        extras.kept.clear(&mut self.pool);
        let asked = exact.left().min(exact.buffer.capacity() - exact.buffer.len()).min(most);
        let result = self.kernel.recv_append(c.socket, &mut exact.buffer, asked);
        let is_whole = exact.left() == 0;
        let count = result.as_ref().map_or(0, |count| *count);
        ledger.direct_receives += 1;
        ledger.direct_bytes += count as u64;
        input.bytes = input.bytes.saturating_sub(count);
        self.note_received(index, asked, result);
        self.move_mark(index);
        is_whole
    }
}

impl Reactor {
    /// One step of a connection that waits for a known number of bytes. Says whether there may be
    /// another.
    pub(crate) fn step_exact(&mut self, index: u32, input: &mut Quantum) -> bool {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return false };
        c.flags.clear(Flags::OWES_KEPT);
        let Some(extras) = &c.extras else { return false };
        let Strategy::Exact(exact) = &extras.strategy else { return false };
        if exact.expected <= extras.kept.len() {
            self.deliver_kept(index);
        } else if c.flags.has(Flags::END_READ) {
            self.end_exact(index);
        } else if !c.can_receive() {
            return false;
        } else if exact.is_direct(extras.kept.len(), &core.groups[c.group as usize].limits) {
            if core.receive_direct(index, input) {
                self.deliver_direct(index);
            }
        } else {
            let most = if exact.after_direct { AFTER_DIRECT } else { usize::MAX };
            if let Some(count) = self.receive(index, most) {
                input.bytes = input.bytes.saturating_sub(count);
                self.deliver(index, count);
            }
        }
        true
    }

    /// Gives the handler the buffer that is full.
    fn deliver_direct(&mut self, index: u32) {
        let Some(exact) = self.core.exact(index) else { return };
        let whole = std::mem::take(&mut exact.buffer);
        if let Some(extras) = self.core.extras(index) {
            extras.strategy = Strategy::Stream;
        }
        if let Some(ledger) = self.core.ledger_of(index) {
            ledger.exact_receives += 1;
        }
        self.call(index, |handler, core, slot| {
            handler.received(core, index, slot, Cow::Owned(whole));
        });
        match self.core.exact(index) {
            Some(next) => next.after_direct = true,
            None => self.core.recycle_extras(index),
        }
    }

    /// Tells the handler that the end came before all was there. What there is is kept.
    fn end_exact(&mut self, index: u32) {
        self.core.stop_exact(index);
        self.core.recycle_extras(index);
        if let Some(c) = self.core.get_mut(index) {
            c.flags.clear(Flags::OWES_EOF);
            c.flags.clear(Flags::OWES_KEPT);
        }
        self.call(index, |handler, core, slot| handler.eof(core, index, slot));
    }
}
