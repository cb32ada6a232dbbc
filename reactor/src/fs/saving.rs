//! A file that is being received, and the batches of bytes that workers write to it.
//!
//! A batch is a buffer of received bytes that a worker writes to the file while the reactor
//! receives the next one. The shared receive buffer itself is handed to the worker and replaced by
//! another, so no byte is copied. Only small pieces are copied, into a buffer that belongs to the
//! file, so that a slow peer does not cost one job per piece.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Weak};

use super::new_file::Writer;
use super::{Committed, NewFile};
use crate::sys::{AlignedBuffer, Fd, HAS_SPLICE, Kernel};

/// The action to take when all bytes have arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenWhole {
    Commit,
    GiveBack,
}

/// Small pieces are copied together up to this many bytes before a worker writes them. A job costs
/// more than such a copy (benches/README.md).
pub(crate) const GATHER: usize = 64 << 10;

/// The end of a part that is shorter than this, in bytes, is given back with the file and written
/// with the next part, so that a body of small chunks does not cost one job per chunk. The file may
/// wait for its next part where no memory budget counts it, so this is less than [`GATHER`].
const MOST_GIVEN_BACK: usize = 4 << 10;

/// What a file needs next.
pub(crate) enum Need {
    /// A worker that writes this.
    Batch(Batch),
    /// The end of a batch that a worker is writing.
    Worker,
    /// More bytes.
    Input,
    /// Bytes that will never come, since the peer has shut down its sending side.
    MissingInput,
    /// Nothing: it is complete or has failed.
    Nothing,
}

/// The state of a file that is being received.
pub(crate) struct Saving {
    file: NewFile,
    /// Bytes still to be received; `None` for everything until the end of the stream.
    left: Option<u64>,
    when_whole: WhenWhole,
    /// Received bytes that no worker has yet.
    gathered: Vec<u8>,
    /// Where in the file the next batch goes.
    offset: u64,
    /// How many batches workers are writing.
    writing: usize,
    /// Whether its connection waits until workers hold less memory.
    pub(crate) waits_for_room: bool,
    failed: Option<io::Error>,
    /// From this length of the file on, the bytes go through a pipe.
    pub(crate) splice_from: u64,
}

impl Saving {
    /// Receives `left` bytes, through a pipe if the file is in memory and they are at least
    /// `splice_after`. If their number is unknown, the bytes that have arrived decide.
    pub(crate) fn new(
        mut file: NewFile,
        left: Option<u64>,
        when_whole: WhenWhole,
        splice_after: u64,
    ) -> Saving {
        let in_memory = file.writer.in_memory;
        let splice_from = match left {
            None if HAS_SPLICE && in_memory => splice_after,
            Some(left) if HAS_SPLICE && in_memory && left >= splice_after => 0,
            _ => u64::MAX,
        };
        let gathered = if in_memory { Vec::new() } else { std::mem::take(&mut file.unwritten) };
        let mut saving = Saving {
            left,
            when_whole,
            gathered,
            offset: file.written,
            writing: 0,
            waits_for_room: false,
            failed: None,
            splice_from,
            file,
        };
        if in_memory {
            let result = saving.file.append(&[]);
            saving.note_failure(result);
        }
        saving
    }

