//! Conditions on the file that a new one replaces.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Metadata, NewFile};
use crate::sys::{Fd, Kernel};

/// Whether a file may replace this one: `None` if there is none.
pub(super) type Condition = dyn Fn(Option<&Metadata>) -> bool + Send + Sync;

/// Held between the evaluation of a condition and the commit.
static CONDITIONAL_COMMIT: Mutex<()> = Mutex::new(());

/// The error inside that of a commit whose [condition](NewFile::commit_if) does not hold.
#[derive(Debug)]
pub struct ConditionFailed;

impl fmt::Display for ConditionFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the condition of the commit does not hold")
    }
}

impl Error for ConditionFailed {}

impl NewFile {
    /// Makes the commit fail unless `condition` holds for the file that it replaces: `None` if
    /// there is none. The condition is evaluated right before the file gets its name, possibly by a
    /// worker. Other conditional commits of this process wait until then, so the condition itself
    /// must not make one. The commit also fails if the attributes of the existing file cannot be
    /// read. The condition has no effect if the name is that of a link out of the directory, or if
    /// the file is unnamed and replaces none.
    ///
    /// ```
    /// use sluicegate_reactor::Reactor;
    /// use sluicegate_reactor::fs::{ConditionFailed, CreateOptions};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let place = tempfile::tempdir()?;
    /// # let path = place.path();
    /// let dir = Reactor::new()?.open_dir(path)?;
    /// let create = || {
    ///     let file = dir.create("hello.txt", &CreateOptions::default())?;
    ///     file.commit_if(|existing| existing.is_none()).commit()
    /// };
    /// assert!(create().is_ok());
    /// assert!(create().unwrap_err().get_ref().is_some_and(|error| error.is::<ConditionFailed>()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If a worker still writes to the file. The reactor gives no such file to a handler.
    #[must_use]
    pub fn commit_if(
        mut self,
        condition: impl Fn(Option<&Metadata>) -> bool + Send + Sync + 'static,
    ) -> NewFile {
        let writer = Arc::get_mut(&mut self.writer).expect("no worker has the file");
        writer.condition = Some(Box::new(condition));
        self
    }
}

/// Fails if the condition does not hold for the file with this name. As long as the guard lives, no
/// other file is committed under a condition.
pub(super) fn check(
    condition: &Condition,
    kernel: &Kernel,
    dir: Fd,
    name: &OsStr,
) -> io::Result<MutexGuard<'static, ()>> {
    let guard = CONDITIONAL_COMMIT.lock().unwrap_or_else(PoisonError::into_inner);
    let there = match kernel.metadata_beneath(dir, name) {
        Ok(metadata) => Some(metadata),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => None,
            // A link that leads out of the directory: only the caller may be able to follow it.
            io::ErrorKind::PermissionDenied => return Ok(guard),
            _ => return Err(error),
        },
    };
    if condition(there.as_ref()) { Ok(guard) } else { Err(io::Error::other(ConditionFailed)) }
}
