//! The part that terminals and browsers share: messages to and from the hub, rate limiting, and the
//! handling of members who do not read.

use std::time::Duration;

use sluicegate_reactor::*;

use super::hub::{Report, Seat, What};
use super::outbox::{Delivery, MISSED};

/// The maximum number of bytes of a line.
pub(crate) const LINE: usize = 1000;
/// A member can say one line in this time on average, and more after a pause: those of [`BURST`].
const PER_LINE: Duration = Duration::from_millis(200);
const BURST: Duration = Duration::from_secs(4);
/// How long a member may leave its queue full before it is disconnected. In the meantime it misses
/// messages.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two attempts to report that a member has left.
const RETRY: Duration = Duration::from_millis(100);

/// The limits of connections. A message is not copied to each queue, unless it is shorter than what
/// a queue needs to refer to it. `idle` is for browsers, who answer pings; others may be silent.
pub(crate) fn limits(idle: Option<Duration>) -> Limits {
    Limits { join: 64, join_in_room: 64, idle, ..Limits::default() }
}

/// A member has left, and the mailbox of the hub was full.
pub(crate) struct Left(pub(crate) ConnId);

/// The way to the hub for a handler of connections, of which each thread has two.
pub(crate) struct Front {
    pub(crate) number: usize,
    pub(crate) hub: Handle<Report>,
}

impl Front {
    fn report(&self, id: ConnId, what: What) -> bool {
        let report = Report(Seat { front: self.number, id }, what);
        let posted = self.hub.post(report);
        posted.inspect_err(|error| log::debug!("cannot report {id:?} to the hub: {error}")).is_ok()
    }

    pub(crate) fn open(&self, cx: &mut Context<'_>) {
        if !self.report(cx.id(), What::Opened) {
            cx.abort();
        }
    }

    pub(crate) fn say(&self, cx: &mut Context<'_>, flow: &mut Flow, line: String) {
        flow.count_line(cx);
        if !self.report(cx.id(), What::Said(line)) {
            // The hub is very late, or the server stops.
            cx.abort();
        }
    }

    /// Reports that a member of the handler `own` has left, again and again until the hub has taken
    /// the report: otherwise the hub would keep the nickname for ever.
    pub(crate) fn close<H>(&self, cx: &mut Turn, own: HandlerId<H>, Left(id): Left)
    where
        H: Handler + Receive<Left, H::Session>,
    {
        if !cx.is_stopping() && !self.report(id, What::Closed) {
            cx.after(RETRY, own, Left(id));
        }
    }

    /// Calls `send` for the members whom a delivery is for. Those who have left are skipped.
    pub(crate) fn deliver<S>(
        &self,
        cx: &mut Sessions<'_, S>,
        delivery: &Delivery,
        send: impl Fn(&mut Context<'_>, &mut S),
    ) {
        let Some(to) = &delivery.to else { return cx.for_each(send) };
        for id in to.iter() {
            if let Some((mut cx, session)) = cx.get(id) {
                send(&mut cx, session);
            }
        }
    }
}

/// How fast a member talks, and whether it reads.
#[derive(Default)]
pub(crate) struct Flow {
    /// When the lines so far are paid for, at one for each [`PER_LINE`].
    paid: Duration,
    state: State,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Live,
    /// It has talked too fast, and its input waits.
    Paced,
    /// Its queue is full: it misses messages, and its own input is not read either.
    Slow,
}

impl Flow {
    /// Lets the input of a member who talks too fast wait.
    fn count_line(&mut self, cx: &mut Context<'_>) {
        self.paid = self.paid.max(cx.now()) + PER_LINE;
        let wait = (self.paid - cx.now()).saturating_sub(BURST);
        if wait > Duration::ZERO && self.state == State::Live {
            self.state = State::Paced;
            cx.pause();
            cx.set_deadline(Some(wait));
        }
    }

    /// Sends something, unless the member does not read.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Context<'_>) -> Sent,
    ) {
        if self.state != State::Slow && send(cx) == Sent::Full {
            self.state = State::Slow;
            cx.set_deadline(Some(PATIENCE));
        }
    }

    /// The queue has drained. Returns what to tell the member.
    pub(crate) fn drained(&mut self, cx: &mut Context<'_>) -> Option<&'static str> {
        if self.state != State::Slow {
            return None;
        }
        self.state = State::Live;
        cx.set_deadline(None);
        cx.resume();
        Some(MISSED)
    }

    pub(crate) fn timed_out(&mut self, cx: &mut Context<'_>) {
        if std::mem::take(&mut self.state) == State::Slow {
            let seconds = PATIENCE.as_secs();
            log::info!("{}: disconnected: slow for {seconds} s", cx.describe());
            return cx.abort();
        }
        cx.resume();
    }
}
