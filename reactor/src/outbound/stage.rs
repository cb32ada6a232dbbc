//! What the callbacks of one connection send, as long as it is little.
//!
//! Most callbacks send little, with nothing queued before it. That is joined in one buffer of the
//! reactor's, which leaves when they have returned, and no queue is needed. What the socket refuses,
//! or what something else follows, begins the connection's queue, in that same buffer.

use std::io;

use super::{Chunk, Pool};
use crate::limits::{Limits, Quantum};
use crate::state::Core;
use crate::sys::{More, Ready};

/// Size of the buffer.
const FEW: usize = 4 << 10;

/// That buffer. There is something in it only between a callback and the sending behind it.
#[derive(Default)]
pub(crate) struct Stage {
    /// The connection that is being driven, if what it sends may come here.
    index: Option<u32>,
    chunk: Chunk,
}

impl Stage {
    /// Lets what a connection sends come here, unless so few bytes could fill its queue.
    fn begin(&mut self, index: u32, limits: &Limits) {
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
    /// Lets what a connection sends be staged until [`end_stage`](Core::end_stage).
    pub(crate) fn begin_stage(&mut self, index: u32, group: u16) {
        self.stage.begin(index, &self.groups[group as usize].limits);
    }

    /// From now on what connections send is queued.
    pub(crate) fn end_stage(&mut self, index: u32) {
        if self.stage.len(index) > 0 {
            self.queue_staged(index);
        }
        self.stage.index = None;
    }

    fn queue_staged(&mut self, index: u32) {
        // A new queue begins with it.
        self.append(index, |_, _| 0);
    }

    /// Sends what is staged, in one call. Says whether nothing is left of it.
    pub(super) fn flush_staged(&mut self, index: u32, quantum: &mut Quantum) -> bool {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return true };
        let ledger = &mut self.groups[c.group as usize].ledger;
        let chunk = &mut self.stage.chunk;
        let asked = chunk.len();
        if !c.is_flushed() {
            ledger.dropped += asked as u64;
            chunk.advance(asked);
            return true;
        }
        quantum.calls = quantum.calls.saturating_sub(1);
        ledger.send_calls += 1;
        match self.kernel.send(c.socket, chunk.bytes(), More::No) {
            Ok(count) => {
                chunk.advance(count);
                c.sent += count as u64;
                c.active = self.tick;
                quantum.bytes = quantum.bytes.saturating_sub(count);
                ledger.sent += count as u64;
                ledger.send_bytes += count as u64;
                if count == asked {
                    return true;
                }
                ledger.short_writes += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ledger.send_would_block += 1;
                c.ready = c.ready.without(Ready::WRITE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                ledger.dropped += asked as u64;
                chunk.advance(asked);
                self.fail_with(index, &error);
                return true;
            }
        }
        self.queue_staged(index);
        false
    }
}
