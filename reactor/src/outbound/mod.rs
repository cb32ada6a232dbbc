//! What a connection has yet to send, and the cheapest way to send it.
//!
//! The queue is a list of segments of three kinds: bytes joined in a buffer of its own,
//! shared bytes that are referenced, and regions of files. [`plan`] looks at its front and says
//! what to do, as a pure function of sizes and [`Limits`](crate::Limits); the wire does it.
//!
//! | what is sent | how it leaves |
//! |---|---|
//! | little pieces | joined in one buffer, one `send` |
//! | borrowed, longer than `write_through`, nothing queued | `send` at once, only the rest is kept |
//! | shared, longer than `join` | referenced, gathered with its neighbours in one `sendmsg` |
//! | a region up to `small_file` | read beside what precedes it, one `sendmsg` |
//! | a longer region | what precedes it with `MSG_MORE`, then `sendfile` in bounded calls |
//!
//! Files are never mapped into memory: one that is truncated meanwhile would end the process with
//! `SIGBUS`. Reading and sending a file can block on a disk when its pages are not in memory, in
//! spite of `O_NONBLOCK`; a server of files that do not fit there should know that.

use std::borrow::Cow;

use bytes::Bytes;

use crate::fs::Region;

mod pipe;
mod plan;
mod pool;
mod queue;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use pipe::Pipe;
pub use plan::{Action, Front, MAX_PIECES, plan};
pub(crate) use pool::{Chunk, Pool};
pub(crate) use queue::Queue;
pub(crate) use wire::{Flushed, SCRATCH, Wire};

/// Something to send: the kinds that [`Context::send`](crate::Context::send) takes.
///
/// There is a `From` for each: slices, strings and byte arrays are borrowed; `Vec<u8>`, `String`
/// and [`Bytes`] are taken without copying (`Bytes::from_static` for what never changes); a
/// [`Region`] stays in its file.
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

impl From<Bytes> for Outgoing<'_> {
    fn from(bytes: Bytes) -> Self {
        Outgoing::Shared(bytes)
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
