//! Clocks that stand still while another program has the processor.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread.
pub(crate) fn time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// What any of them says.
pub(crate) fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
