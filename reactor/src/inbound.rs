//! What was received and not consumed.

use crate::outbound::{Chunk, Pool};

/// Least room for a receive behind kept bytes; with less, a larger buffer is taken.
const LEAST_ROOM: usize = 1 << 10;

/// Bytes that a handler has left. They are only there while it waits for more of them: an idle
/// connection has none.
#[derive(Default)]
pub(crate) struct Kept {
    chunk: Chunk,
}

impl Kept {
    /// Keeps a copy of `bytes`, which stand in the shared buffer.
    pub(crate) fn store(&mut self, bytes: &[u8], pool: &mut Pool) {
        self.chunk = pool.take_whole(bytes.len() + LEAST_ROOM);
        self.chunk.fill(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.chunk.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.chunk.bytes()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.chunk.advance(count);
    }

    /// Where to receive what follows. A full buffer is replaced by one of twice the size, so that
    /// each byte is moved a bounded number of times however small the pieces are that arrive.
    pub(crate) fn room(&mut self, pool: &mut Pool) -> &mut [u8] {
        if self.chunk.room() < LEAST_ROOM && self.chunk.has_gap() {
            self.chunk.compact();
        }
        if self.chunk.room() < LEAST_ROOM {
            let mut larger = pool.take_whole(2 * self.chunk.len() + LEAST_ROOM);
            larger.fill(self.chunk.bytes());
            pool.give(std::mem::replace(&mut self.chunk, larger));
        }
        self.chunk.spare()
    }

    pub(crate) fn received(&mut self, count: usize) {
        self.chunk.filled(count);
    }

    /// Forgets what is left and gives the buffer back.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.chunk));
    }
}
