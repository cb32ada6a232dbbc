//! What the mailboxes and their doorbell are made of.

pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicU8, Ordering},
};
