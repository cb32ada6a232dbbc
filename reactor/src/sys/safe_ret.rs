//! Cheap returns after system calls, on AMD processors.
//!
//! Linux protects Zen 1 to Zen 4 from CVE-2023-20569 by "Safe RET"
//! (`Documentation/admin-guide/hw-vuln/srso.rst`, since 6.5), which leaves addresses of the kernel
//! in the return stack of the processor. When a function that has made a system call returns, the
//! processor predicts a return to one of them. Recovering from that takes about 0.6 us
//! (`benches/README.md`), twice for an echo. Recovering from a wrong address within the process
//! costs next to nothing, so this module fills the return stack with such addresses.
//!
//! It must do so in the function that made the system call. Therefore calls go through `rustix`,
//! which makes them inline: a function of the C library would already have returned.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IN_USE: AtomicBool = AtomicBool::new(false);

/// Finds out whether the kernel uses Safe RET. Until then, and if a sandbox forbids reading the
/// file, system calls are merely slower.
pub(crate) fn detect() {
    const STATE: &str = "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow";

    if cfg!(all(target_os = "linux", target_arch = "x86_64"))
        && !IN_USE.load(Relaxed)
        && fs::read_to_string(STATE).is_ok_and(|state| state.contains("Safe RET"))
        && !has_shadow_stack()
    {
        IN_USE.store(true, Relaxed);
    }
}

/// Whether this process has a shadow stack (`Documentation/arch/x86/shstk.rst`), which would end it
/// for dropping return addresses. That is rare: `rustc` does not mark programs for one.
#[cfg(target_arch = "x86_64")]
fn has_shadow_stack() -> bool {
    let mut pointer = 0_u64;
    // SAFETY: the instruction writes a register. Without a shadow stack it does nothing.
    unsafe { std::arch::asm!("rdsspq {}", inout(reg) pointer, options(nomem, nostack)) };
    pointer != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_shadow_stack() -> bool {
    false
}

/// Call this with the result of a system call, immediately after it.
#[inline(always)]
pub(super) fn returned<T>(result: T) -> T {
    if IN_USE.load(Relaxed) {
        fill();
    }
    result
}

/// Puts addresses of the process on the return stack: one for the return from this function, and
/// one for each caller that returns before the next system call. Sending a queued response needs
/// more than eight (`benches/README.md`).
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn fill() {
    // Processors do not record a call of the next instruction, so each skips one.
    // SAFETY: each `call` pushes 8 bytes, and `lea` drops them all: the stack pointer and the flags
    // are as before. Without the option `nostack`, the memory beneath the stack pointer is free.
    // There is no shadow stack to get out of step: `detect` has looked.
    unsafe {
        std::arch::asm!(
            ".rept 16",
            "call 2f",
            "int3",
            "2:",
            ".endr",
            "lea rsp, [rsp + 8 * 16]",
            options(preserves_flags)
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fill() {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns through many frames, each with a value of its own that it keeps over the call.
    fn through(frames: u64) -> u64 {
        let own = std::hint::black_box(frames * 3);
        let below = if frames == 0 { 0 } else { through(frames - 1) };
        fill();
        returned(below) + own
    }

    #[test]
    fn the_stack_is_as_before() {
        assert_eq!(through(100), 3 * 100 * 101 / 2);
    }
}
