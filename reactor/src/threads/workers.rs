//! Threads for what would block: names to be resolved, disks to be waited for, long computations.
//!
//! A job runs on one of a few threads, and what it returns is posted to a handler as a message.
//!
//! ```
//! # use sluicegate_reactor::{Context, Handler, Input};
//! use sluicegate_reactor::workers::Workers;
//! use sluicegate_reactor::{Reactor, Receive, Turn};
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
//!     fn on_message(&mut self, cx: &mut Turn, Sum(sum): Sum) {
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

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::threads::handle::{Handle, PostError};

/// How many threads there are, and how many jobs may wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkersLimits {
    /// Most threads, at least one: 4. Each is started when a job finds no other without one, and
    /// then waits for the next.
    pub threads: usize,
    /// Most jobs that wait for a thread, at least one: 1,024.
    pub queue: usize,
}

impl Default for WorkersLimits {
    fn default() -> WorkersLimits {
        WorkersLimits { threads: 4, queue: 1024 }
    }
}

/// A pool of threads. Clones are the same pool, and reactors can share one.
///
/// When the last clone is dropped, jobs that wait are dropped, and each thread ends after the job
/// it is at. Nobody waits for that: it may take long, and whoever drops the pool may be a reactor.
#[derive(Clone)]
pub struct Workers(Arc<Owner>);

impl Workers {
    /// With default limits.
    #[must_use]
    pub fn new() -> Workers {
        Workers::with(&WorkersLimits::default())
    }

    /// With these limits.
    #[must_use]
    pub fn with(limits: &WorkersLimits) -> Workers {
        let WorkersLimits { threads, queue } = *limits;
        Workers::of(WorkersLimits { threads: threads.max(1), queue: queue.max(1) })
    }

    /// Workers without threads, for tests: [`run`](Workers::run) does the job before it returns,
    /// and the message comes in the reactor's next turn, so that a run in a
    /// [`Harness`](crate::testing::Harness) is the same each time.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn inline() -> Workers {
        Workers::of(WorkersLimits { threads: 0, queue: 0 })
    }

    fn of(limits: WorkersLimits) -> Workers {
        let pool = Pool { state: Mutex::default(), changed: Condvar::new(), limits };
        Workers(Arc::new(Owner(Arc::new(pool))))
    }

    /// Runs a job on one of the threads, and posts what it returns to `reply`.
    ///
    /// If that mailbox is full the thread waits for room: a reactor that does not keep up slows the
    /// pool down, and nothing is lost. If its reactor has stopped the result is dropped.
    ///
    /// A job that panics has no result: that is logged, nothing is posted, and the thread goes on.
    /// A job that may fail returns a `Result`; whoever waits for what may panic sets a deadline.
    ///
    /// # Errors
    /// [`RunError::Full`] if as many jobs wait as may, [`RunError::NoThread`] if there is no thread
    /// and none can be started. Both give the job back.
    pub fn run<M, F>(&self, job: F, reply: &Handle<M>) -> Result<(), RunError<F>>
    where
        M: Send + 'static,
        F: FnOnce() -> M + Send + 'static,
    {
        let Owner(pool) = &*self.0;
        #[cfg(feature = "testing")]
        if pool.limits.threads == 0 {
            attempt(|| {
                // Nobody else could make room.
                let posted = reply.post(job());
                assert!(!matches!(posted, Err(PostError::Full(_))), "a result and no room for it");
            });
            return Ok(());
        }
        let mut state = pool.lock();
        if state.jobs.len() >= pool.limits.queue {
            return Err(RunError::Full(job));
        }
        let idle = state.threads - state.busy;
        if idle <= state.jobs.len() && state.threads < pool.limits.threads {
            match pool.start() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(RunError::NoThread(job, error)),
                Err(error) => log::warn!("starting another worker: {error}"),
            }
        }
        let reply = reply.clone();
        state.jobs.push_back(Box::new(move || {
            if let Err(PostError::Stopped(_)) = reply.post_when_there_is_room(job()) {
                log::debug!("the result of a job comes too late: its reactor has stopped");
            }
        }));
        drop(state);
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
        f.debug_tuple("Workers").field(&self.0.0.limits).finish()
    }
}

/// Why a job was not taken. It comes back.
pub enum RunError<F> {
    /// As many jobs wait as may.
    Full(F),
    /// There is no thread, and this is what starting one says.
    NoThread(F, io::Error),
}

impl<F> RunError<F> {
    /// The job.
    pub fn into_inner(self) -> F {
        match self {
            RunError::Full(job) | RunError::NoThread(job, _) => job,
        }
    }
}

impl<F> fmt::Debug for RunError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Full(_) => f.write_str("Full(..)"),
            RunError::NoThread(_, error) => write!(f, "NoThread(.., {error:?})"),
        }
    }
}

impl<F> fmt::Display for RunError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Full(_) => f.write_str("the workers have as many jobs as they may"),
            RunError::NoThread(_, error) => write!(f, "starting a worker: {error}"),
        }
    }
}

impl<F> Error for RunError<F> {}

/// Ends the pool when it is dropped. The threads have the pool, but not this.
struct Owner(Arc<Pool>);

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        self.0.changed.notify_all();
        if !dropped.is_empty() {
            log::info!("{} jobs are dropped that no worker has begun", dropped.len());
        }
    }
}

/// Does a job, and survives it.
fn attempt(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        log::error!("a job panicked; nobody gets its result");
    }
}

struct Pool {
    state: Mutex<State>,
    /// Notified when there is a job, or will be none any more.
    changed: Condvar,
    limits: WorkersLimits,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: usize,
    /// How many of the threads have a job.
    busy: usize,
    ended: bool,
}

impl Pool {
    /// Starts a thread.
    fn start(self: &Arc<Pool>) -> io::Result<()> {
        let pool = self.clone();
        let work = move || {
            while let Some(job) = pool.next() {
                attempt(job);
                pool.lock().busy -= 1;
            }
        };
        thread::Builder::new().name("worker".to_owned()).spawn(work).map(drop)
    }

    /// Waits for a job. There is none when the pool has ended.
    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.ended {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let job = state.jobs.pop_front()?;
        state.busy += 1;
        Some(job)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic between two changes runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
