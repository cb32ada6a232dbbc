//! The queue of segments that wait to be sent.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::limits::Limits;
use super::pipe::Pipe;
use super::pool::{Chunk, Pool};
use super::queued_region::QueuedRegion;
use crate::fs::Region;
use crate::sys::Fd;

/// For how many segments a spare queue has room.
const SPARE_SEGMENTS: usize = 64;

/// The unsent output of one connection. Boxed and pooled; a connection has one only while it is not
/// empty.
#[derive(Default)]
pub(crate) struct Queue {
    segments: VecDeque<Segment>,
    memory: usize,
    /// Bytes in files and pipes.
    elsewhere: u64,
    files: u32,
    /// The tick at which the kernel last took a byte, or at which the first byte was queued.
    pub(crate) progress: u32,
    /// Whether the connection's transport has bytes to send that are not in this queue.
    pub(crate) owes_wire: bool,
    /// Whether a worker is reading what comes next. Nothing is sent until it has.
    pub(crate) waits_for_disk: bool,
}

/// A part of a queue that leaves by one method.
pub(crate) enum Segment {
    Joined(Chunk),
    Shared(Bytes),
    File(QueuedRegion),
    Pipe { pipe: Pipe, left: usize },
}

impl Queue {
    /// Adds a region of a file to the end.
    pub(crate) fn push_region(&mut self, region: Region) {
        self.elsewhere += region.len;
        self.files += 1;
        self.segments.push_back(Segment::File(QueuedRegion::new(region)));
    }

    /// Adds shared bytes to the end, by reference.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        self.memory += bytes.len();
        self.segments.push_back(Segment::Shared(bytes));
    }

    /// Adds a pipe with `left` bytes in it to the end.
    pub(crate) fn push_pipe(&mut self, pipe: Pipe, left: usize) {
        self.elsewhere += left as u64;
        self.segments.push_back(Segment::Pipe { pipe, left });
    }

    /// How many bytes fit into the buffer at the end of the queue; 0 if there is none.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        match self.segments.back() {
            Some(Segment::Joined(tail)) => tail.room(),
            _ => 0,
        }
    }

    /// Copies bytes to the buffer at the end, and to new buffers once it is full.
    #[inline]
    pub(crate) fn join(&mut self, mut bytes: &[u8], pool: &mut Pool) {
        let mut before = self.memory;
        self.memory += bytes.len();
        match self.segments.back_mut() {
            Some(Segment::Joined(tail)) => bytes = tail.fill(bytes),
            // Often another referenced segment follows a few bytes.
            Some(_) => before = 0,
            None => {}
        }
        while !bytes.is_empty() {
            // Joined bytes that grow get larger buffers, so that they need fewer.
            let mut tail = pool.take(bytes.len().max(before));
            bytes = tail.fill(bytes);
            self.segments.push_back(Segment::Joined(tail));
        }
    }

    /// Whether the queue has reached one of its high marks.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.memory >= limits.send_high
            || self.segments.len() >= limits.send_segments
            || self.files as usize >= limits.send_files
    }

    /// Whether the queue has fallen to all of its low marks, so that it may be filled again.
    pub(crate) fn is_low(&self, limits: &Limits) -> bool {
        self.memory <= limits.send_low
            && self.segments.len() <= limits.send_segments / 2
            && self.files as usize <= limits.send_files / 2
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && !self.owes_wire
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// All queued bytes, including those in files and pipes.
    pub(crate) fn pending(&self) -> u64 {
        self.memory as u64 + self.elsewhere
    }

    /// The segments in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Fills `into` with the first pieces of memory, one per slot, as far as they lie within the
    /// first `most` bytes.
    pub(crate) fn pieces<'a>(&'a self, mut most: usize, into: &mut [IoSlice<'a>]) {
        for (piece, slot) in self.segments.iter().map(Segment::memory).zip(into) {
            let piece = &piece[..piece.len().min(most)];
            most -= piece.len();
            *slot = IoSlice::new(piece);
        }
    }

    /// The file region after the first `pieces` pieces of memory.
    pub(crate) fn region(&mut self, pieces: usize) -> Option<&mut QueuedRegion> {
        match self.segments.get_mut(pieces) {
            Some(Segment::File(region)) => Some(region),
            _ => None,
        }
    }

    /// The read end of the pipe at the front.
    pub(crate) fn pipe(&self) -> Option<Fd> {
        match self.segments.front() {
            Some(Segment::Pipe { pipe, .. }) => Some(pipe.read),
            _ => None,
        }
    }

    /// Removes `count` sent bytes from the front. Buffers go back to the pool.
    pub(crate) fn advance(&mut self, mut count: usize, pool: &mut Pool) {
        while count > 0 {
            let Some(segment) = self.segments.front_mut() else {
                debug_assert!(false, "{count} bytes sent that were not queued");
                return;
            };
            let (taken, left) = segment.advance(count);
            match segment {
                Segment::File(_) | Segment::Pipe { .. } => self.elsewhere -= taken as u64,
                _ => self.memory -= taken,
            }
            count -= taken;
            if left == 0 {
                match self.segments.pop_front() {
                    Some(Segment::Joined(chunk)) => pool.give(chunk),
                    Some(Segment::File(_)) => self.files -= 1,
                    Some(Segment::Pipe { pipe, .. }) => pool.pipes.give(pipe, 0),
                    _ => {}
                }
            }
        }
    }

    /// Drops everything and returns how many bytes that was.
    pub(crate) fn clear(&mut self, pool: &mut Pool) -> u64 {
        let dropped = self.pending();
        for segment in self.segments.drain(..) {
            match segment {
                Segment::Joined(chunk) => pool.give(chunk),
                Segment::Pipe { pipe, left } => pool.pipes.give(pipe, left),
                Segment::Shared(_) | Segment::File(_) => {}
            }
        }
        (self.memory, self.elsewhere, self.files) = (0, 0, 0);
        (self.waits_for_disk, self.owes_wire) = (false, false);
        dropped
    }

    /// Gives the room for many segments back. Nobody counts the memory of spare queues.
    #[inline]
    pub(crate) fn shrink(&mut self) {
        if self.segments.capacity() > SPARE_SEGMENTS {
            self.segments.shrink_to(SPARE_SEGMENTS);
        }
    }
}

impl Segment {
    pub(crate) fn memory(&self) -> &[u8] {
        match self {
            Segment::Joined(chunk) => chunk.bytes(),
            Segment::Shared(bytes) => bytes,
            Segment::File(_) | Segment::Pipe { .. } => &[],
        }
    }

    /// Removes up to `count` bytes. Returns how many it removed and how many are left.
    fn advance(&mut self, count: usize) -> (usize, u64) {
        match self {
            Segment::Joined(chunk) => {
                let taken = count.min(chunk.len());
                chunk.advance(taken);
                (taken, chunk.len() as u64)
            }
            Segment::Shared(bytes) => {
                let taken = count.min(bytes.len());
                bytes.advance(taken);
                (taken, bytes.len() as u64)
            }
            Segment::File(region) => region.advance(count),
            Segment::Pipe { left, .. } => {
                let taken = count.min(*left);
                *left -= taken;
                (taken, *left as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_was_long_is_small_when_it_is_spare() {
        let (mut queue, mut pool) = (Queue::default(), Pool::default());
        for _ in 0..10_000 {
            queue.push_shared(Bytes::from_static(b"piece"));
        }
        queue.advance(50_000, &mut pool);
        queue.shrink();
        assert!(queue.segments.capacity() <= SPARE_SEGMENTS);
    }
}
