//! The readiness queue of Linux: `epoll(7)`, edge-triggered, with an `eventfd(2)` to wake it.
//!
//! Its twin is `kqueue.rs`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

use super::safe_ret::returned;
use super::unix::borrow;
use super::{Event, Fd, Ready, Waker};

/// An epoll instance and the events of its last wait.
pub(crate) struct Selector {
    epoll: OwnedFd,
    events: Box<[epoll::Event]>,
}

impl Selector {
    pub(super) fn new(capacity: usize) -> io::Result<Selector> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let nothing = epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let events = vec![nothing; capacity].into();
        Ok(Selector { epoll, events })
    }

    /// Of these events, a listener has only `EPOLLIN`.
    pub(super) fn add(&self, socket: Fd, token: u64) -> io::Result<()> {
        let all = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI;
        self.watch(socket, all, token)
    }

    /// Without this call the registration would last as long as any descriptor of the same
    /// description, and its events would carry a stale token (`epoll(7)`, question 6).
    pub(super) fn remove(&self, socket: Fd) {
        // It fails only if the socket is not registered, which is the desired result.
        let _ = returned(epoll::delete(&self.epoll, borrow(&socket)));
    }

    pub(super) fn add_waker(&self, token: u64) -> io::Result<Waker> {
        let counter = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let counter = Arc::new(File::from(counter));
        self.watch(counter.as_raw_fd(), EventFlags::IN, token)?;
        Ok(Waker { sender: counter.clone(), receiver: counter })
    }

    fn watch(&self, fd: Fd, interest: EventFlags, token: u64) -> io::Result<()> {
        let (token, interest) = (EventData::new_u64(token), interest | EventFlags::ET);
        Ok(returned(epoll::add(&self.epoll, borrow(&fd), token, interest))?)
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(whole_milliseconds);
        Ok(returned(epoll::wait(&self.epoll, &mut *self.events, timeout.as_ref()))?)
    }

    #[inline]
    pub(super) fn event(&self, index: usize) -> Event {
        let event = self.events[index];
        Event { token: event.data.u64(), ready: translate(event.flags) }
    }
}

/// Rounds up, so that a deadline has passed when the wait ends: rounded down, the loop would spin
/// through the last millisecond. Longer waits are cut to 24 days.
fn whole_milliseconds(timeout: Duration) -> Timespec {
    let rest = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
    let milliseconds = timeout.as_secs().saturating_mul(1000).saturating_add(rest);
    let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    Timespec {
        tv_sec: (milliseconds / 1000).into(),
        tv_nsec: (milliseconds % 1000 * 1_000_000).into(),
    }
}

/// `EPOLLHUP` and `EPOLLERR` cannot be masked and do not tell what is still there to read, so they
/// count as readiness in both directions: the next call reports the error.
#[inline]
fn translate(flags: EventFlags) -> Ready {
    let mut ready = Ready::default();
    for (bits, meaning) in [
        (EventFlags::IN, Ready::READ),
        (EventFlags::OUT, Ready::WRITE),
        (EventFlags::RDHUP, Ready::READ.union(Ready::READ_END)),
        (EventFlags::PRI, Ready::READ.union(Ready::URGENT)),
        (
            EventFlags::HUP.union(EventFlags::ERR),
            Ready::READ.union(Ready::WRITE).union(Ready::HANGUP),
        ),
    ] {
        if flags.intersects(bits) {
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
            let Timespec { tv_sec, tv_nsec } = whole_milliseconds(timeout);
            assert_eq!(tv_sec * 1000 + tv_nsec / 1_000_000, expected.into(), "{timeout:?}");
        }
    }

    #[test]
    fn an_end_of_both_directions_is_a_hangup_and_only_urgent_data_is_urgent() {
        let both = Ready::READ.union(Ready::WRITE);
        for (events, expected) in [
            (EventFlags::IN, Ready::READ),
            (EventFlags::IN | EventFlags::OUT, both),
            (EventFlags::IN | EventFlags::PRI, Ready::READ.union(Ready::URGENT)),
            (EventFlags::IN | EventFlags::RDHUP, Ready::READ.union(Ready::READ_END)),
            (EventFlags::HUP, both.union(Ready::HANGUP)),
            (EventFlags::ERR, both.union(Ready::HANGUP)),
        ] {
            assert_eq!(translate(events), expected);
        }
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
mod selector_tests;
