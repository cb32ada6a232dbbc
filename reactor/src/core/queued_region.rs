//! A region of a file that waits to be sent, and whether its bytes are known to be in memory.

use crate::fs::{File, Region};

/// Whether a region's next bytes are in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residency {
    /// Not known: they have not been checked.
    #[default]
    Unknown,
    /// This many of them are in memory, or were just read by a worker.
    Resident(u64),
    /// They are on a disk, or may be there.
    Cold,
}

/// The rest of a region that is being sent. Its offset counts only bytes that the socket has taken:
/// what a socket refuses is read again.
pub(crate) struct QueuedRegion {
    pub(crate) file: File,
    pub(crate) offset: u64,
    /// Bytes left to send.
    pub(crate) left: u64,
    /// The offset up to which the file is known to be in memory.
    resident_to: u64,
    /// Whether a worker has to read the next window, because part of it is not in memory.
    cold: bool,
}

impl QueuedRegion {
    pub(crate) fn new(Region { file, offset, len }: Region) -> QueuedRegion {
        let resident_to = if file.is_in_memory() { u64::MAX } else { 0 };
        QueuedRegion { file, offset, left: len, resident_to, cold: false }
    }

    /// Whether the next bytes are in memory.
    pub(crate) fn residency(&self) -> Residency {
        match self.resident_to.checked_sub(self.offset) {
            _ if self.cold => Residency::Cold,
            Some(bytes @ 1..) => Residency::Resident(bytes),
            _ => Residency::Unknown,
        }
    }

    /// Whether the bytes before the offset were known to be in memory.
    pub(crate) fn continues(&self) -> bool {
        self.resident_to >= self.offset && self.resident_to > 0
    }

    /// Records that the next bytes are in memory.
    pub(crate) fn note_resident(&mut self, bytes: usize) {
        self.resident_to = self.offset.saturating_add(bytes as u64);
        self.cold = false;
    }

    /// Records that the next bytes are not in memory, or may not be.
    pub(crate) fn note_cold(&mut self) {
        self.cold = true;
    }

    /// Records that the kernel does not say. Bytes that a worker has read a moment ago through the
    /// same descriptor are assumed to be in memory.
    pub(crate) fn note_unreported(&mut self, bytes: usize) {
        if self.file.was_warmed(self.offset, bytes as u64) {
            self.note_resident(bytes);
        } else {
            self.note_cold();
        }
    }

    /// Records that a worker has read the next bytes.
    pub(crate) fn note_warmed(&mut self, bytes: usize) {
        self.note_resident(bytes);
        self.file.note_warmed(self.offset, bytes as u64);
    }

    /// Removes up to `count` bytes. Returns how many it removed and how many are left.
    pub(crate) fn advance(&mut self, count: usize) -> (usize, u64) {
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(count);
        self.offset += taken as u64;
        self.left -= taken as u64;
        (taken, self.left)
    }
}
