//! Names of connections and handlers, and the words that both sides of a callback use.

use std::fmt;
use std::io;
use std::marker::PhantomData;

/// Names a connection. A stale one is recognised: it never reaches another connection that has
/// taken the place. In another reactor it may name another connection, so what crosses threads with
/// a `ConnId` goes back to the reactor that it came from.
///
/// The order carries no meaning. It exists so that a `BTreeMap` can be keyed by connections, whose
/// order of iteration is the same in every run, as a simulation (feature `testing`) requires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({}.{})", self.index, self.generation)
    }
}

/// Names a registered handler of type `H`.
pub struct HandlerId<H> {
    pub(crate) index: u8,
    handler: PhantomData<fn() -> H>,
}

impl<H> HandlerId<H> {
    pub(crate) fn new(index: u8) -> Self {
        HandlerId { index, handler: PhantomData }
    }
}

impl<H> Clone for HandlerId<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for HandlerId<H> {}

impl<H> fmt::Debug for HandlerId<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerId({})", self.index)
    }
}

/// What became of bytes given to `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Taken, and there is room for more.
    Accepted,
    /// Taken, but the queue is now full: its connection stops reading until
    /// [`on_drain`](crate::Handler::on_drain). A producer that can wait should wait for that.
    Full,
    /// Not taken: the connection is closing or gone, or its output was shut down. If the connection
    /// failed in this very call, a part may have been sent.
    Gone,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timeout {
    /// Nothing moved for [`Limits::idle`](crate::Limits::idle).
    Idle,
    /// The kernel took nothing for [`Limits::write_stall`](crate::Limits::write_stall).
    WriteStall,
    /// The deadline set with [`Context::set_deadline`](crate::Context::set_deadline).
    Own,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Both directions have ended, each by its own side.
    Finished,
    /// The handler closed it, and its queue was sent.
    Closed,
    /// The handler aborted it.
    Aborted,
    /// The peer reset it, or disappeared while data was queued.
    Reset,
    /// The socket or a file failed in another way, or memory ran out; the log names the error.
    Failed,
    /// A file turned out shorter than the region that was promised.
    Truncated,
    /// The handler left [`Limits::keep`](crate::Limits::keep) bytes or more unconsumed.
    Overrun,
    /// A deadline passed: the handler closed or aborted the connection in
    /// [`on_timeout`](crate::Handler::on_timeout), as it does by default, or the queue of a closing
    /// connection stalled.
    TimedOut,
    /// A callback panicked.
    Panicked,
    /// The reactor stopped, and the grace period was over.
    Stopped,
    /// The connection [to or from which it relayed](crate::Context::relay_to) failed.
    RelayLost,
    /// The handler [handed it over](crate::Context::hand_over): it goes on with another session.
    HandedOver,
    /// A [requested](crate::Turn::connect) connection was not established. `ConnectionRefused`,
    /// `TimedOut`, `HostUnreachable`, `AddrNotAvailable` (no free port) and the like come from the
    /// kernel; `TimedOut` also means that [`Connect::timeout`](crate::Connect::timeout) passed;
    /// `WouldBlock` is a Unix socket whose backlog is full (Linux); `NotFound` is a Unix socket
    /// that does not exist or a name without an address; `QuotaExceeded` means that the process ran
    /// out of descriptors, that too many lookups were in flight, or that
    /// [`Connect::max_connections`](crate::Connect::max_connections) was reached.
    Unconnected(io::ErrorKind),
}
