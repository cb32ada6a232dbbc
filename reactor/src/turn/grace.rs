//! The grace period of a reactor that stops.

use std::time::Duration;

/// The default grace period: long enough for responses in flight, and shorter than the time after
/// which service managers kill a process (systemd: 90 s).
const DRAIN: Duration = Duration::from_secs(30);

/// How far stopping has come.
pub(crate) struct Drain {
    pub(super) time: Duration,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Until this time at most (nanoseconds).
    Draining {
        until: u64,
    },
    Over,
}

impl Drain {
    pub(crate) fn new() -> Drain {
        Drain { time: DRAIN, stage: Stage::Running }
    }
}
