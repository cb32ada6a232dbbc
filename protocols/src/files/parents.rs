//! The directories of recent uploads, which are kept open so that further uploads need not look
//! them up again.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sluicegate_reactor::fs::Dir;

use super::cache::Cache;

/// The maximum number of directories that are kept open. Few are uploaded to at a time, and each
/// takes a descriptor.
const MOST: usize = 16;

/// Open directories beneath a root, by path.
pub(super) struct Parents {
    root: Dir,
    open: Cache<Parent>,
    /// How long a path is assumed to lead to the same directory.
    valid_for: Duration,
}

struct Parent {
    dir: Dir,
    /// When it was opened, by the reactor's clock.
    opened: Duration,
}

impl Parents {
    pub(super) fn new(root: &Dir, valid_for: Duration) -> Parents {
        Parents { root: root.clone(), open: Cache::new(MOST, MOST), valid_for }
    }

    /// The directory at this path, which is empty for the root.
    pub(super) fn open(&mut self, path: &[u8], now: Duration) -> io::Result<Dir> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(Parent { dir, opened }) = self.open.get(path)
            && now.saturating_sub(*opened) < self.valid_for
        {
            return Ok(dir.clone());
        }
        self.open.remove(path);
        let dir = self.root.open_dir(OsStr::from_bytes(path))?;
        self.open.insert(path, Parent { dir: dir.clone(), opened: now }, 1);
        Ok(dir)
    }

    /// Closes a directory. Returns whether it was open.
    pub(super) fn forget(&mut self, path: &[u8]) -> bool {
        let was_open = self.open.get(path).is_some();
        self.open.remove(path);
        was_open
    }

    /// Closes all directories.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}
