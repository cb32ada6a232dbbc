//! TLS in the kernel, on systems whose kernel has none, or has one that is not used here: FreeBSD's
//! has other calls.

use std::io;

use super::Fd;
use super::tls::{Key, KeyFor, Suite};

pub(super) fn supports_tls(_: Suite) -> bool {
    false
}

pub(crate) fn probe_tls() {}

pub(super) fn attach_tls(_: Fd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn set_tls_key(_: Fd, _: KeyFor, _: &Key) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn recv_record(_: Fd, _: &mut [u8]) -> io::Result<Option<(u8, usize)>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn send_record(_: Fd, _: u8, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
