//! The outbound queue of a connection, and the cheapest way to send each part of it.
//!
//! The queue is a list of segments of four kinds: bytes copied into a buffer of the queue,
//! references to shared bytes, regions of files, and the contents of a relay's pipe.
//! [`writes_through`] and [`joins`] decide what to do with a piece of output. [`plan`] looks at the
//! front of the queue and decides on the next system call. All are pure functions of sizes and
//! [`Limits`](crate::Limits). The wire makes the call.
//!
//! | data | how it is sent |
//! |---|---|
//! | small pieces | coalesced in one buffer for one `send` |
//! | a borrowed slice longer than `write_through`, or than `write_first` if it is the first of its callback, while nothing is queued | `send` immediately; only what the socket refuses is copied |
//! | shared bytes longer than `join`, and longer than `join_in_room` or the room at the queue's end | referenced, and sent together with their neighbours in one `sendmsg` |
//! | a region up to `small_file` | read into memory, then one `sendmsg` together with what precedes it |
//! | a longer region | what precedes it with `MSG_MORE`, then `sendfile` in bounded calls |
//! | a region that is not in memory | the same, after a worker has read it from the disk |
//! | up to 4 KiB that another connection [relays](crate::Peer::relay_to) | one `send`, after the other relays of the turn have received |
//! | more than 4 KiB that another connection relays | `send` immediately, from the buffer that received them |
//! | bulk data that is relayed | `splice` from the pipe that received it (Linux) |
//!
//! Files are never mapped into memory: if a file were truncated while it is sent, `SIGBUS` would
//! kill the process.
//!
//! # Cold files
//!
//! Reading or sending a file blocks on the disk if its pages are not in memory, even with
//! `O_NONBLOCK`, and all connections of the reactor would have to wait. So regions sent through
//! memory are read with `RWF_NOWAIT` (`preadv2(2)`). For a region sent with `sendfile`, one byte at
//! its start and one at the end of each [`warm_window`](crate::Limits::warm_window) are read that
//! way. If the kernel refuses, a [worker](crate::workers) reads the window. Until then the
//! connection's queue waits, but its input is still handled. A window that a worker has read is not
//! checked again, so the queue waits for each window at most once. This time counts neither as idle
//! nor as a stalled write, because the peer does not cause it.
//!
//! A send can still block: pages in the middle of a window may be missing, or may be evicted
//! between the check and the call. For file systems without `RWF_NOWAIT` see
//! [`ColdFiles`](crate::ColdFiles). On systems other than Linux, regions are read in place;
//! FreeBSD's sendfile reads in the background.

use bytes::Bytes;

use crate::fs::Region;

mod cold;
mod plan;
#[cfg(test)]
mod queue_tests;
mod send;
#[cfg(test)]
mod tests;
mod wire;

pub use crate::core::Residency;
pub use plan::{Action, Front, MAX_PIECES, joins, plan, writes_through};
pub(crate) use send::{
    append, enqueue, flush, flush_later, flush_now, flush_waiting, offer_again, send, write_or_join,
};
pub(crate) use wire::transmit_sealed;

/// The argument of [`Context::send`](crate::Context::send): bytes or a region of a file.
///
/// It converts from many types. Slices, strings, byte arrays, `&Vec<u8>` and `&String` are
/// borrowed. `Vec<u8>`, `Box<[u8]>`, `String`, [`Bytes`] and `&Bytes` are taken without copying;
/// use `Bytes::from_static` for constants. A [`Region`] stays in its file.
#[derive(Debug)]
pub enum Outgoing<'a> {
    /// Borrowed bytes: copied if they cannot be sent immediately.
    Slice(&'a [u8]),
    /// Shared bytes: referenced while they are queued.
    Shared(Bytes),
    /// Part of a file: sent without passing through the process's memory, if the system can do
    /// that.
    Region(Region),
}

impl Outgoing<'_> {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Outgoing::Slice(slice) => slice.len() as u64,
            Outgoing::Shared(bytes) => bytes.len() as u64,
            Outgoing::Region(region) => region.len(),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! conversions {
    ($($from:ty: |$what:ident| $into:expr;)*) => {
        $(impl<'a> From<$from> for Outgoing<'a> {
            fn from($what: $from) -> Self {
                $into
            }
        })*
    };
}

conversions! {
    &'a [u8]: |slice| Outgoing::Slice(slice);
    &'a str: |text| Outgoing::Slice(text.as_bytes());
    &'a Vec<u8>: |bytes| Outgoing::Slice(bytes);
    &'a String: |text| Outgoing::Slice(text.as_bytes());
    Bytes: |bytes| Outgoing::Shared(bytes);
    &Bytes: |bytes| Outgoing::Shared(bytes.clone());
    Box<[u8]>: |bytes| Outgoing::Shared(bytes.into());
    Vec<u8>: |bytes| Outgoing::Shared(bytes.into());
    String: |text| Outgoing::Shared(text.into());
    Region: |region| Outgoing::Region(region);
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    fn from(array: &'a [u8; N]) -> Self {
        Outgoing::Slice(array)
    }
}
