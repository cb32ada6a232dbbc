//! The result of receiving a file.

use std::error::Error;
use std::fmt;
use std::io;

use super::{Committed, NewFile};

/// How receiving bytes into a file succeeded.
#[derive(Debug)]
pub enum Saved {
    /// All of them arrived, and the file was committed.
    Committed(Committed),
    /// All of them arrived, and the file is given back: the result of
    /// [`receive_part`](crate::Context::receive_part).
    Part(NewFile),
}

/// Why a file was not received. The file was removed.
#[derive(Debug)]
pub struct NotSaved {
    /// The error of writing, syncing or renaming, such as `StorageFull`, `QuotaExceeded`, or
    /// `NotFound` for a directory that was removed.
    pub error: io::Error,
    /// How many of the expected bytes have not been received yet; `None` if they go on until the
    /// peer ends its direction. They are still to come: to go on, a handler
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
