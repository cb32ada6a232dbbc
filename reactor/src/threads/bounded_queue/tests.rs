//! Threads that wait for room in a full mailbox are woken, whatever becomes of it.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::threads::handle::{Handle, Mailbox, MailboxLimits, PostError, mailbox_with};
use crate::threads::workers::{Workers, WorkersLimits};
use crate::{Context, Handler, Input, Reactor, Receive, Sessions};

/// Longer than anything here takes. Only a test that fails waits for it.
const NEVER: Duration = Duration::from_secs(60);

/// Waits until a thread waits for room.
fn wait_for_waiter(handle: &Handle<u32>) {
    let start = Instant::now();
    while handle.0.waiting() == 0 {
        assert!(start.elapsed() < NEVER, "no thread waits for room");
        thread::yield_now();
    }
}

type Posted = Result<(), PostError<u32>>;

/// A full mailbox, and a thread that waits for room in it and then sends what it got.
fn full() -> (Handle<u32>, Mailbox<u32>, Receiver<Posted>) {
    let (handle, mailbox) = mailbox_with(&MailboxLimits { capacity: 1, per_turn: 1 });
    handle.post(1).unwrap();
    let (told, result) = channel();
    let other = handle.clone();
    thread::spawn(move || told.send(other.0.post_when_there_is_room(2)).unwrap());
    wait_for_waiter(&handle);
    (handle, mailbox, result)
}

/// Receives numbers and drops them.
struct Taker;

impl Handler for Taker {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<u32> for Taker {
    fn on_message(&mut self, _: &mut Sessions<'_>, _: u32) {}
}

#[test]
fn a_thread_that_waits_for_room_posts_when_the_reactor_takes_messages() {
    let (_handle, mailbox, result) = full();
    let mut reactor = Reactor::new().unwrap();
    let taker = reactor.register(Taker);
    reactor.attach(mailbox, taker);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(result.recv_timeout(NEVER), Ok(Ok(())));
}

#[test]
fn a_thread_that_waits_for_room_gets_its_message_back_when_the_mailbox_is_dropped() {
    let (_handle, mailbox, result) = full();
    drop(mailbox);
    assert_eq!(result.recv_timeout(NEVER), Ok(Err(PostError::Disconnected(2))));
}

#[test]
fn a_worker_that_waits_for_room_goes_on_when_the_reactor_is_dropped() {
    let (handle, mailbox) = mailbox_with(&MailboxLimits { capacity: 1, per_turn: 1 });
    handle.post(1).unwrap();
    let mut reactor = Reactor::new().unwrap();
    let taker = reactor.register(Taker);
    reactor.attach(mailbox, taker);
    let workers = Workers::with(&WorkersLimits { threads: 1, queue: 1 });
    workers.run(|| 2, &handle).unwrap();
    wait_for_waiter(&handle);
    drop(reactor);
    let (told, next) = channel();
    workers.run(move || told.send("next").map_or(3, |()| 3), &handle).unwrap();
    assert_eq!(next.recv_timeout(NEVER), Ok("next"));
}
