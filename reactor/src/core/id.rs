//! Ids of connections and handlers, and the vocabulary that both sides of a callback share.

use std::fmt;
use std::io;
use std::marker::PhantomData;

/// Identifies a connection of one reactor. A stale id is recognised: it never reaches a later
/// connection in the same slot. In another reactor the same id may identify a different connection,
/// so use an id only with the reactor that it came from.
///
/// The order has no meaning, but lets an id be the key of a `BTreeMap`, whose iteration order is
/// the same in every run, as a simulation (feature `testing`) requires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// The slot of the connection: a small number that no other open connection of the reactor has.
    /// Use it as the index of a table with one entry per connection. A later connection may get the
    /// same slot, so store the whole id in each entry.
    pub fn slot(self) -> usize {
        self.index as usize
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnId({}.{})", self.index, self.generation)
    }
}

/// Identifies a registered handler of type `H`.
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

/// The result of `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Accepted, and the queue has room for more.
    Accepted,
    /// Accepted, but the queue is now full: the connection stops reading until
    /// [`on_drain`](crate::Handler::on_drain). A producer that can wait should wait for that call.
    /// For a client that sends further requests before it has its responses, see
    /// [`Limits::send_high`](crate::Limits::send_high).
    Full,
    /// Not accepted: the connection is closing or gone, or its output was shut down. If the
    /// connection failed during this call, a part of the bytes may have been sent. Input that
    /// arrived before may still follow.
    Gone,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timeout {
    /// No bytes moved for [`Limits::idle`](crate::Limits::idle), or the connection is idle and its
    /// listener needs room for another one ([`WhenFull::Shed`](crate::WhenFull::Shed)).
    Idle,
    /// The kernel accepted no bytes for [`Limits::write_stall`](crate::Limits::write_stall).
    WriteStall,
    /// The deadline set with [`Peer::set_deadline`](crate::Peer::set_deadline).
    Own,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Both sides have shut down their sending sides.
    Finished,
    /// The handler closed the connection, and its queue was sent.
    Closed,
    /// The handler aborted the connection.
    Aborted,
    /// The peer reset the connection, disappeared while data was queued, or could no longer be
    /// reached. What it had sent before was delivered, unless a send failed while the input was
    /// paused.
    Reset,
    /// The socket or a file failed in another way, or memory ran out; the log names the error.
    Failed,
    /// A file turned out shorter than the region being sent.
    Truncated,
    /// The handler left [`Limits::max_unread`](crate::Limits::max_unread) bytes or more unconsumed.
    Overrun,
    /// A deadline passed: the handler closed or aborted the connection in
    /// [`on_timeout`](crate::Handler::on_timeout), as it does by default, or the queue of a closing
    /// connection stalled.
    TimedOut,
    /// The listener was full, and the handler closed the connection, which was idle, to make room
    /// for another: see [`WhenFull::Shed`](crate::WhenFull::Shed).
    Shed,
    /// The [memory budget](crate::Reactor::set_memory_budget) of the reactor was used up, and the
    /// connection held most.
    MemoryBudget,
    /// A callback panicked.
    Panicked,
    /// The [transport](crate::transport) failed: the peer broke its rules, or was refused.
    /// [`Turn::transport_error`](crate::Turn::transport_error) says why.
    Transport,
    /// The reactor stopped, and the grace period has passed.
    Stopped,
    /// The connection at the other end of its [relay](crate::Peer::relay_to) failed, or the input
    /// of one of the two was [cut](crate::Context::is_cut).
    RelayLost,
    /// The handler [handed the connection over](crate::Context::hand_over): it continues with
    /// another session.
    HandedOver,
    /// A [requested](crate::Turn::connect) connection was not established.
    ///
    /// Most kinds come from the kernel: `ConnectionRefused`, `TimedOut`, `HostUnreachable`,
    /// `AddrNotAvailable` (no free port) and the like. `TimedOut` also means that
    /// [`Connect::timeout`](crate::Connect::timeout) passed. `WouldBlock` means that the backlog of
    /// a Unix socket is full (Linux). `NotFound` means that a Unix socket does not exist or that a
    /// name has no address. `QuotaExceeded` means that the process ran out of descriptors, that too
    /// many lookups were in flight, or that
    /// [`Connect::max_connections`](crate::Connect::max_connections) was reached.
    Unconnected(io::ErrorKind),
}
