//! What a reactor has done, in numbers.
//!
//! Everything is counted once, where it happens: what a connection does in its group, which is that
//! of its listener or connector; what belongs to no connection by the reactor. So a counter costs
//! an addition, and a sum is made when somebody asks for it.

use std::fmt;
use std::ops::AddAssign;

/// Makes the struct of the counters, and what goes over all of them.
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
            /// All counters with their names, in the order of their declaration: for whoever passes
            /// them on to a system that collects such numbers.
            pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($counter), self.$counter),)*].into_iter()
            }
        }
    };
}

counters! {
/// Counters of a reactor, or of one group of its connections, since it was made. Plain numbers,
/// counted in passing; taken with [`Turn::ledger`](crate::Turn::ledger) or
/// [`Turn::ledger`](crate::Turn::ledger).
///
/// At the end of every turn `queued == sent + dropped +` what is still pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Turns of the loop.
    pub turns: u64,
    /// Readiness events.
    pub events: u64,
    /// Events for a connection that was gone.
    pub stale_events: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections asked for by handlers.
    pub connects: u64,
    /// Those of them that were not made, for another reason than that their handler gave them up.
    pub connect_failures: u64,
    /// Connections closed, in whatever way, those included that were asked for and not made.
    pub closed: u64,
    /// Connected streams that were [adopted](crate::Turn::adopt).
    pub adopted: u64,
    /// Accepts that failed for lack of descriptors or memory; the listener paused.
    pub accept_pauses: u64,
    /// Accepts after which a listener had [`Listen::max_connections`](crate::Listen) and paused.
    pub full_pauses: u64,
    /// Accepts after which a listener had reached [`Listen::accept_rate`](crate::Listen) and
    /// paused.
    pub rate_pauses: u64,
    /// Connections reset at once: their client had [`Listen::max_per_address`](crate::Listen). They
    /// count as accepted and closed, too.
    pub refused_per_address: u64,
    /// Bytes received.
    pub received: u64,
    /// Calls that receive.
    pub recv_calls: u64,
    /// Those of them that found nothing.
    pub recv_would_block: u64,
    /// Times that a connection had received its [quantum](crate::Limits::receive_quantum), or had
    /// been called so often, and left the rest for the next turn.
    pub recv_budget_stops: u64,
    /// Times that a connection waited until it may [receive more](crate::Limits::receive_rate).
    pub recv_rate_holds: u64,
    /// Times that a handler [left the rest](crate::Context::yield_now) for the next turn, or had
    /// been given enough pieces of one receive.
    pub yields: u64,
    /// Bytes copied because a handler had left them.
    pub kept: u64,
    /// Connections that left more unconsumed than [`Limits::keep`](crate::Limits::keep).
    pub overruns: u64,
    /// Requests of [`Context::receive_exact`](crate::Context::receive_exact) that were answered.
    pub exact_receives: u64,
    /// `recv` calls, of those above, straight into the buffer of such a request.
    pub direct_receives: u64,
    /// Bytes, of those received, that these brought.
    pub direct_bytes: u64,
    /// Times that such a request let the kernel wake it for
    /// [many bytes only](crate::Limits::receive_low_water).
    pub low_waters: u64,
    /// Bytes received for files, by [`receive_file`](crate::Context::receive_file) and
    /// [`receive_part`](crate::Context::receive_part); those are not counted that had been kept.
    pub saved: u64,
    /// Bytes, of those, that went by pipes.
    pub saved_by_splice: u64,
    /// Bytes that handlers gave to `send`.
    pub queued: u64,
    /// Bytes that the kernel took: the sum of [`write_through`](Ledger::write_through),
    /// [`send_bytes`](Ledger::send_bytes), [`gather_bytes`](Ledger::gather_bytes),
    /// [`sendfile_bytes`](Ledger::sendfile_bytes) and [`splice_bytes`](Ledger::splice_bytes).
    pub sent: u64,
    /// Bytes given up because a connection failed or was aborted.
    pub dropped: u64,
    /// Bytes copied into queues: little pieces, and what the socket refused of borrowed ones.
    pub joined: u64,
    /// Bytes that left directly from the caller's slice.
    pub write_through: u64,
    /// Calls with one piece of memory, those from the caller's slice included.
    pub send_calls: u64,
    /// Bytes that left from a queue in such calls.
    pub send_bytes: u64,
    /// Calls with several pieces of memory.
    pub gather_calls: u64,
    /// Bytes that left in them.
    pub gather_bytes: u64,
    /// Reads of file regions into memory.
    pub file_reads: u64,
    /// Bytes read so. What the socket refuses of them is read again.
    pub file_read_bytes: u64,
    /// `sendfile` calls.
    pub sendfile_calls: u64,
    /// Bytes that went by `sendfile`.
    pub sendfile_bytes: u64,
    /// `splice` calls that sent from a pipe. Those that receive are among the
    /// [`recv_calls`](Ledger::recv_calls).
    pub splice_calls: u64,
    /// Bytes that went so.
    pub splice_bytes: u64,
    /// Fallback: times that a relay or a file of bulk found no pipe, for want of descriptors or
    /// because of the user's quota, and went on through memory.
    pub no_pipe: u64,
    /// Fallback: reads of regions that would have gone by `sendfile` if the system had one.
    pub no_sendfile: u64,
    /// Looks whether a region is in memory, besides its reads.
    pub probes: u64,
    /// Times that a worker read what a region had not in memory, and its queue waited for that.
    pub cold_reads: u64,
    /// Those of them for which the file system did not say what is in memory.
    pub cold_untold: u64,
    /// Fallback: times that it was read in place, as there was no descriptor for a worker.
    pub cold_waits: u64,
    /// Sends of which the kernel took a part.
    pub short_writes: u64,
    /// Sends refused because no room was left.
    pub send_would_block: u64,
    /// Times that a connection had sent its [quantum](crate::Limits::send_quantum) and left the
    /// rest for the next turn.
    pub send_budget_stops: u64,
    /// Bytes received from one connection for another, by [`relay_to`](crate::Context::relay_to):
    /// a part of what the other has [`queued`](Ledger::queued).
    pub relayed: u64,
    /// Times that a connection waited until it may [send more](crate::Limits::send_rate).
    pub send_rate_holds: u64,
    /// Times that a queue reached [`Limits::send_high`](crate::Limits::send_high) or another limit
    /// of its size.
    pub full_queues: u64,
    /// Deadlines that were reached.
    pub timeouts: u64,
    /// Messages that were handled, those of timers among them.
    pub messages: u64,
    /// Callbacks that panicked.
    pub panics: u64,
}
}

impl Ledger {
    /// How many connections there are, lingering ones and those in the making included.
    #[must_use]
    pub fn open(&self) -> u64 {
        (self.accepted + self.adopted + self.connects).saturating_sub(self.closed)
    }

    /// Bytes that handlers gave to `send` and the kernel has not taken yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.queued.saturating_sub(self.sent + self.dropped)
    }
}

/// One line for people and `grep`: `open` and `pending`, then each counter that is not 0 by its
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

/// Names connections that are counted together: those of a listener or of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupId(pub(crate) u16);
