//! What of the simulated disk is in memory.

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::files::{Content, Node};
use super::trace::Said;
use super::{Fd, Files, Inode, Machine, World};
use crate::sys::Shared;

/// Bytes of a page, all of which is in memory or nothing.
const PAGE: u64 = 4096;

/// The pages of a file that are not in memory.
#[derive(Default)]
pub(super) struct Cold(BTreeSet<u64>);

/// What a test does.
impl Files {
    /// Takes a file's content out of memory, from `offset` on: it has to be read from the disk.
    /// What is put on the disk is in memory at first.
    pub fn evict(&mut self, path: impl AsRef<Path>, offset: u64) {
        self.existing(path.as_ref()).evict(offset);
    }

    /// Lets the file system not say what of its files is in memory, as FUSE and overlayfs do not.
    pub fn hide_residency(&mut self) {
        self.hides_residency = true;
    }

    /// How many bytes there are in memory from an offset on.
    fn resident(&self, inode: Inode, offset: u64) -> io::Result<usize> {
        if self.hides_residency {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let bytes = match self.node(inode).cold.0.range(offset / PAGE..).next() {
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
            self.cold.0 = if left > 0 { pages(offset, left).collect() } else { BTreeSet::new() };
        }
    }

    /// Notes that a part was read; whether it was on the disk.
    fn touch(&mut self, offset: u64, bytes: usize) -> bool {
        let before = self.cold.0.len();
        // Most have none.
        if before > 0 && bytes > 0 {
            self.cold.0.retain(|page| !pages(offset, bytes as u64).contains(page));
        }
        self.cold.0.len() < before
    }
}

/// The pages that a part of a file is on; it is not empty.
fn pages(offset: u64, bytes: u64) -> RangeInclusive<u64> {
    offset / PAGE..=offset.saturating_add(bytes - 1) / PAGE
}

/// Reading what is in memory, and bringing it there: the calls of
/// [`Kernel`](super::super::Kernel), each documented there.
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

    pub(crate) fn duplicate(&self, file: Fd) -> io::Result<Shared> {
        self.0.borrow().table.check_limit()?;
        Ok(Shared::simulated(file))
    }
}

impl Machine {
    /// Brings a part of a file to memory; whether it was on the disk.
    pub(super) fn bring_in(&mut self, inode: Inode, offset: u64, bytes: usize) -> bool {
        self.files.node_mut(inode).touch(offset, bytes)
    }

    /// Brings a part of a file to memory for whoever needs it now, and counts if that waited.
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
        let reads = self.files.reads(inode);
        reads.extend(fault.filter(|_| reads.is_empty()));
        self.files.read_at(inode, buffer, offset)
    }
}
