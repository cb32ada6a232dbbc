//! The resources that this process uses, as the system reports them.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::unix::clock;

/// The resources that a process uses. Each value is `None` if the system does not report it; only
/// Linux reports all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessUsage {
    /// The CPU time of all its threads.
    pub cpu: Option<Duration>,
    /// The resident memory in bytes.
    pub resident: Option<u64>,
    /// The number of open descriptors. Linux reports it since version 6.2.
    pub descriptors: Option<u64>,
    /// The maximum number of open descriptors (`RLIMIT_NOFILE`).
    pub max_descriptors: Option<u64>,
}

/// Takes a few system calls, but no time that grows with the process.
pub(super) fn process() -> ProcessUsage {
    let usage = ProcessUsage {
        cpu: Some(Duration::from_nanos(clock(libc::CLOCK_PROCESS_CPUTIME_ID))),
        max_descriptors: getrlimit(Resource::Nofile).current,
        ..ProcessUsage::default()
    };
    // NetBSD has files with these names too, which mean something else.
    if !cfg!(target_os = "linux") {
        return usage;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Linux 6.2 has begun to report the number of entries as the size (`proc_fd_getattr`). Counting
    // them would take long in a process with many.
    let descriptors = fs::metadata("/proc/self/fd").ok().map(|metadata| metadata.len());
    ProcessUsage {
        resident: resident(&status),
        descriptors: descriptors.filter(|count| *count > 0),
        ..usage
    }
}

/// The resident memory in bytes (`proc_pid_status(5)`).
fn resident(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(rest.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_opened_is_counted() {
        let before = process();
        let open: Vec<_> = (0..100).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = process();
        assert!(before.cpu.is_some() && before.resident > Some(1 << 16));
        if let (Some(before), Some(after)) = (before.descriptors, after.descriptors) {
            // Other tests of this process open and close some too.
            assert!(after > before + 50, "{before}, then {after} with {} more", open.len());
        }
        assert!(after.max_descriptors >= after.descriptors);
    }
}
