//! Moving bytes between sockets without copying them into the process: through a pipe, whose
//! buffers refer to the received pages until the other socket has sent them (Linux).

use std::io;
use std::os::fd::IntoRawFd;

use rustix::io::Errno;
use rustix::pipe::{
    self, PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with,
};

use super::Fd;
use super::safe_ret::returned;
use super::signal::block_io_signals;
use super::unix::borrow;

/// The least size to ask for. A new pipe has two pages once the user's quota is used up
/// (`/proc/sys/fs/pipe-user-pages-soft`), too few to be worth a call.
const LEAST: usize = 64 << 10;

pub(super) fn open_pipe(bytes: usize) -> io::Result<(Fd, Fd, usize)> {
    let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    let mut wanted = bytes;
    // Beyond the quota the call fails with `EPERM`, and a smaller size may succeed (`fcntl(2)`).
    // The kernel rounds the size up, so it is read back.
    while wanted >= LEAST && fcntl_setpipe_size(&write, wanted).is_err() {
        wanted /= 2;
    }
    let size = fcntl_getpipe_size(&write)?;
    if size < LEAST.min(bytes) {
        return Err(Errno::PERM.into());
    }
    Ok((read.into_raw_fd(), write.into_raw_fd(), size))
}

#[inline]
pub(super) fn splice(from: Fd, to: Fd, bytes: usize) -> io::Result<usize> {
    block_io_signals();
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(returned(pipe::splice(borrow(&from), None, borrow(&to), None, bytes, flags))?)
}

/// Unlike a write, it may move fewer bytes than there are: it stops at the end of a page.
#[inline]
pub(super) fn splice_to_file(from: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize> {
    block_io_signals();
    let (from, file, mut offset) = (borrow(&from), borrow(&file), offset);
    let moved = pipe::splice(from, None, file, Some(&mut offset), bytes, SpliceFlags::MOVE);
    Ok(returned(moved)?)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::{FdFlags, fcntl_getfd};

    use super::super::unix::owned;
    use super::*;

    #[test]
    fn a_pipe_is_as_large_as_it_says_and_neither_blocks_nor_is_inherited() {
        let (read, write, size) = open_pipe(128 << 10).unwrap();
        // A used-up quota leaves less.
        assert!((64 << 10..=128 << 10).contains(&size), "{size}");
        for fd in [read, write] {
            let end = owned(fd);
            assert!(fcntl_getfd(&end).unwrap().contains(FdFlags::CLOEXEC));
            assert!(fcntl_getfl(&end).unwrap().contains(OFlags::NONBLOCK));
        }
    }

    #[test]
    fn bytes_go_from_socket_to_socket_and_an_end_and_an_empty_source_are_told_apart() {
        let ((mut a, near_a), (mut b, near_b)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        near_a.set_nonblocking(true).unwrap();
        let (read, write, size) = open_pipe(64 << 10).unwrap();
        let (_read, _write) = (owned(read), owned(write));
        let empty = splice(near_a.as_raw_fd(), write, size).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::WouldBlock);
        a.write_all(b"hello").unwrap();
        drop(a);
        assert_eq!(splice(near_a.as_raw_fd(), write, size).unwrap(), 5);
        assert_eq!(splice(near_a.as_raw_fd(), write, size).unwrap(), 0);
        assert_eq!(splice(read, near_b.as_raw_fd(), 5).unwrap(), 5);
        drop(near_b);
        let mut got = String::new();
        b.read_to_string(&mut got).unwrap();
        assert_eq!(got, "hello");
    }
}
