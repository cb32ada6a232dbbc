//! Models of posting to a reactor, for [loom](https://docs.rs/loom). Loom explores the orders in
//! which the threads can run, and the values that each can read from an atomic. Run the models with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p sluicegate-reactor --lib models
//! ```
//!
//! A lost wakeup leaves all threads waiting, which loom reports as a deadlock.

use std::collections::VecDeque;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::threads::bounded_queue::BoundedQueue;
use crate::threads::doorbell::Doorbell;
use crate::threads::handle::PostError;

/// Most preemptions in one execution. Ordering bugs show with two; all orders of three threads
/// would take hours.
const PREEMPTIONS: usize = 3;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

/// Stands for an eventfd and `epoll_wait`: a wait consumes all wakeups before it.
#[derive(Default)]
struct Event {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Event {
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

/// The parts of a reactor that messages go through.
struct Reactor {
    bell: Arc<Doorbell>,
    event: Arc<Event>,
    mailbox: Arc<BoundedQueue<u32>>,
    taken: VecDeque<u32>,
}

impl Reactor {
    /// A reactor that has not attached the mailbox yet.
    fn new(mailbox: &Arc<BoundedQueue<u32>>) -> Reactor {
        let event = Arc::new(Event::default());
        let wake = event.clone();
        let bell = Arc::new(Doorbell::new(move || wake.wake()));
        Reactor { bell, event, mailbox: mailbox.clone(), taken: VecDeque::new() }
    }

    fn attached(mailbox: &Arc<BoundedQueue<u32>>) -> Reactor {
        let reactor = Reactor::new(mailbox);
        mailbox.attach(&reactor.bell);
        reactor
    }

    /// The phases of a turn that concern messages. Returns the messages handled.
    fn turn(&mut self) -> Vec<u32> {
        if self.bell.sleep() {
            self.event.wait();
        }
        self.bell.awake();
        if self.bell.answer() {
            self.mailbox.take(&mut self.taken);
        }
        self.taken.drain(..).collect()
    }

    /// Turns until it has handled `count` messages.
    fn run(&mut self, count: usize) -> Vec<u32> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.turn());
        }
        all
    }
}

fn mailbox(capacity: usize) -> Arc<BoundedQueue<u32>> {
    Arc::new(BoundedQueue::new(capacity))
}

#[test]
fn every_message_of_two_senders_comes_once_and_in_order() {
    check(|| {
        let mailbox = mailbox(8);
        let mut reactor = Reactor::attached(&mailbox);
        let other = mailbox.clone();
        let sender = thread::spawn(move || {
            other.post(10).unwrap();
            other.post(11).unwrap();
        });
        let other = mailbox.clone();
        let last = thread::spawn(move || other.post(20).unwrap());
        let (tens, twenties): (Vec<_>, Vec<_>) =
            reactor.run(3).into_iter().partition(|message| *message < 20);
        assert_eq!((tens, twenties), (vec![10, 11], vec![20]));
        sender.join().unwrap();
        last.join().unwrap();
    });
}

#[test]
fn two_mailboxes_share_a_doorbell_and_lose_nothing() {
    check(|| {
        let (first, second) = (mailbox(8), mailbox(8));
        let mut reactor = Reactor::attached(&first);
        second.attach(&reactor.bell);
        let other = second.clone();
        let sender = thread::spawn(move || other.post(2).unwrap());
        let other = first.clone();
        let last = thread::spawn(move || other.post(1).unwrap());
        let (mut all, mut taken) = (Vec::new(), VecDeque::new());
        while all.len() < 2 {
            // The turn answers the ring and looks at the first mailbox. The ring may have been for
            // the second.
            all.extend(reactor.turn());
            second.take(&mut taken);
            all.extend(taken.drain(..));
        }
        sender.join().unwrap();
        last.join().unwrap();
    });
}

#[test]
fn a_message_posted_while_the_mailbox_is_attached_is_found() {
    check(|| {
        let mailbox = mailbox(8);
        let other = mailbox.clone();
        let sender = thread::spawn(move || {
            other.post(1).unwrap();
            other.post(2).unwrap();
        });
        let mut reactor = Reactor::attached(&mailbox);
        assert_eq!(reactor.run(2), [1, 2]);
        sender.join().unwrap();
    });
}

#[test]
fn a_message_is_handled_or_dropped_or_refused_when_the_reactor_stops() {
    check(|| {
        let mailbox = mailbox(8);
        let mut reactor = Reactor::attached(&mailbox);
        let refused = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = [1, 2]
            .into_iter()
            .map(|message| {
                let (mailbox, refused) = (mailbox.clone(), refused.clone());
                thread::spawn(move || match mailbox.post(message) {
                    Ok(()) => {}
                    Err(PostError::Disconnected(_)) => {
                        drop(refused.fetch_add(1, Ordering::Relaxed))
                    }
                    Err(PostError::Full(_)) => panic!("there is room"),
                })
            })
            .collect();
        let handled = reactor.run(1).len();
        let dropped = mailbox.close().len();
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(handled + dropped + refused.load(Ordering::Relaxed), 2);
        assert!(mailbox.is_empty(), "nothing comes after the end");
        assert!(matches!(mailbox.post(3), Err(PostError::Disconnected(3))));
    });
}

#[test]
fn senders_that_wait_for_room_get_it() {
    check(|| {
        let mailbox = mailbox(1);
        let mut reactor = Reactor::attached(&mailbox);
        let senders = [1, 2].map(|message| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.post_when_there_is_room(message).unwrap())
        });
        let mut all = reactor.run(2);
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn a_sender_that_waits_for_room_learns_that_the_mailbox_is_closed() {
    check(|| {
        let mailbox = mailbox(1);
        mailbox.post(1).unwrap();
        let other = mailbox.clone();
        let sender = thread::spawn(move || other.post_when_there_is_room(2));
        assert_eq!(mailbox.close(), [1]);
        assert!(matches!(sender.join().unwrap(), Err(PostError::Disconnected(2))));
    });
}
