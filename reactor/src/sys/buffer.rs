//! Memory that the kernel copies large amounts into or out of.

use std::ops::{Deref, DerefMut};

const CACHE_LINE: usize = 64;

/// The pages of sockets have this size or a multiple of it.
pub(crate) const PAGE: usize = 4096;

/// The least length of a buffer that begins at a page.
const LARGE: usize = 4 * PAGE;

/// A buffer of a fixed length, zero at first.
///
/// A buffer of 16 KiB or more begins at a page. The kernel copies with `rep movsb`, which on some
/// processors is several times slower if the destination is a few bytes ahead of the source modulo
/// the page size, and allocators place large allocations a few bytes behind a page (glibc: 16). See
/// `benches/README.md`. A smaller buffer begins at a cache line: if all of them began at a page,
/// their first bytes would compete for the same cache lines.
///
/// The memory comes from `calloc(3)`, so untouched pages of a large buffer take no memory. An
/// aligned allocation would be cleared byte by byte.
#[derive(Default)]
pub(crate) struct AlignedBuffer {
    memory: Box<[u8]>,
    /// Where the buffer begins in `memory`. At least `len` bytes follow.
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    pub(crate) fn new(len: usize) -> AlignedBuffer {
        let alignment = if len < LARGE { CACHE_LINE } else { PAGE };
        let memory = vec![0; len + alignment - 1].into_boxed_slice();
        // An interpreter may not know the offset.
        let start = memory.as_ptr().align_offset(alignment).min(alignment - 1);
        AlignedBuffer { memory, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let range = self.start..self.start + self.len;
        // SAFETY: `new` made `memory` of `len` bytes and at least as many as `start`, and nothing
        // changes the three. By default all are 0.
        unsafe { self.memory.get_unchecked(range) }
    }
}

impl DerefMut for AlignedBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = self.start..self.start + self.len;
        // SAFETY: as in `deref`.
        unsafe { self.memory.get_unchecked_mut(range) }
    }
}

/// Asks the allocator to return freed memory to the system.
///
/// glibc itself returns only what is freed behind everything in use. A few bytes in use there would
/// keep all that a storm of connections has held (`malloc_trim(3)`).
pub(crate) fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: any thread may call it at any time. It touches only memory that is free.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// How many bytes at the start of an allocation to leave unused, so that the rest begins in the
/// middle of a page: for bytes that are received and later sent behind a short header. At the start
/// of a page, or 16 bytes behind it, the copy for one of the two could be a slow one.
pub(crate) fn to_middle_of_page(memory: &[u8]) -> usize {
    (PAGE + PAGE / 2 - memory.as_ptr().addr() % PAGE) % PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_its_length_is_zero_and_begins_where_it_should() {
        for (len, alignment) in [(1, 64), (4 << 10, 64), (16 << 10, 4096), (512 << 10, 4096)] {
            // Several buffers, since one may begin there by chance.
            let buffers: Vec<_> = (0..10).map(|_| AlignedBuffer::new(len)).collect();
            for mut buffer in buffers {
                assert_eq!(buffer.len(), len);
                assert!(buffer.iter().all(|&byte| byte == 0));
                assert_eq!(buffer.as_ptr().addr() % alignment, 0);
                buffer.fill(1);
            }
        }
        assert!(AlignedBuffer::default().is_empty());
    }
}
