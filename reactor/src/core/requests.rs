//! Requests of handlers and other rooms to a connection. They are recorded here; the turn carries
//! them out when no handler is running.

use std::io;

use super::queue::Segment;
use super::transport::Error;
use super::{Core, Flags, Phase, Reason};
use crate::sys;

impl Core {
    pub(crate) fn resume(&mut self, index: u32) {
        if self[index].flags.take(Flags::PAUSED) {
            // The peer could not show before that it is not idle.
            self[index].active = self.tick;
            self.set_and_schedule(index, Flags::REVISIT_INPUT);
        }
    }

    /// Sets flags that the turn acts on, and puts the connection on its worklist.
    pub(crate) fn set_and_schedule(&mut self, index: u32, flags: Flags) {
        self[index].flags.set(flags);
        self.schedule(index);
    }

    pub(crate) fn yield_now(&mut self, index: u32) {
        self.set_and_schedule(index, Flags::YIELDED.union(Flags::REVISIT_INPUT));
    }

    /// Closes a connection once its queue is empty. One that is being established is given up,
    /// unless bytes are queued for it.
    pub(crate) fn close(&mut self, index: u32) {
        let c = &mut self[index];
        match c.phase {
            Phase::Connecting | Phase::Handshake if c.outbound.is_some() => {
                (c.reason, c.deadline) = (Reason::Closed, 0);
                c.flags.set(Flags::OUTPUT_CLOSED.union(Flags::CLOSE_WHEN_CONNECTED));
            }
            Phase::Connecting | Phase::Handshake => self.fail(index, Reason::Closed),
            Phase::Open if c.is_lost() => self.fail(index, Reason::Reset),
            Phase::Open => {
                (c.phase, c.reason, c.deadline) = (Phase::Closing, Reason::Closed, 0);
                self.schedule(index);
            }
            _ => {}
        }
    }

    pub(crate) fn abort(&mut self, index: u32) {
        let c = &mut self[index];
        if (c.phase, c.reason) == (Phase::Failed, Reason::Stopped) {
            // Its session learns of the end of the grace period, and can still have it reset.
            c.reason = Reason::Aborted;
        } else {
            self.fail(index, Reason::Aborted);
        }
    }

    /// Ends a connection immediately, without sending what is queued. `on_close` is called later.
    pub(crate) fn fail(&mut self, index: u32, reason: Reason) {
        let c = &mut self[index];
        if c.phase < Phase::Ended {
            (c.phase, c.reason) = (Phase::Failed, reason);
            self.schedule(index);
        }
    }

    /// Ends a connection because a call on its socket failed with `error`.
    #[cold]
    pub(crate) fn fail_with(&mut self, index: u32, error: &io::Error) {
        if is_loss(error) {
            log::debug!("{}: connection lost: {error}", self.describe(index));
            self.fail(index, Reason::Reset);
        } else {
            self.give_up(index, error);
        }
    }

    fn give_up(&mut self, index: u32, error: &io::Error) {
        log::warn!("{}: connection failed: {error}", self.describe(index));
        self.fail(index, Reason::Failed);
    }

    /// Ends the output of a connection because a send failed with `error`. The socket may hold
    /// input that arrived before the connection was lost, such as the response to a request that
    /// the peer did not want to read. The handler gets that first.
    #[cold]
    pub(crate) fn fail_to_send(&mut self, index: u32, error: &io::Error) {
        let front = self[index].outbound.as_ref().and_then(|queue| queue.segments().next());
        if matches!(front, Some(Segment::File(_))) && sys::is_from_network(error) {
            // The file may be on a network file system, which fails with the same errors.
            return self.give_up(index, error);
        }
        if !self[index].is_open() || !is_loss(error) {
            return self.fail_with(index, error);
        }
        log::debug!("{}: connection lost: {error}", self.describe(index));
        self.drop_queue(index);
        let c = &mut self.connections[index as usize];
        c.mark_lost();
        if let Some(layer) = c.layer() {
            self.pool.give(std::mem::take(&mut layer.outgoing));
        }
        self.schedule(index);
    }

    /// Notes the end of the stream. A lost connection ends here: the kernel reports an error once,
    /// and a send has taken it.
    pub(crate) fn end_input(&mut self, index: u32) {
        if self[index].is_lost() {
            self.fail(index, Reason::Reset);
        } else {
            self[index].flags.set(Flags::INPUT_ENDED.union(Flags::OWES_EOF));
        }
    }

    /// Ends a connection because its transport has failed with `error`.
    #[cold]
    pub(crate) fn fail_transport(&mut self, index: u32, error: Error) {
        log::debug!("{}: {error}", self.describe(index));
        let c = &mut self[index];
        if c.phase < Phase::Ended {
            // An orderly end, since a reset would overtake an alert.
            (c.phase, c.reason) = (Phase::Ended, Reason::Transport);
            self.schedule(index);
            self.keep_failure(index, error);
        }
    }

    /// Keeps the error of a transport until the handler has been told.
    pub(crate) fn keep_failure(&mut self, index: u32, error: Error) {
        self.special(index).failure = Some(error);
    }
}

/// Whether an error of a socket means that the connection is gone.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, NotConnected, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionReset
            | BrokenPipe
            | ConnectionAborted
            | NotConnected
            | TimedOut
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    ) || sys::is_from_network(error)
}
