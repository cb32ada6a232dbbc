//! Messages reach their handler once, in order, a bounded number a turn.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::line;
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{
    ConnId, Context, Handle, Handler, Input, Mailbox, MailboxLimits, PostError, Reactor, Reason,
    Receive, Sent, Sessions, Turn, mailbox, mailbox_with,
};

/// A handler that no other thread may have: it notes its messages, and what it is called for.
#[derive(Default)]
struct Notes {
    log: Rc<Cell<Vec<String>>>,
    connections: Vec<ConnId>,
    /// What a message that asks for it posts.
    own: Option<Handle<u32>>,
}

impl Notes {
    fn note(&self, what: impl std::fmt::Display) {
        let mut log = self.log.take();
        log.push(what.to_string());
        self.log.set(log);
    }

    fn take(&self) -> Vec<String> {
        self.log.take()
    }
}

impl Handler for Notes {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.connections.push(cx.id());
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        self.note("data");
        if input.take() == b"stop" {
            cx.stop();
        }
    }

    /// Goes on until it is cut off.
    fn on_stop(&mut self, _: &mut Context<'_>, (): &mut ()) {}

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), _: Reason) {
        if let Some(own) = &self.own {
            assert!(matches!(own.post(0), Err(PostError::Disconnected(0))));
            self.note("closed");
        }
    }
}

/// A number to note. 13 is bad luck.
impl Receive<u32> for Notes {
    fn on_message(&mut self, _: &mut Sessions<'_>, message: u32) {
        self.note(message);
        assert_ne!(message, 13, "as the test wants it");
        if message == 100 {
            let own = self.own.as_ref().expect("a handle of its own");
            own.post(101).expect("room");
        }
    }
}

/// Something to send to all connections, those that are gone included.
impl Receive<&'static str> for Notes {
    fn on_message(&mut self, cx: &mut Sessions<'_>, message: &'static str) {
        for &id in &self.connections {
            let sent = cx.peer(id).send(message);
            self.note(format!("{sent:?}"));
        }
    }
}

/// Counts how many of it are dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Receive<Counted> for Notes {
    fn on_message(&mut self, _: &mut Sessions<'_>, _: Counted) {
        self.note("counted");
    }
}

fn harness() -> Harness<Notes> {
    Harness::new(Notes::default())
}

/// A harness with a mailbox of these limits.
fn with_mailbox(capacity: usize, per_turn: usize) -> (Harness<Notes>, Handle<u32>) {
    let (handle, mailbox) = mailbox_with(&MailboxLimits { capacity, per_turn });
    let h = attached(mailbox);
    (h, handle)
}

fn attached(mailbox: Mailbox<u32>) -> Harness<Notes> {
    let make = |reactor: &mut Reactor| {
        let id = reactor.register(Notes::default());
        reactor.attach(mailbox, id);
        id
    };
    Harness::build(&sluicegate_reactor::Listen::default(), |_| {}, make)
}

fn handle_of<M: Send + 'static>(h: &mut Harness<Notes>) -> Handle<M>
where
    Notes: Receive<M>,
{
    let id = h.handler_id();
    h.reactor().handle(id)
}

fn post_all(handle: &Handle<u32>, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        handle.post(message).expect("room");
    }
}

#[test]
fn messages_of_several_types_reach_one_handler() {
    let mut h = harness();
    h.open();
    h.post(7_u32);
    h.post("to all");
    h.post(8_u32);
    assert_eq!(h.handler().take(), ["7", "Accepted", "8"]);
    assert_eq!(h.ledger().messages, 3);
}

#[test]
fn messages_keep_their_order_and_come_within_the_budget_of_a_turn() {
    let (mut h, handle) = with_mailbox(10, 3);
    post_all(&handle, 0..8);
    h.turn();
    assert_eq!(h.handler().take(), ["0", "1", "2"]);
    post_all(&handle, 8..10);
    h.turn();
    assert_eq!(h.handler().take(), ["3", "4", "5"]);
    h.turn();
    assert_eq!(h.handler().take(), ["6", "7"]);
    // These were posted while others were in the reactor's hands: no ring is left of them.
    h.run();
    assert_eq!(h.handler().take(), ["8", "9"]);
}

#[test]
fn connections_have_their_turn_between_messages() {
    let (mut h, handle) = with_mailbox(10, 2);
    let client = h.open();
    h.at_once(|h| {
        post_all(&handle, 0..4);
        h.turn();
        h.feed(client, b"x");
    });
    assert_eq!(h.handler().take(), ["0", "1", "data", "2", "3"]);
}

#[test]
fn limits_of_nothing_are_one() {
    let (mut h, handle) = with_mailbox(0, 0);
    for message in 0..3 {
        handle.post(message).expect("room for one");
        assert!(matches!(handle.post(7), Err(PostError::Full(7))));
        h.run();
    }
    assert_eq!(h.handler().take(), ["0", "1", "2"]);
}

#[test]
fn a_full_mailbox_gives_the_message_back_and_has_room_when_it_was_emptied() {
    let (mut h, handle) = with_mailbox(2, 10);
    post_all(&handle, 0..2);
    assert!(matches!(handle.post(2), Err(PostError::Full(2))));
    h.run();
    post_all(&handle, 3..5);
    h.run();
    assert_eq!(h.handler().take(), ["0", "1", "3", "4"]);
}

