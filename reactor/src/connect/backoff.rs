//! How long to wait before retrying a failed attempt.

use std::time::Duration;

/// Random delays between attempts, longer on average the more attempts have failed.
///
/// Each delay is uniformly random between zero and a limit, which doubles with every failure up to
/// a cap. This is "full jitter": clients that lose the same server at the same time do not all
/// reconnect at the same time. A `Backoff` reads no clock and no random numbers: its owner supplies
/// the random number, waits, and [resets](Backoff::reset) it after a success.
///
/// ```
/// use sluicegate_reactor::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
/// # let random = || u64::MAX / 2;
/// assert!(backoff.next(random()) <= Duration::from_millis(100));
/// assert!(backoff.next(random()) <= Duration::from_millis(200));
/// backoff.reset();
/// assert!(backoff.next(random()) <= Duration::from_millis(100));
/// ```
///
/// A handler that stays connected to a server:
///
/// ```
/// use sluicegate_reactor::{
///     Backoff, ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Reactor, Reason,
///     Receive, Sessions, Target, Turn,
/// };
///
/// struct Link {
///     me: HandlerId<Link>,
///     connector: Connector<Link>,
///     server: Target,
///     backoff: Backoff,
/// }
///
/// /// It is time to connect.
/// struct Dial;
///
/// impl Receive<Dial> for Link {
///     fn on_message(&mut self, cx: &mut Sessions<'_>, _: Dial) {
///         cx.connect(self.connector, &self.server, ());
///     }
/// }
///
/// impl Handler for Link {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
///         self.backoff.reset();
///         cx.send("hello\n");
///     }
///     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
///         input.take();
///     }
///     fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: (), _: Reason) {
///         if !cx.is_stopping() {
///             let delay = self.backoff.next(cx.random());
///             cx.after(delay, self.me, Dial);
///         }
///     }
/// }
///
/// fn link(reactor: &mut Reactor, server: Target) {
///     let me = reactor.reserve();
///     let connector = reactor.connector(me, &Connect::default()).expect("room for a connector");
///     reactor.install(me, Link { me, connector, server, backoff: Backoff::default() });
///     reactor.after(std::time::Duration::ZERO, me, Dial);
/// }
/// # link(&mut Reactor::new().unwrap(), "db.example:5432".parse().unwrap());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Creates a backoff whose first delay is at most `base`, and whose later delays are at most
    /// `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Backoff {
        Backoff { base, cap, failures: 0 }
    }

    /// Records a failure and returns how long to wait. `random` is 64 random bits, such as those of
    /// [`Turn::random`](crate::Turn::random).
    pub fn next(&mut self, random: u64) -> Duration {
        let doubled =
            1_u32.checked_shl(self.failures).and_then(|times| self.base.checked_mul(times));
        let limit = doubled.map_or(self.cap, |limit| limit.min(self.cap));
        self.failures = self.failures.saturating_add(1);
        // The high half of the product is uniform between 0 and the limit.
        let nanos = (limit.as_nanos() * u128::from(random >> 32)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Records a success: the next failure counts as the first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// From a tenth of a second to half a minute.
impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::new(Duration::from_millis(100), Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// The longest possible delay, in milliseconds.
    fn longest(backoff: &mut Backoff) -> u128 {
        (backoff.next(u64::MAX) + Duration::from_micros(1)).as_millis()
    }

    #[test]
    fn the_limit_doubles_up_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::new(100 * MILLI, 1000 * MILLI);
        let limits: Vec<_> = (0..6).map(|_| longest(&mut backoff)).collect();
        assert_eq!(limits, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(longest(&mut backoff), 100);
    }

    #[test]
    fn a_delay_is_as_long_as_chance_says() {
        for (random, millis) in [(0, 0), (u64::MAX / 4, 25), (u64::MAX / 2, 50)] {
            let delay = Backoff::new(100 * MILLI, 1000 * MILLI).next(random);
            assert_eq!((delay + Duration::from_micros(1)).as_millis(), millis);
        }
    }

    #[test]
    fn no_number_of_failures_and_no_duration_is_too_much() {
        let mut backoff = Backoff::new(100 * MILLI, 1000 * MILLI);
        let mut after_a_year = Backoff { failures: u32::MAX, ..backoff.clone() };
        assert_eq!(longest(&mut after_a_year), 1000);
        assert!((0..100).all(|_| backoff.next(u64::MAX) < 1000 * MILLI));
        let mut slow = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(slow.next(u64::MAX) > Duration::from_secs(1 << 33));
        let mut capped = Backoff::new(1000 * MILLI, 10 * MILLI);
        assert!(capped.next(u64::MAX) < 10 * MILLI);
        assert_eq!(Backoff::new(Duration::ZERO, MILLI).next(u64::MAX), Duration::ZERO);
    }
}
