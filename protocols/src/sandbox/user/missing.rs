//! Systems other than Linux.

use std::io::{self, ErrorKind};
use std::str::FromStr;

/// A user as whom a process can run. Only Linux has them: elsewhere parsing one fails.
#[derive(Clone, Debug)]
pub enum User {}

impl FromStr for User {
    type Err = io::Error;

    fn from_str(_: &str) -> io::Result<User> {
        Err(unsupported())
    }
}

impl User {
    /// Runs the process as this user.
    ///
    /// # Errors
    /// None, since there is no user here.
    pub fn switch(&self) -> io::Result<()> {
        match *self {}
    }
}

/// Gives up what [`User::switch`] has kept.
///
/// # Errors
/// `Unsupported`.
pub fn drop_capabilities() -> io::Result<()> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "only Linux can change the user of a running process")
}