    /// Whether the file is in memory, so that the reactor writes it without waiting for a disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.file.writer.in_memory
    }

    /// Whether the file needs more than `bytes` bytes. One that ends with the stream does not.
    pub(crate) fn expects_more_than(&self, bytes: usize) -> bool {
        self.left.is_some_and(|left| left > bytes as u64)
    }

    /// How many of `bytes` bytes belong to the file: none if it has failed.
    pub(crate) fn share(&self, bytes: usize) -> usize {
        match self.left {
            _ if self.failed.is_some() => 0,
            Some(left) => left.min(bytes as u64) as usize,
            None => bytes,
        }
    }

    /// The memory of the bytes that no worker has yet.
    pub(crate) fn memory(&self) -> usize {
        self.gathered.len()
    }

    /// Whether the next bytes go through a pipe.
    pub(crate) fn is_spliced(&self) -> bool {
        self.file.written >= self.splice_from
    }

    /// Takes bytes, and writes them or gathers them for a worker.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.note_received(bytes.len());
        if self.is_in_memory() {
            let result = self.file.append(bytes);
            self.note_failure(result);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }

    /// Takes `count` bytes from a pipe. Returns how many it left there.
    pub(crate) fn take_from(&mut self, pipe: Fd, count: usize) -> usize {
        self.note_received(count);
        let (left, result) = self.file.append_from(pipe, count);
        self.note_failure(result);
        left
    }

    /// Takes a whole buffer as the next batch.
    pub(crate) fn take_buffer(&mut self, body: Body) -> Batch {
        self.note_received(body.1.len());
        self.batch(Some(body), false)
    }

    fn note_received(&mut self, count: usize) {
        self.left = self.left.map(|left| left - count as u64);
    }

    /// Remembers the first error.
    fn note_failure(&mut self, result: io::Result<()>) {
        self.file.note_room(&result);
        self.failed = self.failed.take().or(result.err());
    }

    /// Makes the next batch: what was gathered, followed by `body`.
    fn batch(&mut self, body: Option<Body>, last: bool) -> Batch {
        let head = std::mem::take(&mut self.gathered);
        let batch =
            Batch { writer: self.file.writer.clone(), offset: self.offset, head, body, last };
        self.offset += batch.len();
        self.writing += 1;
        batch
    }

    /// Records the end of a batch. Returns whether it was one of this file and lets the file
    /// continue.
    pub(crate) fn batch_done(
        &mut self,
        batch: &Finished,
        result: io::Result<Option<Committed>>,
    ) -> bool {
        if Arc::as_ptr(&self.file.writer) != batch.writer.as_ptr() {
            return false;
        }
        self.writing -= 1;
        let result = result.map(|committed| {
            self.file.written += batch.len;
            self.file.committed = committed;
        });
        self.note_failure(result);
        // A file that waits for room goes on when there is some, unless it has failed.
        !self.waits_for_room || self.failed.is_some()
    }

    /// Whether a worker is writing a part of it. That time does not count against the peer.
    pub(crate) fn is_with_worker(&self) -> bool {
        self.writing > 0
    }

    /// Whether only the end of the stream completes the file.
    pub(crate) fn expects_the_end(&self) -> bool {
        self.left.is_none() && self.failed.is_none() && self.file.committed.is_none()
    }

    /// What the file needs next. `ended` says whether the peer has shut down its sending side, and
    /// `most` how many batches workers may be writing.
    pub(crate) fn need(&mut self, ended: bool, most: usize) -> Need {
        let whole = self.left.map_or(ended, |left| left == 0);
        if self.failed.is_some() || self.file.committed.is_some() {
            return if self.writing == 0 { Need::Nothing } else { Need::Worker };
        }
        if ended && !whole {
            return Need::MissingInput;
        }
        // What is kept of an interrupted upload must have no gaps.
        let most = if self.file.writer.is_resumable() { 1 } else { most };
        // The file gets its name only after all of it was written.
        if self.writing >= most.max(1) || whole && self.writing > 0 {
            return Need::Worker;
        }
        let commits = whole && self.when_whole == WhenWhole::Commit && !self.is_in_memory();
        let least = match self.when_whole {
            _ if !whole => GATHER,
            WhenWhole::Commit => 1,
            WhenWhole::GiveBack => MOST_GIVEN_BACK,
        };
        if commits || self.gathered.len() >= least {
            return Need::Batch(self.batch(None, commits));
        }
        if whole { Need::Nothing } else { Need::Input }
    }

    /// The outcome, once everything is written or something has failed.
    pub(crate) fn outcome(mut self) -> Result<Saved, NotSaved> {
        self.file.unwritten = self.gathered;
        let result = match (self.failed, self.file.committed, self.when_whole) {
            (Some(error), ..) => Err(error),
            (None, Some(committed), _) => Ok(Saved::Committed(committed)),
            (None, None, WhenWhole::Commit) => self.file.commit().map(Saved::Committed),
            (None, None, WhenWhole::GiveBack) => Ok(Saved::Part(self.file)),
        };
        result.map_err(|error| NotSaved { error, left: self.left })
    }

    /// Drops the file because its connection ended.
    pub(crate) fn give_up(mut self) {
        self.file.is_given_up = true;
    }
}

