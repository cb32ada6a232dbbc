//! Passes received bytes to a handler, in the pieces that it requests.

use std::borrow::Cow;

use super::dispatch::Handlers;
use super::reactor::Reactor;
use crate::handler::{Input, Turn};
use crate::inbound::{self, Piece};

/// Most callbacks for the bytes of one receive, which can hold half a million messages. The rest
/// waits for the next turn.
const MOST_PIECES: u32 = 1024;

impl Reactor {
    /// Delivers `count` bytes of the shared buffer and keeps what the handler leaves.
    #[inline]
    pub(super) fn deliver_bytes(&mut self, index: u32, count: usize) {
        let consumed = deliver(&mut self.handlers, &mut self.turn, index, &self.receive[..count]);
        let core = &mut self.turn.core;
        if consumed < count || core[index].special.is_some() {
            inbound::store_rest(core, &mut self.receive, index, consumed..count);
        }
    }

    /// Offers all unread bytes again.
    pub(super) fn deliver_unread(&mut self, index: u32) {
        let Some(unread) = inbound::take_unread(&mut self.turn.core, index) else { return };
        let consumed = deliver(&mut self.handlers, &mut self.turn, index, unread.bytes());
        inbound::put_back(&mut self.turn.core, index, unread, consumed);
    }

    /// Delivers a message that has its own buffer.
    pub(super) fn deliver_message(&mut self, index: u32, message: Vec<u8>) {
        self.call(index, "on_received", |h, turn, slot| {
            h.received(turn, index, slot, Cow::Owned(message));
        });
        inbound::note_direct(&mut self.turn.core, index);
    }
}

/// Calls a handler with the bytes that have arrived, repeatedly while it consumes them. Returns how
/// many it consumed.
#[inline]
fn deliver(handlers: &mut Handlers, turn: &mut Turn, index: u32, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for _ in 0..MOST_PIECES {
        match inbound::next_piece(&mut turn.core, index, rest.len()) {
            None => return bytes.len() - rest.len(),
            Some(Piece::Stream) => {
                let mut input = Input::new(rest);
                handlers.call(turn, index, "on_data", |h, turn, slot| {
                    h.data(turn, index, slot, &mut input);
                });
                rest = input.bytes();
                if rest.is_empty() || !turn.core[index].has_strategy() {
                    return bytes.len() - rest.len();
                }
            }
            Some(Piece::Skip(count)) => rest = &rest[count..],
            Some(Piece::Exact(count)) => {
                let (message, behind) = rest.split_at(count);
                rest = behind;
                handlers.call(turn, index, "on_received", |h, turn, slot| {
                    h.received(turn, index, slot, Cow::Borrowed(message));
                });
            }
        }
    }
    turn.core.yield_now(index);
    bytes.len() - rest.len()
}
