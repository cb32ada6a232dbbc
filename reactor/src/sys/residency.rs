//! Reading bytes of a file only if they are in memory, and loading them into memory.
//!
//! Linux has a flag for such reads, `RWF_NOWAIT`. As of 6.18, ext4, XFS and Btrfs support it;
//! tmpfs, overlayfs and FUSE do not. Other systems have no equivalent.

use std::io;

use super::{Fd, retry, unix};

#[cfg(target_os = "linux")]
#[inline]
pub(super) fn read_nowait(file: Fd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::io::IoSliceMut;

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    use super::safe_ret::returned;

    // The kernel would take an offset of -1 for the position of the descriptor.
    if offset > i64::MAX as u64 {
        return Err(Errno::OVERFLOW.into());
    }
    let (file, buffer) = (unix::borrow(&file), &mut [IoSliceMut::new(buffer)]);
    returned(preadv2(file, buffer, offset, ReadWriteFlags::NOWAIT)).map_err(|error| match error {
        // The file system does not support the flag, the kernel is older than 4.14, or a sandbox
        // forbids the call.
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => io::ErrorKind::Unsupported.into(),
        error => error.into(),
    })
}

/// The size of the buffer to read into, in bytes.
const AT_A_TIME: usize = 64 << 10;

/// Reads the bytes and drops them. `readahead(2)` and `posix_fadvise(2)` would return before the
/// bytes are in memory, and load no more than the device's read-ahead window.
pub(super) fn warm(file: Fd, offset: u64, bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; AT_A_TIME.min(bytes)];
    let mut done = 0;
    while done < bytes {
        let most = buffer.len().min(bytes - done);
        let at = offset.saturating_add(done as u64);
        match retry(|| unix::read_at(file, &mut buffer[..most], at))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(())
}