/// A piece of a file for a worker to write.
pub(crate) struct Batch {
    writer: Arc<Writer>,
    offset: u64,
    /// Bytes that came in small pieces.
    head: Vec<u8>,
    /// Bytes that came after them: a part of a buffer.
    body: Option<Body>,
    /// Whether this batch completes the file, which is then committed.
    last: bool,
}

/// A buffer, and the range of it that holds the bytes.
pub(crate) type Body = (AlignedBuffer, Range<usize>);

impl Batch {
    fn len(&self) -> u64 {
        (self.head.len() + self.body.as_ref().map_or(0, |(_, part)| part.len())) as u64
    }

    /// The memory it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.head.capacity() + self.body.as_ref().map_or(0, |(buffer, _)| buffer.len())
    }

    /// Writes the batch if there is a kernel, and waits for the disk, so only workers call it. The
    /// last batch of a file that was given up meanwhile closes it.
    pub(crate) fn finish(
        self,
        kernel: io::Result<&Kernel>,
    ) -> (Finished, io::Result<Option<Committed>>) {
        let result = kernel.and_then(|kernel| self.write(kernel));
        let finished = Finished {
            writer: Arc::downgrade(&self.writer),
            len: self.len(),
            memory: self.memory(),
            buffer: self.body.map(|(buffer, _)| buffer),
        };
        (finished, result)
    }

    fn write(&self, kernel: &Kernel) -> io::Result<Option<Committed>> {
        let mut offset = self.offset;
        self.writer.write(kernel, &self.head, &mut offset)?;
        if let Some((buffer, part)) = &self.body {
            self.writer.write(kernel, &buffer[part.clone()], &mut offset)?;
        }
        if self.last { self.writer.commit(kernel).map(Some) } else { Ok(None) }
    }
}

/// The rest of a batch after a worker has written it.
pub(crate) struct Finished {
    /// The file that it was of. It does not keep the file open: the reactor would then close it.
    writer: Weak<Writer>,
    len: u64,
    /// The memory that the batch held, in bytes.
    pub(crate) memory: usize,
    pub(crate) buffer: Option<AlignedBuffer>,
}

/// The result of receiving bytes into a file.
#[derive(Debug)]
pub enum Saved {
    /// All bytes arrived, and the file was committed.
    Committed(Committed),
    /// All bytes arrived, and the file is returned: the result of
    /// [`receive_part`](crate::Context::receive_part).
    Part(NewFile),
}

/// Why a file was not received. The file was removed, unless it is
/// [resumable](crate::fs::Dir::create_resumable).
#[derive(Debug)]
pub struct NotSaved {
    /// The error of writing, syncing or renaming, such as `StorageFull`, `QuotaExceeded`, or
    /// `NotFound` for a directory that was removed.
    pub error: io::Error,
    /// The number of expected bytes that have not been received yet; `None` if they continue until
    /// the peer shuts down its sending side. The peer still sends these bytes: to continue after
    /// them, a handler must [discard](crate::Context::discard) them.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{CreateOptions, Dir};

    #[test]
    fn a_worker_closes_a_file_that_was_given_up_while_it_wrote() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(&Kernel::Os, &Default::default(), place.path()).unwrap();
        let file = dir.create("a", &CreateOptions::default()).unwrap();
        let mut saving = Saving::new(file, None, WhenWhole::Commit, u64::MAX);
        let writer = Arc::downgrade(&saving.file.writer);
        let batch = saving.take_buffer((AlignedBuffer::new(10), 0..10));
        drop(saving);
        assert!(writer.upgrade().is_some());
        let _for_the_reactor = batch.finish(Ok(&Kernel::Os));
        assert!(writer.upgrade().is_none());
    }
}
