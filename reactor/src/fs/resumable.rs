//! New files that can be continued after an interruption.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::new_file::{Name, split, temporary_name};
use super::{CreateOptions, Dir, File, Metadata, NewFile};
use crate::sys::invalid;

#[cfg(all(test, feature = "testing"))]
mod tests;

/// How often a file may be renamed or removed between opening and locking it. Each repetition means
/// that another thread or process has completed or removed a file of that name meanwhile.
const ATTEMPTS: u32 = 100;

impl Dir {
    /// Creates a file like [`create`](Dir::create), or continues one that was abandoned. Until it
    /// is committed, the file has the name `id` in the directory `partials`. [`len`](NewFile::len)
    /// returns the number of bytes that it already has. Bytes that no worker had written when the
    /// file was abandoned are missing.
    ///
    /// A file that is dropped without a commit stays in `partials`, unless it is empty or there was
    /// no room for all of it: it would keep the disk full. So does the file of a process that is
    /// killed. A commit that cannot sync or rename it removes the file, and
    /// [`remove_abandoned`](Dir::remove_abandoned) removes files that are not continued.
    ///
    /// The file is locked while it is open (`flock(2)`), so no other thread or process that uses
    /// this call can write to it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sluicegate_reactor::Reactor;
    /// use sluicegate_reactor::fs::CreateOptions;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let place = tempfile::tempdir()?;
    /// # let path = place.path();
    /// let dir = Reactor::new()?.open_dir(path)?;
    /// dir.create_dir("partials")?;
    /// let partials = dir.open_dir("partials")?;
    /// let options = CreateOptions::default();
    /// let mut file = dir.create_resumable("hello.txt", &options, &partials, "1")?;
    /// file.append(b"hel")?;
    /// drop(file);
    /// let mut file = dir.create_resumable("hello.txt", &options, &partials, "1")?;
    /// assert_eq!(file.len(), 3);
    /// file.append(b"lo")?;
    /// file.commit()?;
    /// assert_eq!(dir.metadata("hello.txt")?.len, 5);
    /// assert_eq!(partials.remove_abandoned(Duration::from_secs(3600))?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `WouldBlock` if the file is already open for writing; `CrossesDevices` if files cannot be
    /// moved from `partials` to the directory of `path`; otherwise the same as those of
    /// [`create`](Dir::create).
    pub fn create_resumable(
        &self,
        path: impl AsRef<OsStr>,
        options: &CreateOptions,
        partials: &Dir,
        id: impl AsRef<OsStr>,
    ) -> io::Result<NewFile> {
        let (parent, target) = split(path.as_ref())?;
        let (before, id) = split(id.as_ref())?;
        if !before.is_empty() {
            return Err(invalid("the id is not a file name"));
        }
        let dir = self.open_to_create(parent, options)?;
        let (file, metadata) = partials.open_locked(id, options.mode)?;
        let name = Name {
            dir: dir.file.share(),
            partials: Some(partials.file.share()),
            temporary: id.to_owned(),
            target: target.to_owned(),
            sync: options.sync,
        };
        let mut file = NewFile::new((dir.clone(), Some(partials.clone())), file, Some(name));
        file.written = metadata.len;
        if file.is_empty() {
            partials.check_rename(&dir)?;
        }
        Ok(file)
    }

    /// Opens or creates a file of this name, and locks it.
    fn open_locked(&self, name: &OsStr, mode: u32) -> io::Result<(File, Metadata)> {
        for _ in 0..ATTEMPTS {
            let file = self.opened(|kernel, dir| kernel.open_locked(dir, name, mode))?;
            let metadata = file.metadata()?;
            match self.metadata(name) {
                Ok(there) if there.inode == metadata.inode => return Ok((file, metadata)),
                // The previous holder of the lock has committed or removed the file.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    /// Fails if files cannot be moved from this directory to another one. Device numbers do not
    /// tell: a file system may be mounted twice, and files cannot be moved between its mounts,
    /// rename(2).
    fn check_rename(&self, to: &Dir) -> io::Result<()> {
        let (kernel, here, there) = (&self.file.0.kernel, self.file.fd(), to.file.fd());
        let name = temporary_name(kernel);
        let probe = self.opened(|kernel, dir| kernel.create_new(dir, &name, 0o600))?;
        let renamed = kernel.rename(here, &name, there, &name);
        kernel.unlink(if renamed.is_ok() { there } else { here }, &name)?;
        drop(probe);
        renamed
    }

    /// Removes the files in this directory that were last written more than `age` ago, by the wall
    /// clock, and are not open as [resumable](Dir::create_resumable) files. Returns the number of
    /// files that remain.
    ///
    /// # Errors
    /// The error of `openat(2)` or `unlinkat(2)`.
    pub fn remove_abandoned(&self, age: Duration) -> io::Result<usize> {
        let now = i64::try_from(self.file.0.kernel.realtime()).unwrap_or(i64::MAX);
        let before = now.saturating_sub_unsigned(age.as_secs());
        let mut count = 0;
        for entry in self.file.read_dir()? {
            match self.remove_if_abandoned(&entry?.name, before) {
                Ok(true) => {}
                Ok(false) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => count += 1,
                // Another thread or process has committed or removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Removes a file if it was last written before this time, in seconds since 1970. Returns
    /// whether it was removed.
    fn remove_if_abandoned(&self, name: &OsStr, before: i64) -> io::Result<bool> {
        let metadata = self.metadata(name)?;
        // Other files are not even locked: a client may be about to continue them.
        if !metadata.is_file() || metadata.modified_seconds >= before {
            return Ok(false);
        }
        let (_locked, metadata) = self.open_locked(name, 0o600)?;
        if metadata.modified_seconds >= before {
            return Ok(false);
        }
        self.file.0.kernel.unlink(self.file.fd(), name)?;
        Ok(true)
    }
}
