//! Confining the process: Landlock first, since seccomp forbids its calls.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::{Access, Sandbox};

mod calls;
mod filter;
mod rules;

pub(super) fn confine(sandbox: &Sandbox) -> io::Result<()> {
    check_threads()?;
    rules::enforce(sandbox)?;
    filter::enforce(sandbox)
}

/// Refuses to confine one thread of several: the others would not be confined, and share its
/// memory.
fn check_threads() -> io::Result<()> {
    // Without /proc, nobody knows.
    let threads = Path::new("/proc/self/task").read_dir().map_or(1, Iterator::count);
    if threads == 1 {
        return Ok(());
    }
    let text = format!("sandbox: {threads} threads run; confine the process before others start");
    Err(io::Error::new(ErrorKind::InvalidInput, text))
}

/// Reports what the kernel cannot enforce: an error if it is required, otherwise a warning.
fn missing(sandbox: &Sandbox, what: &str) -> io::Result<()> {
    if sandbox.require {
        return Err(io::Error::new(ErrorKind::Unsupported, format!("sandbox: {what}")));
    }
    log::warn!("sandbox: {what}");
    Ok(())
}
