//! A pool of threads for work that blocks: disk access, name resolution, long computations.
//!
//! A job runs on one of the pool's threads, and its result is posted to a handler as a message.
//!
//! ```
//! # use sluicegate_reactor::{Context, Handler, Input};
//! use sluicegate_reactor::workers::Workers;
//! use sluicegate_reactor::{Reactor, Receive, Sessions};
//!
//! struct Sum(u64);
//!
//! #[derive(Default)]
//! struct Sums(Vec<u64>);
//! # impl Handler for Sums {
//! #     type Session = ();
//! #     fn on_open(&mut self, _: &mut Context<'_>) {}
//! #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//! #         input.take();
//! #     }
//! # }
//!
//! impl Receive<Sum> for Sums {
//!     fn on_message(&mut self, cx: &mut Sessions<'_>, Sum(sum): Sum) {
//!         self.0.push(sum);
//!         cx.stop();
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let sums = reactor.register(Sums::default());
//! let reply = reactor.handle(sums);
//! let workers = Workers::new();
//! workers.run(|| Sum((1..=1_000_000).sum()), &reply).expect("room for a job");
//! reactor.run()?;
//! assert_eq!(reactor.handler(sums).0, [500_000_500_000]);
//! # Ok(())
//! # }
//! ```
//!
//! # Who uses a pool
//!
//! A reactor leaves two kinds of work to its pool: disk access for the files that it sends and
//! receives, and resolving names for [`connect`](crate::connect). All reactors of a
//! [`Server`](crate::Server) share one pool ([`ServerOptions::workers`]); a standalone reactor has
//! its own. [`Reactor::set_workers`] replaces it, for example with a pool that also runs the
//! program's own jobs. A thread starts when the first job needs it.
//!
//! Jobs of a pool delay each other, and long ones of the program delay disk access: run those in a
//! separate pool. Lookups have threads of their own, because `getaddrinfo(3)` may take half a minute
//! if a name server does not answer. Requests for the same name share one lookup. While ten names
//! are looked up, or as many as the pool has threads if that is more, further names wait, and their
//! connections may time out.
//!
//! [`ServerOptions::workers`]: crate::ServerOptions::workers
//! [`Reactor::set_workers`]: crate::Reactor::set_workers

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::sys::about;
use crate::threads::handle::{Handle, PostError};

mod names;
#[cfg(test)]
mod tests;

pub(crate) use names::Found;
use names::Lookup;

/// The limits of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkersLimits {
    /// The maximum number of threads that run jobs, at least one. Names are looked up by other
    /// threads: at most as many, or ten if that is more. A thread is started when it is needed, and
    /// then stays. The default is 4.
    pub threads: usize,
    /// The maximum number of jobs that wait for a thread, at least one. At this limit
    /// [`Workers::run`] refuses jobs, and connecting to a host name fails if this many lookups, or
    /// connections for the same name, are waiting. The default is 1,024.
    ///
    /// The disk jobs of reactors wait with the others, but are never refused. Their number is
    /// bounded separately: each holds a descriptor of its file, a reactor reads at most 32 windows
    /// of files at a time, and a file being received has at most
    /// [`Limits::file_batches`](crate::Limits::file_batches) jobs.
    pub queue: usize,
}

impl Default for WorkersLimits {
    fn default() -> WorkersLimits {
        WorkersLimits { threads: 4, queue: 1024 }
    }
}

/// A pool of threads. A clone refers to the same pool.
///
/// When the last clone is dropped, waiting jobs are dropped too, and each thread exits after its
/// current job. The drop does not wait for the threads, because a job may take long and the last
/// clone may belong to a reactor. Each disk job of a reactor holds a clone, so none of those is
/// lost.
#[derive(Clone)]
pub struct Workers(Arc<Owner>);

impl Workers {
    /// Creates a pool with default limits.
    #[must_use]
    pub fn new() -> Workers {
        Workers::with(&WorkersLimits::default())
    }

    /// Creates a pool with these limits.
    #[must_use]
    pub fn with(limits: &WorkersLimits) -> Workers {
        let WorkersLimits { threads, queue } = *limits;
        Workers::of(WorkersLimits { threads: threads.max(1), queue: queue.max(1) })
    }

