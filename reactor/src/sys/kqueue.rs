//! The readiness queue of the BSDs and macOS: `kqueue(2)` with `EV_CLEAR`, which is edge-triggered.
//!
//! Its twin is `epoll.rs`. Reading and writing are two filters of a descriptor, so one change may
//! cause two events.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use libc::c_int;
use rustix::io::{FdFlags, fcntl_setfd};

use super::unix::{check, owned};
use super::{Event, Fd, Ready, Waker};

#[cfg(not(sluicegate_libkqueue))]
use libc as system;
#[cfg(sluicegate_libkqueue)]
#[path = "kqueue/libkqueue.rs"]
mod system;
#[cfg(sluicegate_libkqueue)]
pub(super) use system::{closing, error_taken};

// The token travels in the user data pointer.
const _: () = assert!(size_of::<*mut libc::c_void>() == size_of::<u64>());

/// Kernels refuse more than 100,000,000 s with `EINVAL` (`itimerfix` of xnu, NetBSD and OpenBSD),
/// and libkqueue counts milliseconds in an `int`.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 86_400);

/// The type of a filter, which is wider on NetBSD.
#[cfg(not(target_os = "netbsd"))]
type Filter = i16;
#[cfg(target_os = "netbsd")]
type Filter = u32;

/// A kqueue and the events of its last wait.
pub(crate) struct Selector {
    queue: OwnedFd,
    events: Box<[system::kevent]>,
}

impl Selector {
    pub(super) fn new(capacity: usize) -> io::Result<Selector> {
        // SAFETY: no memory is touched.
        let queue = owned(check(unsafe { system::kqueue() })?);
        // Not every system has the flag of the call (`kqueue1`, `kqueuex`). A child does not
        // inherit a kqueue, but this process may execute another program.
        fcntl_setfd(&queue, FdFlags::CLOEXEC)?;
        Ok(Selector { queue, events: vec![empty(); capacity].into() })
    }

    /// A listener never passes the write filter.
    pub(super) fn add(&self, socket: Fd, token: u64) -> io::Result<()> {
        // This order is for libkqueue 2.7.0, which loses `EPOLLRDHUP` of a read filter that was
        // added first. Kernels accept any order.
        self.watch(socket, [system::EVFILT_WRITE, system::EVFILT_READ], token)
    }

    /// Nothing to do: a registration belongs to the number and ends with its close (`kqueue(2)`).
    pub(super) fn remove(&self, _: Fd) {}

    /// `EVFILT_USER` would need no descriptors, but OpenBSD and NetBSD before 10 do not have it,
    /// and `kevent` of libkqueue takes locks, so a signal handler must not call it.
    pub(super) fn add_waker(&self, token: u64) -> io::Result<Waker> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        self.watch(receiver.as_raw_fd(), [system::EVFILT_READ], token)?;
        let file = |end: UnixStream| Arc::new(OwnedFd::from(end).into());
        Ok(Waker { sender: file(sender), receiver: file(receiver) })
    }

    /// Adds filters of a descriptor, edge-triggered. With `EV_RECEIPT`, the kernel answers each
    /// entry in its place, and keeps the pending events for [`wait`](Selector::wait).
    fn watch<const N: usize>(&self, fd: Fd, filters: [Filter; N], token: u64) -> io::Result<()> {
        let mut list = filters.map(|filter| {
            let mut entry = empty();
            entry.ident = fd as usize;
            entry.filter = filter;
            entry.flags = system::EV_ADD | system::EV_CLEAR | system::EV_RECEIPT;
            entry.udata = ptr::without_provenance_mut(token as usize);
            entry
        });
        let (queue, entries) = (self.queue.as_raw_fd(), list.as_mut_ptr());
        // SAFETY: the kernel reads `N` entries of the list and writes at most as many to it. It has
        // read an entry before it writes the answer to it, kqueue(2).
        let result =
            check(unsafe { system::kevent(queue, entries, N as _, entries, N as _, ptr::null()) });
        match result {
            // The kernel makes the changes before it waits, and only the wait was interrupted.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        };
        for answer in list.iter().filter(|answer| answer.flags & system::EV_ERROR != 0) {
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
        count.map(|count| count as usize)
    }

    #[inline]
    pub(super) fn event(&self, index: usize) -> Event {
        let event = &self.events[index];
        Event { token: event.udata.addr() as u64, ready: translate(event) }
    }
}

/// An entry of a list of changes or events. Systems differ in its fields.
fn empty() -> system::kevent {
    // SAFETY: a `kevent` is numbers and a pointer, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

fn timespec(timeout: Duration) -> libc::timespec {
    let timeout = timeout.min(LONGEST_WAIT);
    libc::timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos() as _ }
}

/// `EV_EOF` may come while data is left to read, and on the write filter it follows from our own
/// shutdown. Only an error of the socket, in `fflags`, ends both directions.
///
/// All of these kernels stop a receive at urgent data, as Linux does, but none of them reports that
/// on a read filter. (xnu does with `NOTE_OOB`, but then not the end; OpenBSD has a separate
/// filter, `EVFILT_EXCEPT`.) So any data may be urgent; otherwise a short receive would be taken
/// for the last one.
#[inline]
fn translate(event: &system::kevent) -> Ready {
    let end = event.flags & system::EV_EOF != 0;
    let mut ready = match event.filter {
        system::EVFILT_WRITE => Ready::WRITE,
        system::EVFILT_READ if end => Ready::READ.union(Ready::READ_END),
        system::EVFILT_READ => Ready::READ.union(Ready::URGENT),
        _ => return Ready::READ,
    };
    if end && event.fflags != 0 {
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
            let mut event = empty();
            (event.filter, event.flags, event.fflags) = (filter, flags, fflags);
            assert_eq!(translate(&event), expected);
        }
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod selector_tests;
