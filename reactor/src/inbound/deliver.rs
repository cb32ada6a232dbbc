//! Giving a handler what was received, in the pieces that it asks for.

use std::borrow::Cow;

use crate::core::Core;
use crate::core::connection::Flags;
use crate::handler::Input;
use crate::turn::dispatch::Handlers;
use crate::turn::reactor::Reactor;

use super::{Kept, Strategy};

/// Most callbacks for the bytes of one receive. The rest waits for the next turn: a receive can
/// bring half a million messages. One message of one byte more costs no more, in spite of the turn
/// that it waits for (bench `inbound`; Linux 6.18, loopback).
const MOST_PIECES: u32 = 1024;

/// What is next of bytes that have arrived.
enum Piece {
    /// All of them, for `on_data`.
    Stream,
    /// So many, for `on_received`.
    Exact(usize),
}

impl Core {
    /// Which piece of `available` bytes the handler wants now, if any.
    #[inline]
    fn next_piece(&mut self, index: u32, available: usize) -> Option<Piece> {
        let c = self.get_mut(index)?;
        if !c.wants_input() || c.flags.has(Flags::YIELDED) || c.flags.has(Flags::OWES_READY) {
            return None;
        }
        let Some(extras) = &mut c.extras else {
            c.flags.clear(Flags::OWES_KEPT);
            return (available > 0).then_some(Piece::Stream);
        };
        match &extras.strategy {
            Strategy::Stream => {
                c.flags.clear(Flags::OWES_KEPT);
                (available > 0).then_some(Piece::Stream)
            }
            // While bytes are delivered it has none in a buffer of its own.
            Strategy::Exact(exact) => {
                let count = exact.expected();
                c.flags.clear(Flags::OWES_KEPT);
                if count > available {
                    return None;
                }
                extras.strategy = Strategy::Stream;
                Some(Piece::Exact(count))
            }
            // They take what is kept.
            Strategy::Relay(_) | Strategy::File(_) | Strategy::Discard(_) => None,
        }
    }
}

impl Handlers {
    /// Calls a handler for bytes that have arrived, again as long as it says what is next. Says how
    /// many it has consumed.
    fn deliver(&mut self, core: &mut Core, index: u32, bytes: &[u8]) -> usize {
        let (mut rest, mut exact) = (bytes, 0);
        for piece in 0.. {
            if piece == MOST_PIECES {
                core.yield_now(index);
                break;
            }
            match core.next_piece(index, rest.len()) {
                None => break,
                Some(Piece::Stream) => {
                    let mut input = Input::new(rest);
                    self.call(core, index, |handler, core, slot| {
                        handler.data(core, index, slot, &mut input);
                    });
                    rest = input.bytes();
                    if rest.is_empty() || core.get(index).is_none_or(|c| !c.has_strategy()) {
                        break;
                    }
                }
                Some(Piece::Exact(count)) => {
                    let (piece, behind) = rest.split_at(count);
                    rest = behind;
                    exact += 1;
                    self.call(core, index, |handler, core, slot| {
                        handler.received(core, index, slot, Cow::Borrowed(piece));
                    });
                }
            }
        }
        if exact > 0
            && let Some(ledger) = core.ledger_of(index)
        {
            ledger.exact_receives += exact;
        }
        bytes.len() - rest.len()
    }
}

impl Reactor {
    /// Hands what was received to the handler and keeps what it leaves.
    #[inline]
    pub(crate) fn deliver(&mut self, index: u32, count: usize) {
        let core = &mut self.core;
        match core.get(index).map(|c| &c.extras) {
            Some(None) => {}
            Some(Some(extras)) if extras.is_whole(count) => {
                return self.deliver_whole(index, count);
            }
            _ => return self.deliver_pieces(index, 0, count),
        }
        // The rule: a stream, before the callback and after it.
        let mut input = Input::new(&self.receive[..count]);
        self.handlers.call(core, index, |handler, core, slot| {
            handler.data(core, index, slot, &mut input);
        });
        let consumed = count - input.bytes().len();
        if core.get(index).is_some_and(|c| c.has_strategy()) {
            self.deliver_pieces(index, consumed, count);
        } else if consumed < count {
            self.keep_rest(index, consumed, count);
        }
    }

    /// The same, of exactly the bytes that were asked for: as a rule the next ones are, too.
    fn deliver_whole(&mut self, index: u32, count: usize) {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return };
        let Some(extras) = &mut c.extras else { return };
        extras.strategy = Strategy::Stream;
        c.flags.clear(Flags::OWES_KEPT);
        core.groups[c.group as usize].ledger.exact_receives += 1;
        let whole = &self.receive[..count];
        self.handlers.call(core, index, |handler, core, slot| {
            handler.received(core, index, slot, Cow::Borrowed(whole));
        });
        let Some(c) = core.get_mut(index) else { return };
        match c.extras.as_ref().map(|extras| &extras.strategy) {
            // Nothing is kept that could be it.
            Some(Strategy::Exact(next)) if next.expected() > 0 => c.flags.clear(Flags::OWES_KEPT),
            Some(Strategy::Stream) => core.recycle_extras(index),
            _ => {}
        }
    }

    /// The same, of the bytes from `start` to `end`, for a handler that may say what is next.
    #[inline(never)]
    fn deliver_pieces(&mut self, index: u32, start: usize, end: usize) {
        let core = &mut self.core;
        let Some(c) = core.get(index) else { return };
        if c.kept().is_some() {
            return self.deliver_kept(index);
        }
        let consumed = start + self.handlers.deliver(core, index, &self.receive[start..end]);
        let consumed = consumed + self.save_rest(index, consumed..end);
        if consumed < end {
            self.keep_rest(index, consumed, end);
        } else {
            self.core.recycle_extras(index);
        }
    }

    /// Keeps what nobody has consumed, or puts it where it is expected.
    #[inline(never)]
    fn keep_rest(&mut self, index: u32, start: usize, end: usize) {
        let (core, rest) = (&mut self.core, &self.receive[start..end]);
        if !core.get(index).is_some_and(|c| c.is_open()) {
            core.recycle_extras(index);
        } else if !core.begin_exact(index, rest) {
            let mut kept = Kept::default();
            kept.store(rest, &mut core.pool);
            if let Some(ledger) = core.ledger_of(index) {
                ledger.kept += rest.len() as u64;
            }
            core.keep(index, kept);
        }
    }

    /// Offers what was kept again, as a whole.
    pub(crate) fn deliver_kept(&mut self, index: u32) {
        let core = &mut self.core;
        let extras = core.get_mut(index).and_then(|c| c.extras.as_mut());
        let Some(extras) = extras else { return };
        let mut kept = std::mem::take(&mut extras.kept);
        let consumed = self.handlers.deliver(core, index, kept.bytes());
        kept.consume(consumed, &mut core.pool);
        if kept.len() > 0 && core.get(index).is_some_and(|c| c.is_open()) {
            core.keep(index, kept);
        } else {
            kept.clear(&mut core.pool);
            core.recycle_extras(index);
        }
    }
}
