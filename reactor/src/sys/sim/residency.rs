//! Which bytes of the simulated files are in memory.

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::disk::{Content, Files, Inode, Node};
use super::trace::Said;
use super::{Fd, Machine, World};

/// The size of a page in bytes. A page is in memory as a whole or not at all.
const PAGE: u64 = 4096;

/// How a test controls which bytes are in memory.
impl Files {
    /// Evicts the content of a file from memory, from `offset` on, so that it must be read from the
    /// disk. New files are in memory.
    pub fn evict(&mut self, path: impl AsRef<Path>, offset: u64) {
        self.existing(path.as_ref()).evict(offset);
    }

    /// Makes this a file system that does not report which bytes are in memory, like FUSE and
    /// overlayfs.
    pub fn hide_residency(&mut self) {
        self.hides_residency = true;
    }

    /// The number of bytes in memory from `offset` on.
    fn resident(&self, inode: Inode, offset: u64) -> io::Result<usize> {
        if self.hides_residency {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let bytes = match self.node(inode).cold.range(offset / PAGE..).next() {
            Some(page) => (page * PAGE).saturating_sub(offset),
            None => u64::MAX,
        };
        match usize::try_from(bytes).unwrap_or(usize::MAX) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }
}

impl Node {
    fn evict(&mut self, offset: u64) {
        if let Content::File(bytes) = &self.content {
            let left = (bytes.len() as u64).saturating_sub(offset);
            self.cold = if left > 0 { pages(offset, left).collect() } else { BTreeSet::new() };
        }
    }

    /// Loads bytes into memory. Returns whether any were missing.
    fn touch(&mut self, offset: u64, bytes: usize) -> bool {
        let before = self.cold.len();
        // Most files have no cold pages.
        if before > 0 && bytes > 0 {
            self.cold.retain(|page| !pages(offset, bytes as u64).contains(page));
        }
        self.cold.len() < before
    }
}

/// The pages that `bytes` bytes at `offset` are on. `bytes` must not be 0.
fn pages(offset: u64, bytes: u64) -> RangeInclusive<u64> {
    offset / PAGE..=offset.saturating_add(bytes - 1) / PAGE
}

/// The calls for residency, each documented at [`Kernel`](super::super::Kernel).
impl World {
    pub(crate) fn read_nowait(
        &self,
        file: Fd,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.read_nowait += 1;
        let inode = state.inode(file);
        if state.fault_in_memory() {
            state.files.node_mut(inode).evict(0);
        }
        let read = state.files.resident(inode, offset).and_then(|bytes| {
            let most = buffer.len().min(bytes);
            state.read(inode, &mut buffer[..most], offset)
        });
        let said = Said(&read);
        state.note(format_args!("read_nowait({file}, {} at {offset}) = {said}", buffer.len()));
        read
    }

    pub(crate) fn warm(&self, file: Fd, offset: u64, bytes: usize) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.calls.warm += 1;
        let inode = state.inode(file);
        state.note(format_args!("warm({file}, {bytes} at {offset})"));
        if !state.network.hold(inode, offset, bytes) {
            state.bring_in(inode, offset, bytes);
        }
        Ok(())
    }
}

impl Machine {
    /// Loads bytes of a file into memory. Returns whether any were missing.
    pub(super) fn bring_in(&mut self, inode: Inode, offset: u64, bytes: usize) -> bool {
        self.files.node_mut(inode).touch(offset, bytes)
    }

    /// Loads bytes of a file into memory for a caller that needs them now, and counts the wait for
    /// the disk if there is one.
    pub(super) fn touch(&mut self, inode: Inode, offset: u64, bytes: usize) {
        let waited = self.bring_in(inode, offset, bytes);
        self.calls.disk_waits += u64::from(waited);
        self.network.waits_in_vain |= waited && self.network.is_held();
    }

    pub(super) fn read(
        &mut self,
        inode: Inode,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let fault = self.fault_in_read(buffer.len());
        let reads = &mut self.files.node_mut(inode).reads;
        reads.extend(fault.filter(|_| reads.is_empty()));
        self.files.read_at(inode, buffer, offset)
    }
}
