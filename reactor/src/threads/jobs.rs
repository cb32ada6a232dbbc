//! Work that a reactor leaves to its [workers](crate::workers): disk jobs and lookups.

use std::io;

use crate::core::Core;
use crate::sys::Kernel;
use crate::threads::handle::{Handle, Mailbox, mailbox};
use crate::threads::workers::{Kind, Workers};

/// What the reactor does in its own thread once a job is done.
pub(crate) type Then = Box<dyn FnOnce(&mut Core) + Send>;

/// A reactor's pool, and where the results go.
pub(crate) struct Jobs {
    pub(crate) workers: Workers,
    reply: Handle<Then>,
    /// Whether there was a job: until then the reactor expects no result.
    pub(crate) begun: bool,
}

impl Jobs {
    /// With a pool of its own; also the mailbox in which the results arrive.
    pub(crate) fn new() -> (Jobs, Mailbox<Then>) {
        let (reply, results) = mailbox();
        (Jobs { workers: Workers::new(), reply, begun: false }, results)
    }

    /// Where the result of a job goes that is about to begin.
    pub(crate) fn reply(&mut self) -> Handle<Then> {
        self.begun = true;
        self.reply.clone()
    }
}

impl Core {
    /// Leaves a job to a worker, and calls `then` with its result in a later turn. If there is no
    /// thread and none can be started, `job` gets that error instead of the kernel.
    pub(crate) fn run_job<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(io::Result<&Kernel>) -> T + Send + 'static,
        then: impl FnOnce(&mut Core, T) + Send + 'static,
    ) {
        let reply = self.jobs.reply();
        let job = move |kernel: io::Result<&Kernel>| {
            let result = job(kernel);
            Box::new(move |core: &mut Core| then(core, result)) as Then
        };
        match &self.kernel {
            Kernel::Os => {
                let (workers, kind) = (&self.jobs.workers, Kind::DiskJob);
                let submitted = workers.submit(kind, job, |job| job(Ok(&Kernel::Os)), &reply);
                if let Err(refused) = submitted {
                    let error = io::Error::other(refused.to_string());
                    let done = refused.into_inner()(Err(error));
                    if let Err(refused) = reply.post(done) {
                        refused.into_inner()(self);
                    }
                }
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let done = job(Ok(&self.kernel));
                // The reactor may have stopped by then.
                world.after_disk(move || drop(reply.post(done)));
            }
        }
    }
}
