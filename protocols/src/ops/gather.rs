//! Gathering the samples of all threads, and the state that they share.

use std::sync::OnceLock;

use sluicegate_reactor::{Handle, TimerId};

use super::sample::{StatusOptions, ThreadSample};

/// The state that the threads of a server share.
pub(super) struct Shared {
    pub(super) options: StatusOptions,
    pub(super) threads: Vec<Handle<Message>>,
    /// When the first thread started, in seconds since 1970.
    pub(super) started: OnceLock<u64>,
}

/// The messages between threads.
pub(super) enum Message {
    /// A thread requests a sample.
    Ask { number: u64, from: usize },
    /// The answer of a thread. The number is that of the question.
    Answer { number: u64, from: usize, sample: Box<ThreadSample> },
}

/// A question to all threads, and the answers so far.
pub(super) struct Gathering<P> {
    number: u64,
    /// By the index of the thread.
    answers: Vec<Option<ThreadSample>>,
    /// How many threads have not answered yet.
    missing: usize,
    /// The purpose of the answers.
    pub(super) purpose: P,
    /// Ends the wait for a thread that does not answer.
    pub(super) timer: Option<TimerId>,
}

impl<P> Gathering<P> {
    /// Asks all threads but the own one, which has the index `own`, and whose answer is missing
    /// too. A thread that has ended is not waited for.
    pub(super) fn ask(
        number: u64,
        threads: &[Handle<Message>],
        own: usize,
        purpose: P,
    ) -> Gathering<P> {
        let others = threads.iter().enumerate().filter(|(index, _)| *index != own);
        let ask = |thread: &Handle<Message>| thread.post(Message::Ask { number, from: own });
        let missing = 1 + others.filter(|(_, thread)| ask(thread).is_ok()).count();
        let answers = threads.iter().map(|_| None).collect();
        Gathering { number, answers, missing, purpose, timer: None }
    }

    /// Whether this is the question with that number.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Notes an answer.
    pub(super) fn note(&mut self, from: usize, sample: ThreadSample) {
        if self.answers[from].replace(sample).is_none() {
            self.missing -= 1;
        }
    }

    /// The answers so far, by the index of the thread.
    pub(super) fn take_answers(&mut self) -> Vec<Option<ThreadSample>> {
        std::mem::take(&mut self.answers)
    }
}
