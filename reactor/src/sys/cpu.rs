//! Pinning the calling thread to a core.

use std::io;

/// Pins the calling thread to one of the cores that it may run on: the one at index `nth`, modulo
/// their number.
///
/// # Errors
/// `ErrorKind::Unsupported` on systems without such a call: OpenBSD has none, macOS takes hints
/// only, and NetBSD allows it only to the superuser.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
pub(crate) fn pin_to_core(nth: usize) -> io::Result<()> {
    let mut mask = allowed()?;
    let count: u32 = mask.iter().map(|word| word.count_ones()).sum();
    keep_nth(&mut mask, nth % (count as usize).max(1));
    set(&mask)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(crate) fn pin_to_core(_: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
use mask::{Mask, allowed, set};

/// Clears all set bits except the one at index `nth`.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn keep_nth(mask: &mut Mask, nth: usize) {
    let mut seen = 0;
    for word in mask {
        let mut kept = 0;
        for bit in (0..usize::BITS).map(|bit| 1 << bit).filter(|bit| *word & bit != 0) {
            kept |= if seen == nth { bit } else { 0 };
            seen += 1;
        }
        *word = kept;
    }
}

#[cfg(target_os = "linux")]
mod mask {
    use std::io;

    use super::super::unix::check;

    /// The number of cores in the C library's type. On machines with more, the kernel returns
    /// `EINVAL`.
    pub(super) type Mask = [usize; size_of::<libc::cpu_set_t>() / size_of::<usize>()];

    pub(super) fn allowed() -> io::Result<Mask> {
        let mut mask = Mask::default();
        // SAFETY: the kernel writes at most `size_of::<Mask>()` bytes to `mask`.
        check(unsafe { libc::sched_getaffinity(0, size_of::<Mask>(), mask.as_mut_ptr().cast()) })?;
        Ok(mask)
    }

    pub(super) fn set(mask: &Mask) -> io::Result<()> {
        // SAFETY: the kernel reads `size_of::<Mask>()` bytes of `mask`.
        check(unsafe { libc::sched_setaffinity(0, size_of::<Mask>(), mask.as_ptr().cast()) })
            .map(drop)
    }
}

#[cfg(target_os = "freebsd")]
mod mask {
    use std::io;

    use libc::{CPU_LEVEL_WHICH, CPU_WHICH_TID};

    use super::super::unix::check;

    pub(super) type Mask = [usize; size_of::<libc::cpuset_t>() / size_of::<usize>()];

    pub(super) fn allowed() -> io::Result<Mask> {
        let mut mask = Mask::default();
        let (size, to) = (size_of::<Mask>(), mask.as_mut_ptr().cast());
        // SAFETY: the kernel writes at most `size` bytes to `mask`. -1 is the calling thread.
        check(unsafe { libc::cpuset_getaffinity(CPU_LEVEL_WHICH, CPU_WHICH_TID, -1, size, to) })?;
        Ok(mask)
    }

    pub(super) fn set(mask: &Mask) -> io::Result<()> {
        let (size, from) = (size_of::<Mask>(), mask.as_ptr().cast());
        // SAFETY: the kernel reads `size` bytes of `mask`. -1 is the calling thread.
        check(unsafe { libc::cpuset_setaffinity(CPU_LEVEL_WHICH, CPU_WHICH_TID, -1, size, from) })
            .map(drop)
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "freebsd")))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_to_one_of_the_cores_it_may_run_on() {
        let before = allowed().unwrap();
        for nth in [0, 1, 7] {
            std::thread::spawn(move || {
                pin_to_core(nth).unwrap();
                let after = allowed().unwrap();
                assert_eq!(after.iter().map(|word| word.count_ones()).sum::<u32>(), 1);
                assert!(after.iter().zip(before).all(|(after, before)| after & !before == 0));
            })
            .join()
            .unwrap();
        }
        assert_eq!(allowed().unwrap(), before, "other threads stay as they are");
    }

    #[test]
    fn the_nth_core_is_counted_among_those_that_are_there() {
        let mut mask = Mask::default();
        (mask[0], mask[1]) = (0b1010, 0b1);
        let kept = [0, 1, 2].map(|nth| {
            let mut mask = mask;
            keep_nth(&mut mask, nth);
            (mask[0], mask[1])
        });
        assert_eq!(kept, [(0b10, 0), (0b1000, 0), (0, 1)]);
    }
}
