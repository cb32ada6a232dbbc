//! A bounded queue from any number of threads to one. Mailboxes are built on it.
//!
//! The lock is held to push an item, or to swap the queue for an empty one. No item is created,
//! dropped or handled under the lock.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::mpsc::TrySendError as PostError;

use crate::threads::doorbell::Doorbell;
use crate::threads::sync::{Arc, Condvar, Mutex, MutexGuard};

#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) struct BoundedQueue<T> {
    inner: Mutex<Inner<T>>,
    /// Notified when there is room again, and when the queue is closed.
    room: Condvar,
    capacity: usize,
}

struct Inner<T> {
    items: VecDeque<T>,
    /// The doorbell of the reactor that takes the items, once there is one.
    bell: Option<Arc<Doorbell>>,
    /// How many threads wait for room.
    waiting: usize,
    closed: bool,
}

impl<T> BoundedQueue<T> {
    pub(crate) fn new(capacity: usize) -> BoundedQueue<T> {
        let inner = Inner { items: VecDeque::new(), bell: None, waiting: 0, closed: false };
        BoundedQueue { inner: Mutex::new(inner), room: Condvar::new(), capacity }
    }

    /// Adds an item. The first item in an empty queue rings the doorbell; the others are found by
    /// the answer to that ring.
    pub(crate) fn post(&self, item: T) -> Result<(), PostError<T>> {
        self.push(self.lock(), item)
    }

    /// Adds an item as [`post`](Self::post) does, but waits for room. A reactor's own thread would
    /// wait for itself.
    pub(crate) fn post_when_there_is_room(&self, item: T) -> Result<(), PostError<T>> {
        let mut inner = self.lock();
        while inner.items.len() >= self.capacity && !inner.closed {
            inner.waiting += 1;
            inner = self.room.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.waiting -= 1;
        }
        self.push(inner, item)
    }

    fn push(&self, mut inner: MutexGuard<'_, Inner<T>>, item: T) -> Result<(), PostError<T>> {
        if inner.closed {
            return Err(PostError::Disconnected(item));
        }
        if inner.items.len() >= self.capacity {
            return Err(PostError::Full(item));
        }
        let bell = if inner.items.is_empty() { inner.bell.clone() } else { None };
        inner.items.push_back(item);
        drop(inner);
        if let Some(bell) = bell {
            bell.ring();
        }
        Ok(())
    }

    /// Rings this doorbell from now on, and at once if the queue has items.
    pub(crate) fn attach(&self, bell: &Arc<Doorbell>) {
        let mut inner = self.lock();
        inner.bell = Some(bell.clone());
        let ring = !inner.items.is_empty();
        drop(inner);
        if ring {
            bell.ring();
        }
    }

    /// Swaps the items for an empty queue, whose memory the next items use.
    pub(crate) fn take(&self, empty: &mut VecDeque<T>) {
        debug_assert!(empty.is_empty(), "items that were taken before are handled first");
        let mut inner = self.lock();
        std::mem::swap(&mut inner.items, empty);
        if inner.waiting > 0 {
            self.room.notify_all();
        }
    }

    /// Refuses items from now on. Returns those that were not taken.
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.bell = None;
        self.room.notify_all();
        std::mem::take(&mut inner.items)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// How many threads wait for room.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing that can panic between two changes runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
