//! What a reactor has done, in numbers.

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
    };
}

counters! {
/// Counters of a reactor, or of one group of its connections, since it was made. Plain numbers,
/// counted in passing; taken with [`Turn::ledger`](crate::Turn::ledger) or
/// [`Reactor::ledger`](crate::Reactor::ledger).
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
    /// Connected streams that were [adopted](crate::Reactor::adopt).
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
    /// `recv` calls.
    pub recv_calls: u64,
    /// Bytes that handlers gave to `send`.
    pub queued: u64,
    /// Bytes that the kernel took.
    pub sent: u64,
    /// Bytes given up because a connection failed or was aborted.
    pub dropped: u64,
    /// Bytes that left directly from the caller's slice.
    pub write_through: u64,
    /// Calls with one piece of memory.
    pub send_calls: u64,
    /// Calls with several pieces of memory.
    pub gather_calls: u64,
    /// `sendfile` calls.
    pub sendfile_calls: u64,
    /// Bytes that went by `sendfile`.
    pub sendfile_bytes: u64,
    /// Reads of file regions into memory.
    pub file_reads: u64,
    /// Sends of which the kernel took a part.
    pub short_writes: u64,
    /// Calls refused because nothing was there or no room was left.
    pub would_block: u64,
    /// Times that a queue reached [`Limits::send_high`](crate::Limits::send_high) or another limit
    /// of its size.
    pub full_queues: u64,
    /// Connections that left more unconsumed than [`Limits::keep`](crate::Limits::keep).
    pub overruns: u64,
    /// Connections that used up their quantum in a turn.
    pub budget_stops: u64,
    /// Deadlines that were reached.
    pub timeouts: u64,
    /// Messages that were handled, those of timers among them.
    pub messages: u64,
    /// Callbacks that panicked.
    pub panics: u64,
}
}

/// The main numbers in one line, for people and `grep`: `open` is how many connections there are,
/// the rest are the counters of that name.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.accepted + self.adopted + self.connects;
        write!(f, "open={}", begun - self.closed)?;
        for (name, number) in [
            ("accepted", self.accepted),
            ("refused_per_address", self.refused_per_address),
            ("accept_pauses", self.accept_pauses),
            ("received", self.received),
            ("sent", self.sent),
            ("dropped", self.dropped),
            ("full_queues", self.full_queues),
            ("timeouts", self.timeouts),
            ("panics", self.panics),
            ("events", self.events),
            ("turns", self.turns),
        ] {
            write!(f, " {name}={number}")?;
        }
        Ok(())
    }
}
