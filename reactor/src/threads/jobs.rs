//! What may wait for a disk: done by another thread, while the reactor goes on.

use crate::core::Core;
use crate::sys::Kernel;
use crate::threads::handle::Handle;
use crate::threads::workers::Workers;

/// What is to be done in the reactor's thread when a job is.
pub(crate) type Then = Box<dyn FnOnce(&mut Core) + Send>;

/// The way to the workers and back.
pub(crate) struct Jobs {
    reply: Handle<Then>,
    /// Without threads until there is a job.
    workers: Workers,
}

impl Jobs {
    /// What is to be done after a job is posted here.
    pub(crate) fn new(reply: Handle<Then>, workers: Workers) -> Jobs {
        Jobs { reply, workers }
    }
}

impl Core {
    /// Does a job without waiting for it, and `then` what follows from its result. Where there are
    /// no workers, or they have too much to do, both happen before this returns.
    pub(crate) fn run_job<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&Kernel) -> T + Send + 'static,
        then: impl FnOnce(&mut Core, T) + Send + 'static,
    ) {
        let Some(jobs) = &self.jobs else {
            self.ledger.inline_jobs += 1;
            let result = job(&self.kernel);
            return then(self, result);
        };
        let and_then = |result| Box::new(move |core: &mut Core| then(core, result)) as Then;
        match &self.kernel {
            Kernel::Os => {
                let job = move || and_then(job(&Kernel::Os));
                if let Err(refused) = jobs.workers.run(job, &jobs.reply) {
                    self.ledger.inline_jobs += 1;
                    log::debug!("a job is not left to a worker: {refused}");
                    refused.into_inner()()(self);
                }
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let (reply, done) = (jobs.reply.clone(), and_then(job(&self.kernel)));
                // It may have stopped by then.
                world.after_disk(move || drop(reply.post(done)));
            }
        }
    }

    /// A job is done.
    pub(crate) fn job_done(&mut self, then: Then) {
        then(self);
    }
}
