//! Cold regions: workers read what is not in memory, while the queue waits.

use std::io;

use crate::core::{ConnId, Core, QueuedRegion};
use crate::time::deadlines;

#[cfg(all(test, feature = "testing", target_os = "linux"))]
mod tests;

/// Most windows that are read at a time. More would only wait for the same disk and delay other
/// jobs.
const MOST_READS: usize = 32;

/// Makes a queue wait until the next `bytes` of the region at its front are in memory.
pub(super) fn wait_for_disk(core: &mut Core, index: u32, bytes: usize) {
    let id = core.id(index);
    if let Some(queue) = &mut core[index].outbound {
        queue.waits_for_disk = true;
    }
    if core.cold.waiting.len() > 2 * core.connections.len() {
        // At least half of these connections are gone. A disk that hangs serves none, while
        // connections come and go.
        let mut waiting = std::mem::take(&mut core.cold.waiting);
        waiting.retain(|&(id, _)| core.find(id).is_some());
        core.cold.waiting = waiting;
    }
    core.cold.waiting.push_back((id, bytes));
    start_reads(core);
}

fn start_reads(core: &mut Core) {
    while core.cold.running < MOST_READS
        && let Some((id, bytes)) = core.cold.waiting.pop_front()
    {
        let Some(region) = waiting_region(core, id) else { continue };
        let (file, offset) = (region.file.share(), region.offset);
        let unreported = region.file.is_unreported();
        core.cold.running += 1;
        let ledger = core.ledger_of(id.index);
        ledger.cold_reads += 1;
        ledger.cold_unreported += u64::from(unreported);
        core.push_job(
            move |kernel| kernel.map(|kernel| kernel.warm(file.fd(), offset, bytes)),
            move |core, read| done(core, id, bytes, read),
        );
    }
}

/// A worker has tried to read a window, or no worker could be started.
fn done(core: &mut Core, id: ConnId, bytes: usize, read: io::Result<io::Result<()>>) {
    core.cold.running -= 1;
    match read {
        Ok(Ok(())) => resume(core, id, bytes),
        Ok(Err(error)) => {
            // The call that sends these bytes will fail in the same way and end the connection.
            if core.find(id).is_some() {
                log::debug!("{}: cannot read a file ahead: {error}", core.describe(id.index));
            }
            resume(core, id, bytes);
        }
        // The reactor must not wait for the disk itself.
        Err(error) if core.find(id).is_some() => core.fail_with(id.index, &error),
        Err(_) => {}
    }
    start_reads(core);
}

/// A window was read for a connection, which may be gone by now. Its idle and write-stall deadlines
/// start again.
fn resume(core: &mut Core, id: ConnId, bytes: usize) {
    let Some(region) = waiting_region(core, id) else { return };
    region.note_warmed(bytes);
    if let Some(queue) = &mut core[id.index].outbound {
        queue.waits_for_disk = false;
    }
    deadlines::restart_idle_and_stall(core, id.index);
    core.schedule(id.index);
}

/// The region at the front of a connection's queue, if the queue waits for a disk.
fn waiting_region(core: &mut Core, id: ConnId) -> Option<&mut QueuedRegion> {
    let c = core.get_mut(id.index).filter(|c| c.generation == id.generation)?;
    c.outbound.as_mut().filter(|queue| queue.waits_for_disk)?.region(0)
}
