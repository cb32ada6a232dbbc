//! What relays have received in this turn, as long as it is little.
//!
//! It leaves when no other relay is about to receive: calls of one kind in turn cost less than two
//! kinds that take turns, and whoever the first send wakes finds more to do. So nothing but relays
//! that receive may come between; all else sends it first.

use std::mem;

use crate::core::Core;
use crate::outbound::{Chunk, Placement, Pool};

#[cfg(all(test, feature = "testing"))]
mod tests;

/// Size of the buffer, and so most bytes of one receive. 8 MiB that all go through memory cost the
/// bare calls 1.3 times as much with 16 KiB, 1.07 times with 32 KiB, 0.94 with 128 KiB and 0.92
/// with 512 KiB (bench `inbound`; Linux 6.18, loopback). Where there are pipes only what comes
/// [before them](crate::Limits::splice_after) does: bursts of 64 KiB to 256 KiB cost the reactor as
/// much with 32 KiB, within 0.05.
const CHUNK: usize = 64 << 10;

/// So many bytes are little: they wait for the other receives, and what a socket refuses moves to a
/// buffer of its size. If 64 relays send together what they receive in a turn it costs the bare
/// calls 0.97 to 1.05 times as much as if each sends before the next receives, for pieces of 64
/// bytes to 4 KiB, and 1.07 times for 8 KiB and 16 KiB. Where the two ends are processes of their
/// own it costs the reactor 0.92 times as much for 64 bytes, 0.96 for 1 KiB, 0.98 for 4 KiB and
/// 1.005 for 8 KiB. To copy 4 KiB costs 0.06 times as much as a new buffer of [`CHUNK`], which the
/// next receive needs once many wait, 16 KiB 0.2 times and 64 KiB 1.2 times (bench `inbound`; Linux
/// 6.18).
pub(super) const LITTLE: usize = 4 << 10;

/// Those bytes, and to whom they go. The buffer stays once a relay has needed it.
#[derive(Default)]
pub(crate) struct Onward {
    chunk: Chunk,
    /// Destinations in the order in which their bytes are in the buffer, and how many they are.
    parts: Vec<(u32, usize)>,
}

impl Onward {
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether a receive would be cut to less than half by what is here.
    pub(super) fn is_long(&self) -> bool {
        self.chunk.len() > CHUNK / 2
    }

    /// Where the next bytes are received.
    pub(super) fn spare(&mut self, pool: &mut Pool) -> &mut [u8] {
        if self.chunk.size() == 0 {
            self.chunk = pool.take(CHUNK);
        }
        self.chunk.spare()
    }
}

impl Core {
    /// So many bytes were received into the spare part for a connection that has nothing queued.
    #[inline]
    pub(super) fn received_for(&mut self, to: u32, count: usize) {
        self.onward.chunk.filled(count);
        if count <= LITTLE {
            self.onward.parts.push((to, count));
        } else {
            self.send_onward();
            let chunk = mem::take(&mut self.onward.chunk);
            self.pass_on(to, chunk);
        }
    }

    /// Sends what relays have received and not sent yet.
    #[inline(never)]
    pub(crate) fn send_onward(&mut self) {
        let Onward { mut chunk, mut parts } = mem::take(&mut self.onward);
        for (to, len) in parts.drain(..) {
            let bytes = &chunk.bytes()[..len];
            if let Some(sent) = self.write_onward(to, bytes)
                && sent < len
            {
                let left = bytes[sent..].into();
                self.append(to, |queue, pool| queue.push(left, Placement::Join, pool));
            }
            chunk.advance(len);
        }
        self.onward = Onward { chunk, parts };
    }
}
