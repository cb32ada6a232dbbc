//! The clock of a reactor, which is read once per turn.

use std::time::Duration;

use super::Core;
use super::tick::{TICK, tick_of};

impl Core {
    /// Reads the clock.
    pub(crate) fn read_clock(&mut self) {
        self.now = self.kernel.monotonic();
        self.tick = tick_of(self.now);
        self.unix_time.take();
    }

    /// The time since the clock was last read, which takes another look at it.
    pub(crate) fn since_clock(&self) -> Duration {
        Duration::from_nanos(self.kernel.monotonic().saturating_sub(self.now))
    }

    /// Counts and reports how long the turn has taken, if anyone wants to know.
    pub(crate) fn note_turn(&mut self) {
        if self.turn_times.is_some() || self.observer.is_some() {
            let time = self.since_clock();
            self.turn_times.iter_mut().for_each(|times| times.record(time));
            self.tell(|observer, _| observer.turn(time));
        }
    }

    /// Seconds since 1970. The kernel is asked at most once a turn: each response has a date.
    pub(crate) fn unix_time(&self) -> u64 {
        *self.unix_time.get_or_init(|| self.kernel.realtime())
    }

    /// The time until a tick begins.
    pub(crate) fn until(&self, tick: u32) -> Duration {
        let ahead = tick.wrapping_sub(self.tick).cast_signed().max(0).cast_unsigned();
        Duration::from_nanos((u64::from(ahead) * TICK).saturating_sub(self.now % TICK))
    }
}
