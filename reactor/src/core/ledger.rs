//! Counters of what a reactor has done.
//!
//! Everything is counted once, where it happens. Events of a connection are counted in the group of
//! its listener or connector; all other events are counted by the reactor. So counting costs one
//! addition, and sums are computed only when they are read.

use std::fmt;
use std::ops::AddAssign;

/// Defines the struct of the counters, and the methods that go over all of them.
macro_rules! counters {
    ($(#[$of:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $counter:ident: u64,)* }) => {
        $(#[$of])*
        pub struct $name { $($(#[$doc])* pub $counter: u64,)* }

        impl AddAssign<&$name> for $name {
            fn add_assign(&mut self, other: &$name) {
                $(self.$counter += other.$counter;)*
            }
        }

        impl $name {
            /// All counters with their names, in the order of their declaration, to export them to
            /// a metrics system.
            pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($counter), self.$counter),)*].into_iter()
            }
        }
    };
}

counters! {
/// The counters of a reactor, or of one group of its connections, since it was created.
/// [`Turn::ledger`](crate::Turn::ledger) returns them, and a [`Snapshot`](crate::Snapshot) has
/// those of each listener.
///
/// At the end of every turn `queued == sent + dropped +` the [pending](Ledger::pending) bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Turns of the loop.
    pub turns: u64,
    /// Readiness events.
    pub events: u64,
    /// Events for connections that no longer existed.
    pub stale_events: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that handlers requested.
    pub connects: u64,
    /// Requested connections that were not established, except those that the handler cancelled.
    pub connect_failures: u64,
    /// Connections closed for any reason, including requested ones that were not established.
    pub closed: u64,
    /// Connected streams that were [adopted](crate::Turn::adopt).
    pub adopted: u64,
    /// Accepts that failed for lack of descriptors or memory, after which the listener paused.
    pub accept_pauses: u64,
    /// Times that a listener reached [`Listen::max_connections`](crate::Listen) and paused.
    pub full_pauses: u64,
    /// Connections reset immediately because [`Listen::max_connections`](crate::Listen) was
    /// reached; see [`WhenFull::Refuse`](crate::WhenFull::Refuse). They also count as accepted and
    /// closed.
    pub refused_full: u64,
    /// Idle connections closed to make room for others; see
    /// [`WhenFull::Shed`](crate::WhenFull::Shed).
    pub shed: u64,
    /// Times that a listener reached [`Listen::accept_rate`](crate::Listen) and paused.
    pub rate_pauses: u64,
    /// Connections reset immediately because their client had reached
    /// [`Listen::max_per_address`](crate::Listen). They also count as accepted and closed.
    pub refused_per_address: u64,
    /// Handshakes of [transports](crate::transport) that were completed.
    pub handshakes: u64,
    /// Connections whose transport was [offloaded to the
    /// kernel](crate::transport#tls-in-the-kernel).
    pub offloaded: u64,
    /// Handshakes that were not completed because they failed, timed out or were abandoned.
    pub handshake_failures: u64,
    /// Connections reset immediately because
    /// [`Listen::max_handshakes`](crate::Listen::max_handshakes) were in progress. They also count
    /// as accepted and closed.
    pub refused_handshakes: u64,
    /// Bytes received. With a transport, these are the opened (plain) bytes.
    pub received: u64,
    /// Bytes of [`received`](Ledger::received) that went into pipes.
    pub received_by_splice: u64,
    /// Bytes that arrived on the wire for transports. For records that the kernel opens, it does
    /// not report their size.
    pub wire_received: u64,
    /// Calls that receive: `recv`, and `splice` from a socket.
    pub recv_calls: u64,
    /// Receive calls that found no bytes.
    pub recv_would_block: u64,
    /// Times that a connection reached its [quantum](crate::Limits::receive_quantum) of bytes or
    /// calls and left the rest for the next turn.
    pub recv_budget_stops: u64,
    /// Times that a handler [left the rest](crate::Context::yield_now) for the next turn, or
    /// reached the limit of callbacks for one receive.
    pub yields: u64,
    /// Bytes copied because a handler left them unconsumed.
    pub kept: u64,
    /// Connections whose handler left [`Limits::max_unread`](crate::Limits::max_unread) bytes or
    /// more unconsumed.
    pub overruns: u64,
    /// [`Context::receive_exact`](crate::Context::receive_exact) requests that were completed.
    pub exact_receives: u64,
    /// Receive calls directly into the buffer of such a request. They also count as
    /// [`recv_calls`](Ledger::recv_calls).
    pub direct_receives: u64,
    /// Bytes received by those calls. They also count as [`received`](Ledger::received).
    pub direct_bytes: u64,
    /// Times that such a request set a [low-water mark](crate::Limits::receive_low_water).
    pub low_waters: u64,
    /// Bytes received for files by [`receive_file`](crate::Context::receive_file) and
    /// [`receive_part`](crate::Context::receive_part). Bytes that were unread before are not
    /// counted.
    pub saved: u64,
    /// Bytes of [`saved`](Ledger::saved) that went through pipes.
    pub saved_by_splice: u64,
    /// Bytes that handlers passed to `send`.
    pub queued: u64,
    /// Bytes that the kernel accepted: the sum of [`send_bytes`](Ledger::send_bytes),
    /// [`gather_bytes`](Ledger::gather_bytes), [`sendfile_bytes`](Ledger::sendfile_bytes),
    /// [`splice_bytes`](Ledger::splice_bytes) and [`sealed_bytes`](Ledger::sealed_bytes).
    pub sent: u64,
    /// Bytes dropped because a connection failed or was aborted.
    pub dropped: u64,
    /// Bytes copied into queues: small pieces, and the part of borrowed pieces that the socket
    /// refused.
    pub joined: u64,
    /// Bytes sent directly from the caller's slice. They also count as
    /// [`send_bytes`](Ledger::send_bytes).
    pub write_through: u64,
    /// Calls that send one piece of memory.
    pub send_calls: u64,
    /// Bytes that such calls sent.
    pub send_bytes: u64,
    /// Calls that send several pieces of memory.
    pub gather_calls: u64,
    /// Bytes that such calls sent.
    pub gather_bytes: u64,
    /// Reads of file regions into memory. What the socket refuses of them is read again.
    pub file_reads: u64,
    /// `sendfile` calls.
    pub sendfile_calls: u64,
    /// Bytes sent by `sendfile`.
    pub sendfile_bytes: u64,
    /// `splice` calls that sent from a pipe. Calls that receive into one count as
    /// [`recv_calls`](Ledger::recv_calls).
    pub splice_calls: u64,
    /// Bytes that such calls sent.
    pub splice_bytes: u64,
    /// Bytes sent through transports, before they were sealed.
    pub sealed_bytes: u64,
    /// Bytes that transports sent on the wire: sealed bytes, and their own messages. For records
    /// that the kernel seals, it does not report their size.
    pub wire_sent: u64,
    /// Fallback: times that a relay or a file continued through memory because no pipe could be
    /// opened, for lack of descriptors or because of the user's quota.
    pub no_pipe: u64,
    /// Checks whether a region is in memory, not counting its reads.
    pub probes: u64,
    /// Times that a worker read the part of a region that was not in memory, while its queue
    /// waited.
    pub cold_reads: u64,
    /// Those of [`cold_reads`](Ledger::cold_reads) on file systems that do not report what is in
    /// memory.
    pub cold_unreported: u64,
    /// Sends of which the kernel accepted only a part.
    pub short_writes: u64,
    /// Sends that the kernel refused for lack of room.
    pub send_would_block: u64,
    /// Times that a connection reached its [quantum](crate::Limits::send_quantum) of bytes or calls
    /// and left the rest for the next turn.
    pub send_budget_stops: u64,
    /// Bytes that [relays](crate::Peer::relay_to) have received from one connection for another.
    /// They also count as [`queued`](Ledger::queued) of the destination.
    pub relayed: u64,
    /// Times that a connection waited for its [rate](crate::Limits::send_rate) before it sent more.
    pub send_rate_holds: u64,
    /// Times that a queue reached [`Limits::send_high`](crate::Limits::send_high) or another size
    /// limit.
    pub full_queues: u64,
    /// Times that the reactor [has reached](crate::Reactor::set_memory_budget) three quarters of
    /// its memory budget.
    pub memory_shortages: u64,
    /// Connections aborted because the memory budget was used up and they held most.
    pub memory_aborts: u64,
    /// Deadlines that passed.
    pub timeouts: u64,
    /// Messages handled, including those of timers.
    pub messages: u64,
    /// Callbacks that panicked.
    pub panics: u64,
    /// Callbacks that [held the loop for long](crate::Reactor::log_slow_callbacks).
    pub slow_callbacks: u64,
}
}

impl Ledger {
    /// The number of connections, including those that linger or are being established.
    pub fn open(&self) -> u64 {
        (self.accepted + self.adopted + self.connects).saturating_sub(self.closed)
    }

    /// Bytes that handlers passed to `send` and the kernel has not accepted yet.
    pub fn pending(&self) -> u64 {
        self.queued.saturating_sub(self.sent + self.dropped)
    }
}

/// One line, readable and easy to `grep`: `open` and `pending`, then each nonzero counter with its
/// name, in the order of [`counters`](Ledger::counters).
///
/// ```
/// let mut ledger = sluicegate_reactor::Ledger::default();
/// ledger.accepted = 3;
/// ledger.closed = 1;
/// assert_eq!(ledger.to_string(), "open=2 pending=0 accepted=3 closed=1");
/// ```
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open={} pending={}", self.open(), self.pending())?;
        for (name, number) in self.counters().filter(|&(_, number)| number > 0) {
            write!(f, " {name}={number}")?;
        }
        Ok(())
    }
}
