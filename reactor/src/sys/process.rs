//! The resources that this process uses, as the system reports them.

use std::fs;
use std::time::Duration;

/// The resources that a process uses. Each value is `None` if the system does not report it; only
/// Linux does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessUsage {
    /// The CPU time of all its threads, in steps of 10 ms.
    pub cpu: Option<Duration>,
    /// The resident memory in bytes.
    pub resident: Option<u64>,
    /// The number of open descriptors. Linux reports it since version 6.2.
    pub descriptors: Option<u64>,
    /// The maximum number of open descriptors (`RLIMIT_NOFILE`).
    pub max_descriptors: Option<u64>,
}

/// The clock ticks per second of `/proc`: `USER_HZ` is 100 on every architecture that Rust has.
const TICKS: u64 = 100;

/// Reads `/proc/self`, which takes a few system calls, but no time that grows with the process.
pub(super) fn process() -> ProcessUsage {
    let read = |name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    // Linux 6.2 has begun to report the number of entries as the size (`proc_fd_getattr`). Counting
    // them would take long in a process with many.
    let descriptors = fs::metadata("/proc/self/fd").ok().map(|metadata| metadata.len());
    ProcessUsage {
        cpu: cpu(&read("stat")),
        resident: number_after(&read("status"), "VmRSS:").map(|kib| kib << 10),
        descriptors: descriptors.filter(|count| *count > 0),
        max_descriptors: number_after(&read("limits"), "Max open files"),
    }
}

/// The sum of `utime` and `stime`, fields 14 and 15 (`proc_pid_stat(5)`).
fn cpu(stat: &str) -> Option<Duration> {
    // The second field is the name of the program, which may contain anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * (1000 / TICKS)))
}

/// The number that follows this text at the beginning of a line.
fn number_after(file: &str, text: &str) -> Option<u64> {
    let rest = file.lines().find_map(|line| line.strip_prefix(text))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) R 9) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu(""), None);
    }

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
