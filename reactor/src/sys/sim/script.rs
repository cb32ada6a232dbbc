//! The scripted results of the next calls, which would otherwise succeed.

use std::collections::VecDeque;
use std::io;

/// The result of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As without a script.
    Normal,
    /// Moves at most this many bytes, at least one. The bytes that a receive leaves are treated as
    /// arriving right after it, with an edge: this is the only case in which TCP returns a short
    /// count with bytes left. On a Unix socket there is no edge: a receive stops where a descriptor
    /// was passed. A short send causes no edge either.
    Short(usize),
    /// Fails with `EINTR`.
    Interrupted,
    /// Fails with `EAGAIN` although there was something to do. On sockets an edge follows.
    WouldBlock,
    /// Fails with this `errno`.
    Errno(i32),
}

/// The steps of one kind of call on one object, one per call. Without steps left, a call is
/// [`Step::Normal`].
#[derive(Default)]
pub(super) struct Script(VecDeque<Step>);

impl Script {
    pub(super) fn extend(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.0.extend(steps);
        assert!(!self.0.contains(&Step::Short(0)), "a call that moves no bytes is not a short one");
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The maximum number of bytes that this call can move, or its error. Sets `edge` if an edge
    /// follows.
    pub(super) fn next(&mut self, edge: &mut bool) -> io::Result<usize> {
        match self.0.pop_front().unwrap_or(Step::Normal) {
            Step::Normal => Ok(usize::MAX),
            Step::Short(bytes) => Ok(bytes),
            Step::Interrupted => Err(io::Error::from_raw_os_error(libc::EINTR)),
            Step::WouldBlock => {
                *edge = true;
                Err(io::Error::from_raw_os_error(libc::EAGAIN))
            }
            Step::Errno(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }
}
