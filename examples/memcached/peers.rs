//! The other reactors: which of them has a key, and the messages between them.
//!
//! What a reactor has for another one goes into one [`Batch`] per turn: the lines that the other
//! is to run, and the responses to lines that it has sent. The batch is posted when the turn
//! delivers its messages, so the mailbox is locked once for many commands.

use std::ops::Range;

use sluicegate_reactor::{Bytes, ConnId, Handle, PostError, Turn};

use super::counters::Counters;
use super::store;

/// The maximum number of requests in a batch, which are all run in one callback.
pub(crate) const MAX_REQUESTS: usize = 256;

/// What the reactors post to each other.
pub(crate) enum Message {
    /// To itself: post what this turn has for the others.
    Flush,
    Batch(Batch),
}

/// What one reactor has for another one.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) from: usize,
    /// The lines and the responses.
    pub(crate) text: Vec<u8>,
    pub(crate) requests: Vec<Request>,
    pub(crate) answers: Vec<Answer>,
}

/// A connection, and the place of the response among those that wait.
pub(crate) type Place = (ConnId, u32);

/// What another reactor is to do.
pub(crate) struct Request {
    /// Where the response goes. That of a silent command is empty: it tells the connection that
    /// the command has run, so that a client cannot send more commands than can be run.
    pub(crate) to: Place,
    /// A line or a key.
    pub(crate) text: Range<usize>,
    pub(crate) task: Task,
}

/// What to do with the text of a request.
///
/// The reactor that owns an item allocates it. glibc keeps freed memory for the thread that
/// allocated it, so otherwise each thread could hold as much as all items.
pub(crate) enum Task {
    /// Run the line.
    Run,
    /// Run the line, and store the value of this length that follows it.
    Store(usize),
    /// Run the line, and store this long value.
    StoreLong(Bytes),
    /// Remove the item of the key.
    Remove,
}

/// The response to a line.
pub(crate) struct Answer {
    pub(crate) to: Place,
    pub(crate) text: Range<usize>,
    /// What follows the text.
    pub(crate) value: Option<Bytes>,
    pub(crate) counters: Option<Box<Counters>>,
}

/// A reactor among its peers.
pub(crate) struct Peers {
    own: usize,
    seed: u64,
    /// The mailboxes of all reactors. A reactor that is alone needs none.
    handles: Vec<Handle<Message>>,
    /// What is to be posted to each.
    batches: Vec<Batch>,
    /// Whether [`Message::Flush`] is on its way.
    flushes: bool,
}

impl Peers {
    pub(crate) fn new(own: usize, seed: u64, handles: Vec<Handle<Message>>) -> Peers {
        let batch = || Batch { from: own, ..Batch::default() };
        let batches = handles.iter().map(|_| batch()).collect();
        Peers { own, seed, handles, batches, flushes: false }
    }

    /// The numbers of the other reactors.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.own;
        (0..self.handles.len()).filter(move |number| *number != own)
    }

    /// Which other reactor has a key; `None` if it is this one.
    #[inline]
    pub(crate) fn owner(&self, key: &[u8]) -> Option<usize> {
        if self.handles.len() < 2 {
            return None;
        }
        // The table uses the lower half of the hash.
        let hash = store::hash(self.seed, key) >> 32;
        let owner = ((hash * self.handles.len() as u64) >> 32) as usize;
        (owner != self.own).then_some(owner)
    }

    /// Asks another reactor to do something with a text, which is made up of parts.
    pub(crate) fn ask(
        &mut self,
        cx: &mut Turn,
        peer: usize,
        to: Place,
        text: &[&[u8]],
        task: Task,
    ) {
        let batch = &mut self.batches[peer];
        let start = batch.text.len();
        text.iter().for_each(|part| batch.text.extend_from_slice(part));
        batch.requests.push(Request { to, text: start..batch.text.len(), task });
        if batch.requests.len() >= MAX_REQUESTS {
            self.post(cx, peer);
        } else if !self.flushes {
            // If the mailbox is full, the next message in it flushes too.
            self.flushes = self.handles[self.own].post(Message::Flush).is_ok();
        }
    }

    /// Answers another reactor. The batch is posted by the next [`flush`](Peers::flush).
    pub(crate) fn answer(
        &mut self,
        peer: usize,
        to: Place,
        text: &[u8],
        value: Option<Bytes>,
        counters: Option<Box<Counters>>,
    ) {
        let batch = &mut self.batches[peer];
        let start = batch.text.len();
        batch.text.extend_from_slice(text);
        batch.answers.push(Answer { to, text: start..batch.text.len(), value, counters });
    }

    /// Posts the batches.
    pub(crate) fn flush(&mut self, cx: &mut Turn) {
        self.flushes = false;
        for peer in 0..self.batches.len() {
            let batch = &self.batches[peer];
            if !batch.requests.is_empty() || !batch.answers.is_empty() {
                self.post(cx, peer);
            }
        }
    }

    /// Posts what there is for one reactor.
    fn post(&mut self, cx: &mut Turn, peer: usize) {
        let empty = Batch { from: self.own, ..Batch::default() };
        let full = std::mem::replace(&mut self.batches[peer], empty);
        match self.handles[peer].post(Message::Batch(full)) {
            // The next flush tries again, that of the tick at the latest.
            Err(PostError::Full(Message::Batch(refused))) => self.batches[peer] = refused,
            Err(PostError::Disconnected(Message::Batch(refused))) => {
                for Request { to: (connection, _), .. } in refused.requests {
                    cx.peer(connection).abort();
                }
            }
            _ => {}
        }
    }
}
