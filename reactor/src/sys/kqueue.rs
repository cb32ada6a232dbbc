//! The readiness queue of the BSDs and macOS: `kqueue(2)` with `EV_CLEAR`, which is edge-triggered.
//!
//! Its twin is `epoll.rs`. Reading and writing are two filters of a descriptor, so one change may
//! cause two events.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use libc::c_int;

use super::unix::check;
use super::{Event, Fd, Ready};

#[cfg(not(sluicegate_libkqueue))]
use libc as system;
#[cfg(sluicegate_libkqueue)]
#[path = "kqueue/libkqueue.rs"]
mod system;
#[cfg(sluicegate_libkqueue)]
pub(super) use system::{closing, error_taken};

#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
#[path = "kqueue/user_waker.rs"]
mod waker;
#[cfg(any(target_os = "netbsd", target_os = "openbsd", sluicegate_libkqueue))]
#[path = "kqueue/pair_waker.rs"]
mod waker;

pub(crate) use waker::Waker;

// The token travels in the user data pointer.
const _: () = assert!(size_of::<*mut libc::c_void>() == size_of::<u64>());

/// Kernels refuse more than 100,000,000 s with `EINVAL` (itimerfix of xnu, NetBSD and OpenBSD).
#[cfg(not(sluicegate_libkqueue))]
const LONGEST_WAIT: Duration = Duration::from_secs(100_000_000);
#[cfg(sluicegate_libkqueue)]
const LONGEST_WAIT: Duration = system::LONGEST_WAIT;

/// The types of the filter and the flags, which are wider on NetBSD.
#[cfg(not(target_os = "netbsd"))]
mod width {
    pub(super) type Filter = i16;
    pub(super) type Flags = u16;
}
#[cfg(target_os = "netbsd")]
mod width {
    pub(super) type Filter = u32;
    pub(super) type Flags = u32;
}
use width::{Filter, Flags};

/// A kqueue and the events of its last wait.
pub(crate) struct Selector {
    queue: Arc<OwnedFd>,
    events: Box<[system::kevent]>,
}

impl Selector {
    pub(super) fn new(capacity: usize) -> io::Result<Selector> {
        let queue = open_queue()?;
        let events = vec![change(0, 0, 0, 0, 0); capacity].into();
        Ok(Selector { queue: Arc::new(queue), events })
    }

    pub(super) fn add_stream(&self, socket: Fd, token: u64) -> io::Result<()> {
        let add = system::EV_ADD | system::EV_CLEAR | system::EV_RECEIPT;
        apply(
            &self.queue,
            &mut [
                // This order is for libkqueue 2.7.0, which loses `EPOLLRDHUP` of a read filter that
                // was added first. Kernels accept any order.
                change(socket as usize, system::EVFILT_WRITE, add, 0, token),
                change(socket as usize, system::EVFILT_READ, add, 0, token),
            ],
        )
    }

    pub(super) fn add_listener(&self, socket: Fd, token: u64) -> io::Result<()> {
        let add = system::EV_ADD | system::EV_CLEAR | system::EV_RECEIPT;
        apply(&self.queue, &mut [change(socket as usize, system::EVFILT_READ, add, 0, token)])
    }

    /// A registration belongs to the number here and ends when the descriptor is closed
    /// (`kqueue(2)`). Nothing depends on removing it earlier.
    pub(super) fn remove(&self, socket: Fd) {
        let delete = system::EV_DELETE | system::EV_RECEIPT;
        // A missing filter is an error (`ENOENT`), and the desired result.
        let _ = apply(
            &self.queue,
            &mut [
                change(socket as usize, system::EVFILT_READ, delete, 0, 0),
                change(socket as usize, system::EVFILT_WRITE, delete, 0, 0),
            ],
        );
    }

