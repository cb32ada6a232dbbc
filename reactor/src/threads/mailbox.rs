//! The queue between threads: what handles push to, and mailboxes are emptied from.
//!
//! A lock is held for a push or for the exchange of two queues. No message is made, dropped or
//! handled under it.

use std::collections::VecDeque;
use std::sync::PoisonError;

use crate::threads::doorbell::Doorbell;
use crate::threads::handle::PostError;
use crate::threads::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A bounded queue of messages from any number of threads to one.
pub(crate) struct Shared<M> {
    state: Mutex<State<M>>,
    /// Notified when there is room again, or none will ever be.
    room: Condvar,
    capacity: usize,
}

struct State<M> {
    messages: VecDeque<M>,
    /// Of the reactor that takes the messages, once there is one.
    bell: Option<Arc<Doorbell>>,
    /// How many threads wait for room.
    waiting: usize,
    closed: bool,
}

impl<M> Shared<M> {
    pub(crate) fn new(capacity: usize) -> Shared<M> {
        let state = State { messages: VecDeque::new(), bell: None, waiting: 0, closed: false };
        Shared { state: Mutex::new(state), room: Condvar::new(), capacity }
    }

    /// Whoever fills an empty queue rings; for the rest the bell has been rung, or is about to be.
    pub(crate) fn post(&self, message: M) -> Result<(), PostError<M>> {
        self.push(self.lock(), message)
    }

    /// As `post`, but waits for room.
    pub(crate) fn post_when_there_is_room(&self, message: M) -> Result<(), PostError<M>> {
        let mut state = self.lock();
        while state.messages.len() >= self.capacity && !state.closed {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        self.push(state, message)
    }

    fn push(&self, mut state: MutexGuard<'_, State<M>>, message: M) -> Result<(), PostError<M>> {
        if state.closed {
            return Err(PostError::Stopped(message));
        }
        if state.messages.len() >= self.capacity {
            return Err(PostError::Full(message));
        }
        let bell = if state.messages.is_empty() { state.bell.clone() } else { None };
        state.messages.push_back(message);
        drop(state);
        if let Some(bell) = bell {
            bell.ring();
        }
        Ok(())
    }

    /// Rings this bell from now on, and now if messages are there.
    pub(crate) fn attach(&self, bell: &Arc<Doorbell>) {
        let mut state = self.lock();
        state.bell = Some(bell.clone());
        let ring = !state.messages.is_empty();
        drop(state);
        if ring {
            bell.ring();
        }
    }

    /// Exchanges the messages for an empty queue, whose memory is used for the next ones.
    pub(crate) fn take(&self, empty: &mut VecDeque<M>) {
        debug_assert!(empty.is_empty(), "what was taken before was handled");
        let mut state = self.lock();
        std::mem::swap(&mut state.messages, empty);
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }

    /// Refuses messages from now on. Returns those that nobody will take.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut state = self.lock();
        state.closed = true;
        state.bell = None;
        self.room.notify_all();
        std::mem::take(&mut state.messages)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // Nothing that can panic between two changes runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
