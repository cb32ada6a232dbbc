//! Tests that open thousands of descriptors, which are counted for the whole process.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::process::skip;

/// What other tests have open at the same time.
const OTHERS: usize = 700;

/// Waits until no other test has thousands open. Says how many there can be, and gives way to the
/// next one when the guard is dropped; nothing where there cannot be so many.
pub(crate) fn thousands(least: usize) -> Option<(usize, MutexGuard<'static, ()>)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let limits = fs::read_to_string("/proc/self/limits").expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("one");
    let soft = line.split_whitespace().next().expect("the soft limit");
    let most = soft.parse().unwrap_or(usize::MAX).saturating_sub(OTHERS);
    let enough = most >= least || skip(&format!("RLIMIT_NOFILE is below {}", least + OTHERS));
    enough.then(|| (most, ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)))
}