    /// Creates a pool without threads, for tests: [`run`](Workers::run) runs the job before it
    /// returns, and the message arrives in the reactor's next turn. So a run in a
    /// [`Harness`](crate::testing::Harness) is the same each time.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn inline() -> Workers {
        Workers::of(WorkersLimits { threads: 0, queue: 0 })
    }

    fn of(limits: WorkersLimits) -> Workers {
        let lookups = WorkersLimits { threads: limits.threads.max(LOOKUP_THREADS), ..limits };
        let jobs = ThreadPool::new("worker", limits);
        let lookups = ThreadPool::new("lookup", lookups);
        Workers(Arc::new(Owner { jobs, lookups, names: Arc::default() }))
    }

    /// Runs a job on one of the pool's threads and posts its result to `reply`.
    ///
    /// If that mailbox is full, the thread waits for room: a reactor that cannot keep up slows the
    /// pool down, but no result is lost. If its reactor has stopped, the result is dropped.
    ///
    /// If a job panics, the panic is logged, nothing is posted, and the thread takes the next job.
    /// A job that can fail should return a `Result`. If it might panic, set a deadline for its
    /// result.
    ///
    /// # Errors
    /// `QuotaExceeded` if [`WorkersLimits::queue`] jobs are already waiting; the error of starting
    /// a thread if the pool has none. The job is dropped.
    pub fn run<M, F>(&self, job: F, reply: &Handle<M>) -> io::Result<()>
    where
        M: Send + 'static,
        F: FnOnce() -> M + Send + 'static,
    {
        #[cfg(feature = "testing")]
        if self.0.jobs.limits.threads == 0 {
            run_caught(|| {
                // No other thread could make room.
                let posted = reply.post(job());
                assert!(!matches!(posted, Err(PostError::Full(_))), "a result and no room for it");
            });
            return Ok(());
        }
        self.submit(JobKind::Job, job, |job| job(), reply).map_err(|(error, _)| error)
    }

    /// Queues a job, and starts a thread for it if none is idle. Returns the job with the error.
    pub(crate) fn submit<M: Send + 'static, J: Send + 'static>(
        &self,
        kind: JobKind,
        job: J,
        run: impl FnOnce(J) -> M + Send + 'static,
        reply: &Handle<M>,
    ) -> Result<(), (io::Error, J)> {
        let pool = if kind == JobKind::Lookup { &self.0.lookups } else { &self.0.jobs };
        let mut queue = pool.lock();
        if kind != JobKind::DiskJob && queue.jobs.len() >= pool.limits.queue {
            return Err((full(), job));
        }
        let idle = queue.threads - queue.running;
        if idle <= queue.jobs.len() && queue.threads < pool.limits.threads {
            let worker = pool.clone();
            match thread::Builder::new().name(pool.name.to_owned()).spawn(move || worker.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    return Err((about("start a worker thread")(error), job));
                }
                Err(error) => log::warn!("cannot start another worker thread: {error}"),
            }
        }
        let reply = reply.clone();
        // A pool that a reactor has replaced or left ends when its disk jobs are done.
        let pool_in_use = (kind == JobKind::DiskJob).then(|| self.clone());
        let run = move || {
            if let Err(PostError::Disconnected(_)) = reply.0.post_when_there_is_room(run(job)) {
                log::debug!("dropped the result of a worker's job: its reactor has stopped");
            }
            drop(pool_in_use);
        };
        queue.jobs.push_back(Box::new(run));
        drop(queue);
        pool.changed.notify_one();
        Ok(())
    }
}

impl Default for Workers {
    fn default() -> Workers {
        Workers::new()
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workers").field(&self.0.jobs.limits).finish()
    }
}

/// Ends the threads when it is dropped. They hold their pool, but not this.
struct Owner {
    jobs: Arc<ThreadPool>,
    lookups: Arc<ThreadPool>,
    names: Arc<Mutex<Vec<Lookup>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let waiting = self.jobs.end() + self.lookups.end();
        if waiting > 0 {
            log::info!("worker pool is dropped with {waiting} jobs waiting");
        }
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "worker queue is full")
}

/// Runs a job, and survives its panic.
fn run_caught(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        log::error!("a job panicked on a worker thread; it has no result");
    }
}

struct ThreadPool {
    queue: Mutex<JobQueue>,
    /// Notified when a job is queued, and when the pool ends.
    changed: Condvar,
    /// The name of its threads.
    name: &'static str,
    limits: WorkersLimits,
}

/// The purpose of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// The program. [`WorkersLimits::queue`] bounds how many wait.
    Job,
    /// A reactor's files, which bound their number.
    DiskJob,
    /// A reactor's names. [`WorkersLimits::queue`] bounds how many wait, too.
    Lookup,
}

/// How many names can be looked up at the same time if a pool has no more threads than this. Most
/// of the time these threads wait for a name server.
const LOOKUP_THREADS: usize = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The jobs that wait, and what the threads do.
#[derive(Default)]
struct JobQueue {
    /// In the order in which they came.
    jobs: VecDeque<Job>,
    threads: usize,
    /// How many threads run a job.
    running: usize,
    ended: bool,
}

impl ThreadPool {
    fn new(name: &'static str, limits: WorkersLimits) -> Arc<ThreadPool> {
        Arc::new(ThreadPool { queue: Mutex::default(), changed: Condvar::new(), name, limits })
    }

    /// Runs jobs until the pool ends.
    fn work(&self) {
        let mut queue = self.lock();
        while !queue.ended {
            if let Some(job) = queue.jobs.pop_front() {
                queue.running += 1;
                drop(queue);
                run_caught(job);
                queue = self.lock();
                queue.running -= 1;
            } else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Ends the threads after their current jobs. Drops those that wait, and returns how many.
    fn end(&self) -> usize {
        let mut queue = self.lock();
        queue.ended = true;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        self.changed.notify_all();
        jobs.len()
    }

    fn lock(&self) -> MutexGuard<'_, JobQueue> {
        // Nothing that can panic between two changes runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
