//! The health of one upstream, as determined by connects and checks.

use std::time::Duration;

use super::UpstreamsOptions;

/// A change in the health of an upstream, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was ejected for [`fail_timeout`](UpstreamsOptions::fail_timeout) because connects failed.
    Ejected,
    /// It is down because its checks fail.
    Down,
    /// It has recovered: it is neither ejected nor down any more.
    Up,
}

/// An upstream that is ejected because connects have failed.
#[derive(Clone, Copy, Debug)]
struct Ejection {
    until: Duration,
    /// Whether a connection tries it after that time.
    on_trial: bool,
}

/// The health of one upstream.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// Failed connects since the last one that succeeded.
    failures: u32,
    ejection: Option<Ejection>,
    is_down: bool,
    /// Checks in a row that contradict `is_down`.
    contradicting: u32,
    /// When it came back or was added, if it has not been there from the start.
    since: Option<Duration>,
}

/// The full share of an upstream.
pub(super) const FULL: u64 = 100;

impl Health {
    /// The health of an upstream that was added later.
    pub(super) fn since(now: Duration) -> Health {
        Health { since: Some(now), ..Health::default() }
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ejection.is_some()
    }

    /// Whether connections may use it.
    pub(super) fn is_usable(&self, now: Duration) -> bool {
        !self.is_down
            && self.ejection.is_none_or(|ejection| now >= ejection.until && !ejection.on_trial)
    }

    /// When a connection may try it again, if it is ejected until then.
    pub(super) fn trial_at(&self, now: Duration) -> Option<Duration> {
        let ejection = self.ejection.filter(|_| !self.is_down)?;
        Some(ejection.until).filter(|until| *until > now)
    }

    /// Its share of new connections, from 1 to [`FULL`].
    pub(super) fn share(&self, now: Duration, slow_start: Duration) -> u64 {
        let age = self.since.map(|since| now.saturating_sub(since));
        match age.filter(|age| *age < slow_start) {
            None => FULL,
            Some(age) => 1 + (u128::from(FULL - 1) * age.as_nanos() / slow_start.as_nanos()) as u64,
        }
    }

    /// A connection tries it.
    pub(super) fn tried(&mut self) {
        if let Some(ejection) = &mut self.ejection {
            ejection.on_trial = true;
        }
    }

    /// A connection that tried it is over and says nothing new about it.
    pub(super) fn given_up(&mut self) {
        if let Some(ejection) = &mut self.ejection {
            ejection.on_trial = false;
        }
    }

    pub(super) fn connected(&mut self, now: Duration) -> Option<Change> {
        self.failures = 0;
        let was_ejected = self.ejection.take().is_some();
        (was_ejected && !self.is_down).then(|| self.come_back(now))
    }

    /// A connect has failed; `most` in a row eject the upstream for `time`.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        most: Option<u32>,
        time: Duration,
    ) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        if most.is_none_or(|most| self.failures < most) {
            // The upstream may be ejected already, and be the only one now: its trial is over too.
            self.given_up();
            return None;
        }
        let until = now.saturating_add(time);
        let was_ejected = self.ejection.replace(Ejection { until, on_trial: false }).is_some();
        (!was_ejected).then_some(Change::Ejected)
    }

    pub(super) fn checked(
        &mut self,
        succeeded: bool,
        now: Duration,
        options: &UpstreamsOptions,
    ) -> Option<Change> {
        if succeeded != self.is_down {
            self.contradicting = 0;
            return None;
        }
        self.contradicting += 1;
        let enough = if succeeded { options.rise } else { options.fall };
        if self.contradicting < enough {
            return None;
        }
        (self.is_down, self.contradicting) = (!succeeded, 0);
        match succeeded {
            false => Some(Change::Down),
            true => self.ejection.is_none().then(|| self.come_back(now)),
        }
    }

    fn come_back(&mut self, now: Duration) -> Change {
        self.since = Some(now);
        Change::Up
    }
}
