//! The answer to a request to receive a file.

use std::error::Error;
use std::fmt;
use std::io;

use super::{Committed, NewFile};

/// What became of bytes that were to be received into a file.
#[derive(Debug)]
pub enum Saved {
    /// All of them arrived, and the file has its name.
    Committed(Committed),
    /// All of them arrived, and the file goes on: the answer to
    /// [`receive_part`](crate::Context::receive_part).
    Part(NewFile),
}

/// Why a file was not received. It was removed.
#[derive(Debug)]
pub struct NotSaved {
    /// What writing, syncing or renaming reports: `StorageFull`, `QuotaExceeded`, `NotFound` for a
    /// directory that was removed, and the like.
    pub error: io::Error,
    /// How many of the expected bytes were not received yet; `None` if they go on until the peer
    /// ends its direction. They are still to come: a handler that wants to go on
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
