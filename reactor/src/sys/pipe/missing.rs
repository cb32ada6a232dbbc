//! Moving bytes through pipes, on systems that cannot.

use std::io;

use super::Fd;

pub(super) const AVAILABLE: bool = false;

pub(super) fn open_pipe(_: usize) -> io::Result<(Fd, Fd, usize)> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn splice(_: Fd, _: Fd, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn splice_to_file(_: Fd, _: Fd, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