#[test]
fn messages_posted_before_there_is_a_handler_wait_for_it() {
    let (handle, mailbox) = mailbox();
    post_all(&handle, 0..3);
    drop(handle);
    let mut h = attached(mailbox);
    h.run();
    assert_eq!(h.handler().take(), ["0", "1", "2"]);
}

#[test]
fn what_was_posted_is_delivered_when_all_handles_are_gone() {
    let (mut h, handle) = with_mailbox(10, 2);
    post_all(&handle, 0..5);
    drop(handle);
    h.turn();
    // Making room for other mailboxes must not take this one away.
    h.post("to nobody");
    assert_eq!(h.handler().take(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_message_that_a_handler_posts_to_itself_comes_in_the_next_turn() {
    let mut h = harness();
    let own = handle_of(&mut h);
    h.handler().own = Some(own.clone());
    own.post(100).expect("room");
    h.turn();
    assert_eq!(h.handler().take(), ["100"]);
    h.turn();
    assert_eq!(h.handler().take(), ["101"]);
}

#[test]
fn a_panic_over_a_message_costs_that_message_only() {
    let (mut h, handle) = with_mailbox(20, 20);
    h.expect_panics();
    let client = h.open();
    post_all(&handle, 12..15);
    h.turn();
    assert_eq!(h.handler().take(), ["12", "13", "14"], "in the same turn");
    assert_eq!((h.ledger().panics, h.ledger().messages), (1, 3));
    h.feed(client, b"x");
    assert_eq!(h.handler().take(), ["data"]);
}

#[test]
fn posting_to_dead_connections_is_safe() {
    let mut h = harness();
    let first = h.open();
    h.reset(first);
    // Takes the place of the first.
    let second = h.open();
    h.post("to all");
    assert_eq!(h.handler().take(), [format!("{:?}", Sent::Gone), format!("{:?}", Sent::Accepted)]);
    assert_eq!(h.sent(second), "to all");
}

#[test]
fn a_message_about_a_connection_that_the_same_turn_has_closed_finds_it_gone() {
    let mut h = harness();
    let client = h.open();
    let handle = handle_of::<&'static str>(&mut h);
    h.at_once(|h| {
        handle.post("to all").expect("room");
        h.reset(client);
    });
    assert_eq!(h.handler().take(), ["Gone"]);
}

#[test]
fn a_stopped_reactor_drops_what_is_queued_and_refuses_the_rest() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (handle, mailbox) = mailbox_with(&MailboxLimits { capacity: 8, per_turn: 1 });
    let mut h = harness();
    h.reactor().set_drain(Duration::ZERO);
    let client = h.open();
    let id = h.handler_id();
    h.reactor().attach(mailbox, id);
    let log = h.handler().log.clone();
    h.at_once(|h| {
        for _ in 0..4 {
            assert!(handle.post(Counted(dropped.clone())).is_ok());
        }
        h.turn();
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "one a turn");
        assert!(handle.post(Counted(dropped.clone())).is_ok(), "one that was not even taken");
        h.feed(client, b"stop");
    });
    assert_eq!(h.state(client), State::Closed);
    let counted = log.take().iter().filter(|line| *line == "counted").count();
    assert_eq!((counted, dropped.load(Ordering::Relaxed)), (3, 5));
    assert!(matches!(handle.post(Counted(dropped)), Err(PostError::Disconnected(_))));
    let late = handle_of::<u32>(&mut h);
    assert!(matches!(late.post(1), Err(PostError::Disconnected(1))));
}

#[test]
fn a_handler_that_posts_while_it_is_closed_learns_that_nobody_will_listen() {
    let mut h = harness();
    h.reactor().set_drain(Duration::ZERO);
    let client = h.open();
    let own = handle_of(&mut h);
    h.handler().own = Some(own);
    h.feed(client, b"stop");
    assert_eq!(h.handler().take(), ["data", "closed"]);
}

#[test]
fn a_mailbox_that_is_dropped_refuses_messages() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (handle, mailbox) = mailbox();
    assert!(handle.post(Counted(dropped.clone())).is_ok());
    drop(mailbox);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert!(matches!(handle.post(Counted(dropped.clone())), Err(PostError::Disconnected(_))));
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

/// Protocols and services receive messages as handlers do.
struct Application(u32);

impl line::LineHandler for Application {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_line(&mut self, _: &mut Context<'_>, (): &mut (), _: &[u8]) -> line::Next {
        line::Next::Line
    }
}

impl Service for Application {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.send("")
    }
}

impl Receive<u32> for Application {
    fn on_message(&mut self, _: &mut Sessions<'_>, message: u32) {
        self.0 += message;
    }
}

#[test]
fn adapters_pass_messages_on() {
    let mut lines = Harness::new(line::Lines::new(Application(0)));
    lines.post(3_u32);
    assert_eq!(lines.handler().handler().0, 3);
    let mut http = Harness::new(Http::new(Application(0)));
    http.post(4_u32);
    assert_eq!(http.handler().service().0, 4);
}

#[test]
fn jobs_of_a_simulated_reactor_answer_in_the_next_turn() {
    let mut h = harness();
    let reply = handle_of(&mut h);
    let workers = Workers::inline();
    workers.run(|| 1_u32, &reply).expect("no limit");
    workers.run(|| panic!("as the test wants it"), &reply).expect("no limit");
    workers.run(|| 2_u32, &reply).expect("no limit");
    assert_eq!(h.handler().take(), [""; 0]);
    h.turn();
    assert_eq!(h.handler().take(), ["1", "2"]);
}
