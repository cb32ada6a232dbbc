//! What a connection has yet to send, and the cheapest way to send it.
//!
//! The queue is a list of segments of four kinds: bytes joined in a buffer of its own, shared bytes
//! that are referenced, regions of files, and what a relay has in a pipe. [`place`] decides what
//! becomes of something to send, [`plan`] looks at the front of the queue and says what to do; both
//! are pure functions of sizes and [`Limits`](crate::Limits). The wire does it.
//!
//! | what is sent | how it leaves |
//! |---|---|
//! | little pieces | joined in one buffer, one `send` |
//! | borrowed, longer than `write_through`, or the first of its callback and longer than `write_first`, nothing queued | `send` at once, only the rest is kept |
//! | shared, longer than `join`, and than `join_in_room` or the room behind what is queued | referenced, gathered with its neighbours in one `sendmsg` |
//! | a region up to `small_file` | read beside what precedes it, one `sendmsg` |
//! | a longer region | what precedes it with `MSG_MORE`, then `sendfile` in bounded calls |
//! | a region that is not in memory | the same, after a worker has read it |
//! | what another connection [relays](crate::Context::relay_to), if it is little | `send` behind the receives of the turn's other relays |
//! | more of it | `send` at once, in the buffer into which it was received |
//! | the same in bulk | `splice` from the pipe into which it was received (Linux) |
//!
//! Files are never mapped into memory: one that is truncated meanwhile would end the process with
//! `SIGBUS`.
//!
//! # Cold files
//!
//! Reading and sending a file waits for the disk if its pages are not in memory, in spite of
//! `O_NONBLOCK`, and with it would wait every connection of the reactor. So a region that is read
//! is read with `RWF_NOWAIT` (`preadv2(2)`), and of one that goes by sendfile a byte is read that
//! way at its beginning and at the end of each [`warm_window`](crate::Limits::warm_window). If that
//! is refused a [worker](crate::workers) reads the window, and the connection's queue is held until
//! it has; input goes on. What a worker has read is not looked at again, so each window is waited
//! for once at most. The time counts neither as idle nor as a stalled write: it is not the peer's.
//!
//! Pages in the middle of a window can be missing nevertheless, and memory can be taken away
//! between the look and the call. File systems that have no `RWF_NOWAIT` say nothing; see
//! [`ColdFiles`](crate::ColdFiles). On other systems than Linux what is read is read in place;
//! FreeBSD's sendfile reads behind the call.

use std::borrow::Cow;

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
pub use plan::{Action, Front, Kind, MAX_PIECES, Offer, Placement, place, plan};
pub(crate) use send::{append, flush, pass, send};
pub(crate) use wire::SCRATCH;

/// Something to send: what [`Context::send`](crate::Context::send) takes.
///
/// There is a `From` for each: slices, strings, byte arrays and references to `Vec<u8>` and
/// `String` are borrowed; `Vec<u8>`, `Box<[u8]>`, `String`, [`Bytes`] and `&Bytes` are taken
/// without copying (`Bytes::from_static` for what never changes); a [`Region`] stays in its file.
#[derive(Debug)]
pub enum Outgoing<'a> {
    /// Borrowed bytes: copied if they cannot leave at once.
    Slice(&'a [u8]),
    /// Shared bytes: referenced while they wait.
    Shared(Bytes),
    /// Part of a file: never in the process's memory if the system can do that.
    Region(Region),
}

impl Outgoing<'_> {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Outgoing::Slice(_) => Kind::Slice,
            Outgoing::Shared(_) => Kind::Shared,
            Outgoing::Region(_) => Kind::Region,
        }
    }

    /// How many bytes it is.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Outgoing::Slice(slice) => slice.len() as u64,
            Outgoing::Shared(bytes) => bytes.len() as u64,
            Outgoing::Region(region) => region.len(),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(slice: &'a [u8]) -> Self {
        Outgoing::Slice(slice)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    fn from(array: &'a [u8; N]) -> Self {
        Outgoing::Slice(array)
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(text: &'a str) -> Self {
        Outgoing::Slice(text.as_bytes())
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Outgoing::Slice(bytes)
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    fn from(text: &'a String) -> Self {
        Outgoing::Slice(text.as_bytes())
    }
}

impl From<Bytes> for Outgoing<'_> {
    fn from(bytes: Bytes) -> Self {
        Outgoing::Shared(bytes)
    }
}

impl From<&Bytes> for Outgoing<'_> {
    fn from(bytes: &Bytes) -> Self {
        Outgoing::Shared(bytes.clone())
    }
}

impl From<Box<[u8]>> for Outgoing<'_> {
    fn from(bytes: Box<[u8]>) -> Self {
        Outgoing::Shared(bytes.into())
    }
}

impl From<Vec<u8>> for Outgoing<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Outgoing::Shared(bytes.into())
    }
}

impl From<String> for Outgoing<'_> {
    fn from(text: String) -> Self {
        Outgoing::Shared(text.into())
    }
}

impl<'a> From<Cow<'a, [u8]>> for Outgoing<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(slice) => slice.into(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

impl From<Region> for Outgoing<'_> {
    fn from(region: Region) -> Self {
        Outgoing::Region(region)
    }
}
