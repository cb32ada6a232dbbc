//! What the mailboxes and their doorbell are made of: std's types, or loom's, with which the
//! [models](crate::models) try every order in which threads can run.

#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicU8, Ordering},
};

#[cfg(all(loom, test))]
pub(crate) use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicU8, Ordering},
};
