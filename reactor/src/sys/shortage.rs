//! Errors that mean that something has run out.

use std::io;

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
