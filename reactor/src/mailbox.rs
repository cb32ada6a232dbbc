//! The queue between threads: what handles push to, and mailboxes are emptied from.
//!
//! A lock is held for a push or for the exchange of two queues. No message is made, dropped or
//! handled under it.

use std::collections::VecDeque;
use std::sync::PoisonError;

use crate::doorbell::Doorbell;
use crate::handle::PostError;
use crate::sync::{Arc, Mutex, MutexGuard};

/// A bounded queue of messages from any number of threads to one.
pub(crate) struct Shared<M> {
    state: Mutex<State<M>>,
    capacity: usize,
}

struct State<M> {
    messages: VecDeque<M>,
    /// Of the reactor that takes the messages, once there is one.
    bell: Option<Arc<Doorbell>>,
    closed: bool,
}

impl<M> Shared<M> {
    pub(crate) fn new(capacity: usize) -> Shared<M> {
        let state = State { messages: VecDeque::new(), bell: None, closed: false };
        Shared { state: Mutex::new(state), capacity }
    }

    /// Whoever fills an empty queue rings; for the rest the bell has been rung, or is about to be.
    pub(crate) fn post(&self, message: M) -> Result<(), PostError<M>> {
        let mut state = self.lock();
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
    }

    /// Refuses messages from now on. Returns those that nobody will take.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut state = self.lock();
        state.closed = true;
        state.bell = None;
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
