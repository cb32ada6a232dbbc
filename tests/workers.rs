//! Jobs that block run on the threads of a pool, and their results come back as messages.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ThreadId};
use std::time::Duration;

use sluicegate_reactor::workers::{Workers, WorkersLimits};
use sluicegate_reactor::{
    Context, Handle, Handler, Input, MailboxLimits, Reactor, Receive, Sessions, mailbox_with,
};

/// Longer than anything here takes. Only a test that fails waits for it.
const NEVER: Duration = Duration::from_secs(60);

/// Collects `expected` results, then stops.
struct Results<M> {
    all: Vec<M>,
    expected: usize,
}

impl<M: 'static> Handler for Results<M> {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl<M: 'static> Receive<M> for Results<M> {
    fn on_message(&mut self, cx: &mut Sessions<'_>, message: M) {
        self.all.push(message);
        if self.all.len() == self.expected {
            cx.stop();
        }
    }
}

/// Runs a reactor until it has `expected` results.
fn results<M: Send + 'static>(expected: usize, start: impl FnOnce(&Handle<M>)) -> Vec<M> {
    results_through(&MailboxLimits::default(), expected, start)
}

fn results_through<M: Send + 'static>(
    limits: &MailboxLimits,
    expected: usize,
    start: impl FnOnce(&Handle<M>),
) -> Vec<M> {
    let mut reactor = Reactor::new().unwrap();
    let id = reactor.register(Results { all: Vec::new(), expected });
    let (reply, mailbox) = mailbox_with(limits);
    reactor.attach(mailbox, id);
    start(&reply);
    reactor.run().unwrap();
    std::mem::take(&mut reactor.handler(id).all)
}

fn workers(threads: usize, queue: usize) -> Workers {
    Workers::with(&WorkersLimits { threads, queue })
}

#[test]
fn every_job_answers_once_on_a_thread_of_the_pool() {
    let workers = workers(3, 1000);
    let mut answers: Vec<(u32, ThreadId)> = results(1000, |reply| {
        for job in 0..1000 {
            workers.run(move || (job, thread::current().id()), reply).unwrap();
        }
    });
    answers.sort_by_key(|answer| answer.0);
    assert!(answers.iter().map(|answer| answer.0).eq(0..1000));
    let threads: HashSet<_> = answers.iter().map(|answer| answer.1).collect();
    assert!((1..=3).contains(&threads.len()), "{threads:?}");
    assert!(!threads.contains(&thread::current().id()));
}

#[test]
fn jobs_that_block_run_at_the_same_time() {
    let workers = workers(2, 2);
    // Each job waits for the other.
    let (first, to_first) = channel();
    let (second, to_second) = channel();
    let meet = |mine: Receiver<()>, other: Sender<()>| {
        move || {
            other.send(()).unwrap();
            mine.recv_timeout(NEVER).is_ok()
        }
    };
    let met = results(2, |reply| {
        workers.run(meet(to_first, second), reply).unwrap();
        workers.run(meet(to_second, first), reply).unwrap();
    });
    assert_eq!(met, [true, true]);
}

/// A job that reports that it has begun, and ends with the number that it is sent.
fn gated() -> (impl FnOnce() -> u32 + Send + 'static, Receiver<()>, Sender<u32>) {
    let (begun, has_begun) = channel();
    let (open, gate) = channel();
    let job = move || {
        begun.send(()).unwrap();
        gate.recv().unwrap()
    };
    (job, has_begun, open)
}

#[test]
fn a_full_queue_refuses_a_job_and_drops_it() {
    let workers = workers(1, 1);
    let answers = results(2, |reply| {
        let (job, begun, open) = gated();
        workers.run(job, reply).unwrap();
        begun.recv_timeout(NEVER).unwrap();
        workers.run(|| 1, reply).unwrap();
        let held = Arc::new(2);
        let job = held.clone();
        let refused = workers.run(move || *job, reply).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(Arc::strong_count(&held), 1);
        open.send(0).unwrap();
    });
    assert_eq!(answers, [0, 1]);
}

#[test]
fn a_job_that_panics_costs_no_thread() {
    let workers = workers(1, 10);
    let answers = results(2, |reply| {
        for job in 0..4 {
            let job = move || if job % 2 == 0 { panic!("as the test wants it") } else { job };
            workers.run(job, reply).unwrap();
        }
    });
    assert_eq!(answers, [1, 3]);
}

#[test]
fn results_wait_for_room_in_a_full_mailbox() {
    let workers = workers(4, 1000);
    let limits = MailboxLimits { capacity: 1, per_turn: 1 };
    let mut answers = results_through(&limits, 1000, |reply| {
        for job in 0..1000 {
            workers.run(move || job, reply).unwrap();
        }
    });
    answers.sort_unstable();
    assert!(answers.into_iter().eq(0..1000));
}

/// Sends its name when it is dropped.
struct Told(Sender<&'static str>, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[test]
fn a_pool_that_is_dropped_drops_what_waits_and_does_not_wait_for_what_runs() {
    let (told, dropped) = channel();
    let (reply, mailbox) = mailbox_with(&MailboxLimits::default());
    let workers = workers(1, 10);
    let (job, begun, open) = gated();
    let running = Told(told.clone(), "running");
    let job = move || {
        job();
        running
    };
    workers.run(job, &reply).unwrap();
    begun.recv_timeout(NEVER).unwrap();
    let waiting = Told(told.clone(), "waiting");
    workers.run(move || waiting, &reply).unwrap();

    let clone = workers.clone();
    drop(workers);
    assert!(dropped.try_recv().is_err(), "the pool still has an owner");
    drop(clone);
    assert_eq!(dropped.try_recv(), Ok("waiting"));
    drop(mailbox);
    open.send(0).unwrap();
    assert_eq!(dropped.recv_timeout(NEVER), Ok("running"));
}

#[test]
fn a_worker_that_waits_for_room_ends_when_the_reactor_does() {
    let limits = MailboxLimits { capacity: 1, per_turn: 1 };
    let (reply, mailbox) = mailbox_with::<Arc<()>>(&limits);
    let workers = workers(1, 10);
    let (message, (told, dropped)) = (Arc::new(()), channel());
    reply.post(message.clone()).unwrap();
    let result = message.clone();
    let last = Told(told, "over");
    let job = move || {
        // Dropped with the job, before its result is posted.
        drop(last);
        result
    };
    workers.run(job, &reply).unwrap();
    assert_eq!(dropped.recv_timeout(NEVER), Ok("over"));
    drop(mailbox);
    let (told, dropped) = channel();
    let next = Told(told, "next");
    workers.run(move || drop(next), &mailbox_with(&limits).0).unwrap();
    assert_eq!(dropped.recv_timeout(NEVER), Ok("next"), "the thread is free again");
    assert_eq!(Arc::strong_count(&message), 1, "the result was dropped");
}
