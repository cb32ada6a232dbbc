//! A file that is being received, and the batches of bytes that workers write to it.
//!
//! A batch is a buffer full of received bytes that a worker writes to the file while the reactor
//! receives the next one. The shared receive buffer itself is handed to the worker and replaced by
//! another, so no byte is copied. Only small pieces are copied, into a buffer that belongs to the
//! file, so that a slow peer does not cost a job for each of its pieces.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::new_file::Part;
use super::{Committed, NewFile, NotSaved, Saved};
use crate::sys::{AlignedBuffer, Fd, Kernel};

/// What happens when all bytes have arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenWhole {
    Commit,
    GiveBack,
}

/// Small pieces are copied together up to this many bytes before a worker writes them. A job costs
/// more than such a copy (benches/README.md).
pub(crate) const GATHER: usize = 64 << 10;

/// What a file needs next.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// A worker that writes what was gathered; `last` if that completes the file.
    Batch { last: bool },
    /// The end of a batch that a worker is writing.
    Worker,
    /// More bytes.
    Input,
    /// Nothing: it is complete or has failed, or it can never be complete (`whole` is false).
    Over { whole: bool },
}

/// The state of a file that is being received.
pub(crate) struct Saving {
    file: NewFile,
    /// Bytes still to be received; `None` for everything until the end of the stream.
    left: Option<u64>,
    when_whole: WhenWhole,
    /// Bytes of disk space to allocate before the first write.
    reserve: u64,
    /// Received bytes that no worker has yet.
    gathered: Vec<u8>,
    /// Where in the file the next batch goes.
    offset: u64,
    /// How many batches workers are writing.
    writing: usize,
    /// Whether its connection is in the list of connections that wait for a buffer.
    pub(crate) waits_for_buffer: bool,
    /// Whether the batch that commits the file was given to a worker.
    closing: bool,
    failed: Option<io::Error>,
    committed: Option<Committed>,
    /// Whether the file is received through a pipe, once that is decided for all that follows.
    pub(crate) splices: Option<bool>,
}

impl Saving {
    pub(crate) fn new(file: NewFile, left: Option<u64>, when_whole: WhenWhole) -> Saving {
        Saving {
            left,
            when_whole,
            reserve: left.unwrap_or(0),
            gathered: Vec::new(),
            offset: file.len(),
            writing: 0,
            waits_for_buffer: false,
            closing: false,
            failed: None,
            committed: None,
            splices: None,
            file,
        }
    }

