//! What the callbacks of one connection send, as long as it is little.
//!
//! Most callbacks send little, with nothing queued before it. That is joined in one buffer of the
//! reactor's, which leaves when they have returned, and no queue is needed. What the socket refuses,
//! or what something else follows, begins the connection's queue, in that same buffer.

use super::send::note_refusal;
use super::{Chunk, Pool};
use crate::limits::Limits;
use crate::state::Core;
use crate::sys::More;

/// Size of the buffer. Answers of 64 bytes to 3 KiB cost 1 to 1.02 times as much queued as staged,
/// the calls included (bench `outbound`; Linux 6.18, loopback).
const FEW: usize = 4 << 10;

/// That buffer. There is something in it only between a callback and the sending behind it.
#[derive(Default)]
pub(crate) struct Stage {
    /// The connection whose callback is running, if what it sends may come here.
    index: Option<u32>,
    chunk: Chunk,
}

impl Stage {
    /// Lets what a connection sends come here until [`Core::end_stage`], unless so few bytes could
    /// fill its queue.
    #[inline]
    pub(crate) fn begin(&mut self, index: u32, limits: &Limits) {
        let fits = limits.send_high > FEW && limits.send_segments > 1;
        self.index = fits.then_some(index);
    }

    /// How many bytes of a connection are here.
    pub(crate) fn len(&self, index: u32) -> usize {
        if self.index == Some(index) { self.chunk.len() } else { 0 }
    }

    /// How many bytes fit behind what a connection has here, if there is something.
    pub(super) fn room(&self, index: u32) -> usize {
        if self.len(index) > 0 { self.chunk.room() } else { 0 }
    }

    /// Copies bytes of a connection that has nothing queued, if they fit. Says whether it did.
    pub(super) fn join(&mut self, index: u32, bytes: &[u8], pool: &mut Pool) -> bool {
        let joins = self.index == Some(index) && bytes.len() <= FEW - self.chunk.len();
        if joins {
            if self.chunk.size() == 0 {
                self.chunk = pool.take(FEW);
            }
            self.chunk.fill(bytes);
        }
        joins
    }

    /// What begins the queue of a connection, if anything is here.
    pub(super) fn take(&mut self, index: u32) -> Option<Chunk> {
        (self.len(index) > 0).then(|| std::mem::take(&mut self.chunk))
    }
}

impl Core {
    /// Sends what is staged. From now on what the connection sends is queued.
    #[inline]
    pub(crate) fn end_stage(&mut self, index: u32) {
        if self.stage.len(index) > 0 {
            self.send_staged(index);
        }
        self.stage.index = None;
    }

    /// Sends what is staged, in one call, and queues what the socket refuses of it.
    #[inline(always)]
    fn send_staged(&mut self, index: u32) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let ledger = &mut self.groups[c.group as usize].ledger;
        let chunk = &mut self.stage.chunk;
        let asked = chunk.len();
        if !c.is_flushed() {
            return self.drop_staged(index);
        }
        ledger.send_calls += 1;
        match self.kernel.send(c.socket, chunk.bytes(), More::No) {
            Ok(count) => {
                chunk.advance(count);
                c.sent += count as u64;
                c.active = self.tick;
                ledger.sent += count as u64;
                ledger.send_bytes += count as u64;
                if count == asked {
                    return;
                }
                ledger.short_writes += 1;
            }
            Err(error) => {
                if let Some(error) = note_refusal(c, ledger, error) {
                    self.drop_staged(index);
                    return self.fail_with(index, &error);
                }
            }
        }
        // A new queue begins with what is left.
        self.append(index, |_, _| 0);
    }

    #[cold]
    fn drop_staged(&mut self, index: u32) {
        let dropped = self.stage.chunk.len();
        self.stage.chunk.advance(dropped);
        if let Some(ledger) = self.ledger_of(index) {
            ledger.dropped += dropped as u64;
        }
    }
}
