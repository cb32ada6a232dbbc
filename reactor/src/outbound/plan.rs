//! The decisions of sending: whether bytes are sent at once, joined or referenced, and which call
//! to make next for the front of a queue. They are pure functions of sizes and [`Limits`].

use crate::core::{ColdFiles, Limits, Queue, Residency, SCRATCH, Segment};
use crate::sys;

#[cfg(test)]
mod tests;

/// The maximum number of pieces of one gathered send. Their list is on the stack.
pub const MAX_PIECES: usize = 64;

/// The front of a queue, in sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// The number of memory pieces at the front that are offered in one call, at most
    /// [`Limits::gather_pieces`].
    pub pieces: usize,
    /// The number of bytes in those pieces.
    pub memory: usize,
    /// The remaining bytes of the file region directly after those pieces; 0 if there is none.
    pub file_left: u64,
    /// The number of bytes in the pipe directly after those pieces; 0 if there is none.
    pub pipe: usize,
    /// Whether the next bytes of that region are in memory.
    pub residency: Residency,
    /// Whether a [transport](crate::transport) seals the bytes, so that regions are read.
    pub sealed: bool,
}

impl Front {
    /// Looks at the front of a queue, of which `most` bytes may be sent. What follows those bytes
    /// is left out.
    pub(crate) fn of(queue: &Queue, limits: &Limits, most: usize, sealed: bool) -> Front {
        let most_pieces = limits.gather_pieces.clamp(1, MAX_PIECES);
        let mut front = Front { sealed, ..Front::default() };
        for segment in queue.segments() {
            if front.memory >= most {
                break;
            }
            match segment {
                Segment::File(region) => {
                    (front.file_left, front.residency) = (region.left, region.residency());
                    break;
                }
                Segment::Pipe { left, .. } => {
                    front.pipe = *left;
                    break;
                }
                Segment::Joined(_) | Segment::Shared(_) => {}
            }
            if front.pieces == most_pieces {
                break;
            }
            front.pieces += 1;
            front.memory += segment.memory().len();
        }
        front
    }
}

/// The next call for the front of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the queue is empty.
    Rest,
    /// Send the pieces of memory in one call.
    Memory {
        /// Whether a region follows immediately with sendfile. If so, the kernel should hold back a
        /// partial segment (`MSG_MORE`), so that header and file share segments.
        region_follows: bool,
    },
    /// Read bytes of the region and send them after the pieces of memory, in one call.
    Read {
        /// Bytes to read.
        bytes: usize,
        /// Whether to read only bytes that are in memory (`RWF_NOWAIT`), because it is not known
        /// yet whether they are.
        nowait: bool,
    },
    /// Check whether the next bytes of the region are in memory.
    Probe {
        /// Bytes to check.
        bytes: usize,
    },
    /// Have a worker read the next bytes of the region into memory, and continue afterwards.
    Warm {
        /// Bytes to read.
        bytes: usize,
    },
    /// Move bytes of the region by sendfile.
    Sendfile {
        /// Bytes to move.
        bytes: usize,
    },
    /// Move bytes from a pipe by splice: those that a [relay](crate::Peer::relay_to) has
    /// received into it.
    Splice {
        /// Bytes to move.
        bytes: usize,
    },
}

/// Whether borrowed bytes are sent immediately if nothing is queued, so that only those that the
/// socket refuses are copied into the queue. `wrote` is whether the current callback has already
/// sent some in this way.
#[must_use]
#[inline]
pub fn writes_through(len: usize, wrote: bool, limits: &Limits) -> bool {
    len > limits.write_through || len > limits.write_first && !wrote
}

/// Whether shared bytes are copied to the buffer at the queue's end, which has room for `room`
/// bytes, instead of being referenced. `room` is 0 if there is no buffer.
///
/// ```
/// use sluicegate_reactor::{Limits, outbound};
///
/// let limits = Limits::default();
/// assert!(outbound::joins(1 << 10, 0, &limits));
/// assert!(!outbound::joins(2 << 10, 0, &limits));
/// assert!(outbound::joins(2 << 10, 3 << 10, &limits));
/// ```
#[must_use]
#[inline]
pub fn joins(len: usize, room: usize, limits: &Limits) -> bool {
    len <= limits.join || len <= limits.join_in_room && len <= room
}

/// Chooses the next action. This is a pure function that needs no queue.
///
/// ```
/// use sluicegate_reactor::Limits;
/// use sluicegate_reactor::outbound::{Action, Front, plan};
///
/// let limits = Limits::default();
/// let header = Front { pieces: 1, memory: 200, ..Front::default() };
/// assert_eq!(plan(&header, &limits), Action::Memory { region_follows: false });
///
/// let small = Front { file_left: 1000, ..header };
/// assert!(matches!(plan(&small, &limits), Action::Read { bytes: 1000, .. }));
/// ```
#[must_use]
#[inline]
pub fn plan(front: &Front, limits: &Limits) -> Action {
    if front.file_left > 0 {
        return of_region(front, limits);
    }
    match front.pieces {
        0 if front.pipe > 0 => Action::Splice { bytes: front.pipe },
        0 => Action::Rest,
        _ => Action::Memory { region_follows: false },
    }
}

fn of_region(front: &Front, limits: &Limits) -> Action {
    let alone = Action::Memory { region_follows: false };
    let left = front.file_left;
    // How many bytes can be sent without waiting for a disk; `None` if that is not known.
    let resident = match front.residency {
        _ if !sys::HAS_NOWAIT || limits.cold_files == ColdFiles::Wait => Some(left),
        Residency::Resident(bytes) => Some(bytes),
        Residency::Unknown => None,
        // The pieces of memory do not wait for the disk.
        Residency::Cold if front.pieces > 0 => return alone,
        Residency::Cold => return Action::Warm { bytes: at_most(left, limits.warm_window) },
    };
    let in_memory = left.min(resident.unwrap_or(left));
    let sendfile = sys::HAS_SENDFILE && !front.sealed;
    if !sendfile || left <= limits.small_file {
        if front.pieces == MAX_PIECES {
            return alone;
        }
        let bytes = at_most(in_memory, SCRATCH);
        return Action::Read { bytes, nowait: resident.is_none() };
    }
    // A short call for the rest of a window would cost as much as a check and a long call. The
    // window that a check or a worker has covered is always enough to go on.
    let enough = at_most(left, limits.sendfile_chunk.min(limits.warm_window / 2));
    if resident.is_none_or(|bytes| bytes < enough as u64) {
        return Action::Probe { bytes: at_most(left, limits.warm_window) };
    }
    if front.pieces > 0 {
        return Action::Memory { region_follows: true };
    }
    Action::Sendfile { bytes: at_most(in_memory, limits.sendfile_chunk) }
}

/// The smaller of the bytes left of a file and a size in memory. The size counts as at least 1.
fn at_most(left: u64, most: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(most.max(1))
}
