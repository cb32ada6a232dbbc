//! Which job runs when, on which pool, and how threads end.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::core::Core;
use crate::sys::Kernel;
use crate::threads::handle::{Mailbox, mailbox};
use crate::{Connect, Context, Handler, Input, Reactor};

/// Longer than anything here takes. Only a test that fails waits for it.
const NEVER: Duration = Duration::from_secs(60);

/// A pool, the mailbox of its results, and the names of the jobs that have begun.
struct Bench {
    workers: Workers,
    reply: Handle<()>,
    _results: Mailbox<()>,
    begin: Sender<&'static str>,
    begun: Receiver<&'static str>,
}

impl Bench {
    fn new(threads: usize) -> Bench {
        let ((reply, _results), (begin, begun)) = (mailbox(), channel());
        let workers = Workers::with(&WorkersLimits { threads, queue: 3 });
        Bench { workers, reply, _results, begin, begun }
    }

    /// Submits a job that says its name and ends when the sender is dropped.
    fn submit(&self, kind: JobKind, name: &'static str) -> Sender<()> {
        let (open, gate) = channel();
        let begin = self.begin.clone();
        let run = move |gate: Receiver<()>| {
            begin.send(name).unwrap();
            let _ = gate.recv();
        };
        self.workers.submit(kind, gate, run, &self.reply).unwrap();
        open
    }

    fn next(&self) -> &'static str {
        self.begun.recv_timeout(NEVER).expect("a job that begins")
    }

    fn jobs(&self) -> MutexGuard<'_, JobQueue> {
        self.workers.0.jobs.lock()
    }

    fn lookups(&self) -> MutexGuard<'_, JobQueue> {
        self.workers.0.lookups.lock()
    }
}

/// Waits for something that no thread tells of.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < NEVER, "it never is so");
        thread::yield_now();
    }
}

#[test]
fn slow_lookups_delay_no_jobs_and_slow_jobs_no_lookups() {
    let bench = Bench::new(1);
    let mut slow = Vec::new();
    for _ in 0..LOOKUP_THREADS {
        slow.push(bench.submit(JobKind::Lookup, "slow"));
        assert_eq!(bench.next(), "slow");
    }
    let last = bench.submit(JobKind::Lookup, "last");
    for kind in [JobKind::Job, JobKind::DiskJob] {
        drop(bench.submit(kind, "job"));
        assert_eq!(bench.next(), "job");
    }
    let job = bench.submit(JobKind::Job, "long job");
    assert_eq!(bench.next(), "long job");
    assert_eq!(bench.lookups().threads, LOOKUP_THREADS);
    assert_eq!(bench.lookups().jobs.len(), 1);
    drop(slow);
    assert_eq!(bench.next(), "last");
    drop((last, job));
}

#[test]
fn those_who_ask_for_one_name_share_a_lookup_and_others_are_not_held_up() {
    let bench = Bench::new(4);
    let (reply, mut answers) = mailbox();
    let (open, gate) = channel::<()>();
    let (begin, again) = (bench.begin.clone(), bench.begin.clone());
    let found = |name| move |found: &io::Result<Vec<_>>| (name, found.as_ref().map(Vec::len).ok());
    let slow = move |_: &str| {
        begin.send("slow").unwrap();
        let _ = gate.recv();
        Ok(vec![([10, 0, 0, 1], 0).into()])
    };
    let share = |number, reply| {
        let again = again.clone();
        let look_up = move |_: &str| {
            again.send("slow again").unwrap();
            Ok(Vec::new())
        };
        bench.workers.look_up("slow".into(), look_up, found(number), reply)
    };
    bench.workers.look_up("slow".into(), slow, found(1), &reply).unwrap();
    assert_eq!(bench.next(), "slow");
    [2, 3, 4].iter().for_each(|number| share(*number, &reply).unwrap());
    assert_eq!(share(5, &reply).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    let fails = |_: &str| Err(io::ErrorKind::NotFound.into());
    bench.workers.look_up("other".into(), fails, found(6), &reply).unwrap();
    let mut next = || {
        let mut answer = None;
        wait_until(|| {
            answer = answers.next();
            answer.is_some()
        });
        answer
    };
    assert_eq!(next(), Some((6, None)));
    drop(open);
    let mut all: Vec<_> = (0..4).map(|_| next()).collect();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4].map(|number| Some((number, Some(1)))));
    assert!(bench.begun.try_recv().is_err(), "one lookup answers all");
    assert!(bench.workers.0.names.lock().unwrap().is_empty());
}

