//! Work that may wait for a disk: done by another thread, while the reactor goes on.

use super::handle::Handle;
use super::workers::Workers;
use crate::core::{Core, Job, Then};
use crate::sys::Kernel;

/// The way to the workers and back.
pub(crate) struct Jobs {
    reply: Handle<Then>,
    /// Without threads until there is a job.
    workers: Workers,
}

impl Jobs {
    /// What is to be done after a job is posted to `reply`.
    pub(crate) fn new(reply: Handle<Then>, workers: Workers) -> Jobs {
        Jobs { reply, workers }
    }

    pub(crate) fn set_workers(&mut self, workers: Workers) {
        self.workers = workers;
    }

    /// Hands over what waits, as far as there is room.
    pub(crate) fn submit(&self, core: &mut Core) {
        for job in std::mem::take(&mut core.jobs) {
            match &core.kernel {
                Kernel::Os => self.submit_one(core, job),
                #[cfg(feature = "testing")]
                Kernel::Sim(world) => {
                    let (reply, then) = (self.reply.clone(), job(&core.kernel));
                    // It may have stopped by then.
                    world.after_disk(move || drop(reply.post(then)));
                }
            }
        }
    }

    fn submit_one(&self, core: &mut Core, job: Job) {
        match self.workers.run(move || job(&Kernel::Os), &self.reply) {
            Ok(()) => {}
            Err(refused) => {
                core.ledger.inline_jobs += 1;
                log::debug!("a job is not left to a worker: {refused}");
                refused.into_inner()()(core);
            }
        }
    }
}
