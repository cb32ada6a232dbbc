//! The list of segments that wait to be sent.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::{Chunk, Front, MAX_PIECES, Outgoing, Pipe, Pool};
use crate::fs::{File, Region};
use crate::limits::Limits;
use crate::sys::Fd;

#[cfg(test)]
mod tests;

/// What one connection has yet to send. Boxed, pooled, and only there while it is not empty.
#[derive(Default)]
pub(crate) struct Queue {
    segments: VecDeque<Segment>,
    memory: usize,
    file: u64,
    files: usize,
    piped: usize,
    /// The tick at which the kernel last took a byte, or at which the first one was queued.
    pub(crate) progress: u32,
}

enum Segment {
    Joined(Chunk),
    Shared(Bytes),
    File { file: File, offset: u64, left: u64, len: u64 },
    Pipe { pipe: Pipe, left: usize },
}

impl Queue {
    /// Adds to the end, by kind and size, something that is not empty. Says how many bytes were
    /// copied for that.
    pub(crate) fn push(&mut self, what: Outgoing<'_>, limits: &Limits, pool: &mut Pool) -> usize {
        match what {
            Outgoing::Slice(slice) => return self.join(slice, pool),
            Outgoing::Shared(bytes) if self.joins(bytes.len(), limits) => {
                return self.join(&bytes, pool);
            }
            Outgoing::Shared(bytes) => {
                self.memory += bytes.len();
                self.segments.push_back(Segment::Shared(bytes));
            }
            Outgoing::Region(Region { file, offset, len }) => {
                self.file += len;
                self.files += 1;
                self.segments.push_back(Segment::File { file, offset, left: len, len });
            }
        }
        0
    }

    /// Adds a filled buffer to the end, as it is.
    pub(crate) fn push_chunk(&mut self, chunk: Chunk) {
        self.memory += chunk.len();
        self.segments.push_back(Segment::Joined(chunk));
    }

    /// Adds what is in a pipe to the end.
    pub(crate) fn push_pipe(&mut self, pipe: Pipe, left: usize) {
        self.piped += left;
        self.segments.push_back(Segment::Pipe { pipe, left });
    }

    fn joins(&self, len: usize, limits: &Limits) -> bool {
        let room = match self.segments.back() {
            Some(Segment::Joined(tail)) => tail.room(),
            _ => 0,
        };
        len <= limits.join || (len <= limits.join_in_room && len <= room)
    }

    fn join(&mut self, mut bytes: &[u8], pool: &mut Pool) -> usize {
        let count = bytes.len();
        self.memory += count;
        if let Some(Segment::Joined(tail)) = self.segments.back_mut() {
            bytes = tail.fill(bytes);
        }
        while !bytes.is_empty() {
            // A queue that is already building gets larger buffers, so that it needs fewer.
            let mut tail = pool.take(bytes.len().max(self.memory - bytes.len()));
            bytes = tail.fill(bytes);
            self.segments.push_back(Segment::Joined(tail));
        }
        count
    }

    /// Whether it has reached a mark.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.memory >= limits.send_high
            || self.segments.len() >= limits.send_segments
            || self.files >= limits.send_files
    }

    /// Whether it has fallen far enough below all marks to be filled again.
    pub(crate) fn is_low(&self, limits: &Limits) -> bool {
        self.memory <= limits.send_low
            && self.segments.len() <= limits.send_segments / 2
            && self.files <= limits.send_files / 2
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// All bytes, those still in files and pipes included.
    pub(crate) fn pending(&self) -> u64 {
        self.memory as u64 + self.file + self.piped as u64
    }

    /// What [`plan`](super::plan) needs to know.
    pub(crate) fn front(&self, limits: &Limits) -> Front {
        let most = limits.gather_pieces.clamp(1, MAX_PIECES);
        let mut front = Front::default();
        for segment in &self.segments {
            let piece = match segment {
                Segment::Joined(chunk) => chunk.len(),
                Segment::Shared(bytes) => bytes.len(),
                Segment::File { left, len, .. } => {
                    (front.file_left, front.file_len) = (*left, *len);
                    break;
                }
                Segment::Pipe { left, .. } => {
                    front.pipe = *left;
                    break;
                }
            };
            if front.pieces == most {
                break;
            }
            front.pieces += 1;
            front.memory += piece;
        }
        front
    }

    /// The first `pieces` pieces of memory.
    pub(crate) fn pieces<'a>(&'a self, pieces: usize, into: &mut [IoSlice<'a>; MAX_PIECES]) {
        for (segment, slot) in self.segments.iter().take(pieces).zip(into) {
            *slot = IoSlice::new(segment.memory());
        }
    }

    /// The first piece of memory.
    pub(crate) fn first(&self) -> &[u8] {
        self.segments.front().map_or(&[], Segment::memory)
    }

    /// The region behind the first `pieces` segments: descriptor and offset.
    pub(crate) fn region(&self, pieces: usize) -> Option<(Fd, u64)> {
        match self.segments.get(pieces) {
            Some(Segment::File { file, offset, .. }) => Some((file.fd(), *offset)),
            _ => None,
        }
    }

    /// The end to read from of the pipe that comes first.
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
                Segment::File { .. } => self.file -= taken as u64,
                Segment::Pipe { .. } => self.piped -= taken,
                _ => self.memory -= taken,
            }
            count -= taken;
            if left == 0 {
                match self.segments.pop_front() {
                    Some(Segment::Joined(chunk)) => pool.give(chunk),
                    Some(Segment::File { .. }) => self.files -= 1,
                    Some(Segment::Pipe { pipe, .. }) => pool.pipes.give(pipe, 0),
                    _ => {}
                }
            }
        }
    }

    /// Drops everything and returns how many bytes it was.
    pub(crate) fn clear(&mut self, pool: &mut Pool) -> u64 {
        let dropped = self.pending();
        for segment in self.segments.drain(..) {
            match segment {
                Segment::Joined(chunk) => pool.give(chunk),
                Segment::Pipe { pipe, left } => pool.pipes.give(pipe, left),
                Segment::Shared(_) | Segment::File { .. } => {}
            }
        }
        (self.memory, self.file, self.files, self.piped) = (0, 0, 0, 0);
        dropped
    }
}

impl Segment {
    fn memory(&self) -> &[u8] {
        match self {
            Segment::Joined(chunk) => chunk.bytes(),
            Segment::Shared(bytes) => bytes,
            Segment::File { .. } | Segment::Pipe { .. } => &[],
        }
    }

    /// Removes up to `count` bytes; says how many it took and how many are left.
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
            Segment::File { offset, left, .. } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(count);
                *offset += taken as u64;
                *left -= taken as u64;
                (taken, *left)
            }
            Segment::Pipe { left, .. } => {
                let taken = count.min(*left);
                *left -= taken;
                (taken, *left as u64)
            }
        }
    }
}
