//! The way from the hub to a front.

use std::cell::Cell;

use sluicegate_reactor::*;

use super::seats::Seats;

/// What members hear in place of messages that they did not get.
pub(crate) const MISSED: &str = "* you missed some messages\n";

/// A text that a front sends to some of its members. All queues, and the history, refer to one copy
/// of a text, unless it is short.
pub(crate) struct Delivery {
    /// `None`: all members of the front.
    pub(crate) to: Option<Seats>,
    pub(crate) text: Bytes,
}

/// Posts deliveries to a front. Those that find its mailbox full are lost, and all members of the
/// front are told so in their place.
pub(crate) struct Outbox {
    mailbox: Handle<Delivery>,
    /// Whether deliveries were lost since members were last told.
    has_lost: Cell<bool>,
}

impl Outbox {
    pub(crate) fn new(mailbox: Handle<Delivery>) -> Outbox {
        Outbox { mailbox, has_lost: Cell::new(false) }
    }

    pub(crate) fn post(&self, to: Seats, text: Bytes) {
        let delivery = Delivery { to: Some(to), text };
        if self.tell_loss()
            && let Err(PostError::Full(_)) = self.mailbox.post(delivery)
        {
            log::warn!("messages of the chat are lost: the mailbox of a thread is full");
            self.has_lost.set(true);
        }
    }

    /// Tells the members that deliveries were lost. Returns whether all losses have been told.
    pub(crate) fn tell_loss(&self) -> bool {
        if self.has_lost.get() {
            let notice = Delivery { to: None, text: MISSED.into() };
            self.has_lost.set(matches!(self.mailbox.post(notice), Err(PostError::Full(_))));
        }
        !self.has_lost.get()
    }
}
