//! Receiving into a file, without ever having the whole of it in memory.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::core::Core;
use crate::core::connection::{Connection, Flags};
use crate::core::limits::Quantum;
use crate::fs::{Committed, NewFile, Part};
use crate::handler::ConnId;
use crate::sys::{Fd, HAS_SPLICE, Ready};
use crate::turn::reactor::Reactor;

use super::batch::{Batch, Body};
use super::{Held, Strategy};

/// What became of bytes that were to be received into a file.
#[derive(Debug)]
pub enum Saved {
    /// They are all there, and the file has its name.
    Committed(Committed),
    /// They are all there, and the file is to go on: what
    /// [`receive_part`](crate::Context::receive_part) has asked for.
    Part(NewFile),
}

/// Why a file was not received. It is gone.
#[derive(Debug)]
pub struct NotSaved {
    /// What writing, syncing or renaming says: `StorageFull`, `QuotaExceeded`, `NotFound` for a
    /// directory that was removed, and the like.
    pub error: io::Error,
    /// How many of the expected bytes were not received yet; `None` if they go on until the peer
    /// ends its direction. They are still to come: whoever wants to talk on
    /// [discards](crate::Context::discard) them.
    pub left: Option<u64>,
}

impl fmt::Display for NotSaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "receive a file: {}", self.error)
    }
}

impl Error for NotSaved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// What follows when all is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Commit,
    GiveBack,
}

/// What came in pieces no larger than this is copied together, up to this size, before a worker
/// writes it: a job costs 1.5 times as much as to copy so much, and 0.4 times as much as
/// to copy 256 KiB (bench `inbound`; Linux 6.18).
const GATHER: usize = 64 << 10;

/// A file that is being received.
pub(crate) struct Saving {
    file: NewFile,
    /// How many bytes are still to be received; all until the end if nobody knows.
    left: Option<u64>,
    then: Then,
    /// How much room is to be asked for before anything is written.
    reserve: u64,
    /// Received, and not yet with a worker.
    gathered: Vec<u8>,
    /// Where in the file the next batch goes.
    offset: u64,
    /// How many batches are with workers.
    writing: usize,
    /// Whether its connection is among those that wait for a buffer.
    pub(super) waits: bool,
    /// Whether the last batch is, or was.
    closing: bool,
    failed: Option<io::Error>,
    committed: Option<Committed>,
    /// Whether it comes by a pipe, once that is known: then all of it does.
    splices: Option<bool>,
}

impl Saving {
    fn new(file: NewFile, left: Option<u64>, then: Then) -> Saving {
        Saving {
            left,
            then,
            reserve: left.unwrap_or(0),
            gathered: Vec::new(),
            offset: file.len(),
            writing: 0,
            waits: false,
            closing: false,
            failed: None,
            committed: None,
            splices: None,
            file,
        }
    }

    /// How many of so many bytes belong to it.
    fn share(&self, bytes: usize) -> usize {
        self.left.map_or(bytes, |left| left.min(bytes as u64) as usize)
    }

    /// Notes that so many bytes were received for it.
    fn received(&mut self, count: usize) {
        self.left = self.left.map(|left| left - count as u64);
    }

    /// Writes what was received, at once.
    fn write(&mut self, bytes: &[u8]) {
        self.received(bytes.len());
        let reserved = self.file.part().reserve(
            self.file.kernel(),
            self.offset,
            std::mem::take(&mut self.reserve),
        );
        self.failed = reserved.and_then(|()| self.file.append(bytes)).err();
    }

    /// Whether batches of this file are these.
    pub(super) fn is_of(&self, part: &Arc<Part>) -> bool {
        Arc::ptr_eq(self.file.part(), part)
    }

