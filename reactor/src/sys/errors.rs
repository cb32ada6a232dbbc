//! Helpers for errors, and the errors that mean that something has run out.

use std::error::Error;
use std::fmt::Display;
use std::io;

/// For `map_err`: the error with what it concerns, as `what: error`.
pub(crate) fn about(what: impl Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// An error of kind `InvalidInput`.
pub(crate) fn invalid(what: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Repeats a call that a signal interrupts.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether an error means that the process or the system has run out of descriptors (`EMFILE`,
/// `ENFILE`). [`io::ErrorKind`] has no variant for this. Closing descriptors may help.
///
/// ```
/// use std::io;
/// use sluicegate_reactor::fs::is_out_of_descriptors;
///
/// assert!(!is_out_of_descriptors(&io::ErrorKind::NotFound.into()));
/// ```
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether an error means that this process or machine has run out of descriptors, memory or
/// registrations (`max_user_watches` of `epoll(7)`).
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let of_memory = [libc::ENOMEM, libc::ENOBUFS, libc::ENOSPC];
    let errno = error.raw_os_error();
    is_out_of_descriptors(error) || errno.is_some_and(|errno| of_memory.contains(&errno))
}
