//! The faults that can happen in a simulation, and how often.

use std::time::Duration;

use super::dice::Dice;

/// How often faults happen in a [`Simulation`](crate::testing::Simulation): probabilities from 0 to
/// 1, each for one call or event.
///
/// The default is a moderate mix of all faults. The seed of a run disables some of them and makes
/// others more frequent, so that some runs have only a few kinds of faults but many of each. The
/// run with seed 0 has no faults.
///
/// ```
/// use sluicegate_reactor::testing::Faults;
///
/// let nasty = Faults { would_block: 0.5, ..Faults::default() };
/// let only_short = Faults { short: 0.9, ..Faults::none() };
/// # assert_ne!(nasty, only_short);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// A receive, a send, or a read or write of a file moves fewer bytes than it could.
    pub short: f64,
    /// A call fails with `EINTR`.
    pub interrupted: f64,
    /// A receive, a send or an accept fails with `EAGAIN`, and an edge follows.
    pub would_block: f64,
    /// A send fails with `ENOBUFS`. Unlike with `EAGAIN`, no edge follows: the reactor ends the
    /// connection with [`Reason::Failed`](crate::Reason::Failed).
    pub no_buffers: f64,
    /// An accept fails with `ECONNABORTED`, and the client sees a reset.
    pub aborted: f64,
    /// An accept or a connect fails with `EMFILE` or `ENFILE`.
    pub exhausted: f64,
    /// [Opening](crate::fs::Dir::open) or [creating](crate::fs::Dir::create) a file fails with
    /// `EMFILE` or `ENFILE`. A handler may report that to its peer, so a scenario with this fault
    /// must expect different responses.
    pub open: f64,
    /// A write to a file, or a sync of a file or directory, fails with `ENOSPC`, `EDQUOT` or `EIO`.
    pub write: f64,
    /// Opening a pipe fails with `EMFILE` or `ENFILE`.
    pub no_pipe: f64,
    /// A connect fails with `ECONNREFUSED`.
    pub refused: f64,
    /// An edge is up to 5 ms late.
    pub late: f64,
    /// A wait returns an event for a connection on which nothing has happened.
    pub spurious: f64,
    /// A wait returns an event for a connection that is already closed.
    pub stale: f64,
    /// A wait returns only some of the events, and not in the order in which they occurred.
    pub reordered: f64,
    /// Events are delivered as by kqueue: separately for reading and writing. Drawn once per run.
    pub kqueue: f64,
    /// A call that reads or writes a file takes up to 50 ms.
    pub slow_disk: f64,
    /// A file is not in memory.
    pub cold: f64,
    /// A client sends an urgent byte between two pieces of its data.
    pub urgent: f64,
    /// A reactor with work to do is not scheduled for up to
    /// [`longest_stall`](Faults::longest_stall). In the meantime other reactors run, and data that
    /// arrives is kept.
    pub stall: f64,
    /// The longest [`stall`](Faults::stall).
    pub longest_stall: Duration,
    /// The wall clock ([`Turn::unix_time`](crate::Turn::unix_time)) jumps by up to a day.
    pub clock_jump: f64,
    /// The longest delay of bytes, ends and resets on the network, in either direction. They keep
    /// their order within one direction of a connection, but not between connections.
    pub delay: Duration,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            short: 0.15,
            interrupted: 0.03,
            would_block: 0.05,
            no_buffers: 0.001,
            aborted: 0.02,
            exhausted: 0.03,
            open: 0.01,
            write: 0.01,
            no_pipe: 0.05,
            refused: 0.02,
            late: 0.1,
            spurious: 0.05,
            stale: 0.3,
            reordered: 0.3,
            kqueue: 0.3,
            slow_disk: 0.05,
            cold: 0.1,
            urgent: 0.02,
            stall: 0.01,
            longest_stall: Duration::from_secs(2),
            clock_jump: 0.05,
            delay: Duration::from_millis(20),
        }
    }
}

impl Faults {
    /// No faults, and no delays.
    #[must_use]
    pub fn none() -> Faults {
        Faults {
            short: 0.0,
            interrupted: 0.0,
            would_block: 0.0,
            no_buffers: 0.0,
            aborted: 0.0,
            exhausted: 0.0,
            open: 0.0,
            write: 0.0,
            no_pipe: 0.0,
            refused: 0.0,
            late: 0.0,
            spurious: 0.0,
            stale: 0.0,
            reordered: 0.0,
            kqueue: 0.0,
            slow_disk: 0.0,
            cold: 0.0,
            urgent: 0.0,
            stall: 0.0,
            longest_stall: Duration::ZERO,
            clock_jump: 0.0,
            delay: Duration::ZERO,
        }
    }

    /// Draws the faults of one run.
    pub(crate) fn drawn(&self, dice: &mut Dice) -> Faults {
        let mut drawn = self.clone();
        let all = [
            &mut drawn.short,
            &mut drawn.interrupted,
            &mut drawn.would_block,
            &mut drawn.no_buffers,
            &mut drawn.aborted,
            &mut drawn.exhausted,
            &mut drawn.open,
            &mut drawn.write,
            &mut drawn.no_pipe,
            &mut drawn.refused,
            &mut drawn.late,
            &mut drawn.spurious,
            &mut drawn.stale,
            &mut drawn.reordered,
            &mut drawn.slow_disk,
            &mut drawn.cold,
            &mut drawn.urgent,
            &mut drawn.stall,
            &mut drawn.clock_jump,
        ];
        for probability in all {
            *probability = match dice.below(4) {
                0 => 0.0,
                // If a call never succeeded, no run would end.
                1 => (*probability * 3.0).min(probability.max(0.8)),
                _ => *probability,
            };
        }
        drawn.kqueue = f64::from(u8::from(dice.chance(self.kqueue)));
        drawn.delay = match dice.below(3) {
            0 => Duration::ZERO,
            1 => self.delay / 100,
            _ => self.delay,
        };
        drawn
    }
}
