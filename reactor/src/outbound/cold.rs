//! Regions that are not in memory: a worker reads them while their queue is held.

use std::collections::VecDeque;
use std::io;

use super::Part;
use crate::core::Core;
use crate::handler::ConnId;
use crate::sys::Kernel;

#[cfg(all(test, feature = "testing", target_os = "linux"))]
mod tests;

/// Most windows that are read at a time. More would wait for the same disk, and be in the way of
/// other jobs.
const MOST_READS: usize = 32;

/// The queues that wait for a disk.
#[derive(Default)]
pub(crate) struct Cold {
    reads: usize,
    /// Connections to read for, and how many bytes.
    waiting: VecDeque<(ConnId, usize)>,
    /// Reads are being started. One that is done at once must not start the next from within.
    starting: bool,
}

impl Core {
    /// Holds a queue until the next `bytes` of the region at its front are in memory.
    pub(crate) fn wait_for_disk(&mut self, index: u32, bytes: usize) {
        let Some(c) = self.get_mut(index) else { return };
        let id = ConnId { index, generation: c.generation };
        if let Some(queue) = &mut c.outbound {
            queue.waits_for_disk = true;
        }
        if self.cold.waiting.len() > self.most_that_wait() {
            // A disk that hangs gets to none of them, and their connections come and go.
            let mut waiting = std::mem::take(&mut self.cold.waiting);
            waiting.retain(|&(id, _)| self.find(id).is_some());
            self.cold.waiting = waiting;
        }
        self.cold.waiting.push_back((id, bytes));
        self.start_reads();
    }

    /// If more than this many connections wait for a disk, at least half of them are gone.
    pub(crate) fn most_that_wait(&self) -> usize {
        2 * self.connections.0.len()
    }

    fn start_reads(&mut self) {
        if std::mem::replace(&mut self.cold.starting, true) {
            return;
        }
        while self.cold.reads < MOST_READS
            && let Some((id, bytes)) = self.cold.waiting.pop_front()
        {
            self.start_read(id, bytes);
        }
        self.cold.starting = false;
    }

    fn start_read(&mut self, id: ConnId, bytes: usize) {
        let Some((file, offset, hidden)) = self
            .part_that_waits(id)
            .map(|part| (part.file.fd(), part.offset, part.file.is_hidden()))
        else {
            return;
        };
        self.cold.reads += 1;
        let file = self.kernel.duplicate(file);
        let ledger = self.ledger_of(id.index);
        match file {
            Ok(file) => {
                if let Some(ledger) = ledger {
                    ledger.cold_reads += 1;
                    ledger.cold_untold += u64::from(hidden);
                }
                let read = move |kernel: io::Result<&Kernel>| {
                    kernel.map(|kernel| file.warm(kernel, offset, bytes))
                };
                self.run_job(read, move |core, read| match read {
                    Ok(read) => core.disk_is_done(id, bytes, read),
                    Err(error) => core.read_not_started(id, &error),
                });
            }
            Err(error) => {
                // To go on may wait for the disk; not to go on waits for ever.
                log::warn!("a file is read in place: no descriptor for a worker: {error}");
                if let Some(ledger) = ledger {
                    ledger.cold_waits += 1;
                }
                self.disk_is_done(id, bytes, Ok(()));
            }
        }
    }

    /// No worker reads a window. The reactor must not wait for the disk, so the connection fails.
    fn read_not_started(&mut self, id: ConnId, error: &io::Error) {
        self.cold.reads -= 1;
        if self.find(id).is_some() {
            self.fail_with(id.index, error);
        }
        self.start_reads();
    }

    /// A window was read, for a connection that may be gone. The clocks of its queue, which stood
    /// still, run from now on.
    fn disk_is_done(&mut self, id: ConnId, bytes: usize, read: io::Result<()>) {
        self.cold.reads -= 1;
        if let Err(error) = read {
            // The call that sends these bytes meets it too, and ends the connection.
            log::debug!("reading ahead of a connection: {error}");
        }
        let tick = self.tick;
        if let Some(part) = self.part_that_waits(id) {
            part.warmed(bytes);
        }
        if let Some(c) = self.connections.0.get_mut(id.index as usize)
            && c.generation == id.generation
            && let Some(queue) = &mut c.outbound
        {
            queue.waits_for_disk = false;
            (c.active, queue.progress) = (tick, tick);
            self.arm(id.index);
            self.list(id.index);
        }
        self.start_reads();
    }

    /// What is at the front of a queue that is held.
    fn part_that_waits(&mut self, id: ConnId) -> Option<&mut Part> {
        let c = self.get_mut(id.index).filter(|c| c.generation == id.generation)?;
        c.outbound.as_mut().filter(|queue| queue.waits_for_disk)?.part(0)
    }
}
