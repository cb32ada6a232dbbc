//! Pinning the calling thread to a core.

use std::io;

#[cfg(target_os = "linux")]
use libc::cpu_set_t as CpuSet;
#[cfg(target_os = "freebsd")]
use libc::cpuset_t as CpuSet;

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
use super::unix::check;

/// A bit for each core, as many as the C library's type has. On Linux machines with more, the calls
/// fail with `EINVAL`.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
type Mask = [usize; size_of::<CpuSet>() / size_of::<usize>()];

/// Pins the calling thread to one of the cores that it may run on: the one at index `nth`, modulo
/// their number.
///
/// # Errors
/// `ErrorKind::Unsupported` on systems without such a call: OpenBSD has none, macOS takes hints
/// only, and NetBSD allows it only to the superuser.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
pub(crate) fn pin_to_core(nth: usize) -> io::Result<()> {
    let mask = one_of(&allowed()?, nth);
    // SAFETY: the kernel reads `size_of::<Mask>()` bytes of `mask`. 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<Mask>(), mask.as_ptr().cast()) }).map(drop)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(crate) fn pin_to_core(_: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The cores that the calling thread may run on. FreeBSD has these two calls since 13.1.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn allowed() -> io::Result<Mask> {
    let mut mask = Mask::default();
    // SAFETY: the kernel writes at most `size_of::<Mask>()` bytes to `mask`.
    check(unsafe { libc::sched_getaffinity(0, size_of::<Mask>(), mask.as_mut_ptr().cast()) })?;
    Ok(mask)
}

/// The mask with only the core at index `nth`, modulo the number of cores in `mask`.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn one_of(mask: &Mask, nth: usize) -> Mask {
    const BITS: usize = usize::BITS as usize;
    let has = |core: &usize| mask[core / BITS] & 1 << (core % BITS) != 0;
    let cores: Vec<usize> = (0..mask.len() * BITS).filter(has).collect();
    let mut one = Mask::default();
    if !cores.is_empty() {
        let core = cores[nth % cores.len()];
        one[core / BITS] = 1 << (core % BITS);
    }
    one
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
        let chosen = [0, 1, 2, 3].map(|nth| {
            let one = one_of(&mask, nth);
            (one[0], one[1])
        });
        assert_eq!(chosen, [(0b10, 0), (0b1000, 0), (0, 1), (0b10, 0)]);
    }
}
