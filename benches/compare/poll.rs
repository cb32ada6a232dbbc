//! The few calls of epoll that the client and the baselines have in common.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

/// An epoll descriptor and the events of its last wait.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// A socket that has become readable or writable.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    /// Whether the peer has ended its side: then a short read does not mean that nothing is left.
    pub(crate) ended: bool,
}

impl Poll {
    /// Most events of one wait.
    const EVENTS: usize = 512;

    pub(crate) fn new() -> io::Result<Poll> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poll { epoll, events: Vec::with_capacity(Poll::EVENTS) })
    }

    /// Watches a socket, edge-triggered, in both directions.
    pub(crate) fn add(&self, socket: impl AsFd, token: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), flags)?)
    }

    /// Waits for an event; there is none if the time has passed. `ready` answers which there are.
    pub(crate) fn wait(&mut self, time: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        let time = time.map(|time| Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        });
        let events = rustix::buffer::spare_capacity(&mut self.events);
        Ok(done(epoll::wait(&self.epoll, events, time.as_ref()))?.unwrap_or(0))
    }

    /// An event of the last wait.
    pub(crate) fn ready(&self, event: usize) -> Ready {
        let Event { flags, data, .. } = self.events[event];
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        Ready { token: data.u64() as usize, ended: flags.intersects(ended) }
    }
}

/// What a call has done; `None` if it would have had to wait.
pub(crate) fn done<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