#[test]
fn one_thread_runs_jobs_in_the_order_in_which_they_came() {
    let bench = Bench::new(1);
    let (job, disk_job) = (JobKind::Job, JobKind::DiskJob);
    let kinds = [(job, "1"), (disk_job, "2"), (job, "3"), (disk_job, "4")];
    let gates = kinds.map(|(kind, name)| bench.submit(kind, name));
    for (gate, (_, name)) in gates.into_iter().zip(kinds) {
        assert_eq!(bench.next(), name);
        drop(gate);
    }
}

#[test]
fn a_full_queue_refuses_jobs_and_lookups_but_no_disk_job() {
    let bench = Bench::new(1);
    let mut gates = Vec::new();
    for (kind, threads) in [(JobKind::Job, 1), (JobKind::Lookup, LOOKUP_THREADS)] {
        for _ in 0..threads {
            gates.push(bench.submit(kind, "first"));
            bench.next();
        }
        gates.extend((0..3).map(|_| bench.submit(kind, "waiting")));
        let (error, ()) = bench.workers.submit(kind, (), |()| (), &bench.reply).unwrap_err();
        assert_eq!(error.to_string(), "worker queue is full");
    }
    drop(bench.submit(JobKind::DiskJob, "disk job"));
}

#[test]
fn idle_threads_end_with_their_pool() {
    let bench = Bench::new(3);
    let gates = [JobKind::Job, JobKind::Job, JobKind::Lookup].map(|it| bench.submit(it, "job"));
    gates.iter().for_each(|_| assert_eq!(bench.next(), "job"));
    drop(gates);
    wait_until(|| bench.jobs().running + bench.lookups().running == 0);
    // No thread holds the lock, so all wait.
    let pools = [&bench.workers.0.jobs, &bench.workers.0.lookups].map(Arc::downgrade);
    drop(bench.workers);
    wait_until(|| pools.iter().all(|pool| pool.strong_count() == 0));
}

/// A reactor with this pool.
fn reactor_with(workers: &Workers) -> Reactor {
    let mut reactor = Reactor::new().unwrap();
    reactor.set_workers(workers);
    reactor
}

/// A disk job that says by which thread it is done.
fn name_thread(core: &mut Core) -> Receiver<Option<String>> {
    let (done, thread) = channel();
    let job = |kernel: io::Result<&Kernel>| {
        kernel.map(drop).expect("a thread");
        thread::current().name().map(str::to_owned)
    };
    core.push_job(job, move |_, name| done.send(name).unwrap());
    thread
}

/// What such a job says, once it is done.
fn thread_of(job: &Receiver<Option<String>>, reactor: &mut Reactor) -> Option<String> {
    let mut name = None;
    wait_until(|| {
        reactor.turn(Some(Duration::from_millis(10))).unwrap();
        name = job.try_recv().ok();
        name.is_some()
    });
    name.flatten()
}

#[test]
fn a_disk_job_waits_for_a_thread_of_a_busy_pool() {
    let bench = Bench::new(1);
    let mut reactor = reactor_with(&bench.workers);
    let first = bench.submit(JobKind::Job, "first");
    bench.next();
    let waiting = [(); 3].map(|()| bench.submit(JobKind::Job, "waiting"));
    let job = name_thread(&mut reactor.turn.core);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert!(job.try_recv().is_err(), "the reactor has done it");
    drop((first, waiting));
    assert_eq!(thread_of(&job, &mut reactor).as_deref(), Some("worker"));
}

#[test]
fn a_reactor_that_was_given_no_pool_makes_one_for_its_first_disk_job() {
    let mut reactor = Reactor::new().unwrap();
    let job = name_thread(&mut reactor.turn.core);
    assert_eq!(thread_of(&job, &mut reactor).as_deref(), Some("worker"));
}

#[test]
fn a_disk_job_is_done_even_if_its_pool_is_replaced() {
    let bench = Bench::new(1);
    let mut reactor = reactor_with(&bench.workers);
    let first = bench.submit(JobKind::Job, "first");
    bench.next();
    let job = name_thread(&mut reactor.turn.core);
    reactor.turn(Some(Duration::ZERO)).unwrap();
    reactor.set_workers(&Workers::new());
    drop(bench.workers);
    drop(first);
    assert_eq!(thread_of(&job, &mut reactor).as_deref(), Some("worker"));
}

#[test]
fn disk_jobs_and_lookups_have_threads_of_their_own_in_one_pool() {
    let bench = Bench::new(1);
    let mut reactor = reactor_with(&bench.workers);
    let caller = reactor.register(Caller);
    let connector = reactor.connector(caller, &Connect::default()).unwrap();
    reactor.connect(connector, ("localhost", 1), ());
    let job = name_thread(&mut reactor.turn.core);
    assert_eq!(thread_of(&job, &mut reactor).as_deref(), Some("worker"));
    assert_eq!((bench.jobs().threads, bench.lookups().threads), (1, 1));
}

struct Caller;

impl Handler for Caller {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}
