//! The decision: what the sizes at the front of a queue make the wire do next.

use crate::limits::{FileTransfer, Limits};
use crate::sys;

#[cfg(test)]
mod tests;

/// Most pieces of one gathered send: what is set aside for them on the stack.
pub const MAX_PIECES: usize = 64;

/// What the front of a queue looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// How many pieces of memory come first, at most [`Limits::gather_pieces`].
    pub pieces: usize,
    /// How many bytes they are.
    pub memory: usize,
    /// Bytes left of the file region directly behind those pieces; 0 if there is none.
    pub file_left: u64,
    /// How long that region was when it was queued.
    pub file_len: u64,
    /// Bytes in the pipe directly behind those pieces; 0 if there is none.
    pub pipe: usize,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the queue is empty.
    Rest,
    /// Send the pieces of memory in one call.
    Memory {
        /// Whether a region follows by sendfile directly, so that the kernel should hold back a
        /// partial segment (`MSG_MORE`): header and file then share segments.
        region_follows: bool,
    },
    /// Read so many bytes of the region and send them behind the pieces of memory in one call.
    Read {
        /// Bytes to read.
        bytes: usize,
    },
    /// Move so many bytes of the region by sendfile.
    Sendfile {
        /// Bytes to move.
        bytes: usize,
    },
    /// Move so many bytes out of a pipe by splice: what a [relay](crate::Context::relay_to) has
    /// received there.
    Splice {
        /// Bytes to move.
        bytes: usize,
    },
}

/// Chooses the next action. A pure function: it can be asked about any queue without having one.
///
/// ```
/// use sluicegate_reactor::Limits;
/// use sluicegate_reactor::outbound::{Action, Front, plan};
///
/// let limits = Limits::default();
/// let header = Front { pieces: 1, memory: 200, ..Front::default() };
/// assert_eq!(plan(&header, &limits), Action::Memory { region_follows: false });
///
/// let small = Front { file_left: 1000, file_len: 1000, ..header };
/// assert_eq!(plan(&small, &limits), Action::Read { bytes: 1000 });
/// ```
#[must_use]
pub fn plan(front: &Front, limits: &Limits) -> Action {
    if front.file_left == 0 {
        return match front.pieces {
            0 if front.pipe > 0 => Action::Splice { bytes: front.pipe },
            0 => Action::Rest,
            _ => Action::Memory { region_follows: false },
        };
    }
    let sendfile = sys::HAS_SENDFILE && limits.files == FileTransfer::Sendfile;
    if !sendfile || front.file_left <= limits.small_file {
        if front.pieces == MAX_PIECES {
            return Action::Memory { region_follows: false };
        }
        return Action::Read { bytes: at_most(front.file_left, super::SCRATCH) };
    }
    if front.pieces > 0 {
        return Action::Memory { region_follows: true };
    }
    let long = front.file_len >= limits.long_file;
    let chunk = if long { limits.long_file_chunk } else { limits.sendfile_chunk };
    Action::Sendfile { bytes: at_most(front.file_left, chunk.max(1)) }
}

/// The smaller of a file's bytes and a size in memory.
fn at_most(left: u64, most: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(most)
}
