//! Disk jobs, done by [workers](crate::workers) while the reactor continues.

use std::io;

use super::handle::Handle;
use super::workers::{JobKind, Workers};
use crate::core::{Core, Job, Then};
use crate::sys::Kernel;

/// Gives all waiting jobs of a reactor to workers. Each result is posted to `reply`. If there is no
/// thread and none can be started, a job gets that error instead of the kernel.
pub(crate) fn submit(core: &mut Core, workers: &Workers, reply: &Handle<Then>) {
    for job in std::mem::take(&mut core.jobs) {
        match &core.kernel {
            Kernel::Os => {
                let run = |job: Job| job(Ok(&Kernel::Os));
                if let Err((error, job)) = workers.submit(JobKind::DiskJob, job, run, reply) {
                    job(Err(io::Error::other(error)))(core);
                }
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => {
                let (reply, then) = (reply.clone(), job(Ok(&core.kernel)));
                // The reactor may have stopped by then.
                world.after_disk(move || drop(reply.post(then)));
            }
        }
    }
}
