//! Buffers that are used for a short time, kept for the next connection that needs one.
//!
//! A [`Chunk`] also keeps the input that a handler has left, until more arrives. An idle connection
//! has none.

use super::pipe::Pipes;
use crate::sys::{self, AlignedBuffer};

#[cfg(test)]
mod tests;

/// Sizes of pooled buffers, and how many unused ones of each size are kept: at most 2 MiB in all.
/// A burst that needs more allocates and frees them again. That costs many times as much, since a
/// new buffer is cleared (benches/README.md).
const CLASSES: [(usize, usize); 3] = [(4 << 10, 256), (16 << 10, 16), (64 << 10, 12)];

/// The allocator is asked to return memory to the system after this many bytes of buffers were freed
/// and not allocated again. It then goes through the heaps of all threads and locks each, which
/// takes too long for a few buffers.
const TRIM_AFTER: usize = 64 << 20;

/// Free buffers by size class, most recently used first: those are still in the cache.
#[derive(Default)]
pub(crate) struct Pool {
    free: [Vec<AlignedBuffer>; CLASSES.len()],
    /// The size of all buffers that were ever taken.
    pub(crate) taken: u64,
    /// The size of the buffers that were freed since the allocator was last asked to return memory,
    /// without those that were allocated again.
    freed: usize,
    pub(crate) pipes: Pipes,
}

impl Pool {
    /// Takes a buffer for `len` bytes, from the smallest class that holds them. If none does, the
    /// buffer is of the largest class.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Chunk {
        let class = CLASSES.iter().position(|&(size, _)| len <= size).unwrap_or(CLASSES.len() - 1);
        let buffer = self.free[class].pop().unwrap_or_else(|| {
            self.freed = self.freed.saturating_sub(CLASSES[class].0);
            AlignedBuffer::new(CLASSES[class].0)
        });
        self.taken += buffer.len() as u64;
        Chunk { buffer, start: 0, end: 0 }
    }

    /// Takes one buffer that holds all of `len` bytes, even if no class is as large.
    pub(crate) fn take_whole(&mut self, len: usize) -> Chunk {
        if len <= CLASSES[CLASSES.len() - 1].0 {
            return self.take(len);
        }
        let buffer = AlignedBuffer::new(len.next_power_of_two());
        self.freed = self.freed.saturating_sub(buffer.len());
        self.taken += buffer.len() as u64;
        Chunk { buffer, start: 0, end: 0 }
    }

    /// Takes a buffer back.
    #[inline]
    pub(crate) fn give(&mut self, chunk: Chunk) {
        let size = chunk.buffer.len();
        match CLASSES.iter().position(|&(class, _)| class == size) {
            Some(class) if self.free[class].len() < CLASSES[class].1 => {
                self.free[class].push(chunk.buffer);
            }
            _ if size > 0 => self.drop_buffer(chunk.buffer),
            _ => {}
        }
    }

    /// Frees a buffer that the pool has no room for.
    #[cold]
    fn drop_buffer(&mut self, buffer: AlignedBuffer) {
        self.freed += buffer.len();
        drop(buffer);
        if self.freed >= TRIM_AFTER {
            self.freed = 0;
            sys::trim_heap();
        }
    }

    /// The size of all unused buffers together.
    pub(crate) fn kept(&self) -> usize {
        self.free.iter().flatten().map(|buffer| buffer.len()).sum()
    }

    /// Frees the unused buffers and pipes.
    pub(crate) fn free_unused(&mut self) {
        self.free = Default::default();
        self.pipes.close_unused();
    }
}

/// Most unused boxes of a type that are kept. A connection has one only while it has something to
/// send, or unconsumed input.
const SPARES: usize = 256;

/// Unused boxes, kept for the next connection that needs one.
#[derive(Default)]
pub(crate) struct Spares<T>(Vec<Box<T>>);

impl<T: Default> Spares<T> {
    #[inline]
    pub(crate) fn take(&mut self) -> Box<T> {
        self.0.pop().unwrap_or_default()
    }

    /// Takes back a box whose content is empty.
    #[inline]
    pub(crate) fn give(&mut self, spare: Box<T>) {
        if self.0.len() < SPARES {
            self.0.push(spare);
        }
    }
}

/// The minimum room for a receive after unread bytes. With less, the bytes move to a larger buffer
/// first, which costs less than a receive that does not fit (benches/README.md).
const LEAST_ROOM: usize = 1 << 10;

/// Most unread bytes that move to the front of the shared buffer for a receive. For more, the copy
/// costs more than the small receives that it avoids (benches/README.md). Fewer bytes also have a
/// small buffer: a receive into it brings little, and so leaves few bytes unread again.
pub(crate) const MOVED_UNREAD: usize = 4 << 10;

/// A buffer that is partly filled.
#[derive(Default)]
pub(crate) struct Chunk {
    buffer: AlignedBuffer,
    start: usize,
    end: usize,
}

impl Chunk {
    /// The filled part.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// How many bytes are filled.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The size of the buffer.
    pub(crate) fn size(&self) -> usize {
        self.buffer.len()
    }

    /// How many bytes fit after the filled part.
    pub(crate) fn room(&self) -> usize {
        self.buffer.len() - self.end
    }

    /// Copies as much as fits to the end and returns the rest.
    pub(crate) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(self.room()));
        self.buffer[self.end..self.end + now.len()].copy_from_slice(now);
        self.end += now.len();
        rest
    }

    /// The part after the filled one, to receive into; call [`filled`](Chunk::filled) afterwards.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        &mut self.buffer[self.end..]
    }

    /// Records that `count` bytes were written to the spare part.
    pub(crate) fn filled(&mut self, count: usize) {
        debug_assert!(count <= self.room());
        self.end += count;
    }

    /// Removes `count` bytes from the front.
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// A copy of `bytes`, with room for a receive after them.
    pub(crate) fn keep(bytes: &[u8], pool: &mut Pool) -> Chunk {
        let mut chunk = pool.take_whole(bytes.len() + LEAST_ROOM);
        chunk.fill(bytes);
        chunk
    }

    /// Removes the first `count` bytes. What is left in a large buffer moves to a smaller one, so
    /// that half a message does not hold the memory of the thousand before it. An empty buffer
    /// returns to the pool.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut Pool) {
        self.advance(count);
        if self.len() == 0 {
            pool.give(std::mem::take(self));
        } else if self.len() + LEAST_ROOM <= self.size() / 8 {
            // By a factor of 8, so that all moves out of a buffer together copy less than its size.
            self.replace(pool);
        }
    }

    /// Makes room for a receive. A full buffer is replaced by one at least twice as large, so that
    /// each byte is moved a bounded number of times, however small the arriving pieces are.
    pub(crate) fn make_room(&mut self, pool: &mut Pool) {
        if self.room() >= LEAST_ROOM {
            return;
        }
        if self.len() + LEAST_ROOM <= self.size() {
            self.compact();
        } else {
            // The next size is at least twice as large.
            self.replace(pool);
        }
    }

    /// Moves the filled part to the front of the buffer, so that all room is after it.
    fn compact(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    fn replace(&mut self, pool: &mut Pool) {
        let other = Chunk::keep(self.bytes(), pool);
        pool.give(std::mem::replace(self, other));
    }
}
