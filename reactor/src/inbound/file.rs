//! Receiving into a file, without ever having the whole of it in memory.

use std::error::Error;
use std::fmt;
use std::io;

use crate::connection::Flags;
use crate::fs::{Committed, NewFile};
use crate::limits::Quantum;
use crate::reactor::Reactor;
use crate::state::Core;

use super::Strategy;

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

/// A file that is being received.
pub(crate) struct Saving {
    file: NewFile,
    /// How many bytes are still to be received; all until the end if nobody knows.
    left: Option<u64>,
    then: Then,
    /// Whether the room for it was asked for.
    reserved: bool,
}

impl Saving {
    /// How many of so many bytes belong to it.
    fn share(&self, bytes: usize) -> usize {
        self.left.map_or(bytes, |left| left.min(bytes as u64) as usize)
    }

    /// Asks for the room for all of it, once.
    fn reserve(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.reserved, true) {
            return Ok(());
        }
        self.file.reserve(self.left.unwrap_or(0))
    }

    /// Writes what was received.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.map(|left| left - bytes.len() as u64);
        self.file.append(bytes)
    }

    fn finish(self) -> Result<Saved, NotSaved> {
        match self.then {
            Then::Commit => match self.file.commit() {
                Ok(committed) => Ok(Saved::Committed(committed)),
                Err(error) => Err(NotSaved { error, left: self.left }),
            },
            Then::GiveBack => Ok(Saved::Part(self.file)),
        }
    }
}

impl Core {
    pub(crate) fn receive_file(
        &mut self,
        index: u32,
        file: NewFile,
        left: Option<u64>,
        then: Then,
    ) {
        let saving = Saving { file, left, then, reserved: false };
        self.set_strategy(index, Strategy::File(Box::new(saving)));
    }

    pub(crate) fn discard(&mut self, index: u32, count: u64) {
        self.set_strategy(index, Strategy::Discard(count));
    }
}

impl Reactor {
    /// One step of receiving a file. Says whether there may be another.
    pub(crate) fn step_file(&mut self, index: u32, input: &mut Quantum) -> bool {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return false };
        let (can_receive, most) = (c.can_receive(), c.receivable(self.receive.len()));
        let Some(extras) = &mut c.extras else { return false };
        let Strategy::File(saving) = &mut extras.strategy else { return false };
        let mut written = saving.reserve();
        if written.is_ok() && c.flags.take(Flags::OWES_KEPT) {
            let count = saving.share(extras.kept.len());
            written = saving.write(&extras.kept.bytes()[..count]);
            extras.kept.consume(count, &mut core.pool);
        }
        let ended = c.flags.has(Flags::OWES_EOF);
        let whole = saving.left.map_or(ended, |left| left == 0);
        if written.is_ok() && !whole && can_receive {
            let room = saving.share(most);
            let result = core.kernel.recv(c.socket, &mut self.receive[..room]);
            let Some(count) = core.note_received(index, room, result) else { return true };
            input.bytes = input.bytes.saturating_sub(count);
            let Some(c) = core.connections.0.get_mut(index as usize) else { return false };
            let Some(extras) = &mut c.extras else { return false };
            let Strategy::File(saving) = &mut extras.strategy else { return false };
            written = saving.write(&self.receive[..count]);
            // What is whole is noticed by the next step, whatever the socket says.
            c.flags.set(Flags::OWES_KEPT);
            if written.is_ok() {
                return true;
            }
        } else if written.is_ok() && !whole && !ended {
            return false;
        }
        let Some(saving) = core.end_saving(index) else { return false };
        let saved = match written {
            Err(error) => Err(NotSaved { error, left: saving.left }),
            // It will never be whole; `on_eof` comes next.
            Ok(()) if !whole => return true,
            Ok(()) => saving.finish(),
        };
        self.call(index, |handler, core, slot| handler.saved(core, index, slot, saved));
        true
    }

    /// One step of discarding input. Says whether there may be another.
    pub(crate) fn step_discard(&mut self, index: u32, input: &mut Quantum) -> bool {
        let core = &mut self.core;
        let Some(c) = core.connections.0.get_mut(index as usize) else { return false };
        let (can_receive, most) = (c.can_receive(), c.receivable(self.receive.len()));
        let Some(extras) = &mut c.extras else { return false };
        let Strategy::Discard(left) = &mut extras.strategy else { return false };
        if c.flags.take(Flags::OWES_KEPT) {
            let count = (*left).min(extras.kept.len() as u64);
            extras.kept.consume(count as usize, &mut core.pool);
            *left -= count;
        }
        if *left == 0 || c.flags.has(Flags::OWES_EOF) {
            extras.strategy = Strategy::Stream;
            c.flags.set(Flags::OWES_KEPT);
            core.recycle_extras(index);
            return true;
        }
        if !can_receive {
            return false;
        }
        let room = (*left).min(most as u64) as usize;
        let result = core.kernel.recv(c.socket, &mut self.receive[..room]);
        if let Some(count) = core.note_received(index, room, result) {
            input.bytes = input.bytes.saturating_sub(count);
            if let Some(c) = core.connections.0.get_mut(index as usize)
                && let Some(Strategy::Discard(left)) = c.extras.as_mut().map(|e| &mut e.strategy)
            {
                *left -= count as u64;
                c.flags.set(Flags::OWES_KEPT);
            }
        }
        true
    }
}

impl Core {
    /// Takes out a file that is no longer received; what follows goes to the handler.
    fn end_saving(&mut self, index: u32) -> Option<Saving> {
        let c = self.connections.0.get_mut(index as usize)?;
        let extras = c.extras.as_mut()?;
        let strategy = std::mem::take(&mut extras.strategy);
        c.flags.set(Flags::OWES_KEPT);
        self.recycle_extras(index);
        match strategy {
            Strategy::File(saving) => Some(*saving),
            _ => None,
        }
    }
}
