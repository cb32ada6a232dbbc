//! The readiness queue of Linux: `epoll(7)`, edge-triggered, with an `eventfd(2)` to wake it.
//!
//! Its twin is `kqueue.rs`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use libc::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, c_int};

use super::unix::{check, owned};
use super::{Event, Fd, Ready, Waker};

/// An epoll instance and the events of its last wait.
pub(crate) struct Selector {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event]>,
}

impl Selector {
    pub(super) fn new(capacity: usize) -> io::Result<Selector> {
        // SAFETY: a number goes in, no memory is touched.
        let epoll = owned(check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?);
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; capacity].into();
        Ok(Selector { epoll, events })
    }

    /// Of these events, a listener has only `EPOLLIN`.
    pub(super) fn add(&self, socket: Fd, token: u64) -> io::Result<()> {
        self.watch(socket, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI, token)
    }

    /// Without this call the registration would last as long as any descriptor of the same
    /// description, and its events would carry a stale token (`epoll(7)`, question 6).
    pub(super) fn remove(&self, socket: Fd) {
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: a null pointer is allowed for this operation; no memory is touched. It fails only
        // if the socket is not registered, which is the desired result.
        unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, socket, ptr::null_mut()) };
    }

    pub(super) fn add_waker(&self, token: u64) -> io::Result<Waker> {
        // SAFETY: two numbers go in, no memory is touched.
        let counter = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        let counter = Arc::new(File::from(owned(counter)));
        self.watch(counter.as_raw_fd(), EPOLLIN, token)?;
        Ok(Waker { sender: counter.clone(), receiver: counter })
    }

    fn watch(&self, fd: Fd, interest: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (interest | EPOLLET) as u32, u64: token };
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: the kernel reads one `epoll_event`, which is a local.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let capacity = c_int::try_from(self.events.len()).unwrap_or(c_int::MAX);
        let timeout = timeout.map_or(-1, whole_milliseconds);
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: the kernel writes at most `capacity` events, which is no more than `events` has.
        check(unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), capacity, timeout) })
            .map(|count| count as usize)
    }

    #[inline]
    pub(super) fn event(&self, index: usize) -> Event {
        let event = self.events[index];
        Event { token: event.u64, ready: translate(event.events) }
    }
}

/// Rounds up, so that a deadline has passed when the wait ends: rounded down, the loop would spin
/// through the last millisecond. Longer waits are cut to 24 days.
fn whole_milliseconds(timeout: Duration) -> c_int {
    let rest = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
    let milliseconds = timeout.as_secs().saturating_mul(1000).saturating_add(rest);
    c_int::try_from(milliseconds).unwrap_or(c_int::MAX)
}

/// `EPOLLHUP` and `EPOLLERR` cannot be masked and do not tell what is still there to read, so they
/// count as readiness in both directions: the next call reports the error.
#[inline]
fn translate(events: u32) -> Ready {
    let mut ready = Ready::default();
    for (bits, meaning) in [
        (EPOLLIN, Ready::READ),
        (EPOLLOUT, Ready::WRITE),
        (EPOLLRDHUP, Ready::READ.union(Ready::READ_END)),
        (EPOLLPRI, Ready::READ.union(Ready::URGENT)),
        (EPOLLHUP | EPOLLERR, Ready::READ.union(Ready::WRITE).union(Ready::HANGUP)),
    ] {
        if events & bits as u32 != 0 {
            ready = ready.union(meaning);
        }
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_rounded_up_to_milliseconds_and_cut_to_what_fits() {
        let nanos = Duration::from_nanos;
        for (timeout, expected) in [
            (Duration::ZERO, 0),
            (nanos(1), 1),
            (nanos(1_000_000), 1),
            (nanos(1_000_001), 2),
            (Duration::from_millis(i32::MAX as u64), i32::MAX),
            (Duration::from_millis(i32::MAX as u64 + 1), i32::MAX),
            (Duration::MAX, i32::MAX),
        ] {
            assert_eq!(whole_milliseconds(timeout), expected, "{timeout:?}");
        }
    }

    #[test]
    fn an_end_of_both_directions_is_a_hangup_and_only_urgent_data_is_urgent() {
        let both = Ready::READ.union(Ready::WRITE);
        for (events, expected) in [
            (EPOLLIN, Ready::READ),
            (EPOLLIN | EPOLLOUT, both),
            (EPOLLIN | EPOLLPRI, Ready::READ.union(Ready::URGENT)),
            (EPOLLIN | EPOLLRDHUP, Ready::READ.union(Ready::READ_END)),
            (EPOLLHUP, both.union(Ready::HANGUP)),
            (EPOLLERR, both.union(Ready::HANGUP)),
        ] {
            assert_eq!(translate(events as u32), expected);
        }
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod selector_tests;
