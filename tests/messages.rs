//! Messages between real threads: none is lost, repeated or reordered, and the reactor wakes up for
//! each.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use sluicegate_reactor::{
    Context, Handle, Handler, Input, MailboxLimits, PostError, Reactor, Receive, Sessions, mailbox,
    mailbox_with,
};

const SENDERS: usize = 8;

/// The number of all messages. A debug build sends a tenth, to be quick.
const MESSAGES: usize = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };

/// Longer than anything here takes. Only a test that fails waits for it.
const NEVER: Duration = Duration::from_secs(60);

/// A message with the number that its sender gave it.
struct Numbered {
    sender: usize,
    number: usize,
}

/// Counts the numbers of each sender that are out of order, and stops after the last message.
#[derive(Default)]
struct Order {
    next: [usize; SENDERS],
    received: usize,
    /// How many numbers were not the next of their sender.
    wrong: usize,
}

impl Handler for Order {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<Numbered> for Order {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Numbered { sender, number }: Numbered) {
        self.wrong += usize::from(number != self.next[sender]);
        self.next[sender] = number + 1;
        self.received += 1;
        if self.received == MESSAGES {
            cx.stop();
        }
    }
}

fn post_until_there_is_room<M>(handle: &Handle<M>, mut message: M) {
    while let Err(error) = handle.post(message) {
        let PostError::Full(refused) = error else { panic!("{error}") };
        message = refused;
        thread::yield_now();
    }
}

/// Starts the senders, each with its own handle, and posts all messages.
fn post_all(handle_of: impl Fn(usize) -> Handle<Numbered>) -> Vec<thread::JoinHandle<()>> {
    let senders = (0..SENDERS).map(|sender| {
        let handle = handle_of(sender);
        thread::spawn(move || {
            for number in 0..MESSAGES / SENDERS {
                post_until_there_is_room(&handle, Numbered { sender, number });
            }
        })
    });
    senders.collect()
}

#[test]
fn millions_of_messages_of_eight_threads_come_once_and_in_order() {
    let mut reactor = Reactor::new().unwrap();
    let id = reactor.register(Order::default());
    let handle = reactor.handle(id);
    let senders = post_all(|_| handle.clone());
    reactor.run().unwrap();
    let order = reactor.handler(id);
    assert_eq!((order.wrong, order.next), (0, [MESSAGES / SENDERS; SENDERS]));
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn mailboxes_of_one_handler_that_are_full_most_of_the_time_lose_nothing() {
    let mut reactor = Reactor::new().unwrap();
    let id = reactor.register(Order::default());
    let mut handles = Vec::new();
    for _ in 0..SENDERS {
        let (handle, mailbox) = mailbox_with(&MailboxLimits { capacity: 50, per_turn: 20 });
        reactor.attach(mailbox, id);
        handles.push(handle);
    }
    let senders = post_all(|sender| handles[sender].clone());
    reactor.run().unwrap();
    let order = reactor.handler(id);
    assert_eq!((order.wrong, order.next), (0, [MESSAGES / SENDERS; SENDERS]));
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// Answers each number with the next.
struct Player {
    answer: Box<dyn FnMut(u32)>,
}

impl Handler for Player {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<u32> for Player {
    fn on_message(&mut self, cx: &mut Sessions<'_>, number: u32) {
        (self.answer)(number + 1);
        if number >= ROUNDS {
            cx.stop();
        }
    }
}

/// How many numbers are exchanged. The reactor goes to sleep after each.
const ROUNDS: u32 = 20_000;

fn answer_by(answers: &Sender<u32>) -> Player {
    let answers = answers.clone();
    Player { answer: Box::new(move |number| answers.send(number).unwrap()) }
}

#[test]
fn a_reactor_that_sleeps_wakes_for_every_message() {
    let (answers, answered) = mpsc::channel();
    let (handle, mailbox) = mailbox();
    let reactor = thread::spawn(move || {
        let mut reactor = Reactor::new().unwrap();
        let id = reactor.register(answer_by(&answers));
        reactor.attach(mailbox, id);
        reactor.run().unwrap();
    });
    for number in 0..=ROUNDS {
        handle.post(number).unwrap();
        assert_eq!(answered.recv_timeout(NEVER), Ok(number + 1), "a lost wake-up");
    }
    reactor.join().unwrap();
}

#[test]
fn two_reactors_wake_each_other() {
    let (done, finished) = mpsc::channel();
    let (first, first_mailbox) = mailbox();
    let (second, second_mailbox) = mailbox();
    for (mailbox, other) in [(first_mailbox, second), (second_mailbox, first.clone())] {
        let done = done.clone();
        thread::spawn(move || {
            let mut reactor = Reactor::new().unwrap();
            // The other reactor may have stopped after the last number.
            let answer = move |number| {
                let _ = other.post(number);
            };
            let id = reactor.register(Player { answer: Box::new(answer) });
            reactor.attach(mailbox, id);
            reactor.run().unwrap();
            done.send(()).unwrap();
        });
    }
    first.post(0).unwrap();
    for _ in 0..2 {
        finished.recv_timeout(NEVER).expect("a lost wake-up");
    }
}

/// Stops after this many messages.
struct Tired(u32);

impl Handler for Tired {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<Arc<()>> for Tired {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Arc<()>) {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 {
            cx.stop();
        }
    }
}

#[test]
fn a_reactor_that_stops_while_others_post_leaves_no_message_behind() {
    for after in 1..200 {
        let (handle, mailbox) = mailbox_with(&MailboxLimits { capacity: 16, per_turn: 4 });
        let message = Arc::new(());
        thread::scope(|scope| {
            for _ in 0..2 {
                // Until the reactor has stopped.
                scope.spawn(|| {
                    while let Ok(()) | Err(PostError::Full(_)) = handle.post(message.clone()) {}
                });
            }
            let mut reactor = Reactor::new().unwrap();
            let id = reactor.register(Tired(after));
            reactor.attach(mailbox, id);
            reactor.run().unwrap();
            assert!(matches!(handle.post(message.clone()), Err(PostError::Disconnected(_))));
        });
        assert_eq!(Arc::strong_count(&message), 1, "all were handled or dropped");
    }
}

#[test]
fn a_reactor_that_is_awake_posts_to_itself_without_end() {
    let mut reactor = Reactor::new().unwrap();
    let (own, mailbox) = mailbox();
    let answer = own.clone();
    let id = reactor.register(Player { answer: Box::new(move |n| answer.post(n).unwrap()) });
    reactor.attach(mailbox, id);
    own.post(0).unwrap();
    while !reactor.is_stopping() {
        reactor.turn(None).unwrap();
    }
    assert_eq!(reactor.ledger().messages, u64::from(ROUNDS) + 1);
    assert_eq!(reactor.ledger().turns, u64::from(ROUNDS) + 1, "one turn each, without a wait");
}