    /// A worker is done with a batch of so many bytes.
    pub(super) fn batch_done(&mut self, len: u64, result: io::Result<Option<Committed>>) {
        self.writing -= 1;
        match result {
            Ok(committed) => {
                self.file.written(len);
                self.committed = self.committed.or(committed);
            }
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// The next batch: what was gathered, and this behind it.
    fn batch(&mut self, body: Option<Body>, last: bool) -> Batch {
        let head = std::mem::take(&mut self.gathered);
        let offset = self.offset;
        self.offset += (head.len() + body.as_ref().map_or(0, |(_, part)| part.len())) as u64;
        self.writing += 1;
        self.closing = last;
        let reserve = std::mem::take(&mut self.reserve);
        Batch { part: self.file.part().clone(), offset, reserve, head, body, last }
    }

    /// What became of it, when all is written or something has failed.
    fn outcome(mut self) -> Result<Saved, NotSaved> {
        let result = match (self.failed.take(), self.committed, self.then) {
            (Some(error), ..) => Err(error),
            (None, Some(committed), _) => {
                self.file.set_committed();
                Ok(Saved::Committed(committed))
            }
            (None, None, Then::Commit) => self.file.commit().map(Saved::Committed),
            (None, None, Then::GiveBack) => Ok(Saved::Part(self.file)),
        };
        result.map_err(|error| NotSaved { error, left: self.left })
    }
}

/// What a file needs next.
enum Need {
    /// To be written by a worker: what was gathered, maybe as the last of it.
    Batch { last: bool },
    /// That a worker is done.
    Worker,
    /// More bytes, which are written by the reactor itself or not.
    Input { direct: bool },
    /// Nothing: it is whole, it has failed, or it never will be whole.
    Over { whole: bool },
}

impl Core {
    pub(crate) fn receive_file(
        &mut self,
        index: u32,
        file: NewFile,
        left: Option<u64>,
        then: Then,
    ) {
        self.set_strategy(index, Strategy::File(Box::new(Saving::new(file, left, then))));
    }

    /// Gives a file up that is being received, if there is one, and removes it.
    pub(crate) fn stop_saving(&mut self, index: u32) {
        if let Some(saving) = self.end_saving(index) {
            let (part, len) = (saving.file.part().clone(), saving.file.len());
            drop(saving);
            if len >= LARGE {
                // Whoever closes a file without a name waits until its pages are free.
                self.run_job(move |_| drop(part), |_, ()| {});
            }
        }
    }

    /// Takes out a file that is no longer received; what follows goes to the handler.
    fn end_saving(&mut self, index: u32) -> Option<Saving> {
        let c = self.connections.0.get_mut(index as usize)?;
        let extras = c.extras.as_mut()?;
        let Strategy::File(_) = extras.strategy else { return None };
        let Strategy::File(saving) = std::mem::take(&mut extras.strategy) else { return None };
        extras.held.clear(Held::DISK);
        extras.brief = saving.splices == Some(true);
        c.flags.set(Flags::OWES_KEPT);
        self.recycle_extras(index);
        Some(*saving)
    }

    /// The file that a connection receives.
    pub(super) fn saving(&mut self, index: u32) -> Option<&mut Saving> {
        match &mut self.get_mut(index)?.extras.as_mut()?.strategy {
            Strategy::File(saving) => Some(saving),
            _ => None,
        }
    }

    /// Takes what was kept, and looks what is to be done.
    fn next_of_file(&mut self, index: u32) -> Option<Need> {
        let c = self.connections.0.get_mut(index as usize)?;
        let limits = &self.groups[c.group as usize].limits;
        let extras = c.extras.as_mut()?;
        let Strategy::File(saving) = &mut extras.strategy else { return None };
        let direct = saving.file.part().is_in_memory();
        if saving.failed.is_some() || saving.committed.is_some() {
            let rests = saving.writing == 0;
            return Some(if rests { Need::Over { whole: true } } else { Need::Worker });
        }
        if c.flags.take(Flags::OWES_KEPT) {
            let count = saving.share(extras.kept.len());
            let kept = &extras.kept.bytes()[..count];
            if direct {
                saving.write(kept);
            } else {
                saving.received(count);
                saving.gathered.extend_from_slice(kept);
            }
            extras.kept.consume(count, &mut self.pool);
        }
        let ended = c.flags.has(Flags::OWES_EOF);
        let whole = saving.left.map_or(ended, |left| left == 0);
        Some(if saving.failed.is_some() || ended && !whole {
            Need::Over { whole }
        } else if direct {
            if whole { Need::Over { whole } } else { Need::Input { direct } }
        } else if saving.closing || saving.writing >= limits.file_batches.max(1) {
            Need::Worker
        } else if whole && saving.writing > 0 {
            // What fails must be known before the file has its name.
            Need::Worker
        } else if whole {
            let last = saving.then == Then::Commit;
            if last || !saving.gathered.is_empty() {
                Need::Batch { last }
            } else {
                Need::Over { whole }
            }
        } else if saving.gathered.len() >= GATHER {
            Need::Batch { last: false }
        } else {
            Need::Input { direct }
        })
    }

    /// Waits for a worker.
    fn hold_for_disk(&mut self, index: u32) {
        if let Some(extras) = self.extras(index) {
            extras.held.set(Held::DISK);
        }
    }
}

/// Files of this length and more are closed by a worker if they were given up: to close 1 MiB in
/// memory costs 20 times as much as a job, 64 KiB twice as much (bench `inbound`; Linux 6.18).
const LARGE: u64 = 1 << 20;

impl Reactor {
    /// One step of receiving a file. Says whether there may be another.
    pub(crate) fn step_file(&mut self, index: u32, input: &mut Quantum) -> bool {
        let core = &mut self.core;
        match core.next_of_file(index) {
            Some(Need::Input { direct }) => {
                if !core.get(index).is_some_and(Connection::can_receive) {
                    return false;
                }
                let count = match direct {
                    true if self.core.is_spliced(index) => self.core.splice_to_file(index),
                    true => self.save(index),
                    false => self.fill_batch(index),
                };
                input.bytes = input.bytes.saturating_sub(count);
                true
            }
            Some(Need::Batch { last }) => {
                let Some(id) = core.id(index) else { return false };
                let Some(saving) = core.saving(index) else { return false };
                let batch = saving.batch(None, last);
                core.leave_to_worker(id, batch);
                true
            }
            Some(Need::Worker) => {
                core.hold_for_disk(index);
                false
            }
            Some(Need::Over { whole }) => {
                let failed = core.saving(index).is_some_and(|saving| saving.failed.is_some());
                if !whole && !failed {
                    // It will never be whole; `on_eof` comes next.
                    core.stop_saving(index);
                    return true;
                }
                let Some(saving) = core.end_saving(index) else { return false };
                let saved = saving.outcome();
                self.call(index, |handler, core, slot| handler.saved(core, index, slot, saved));
                true
            }
            None => false,
        }
    }

    /// Receives and writes. Says how many bytes came.
    fn save(&mut self, index: u32) -> usize {
        let core = &mut self.core;
        let buffer = &mut self.receive;
        let Some((socket, room)) = core.room_for_file(index, buffer.len()) else { return 0 };
        let result = core.kernel.recv(socket, &mut buffer[..room]);
        let Some(count) = core.note_received(index, room, result) else { return 0 };
        if let Some(saving) = core.saving(index) {
            saving.write(&buffer[..count]);
        }
        core.note_saved(index, count);
        count
    }

    /// Takes what a handler has left in the buffer that everything is received into if it is for a
    /// file, so that it need not be kept. Says how much that was.
    pub(super) fn save_rest(&mut self, index: u32, rest: Range<usize>) -> usize {
        let core = &mut self.core;
        let Some(id) = core.id(index) else { return 0 };
        let may_lend = core.batches.has_one();
        let Some(saving) = core.saving(index) else { return 0 };
        let count = saving.share(rest.len());
        let part = rest.start..rest.start + count;
        if saving.file.part().is_in_memory() {
            saving.write(&self.receive[part]);
        } else if may_lend && count > GATHER && count == rest.len() {
            saving.received(count);
            let buffer = core.batches.lend(&mut self.receive);
            let Some(saving) = core.saving(index) else { return 0 };
            let batch = saving.batch(Some((buffer, part)), false);
            core.leave_to_worker(id, batch);
        } else {
            saving.received(count);
            saving.gathered.extend_from_slice(&self.receive[part]);
        }
        core.note_saved(index, count);
        count
    }

    /// Receives for a worker to write. Says how many bytes came.
    fn fill_batch(&mut self, index: u32) -> usize {
        let core = &mut self.core;
        let Some(id) = core.id(index) else { return 0 };
        if !core.has_batch_for(id) {
            core.hold_for_disk(index);
            return 0;
        }
        let most = self.receive.len();
        let Some((socket, room)) = core.room_for_file(index, most) else { return 0 };
        let result = core.kernel.recv(socket, &mut self.receive[..room]);
        let Some(count) = core.note_received(index, room, result) else { return 0 };
        core.note_saved(index, count);
        let buffer = (count > GATHER).then(|| core.batches.lend(&mut self.receive));
        let Some(saving) = core.saving(index) else { return 0 };
        saving.received(count);
        match buffer {
            Some(buffer) => {
                let batch = saving.batch(Some((buffer, 0..count)), false);
                core.leave_to_worker(id, batch);
            }
            None => saving.gathered.extend_from_slice(&self.receive[..count]),
        }
        count
    }
}

/// By way of a pipe: what was received is written from the pages in which it came.
impl Core {
    /// Whether what a file is to receive next goes by a pipe: many bytes, none of them urgent.
    fn is_spliced(&mut self, index: u32) -> bool {
        let Some(c) = self.get(index) else { return false };
        if !HAS_SPLICE || c.ready.any(Ready::URGENT) {
            return false;
        }
        let least = self.limits(c.group).splice_after as u64;
        // Where nobody knows how many will come, as many as have.
        let Some(saving) = self.saving(index) else { return false };
        if saving.splices.is_none() && saving.left.unwrap_or(saving.file.len()) >= least {
            saving.splices = Some(true);
        }
        saving.splices == Some(true)
    }

    /// Receives and writes. Says how many bytes came.
    fn splice_to_file(&mut self, index: u32) -> usize {
        let pipe = match self.batches.take_pipe(&self.kernel) {
            Ok(pipe) => pipe,
            Err(error) => {
                log::debug!("no pipe for a file: {error}");
                if let Some(ledger) = self.ledger_of(index) {
                    ledger.no_pipe += 1;
                }
                if let Some(saving) = self.saving(index) {
                    saving.splices = Some(false);
                }
                return 0;
            }
        };
        let Some((socket, room)) = self.room_for_file(index, pipe.size) else { return 0 };
        let result = self.kernel.splice(socket, pipe.write, room);
        // Fewer bytes than fit need not be all there are: their pieces may have filled the pipe.
        let asked = *result.as_ref().unwrap_or(&0);
        let count = self.note_received(index, asked, result).unwrap_or(0);
        let mut left = count;
        if let Some(saving) = self.saving(index) {
            saving.received(count);
            saving.failed = saving.file.append_from(pipe.read, &mut left).err();
        }
        self.batches.give_pipe(pipe, left);
        if count > 0 {
            self.note_saved(index, count);
            if let Some(ledger) = self.ledger_of(index) {
                ledger.saved_by_splice += count as u64;
            }
        }
        count
    }
}

impl Core {
    /// Counts bytes received for a file. What is whole is noticed by the next step, whatever the
    /// socket says.
    fn note_saved(&mut self, index: u32, count: usize) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        c.flags.set(Flags::OWES_KEPT);
        self.groups[c.group as usize].ledger.saved += count as u64;
    }

    /// Where the next bytes of a file come from, and how many of `most` may.
    fn room_for_file(&mut self, index: u32, most: usize) -> Option<(Fd, usize)> {
        let c = self.get(index)?;
        let (socket, most) = (c.socket, c.receivable(most));
        Some((socket, self.saving(index)?.share(most)))
    }

    fn id(&self, index: u32) -> Option<ConnId> {
        Some(ConnId { index, generation: self.get(index)?.generation })
    }
}