    /// Whether the file is in memory, so that the reactor writes it without waiting for a disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.file.part().is_in_memory()
    }

    /// Whether the file needs more than `bytes` bytes. One that ends with the stream does not.
    pub(crate) fn expects_more_than(&self, bytes: usize) -> bool {
        self.left.is_some_and(|left| left > bytes as u64)
    }

    /// How many of `bytes` bytes belong to the file.
    pub(crate) fn share(&self, bytes: usize) -> usize {
        self.left.map_or(bytes, |left| left.min(bytes as u64) as usize)
    }

    /// Whether the file is long enough for a pipe. If its length is unknown, what has arrived
    /// decides.
    pub(crate) fn wants_splice(&mut self, least: u64) -> bool {
        if self.splices.is_none() && self.left.unwrap_or(self.file.len()) >= least {
            self.splices = Some(true);
        }
        self.splices == Some(true)
    }

    /// Takes bytes, and writes them or gathers them for a worker.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.note_received(bytes.len());
        if !self.is_in_memory() {
            self.gathered.extend_from_slice(bytes);
            return;
        }
        let reserve = std::mem::take(&mut self.reserve);
        let reserved = self.file.part().reserve(self.file.kernel(), self.offset, reserve);
        self.failed = reserved.and_then(|()| self.file.append(bytes)).err();
    }

    /// Takes `count` bytes from a pipe. Returns how many it left there.
    pub(crate) fn take_from(&mut self, pipe: Fd, count: usize) -> usize {
        self.note_received(count);
        let (left, result) = self.file.append_from(pipe, count);
        self.failed = result.err();
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

    /// Whether `part` is the file being received.
    pub(crate) fn is_of(&self, part: &Arc<Part>) -> bool {
        Arc::ptr_eq(self.file.part(), part)
    }

    /// Records that a worker has finished a batch of `len` bytes.
    pub(crate) fn batch_done(&mut self, len: u64, result: io::Result<Option<Committed>>) {
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

    /// Makes the next batch: what was gathered, followed by `body`.
    pub(crate) fn batch(&mut self, body: Option<Body>, last: bool) -> Batch {
        let head = std::mem::take(&mut self.gathered);
        let offset = self.offset;
        self.offset += (head.len() + body.as_ref().map_or(0, |(_, part)| part.len())) as u64;
        self.writing += 1;
        self.closing = last;
        let reserve = std::mem::take(&mut self.reserve);
        Batch { part: self.file.part().clone(), offset, reserve, head, body, last }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether a worker is writing a part of it. The peer is not to blame for that time.
    pub(crate) fn is_with_worker(&self) -> bool {
        self.writing > 0
    }

    /// If the outcome is known, what is needed before it can be reported.
    pub(crate) fn decided(&self) -> Option<Need> {
        let decided = self.failed.is_some() || self.committed.is_some();
        let need = if self.writing == 0 { Need::Over { whole: true } } else { Need::Worker };
        decided.then_some(need)
    }

    /// What the file needs next. `ended` says whether the peer has ended its direction, and `most`
    /// how many batches workers may be writing.
    pub(crate) fn need(&self, ended: bool, most: usize) -> Need {
        let whole = self.left.map_or(ended, |left| left == 0);
        if self.failed.is_some() || ended && !whole {
            return Need::Over { whole };
        }
        if self.is_in_memory() {
            return if whole { Need::Over { whole } } else { Need::Input };
        }
        let full = self.closing || self.writing >= most.max(1);
        // The file gets its name only after all of it was written.
        if full || whole && self.writing > 0 {
            return Need::Worker;
        }
        let commits = self.when_whole == WhenWhole::Commit;
        match whole {
            true if commits || !self.gathered.is_empty() => Need::Batch { last: commits },
            true => Need::Over { whole },
            false if self.gathered.len() >= GATHER => Need::Batch { last: false },
            false => Need::Input,
        }
    }

    /// The outcome, once everything is written or something has failed.
    pub(crate) fn outcome(mut self) -> Result<Saved, NotSaved> {
        let result = match (self.failed.take(), self.committed, self.when_whole) {
            (Some(error), ..) => Err(error),
            (None, Some(committed), _) => {
                self.file.set_committed();
                Ok(Saved::Committed(committed))
            }
            (None, None, WhenWhole::Commit) => self.file.commit().map(Saved::Committed),
            (None, None, WhenWhole::GiveBack) => Ok(Saved::Part(self.file)),
        };
        result.map_err(|error| NotSaved { error, left: self.left })
    }

    /// The file, and its length so far.
    pub(crate) fn part(&self) -> (Arc<Part>, u64) {
        (self.file.part().clone(), self.file.len())
    }
}

/// A piece of a file for a worker to write.
pub(crate) struct Batch {
    pub(crate) part: Arc<Part>,
    pub(crate) offset: u64,
    /// Bytes of disk space to allocate first.
    pub(crate) reserve: u64,
    /// Bytes that came in small pieces.
    pub(crate) head: Vec<u8>,
    /// Bytes that came after them: a part of a buffer.
    pub(crate) body: Option<Body>,
    /// Whether this batch completes the file, which is then committed.
    pub(crate) last: bool,
}

/// A buffer, and the range of it that holds the bytes.
pub(crate) type Body = (AlignedBuffer, Range<usize>);

impl Batch {
    pub(crate) fn len(&self) -> u64 {
        (self.head.len() + self.body.as_ref().map_or(0, |(_, part)| part.len())) as u64
    }

    /// Writes the batch and waits for the disk, so only workers call it.
    pub(crate) fn write(&self, kernel: &Kernel) -> io::Result<Option<Committed>> {
        let mut offset = self.offset;
        self.part.reserve(kernel, offset, self.reserve)?;
        self.part.write(kernel, &self.head, &mut offset)?;
        if let Some((buffer, part)) = &self.body {
            self.part.write(kernel, &buffer[part.clone()], &mut offset)?;
        }
        if self.last { self.part.commit(kernel).map(Some) } else { Ok(None) }
    }
}
