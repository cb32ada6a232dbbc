//! Pinning the calling thread to a core.

use std::io;

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins the calling thread to one of the cores that it may run on: the one at index `nth`, modulo
/// their number.
///
/// # Errors
/// `ErrorKind::Unsupported` on systems without such a call: OpenBSD has none, macOS takes hints
/// only, and NetBSD allows it only to the superuser. `EINVAL` on Linux machines with more cores
/// than the C library's type has bits. FreeBSD has these two calls since 13.1.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
pub(crate) fn pin_to_core(nth: usize) -> io::Result<()> {
    Ok(sched_setaffinity(None, &one_of(&sched_getaffinity(None)?, nth))?)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(crate) fn pin_to_core(_: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The set with only the core at index `nth`, modulo the number of cores in `set`.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn one_of(set: &CpuSet, nth: usize) -> CpuSet {
    let cores = cores(set);
    let mut one = CpuSet::new();
    if !cores.is_empty() {
        one.set(cores[nth % cores.len()]);
    }
    one
}

/// The numbers of the cores in a set.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn cores(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

#[cfg(all(test, any(target_os = "linux", target_os = "freebsd")))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_to_one_of_the_cores_it_may_run_on() {
        let before = sched_getaffinity(None).unwrap();
        for nth in [0, 1, 7] {
            std::thread::spawn(move || {
                pin_to_core(nth).unwrap();
                let after = cores(&sched_getaffinity(None).unwrap());
                assert_eq!(after.len(), 1);
                assert!(before.is_set(after[0]));
            })
            .join()
            .unwrap();
        }
        assert_eq!(sched_getaffinity(None).unwrap(), before, "other threads stay as they are");
    }

    #[test]
    fn the_nth_core_is_counted_among_those_that_are_there() {
        let mut set = CpuSet::new();
        for core in [1, 3, 64] {
            set.set(core);
        }
        let chosen = [0, 1, 2, 3].map(|nth| cores(&one_of(&set, nth)));
        assert_eq!(chosen, [[1], [3], [64], [1]]);
    }
}