    pub(super) fn add_waker(&self, token: u64) -> io::Result<Waker> {
        Waker::new(&self.queue, token)
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let capacity = c_int::try_from(self.events.len()).unwrap_or(c_int::MAX);
        let timeout = timeout.map(timespec);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        let queue = self.queue.as_raw_fd();
        // SAFETY: there are no changes to read; the kernel reads one `timespec`, a local, or none,
        // and writes at most `capacity` events, which is no more than `events` has.
        let count = check(unsafe {
            system::kevent(queue, ptr::null(), 0, self.events.as_mut_ptr(), capacity as _, timeout)
        });
        match count {
            Ok(count) => Ok(count as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(super) fn event(&self, index: usize) -> Event {
        let event = &self.events[index];
        Event {
            token: event.udata.addr() as u64,
            ready: translate(event.filter, event.flags, event.fflags),
        }
    }
}

fn open_queue() -> io::Result<OwnedFd> {
    // SAFETY: no memory is touched.
    let queue = check(unsafe { system::kqueue() })?;
    // SAFETY: the descriptor was opened by the line above and belongs to nobody else.
    let queue = unsafe { OwnedFd::from_raw_fd(queue) };
    // Not every system has the flag of the call (`kqueue1`, `kqueuex`). A child does not inherit a
    // kqueue, but this process may execute another program.
    // SAFETY: three numbers go in, no memory is touched.
    check(unsafe { libc::fcntl(queue.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(queue)
}

/// Creates an entry of a changelist. Sets the fields one by one, as some systems have more of them.
fn change(ident: usize, filter: Filter, flags: Flags, fflags: u32, token: u64) -> system::kevent {
    // SAFETY: a `kevent` is numbers and a pointer, for which zero is a value.
    let mut change: system::kevent = unsafe { std::mem::zeroed() };
    change.ident = ident;
    change.filter = filter;
    change.flags = flags;
    change.fflags = fflags;
    change.udata = ptr::without_provenance_mut(token as usize);
    change
}

/// Makes the changes, which carry `EV_RECEIPT`: the kernel then answers each of them in its place,
/// and keeps the pending events for [`Selector::wait`].
fn apply(queue: &OwnedFd, changes: &mut [system::kevent]) -> io::Result<()> {
    let queue = queue.as_raw_fd();
    let count = changes.len() as c_int;
    let list = changes.as_mut_ptr();
    // SAFETY: the kernel reads `count` entries of the list and writes at most as many to it. It has
    // read an entry before it writes the answer to it, kqueue(2).
    let result =
        check(unsafe { system::kevent(queue, list, count as _, list, count as _, ptr::null()) });
    match result {
        // The kernel makes the changes before it waits, and only the wait was interrupted.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
        other => other?,
    };
    for answer in changes.iter().filter(|answer| answer.flags & system::EV_ERROR != 0) {
        match answer.data as i32 {
            // An error of 0 is the receipt.
            0 => {}
            // The other end is already gone. The next send reports that.
            libc::EPIPE => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
    Ok(())
}

fn timespec(timeout: Duration) -> libc::timespec {
    let timeout = timeout.min(LONGEST_WAIT);
    libc::timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos() as _ }
}

/// `EV_EOF` may come while data is left to read, and on the write filter it follows from our own
/// shutdown. Only an error of the socket, in `fflags`, ends both directions.
///
/// All of these kernels stop a receive at urgent data, as Linux does, but none of them reports that
/// on a read filter. (xnu does with `NOTE_OOB`, but then not the end; OpenBSD has a separate filter,
/// `EVFILT_EXCEPT`.) So any data may be urgent; otherwise a short receive would be taken for the
/// last one.
#[inline]
fn translate(filter: Filter, flags: Flags, fflags: u32) -> Ready {
    let end = flags & system::EV_EOF != 0;
    let mut ready = match filter {
        system::EVFILT_WRITE => Ready::WRITE,
        system::EVFILT_READ if end => Ready::READ.union(Ready::READ_END),
        system::EVFILT_READ => Ready::READ.union(Ready::URGENT),
        _ => return Ready::READ,
    };
    if end && fflags != 0 {
        ready = ready.union(Ready::READ).union(Ready::WRITE).union(Ready::HANGUP);
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_exact_and_cut_to_what_the_kernel_takes() {
        for (timeout, seconds, nanos) in [
            (Duration::ZERO, 0, 0),
            (Duration::from_nanos(1), 0, 1),
            (Duration::new(3, 999_999_999), 3, 999_999_999),
            (Duration::MAX, LONGEST_WAIT.as_secs() as _, 0),
        ] {
            let timespec = timespec(timeout);
            assert_eq!((timespec.tv_sec, timespec.tv_nsec), (seconds, nanos), "{timeout:?}");
        }
    }

    #[test]
    fn an_end_is_a_hangup_only_with_an_error_and_any_data_may_be_urgent() {
        let all = Ready::READ.union(Ready::WRITE).union(Ready::HANGUP);
        for (filter, flags, fflags, expected) in [
            (system::EVFILT_READ, 0, 0, Ready::READ.union(Ready::URGENT)),
            (system::EVFILT_READ, system::EV_EOF, 0, Ready::READ.union(Ready::READ_END)),
            (system::EVFILT_READ, system::EV_EOF, 54, all.union(Ready::READ_END)),
            (system::EVFILT_WRITE, 0, 0, Ready::WRITE),
            (system::EVFILT_WRITE, system::EV_EOF, 0, Ready::WRITE),
            (system::EVFILT_WRITE, system::EV_EOF, 54, all),
        ] {
            assert_eq!(translate(filter, flags, fflags), expected);
        }
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod selector_tests;
