//! Creating directories and removing files.

use std::ffi::OsStr;
use std::io;

use super::new_file::split;
use super::{Dir, LARGE};
use crate::sys::{Fd, Kernel};

impl Dir {
    /// Creates a directory, with all permissions that the process's `umask(2)` allows. The parent
    /// directory must exist. Links in the path before the last component are followed if they stay
    /// beneath this directory.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `InvalidInput` if the path does not end in a name;
    /// `NotFound` if the parent directory does not exist; `PermissionDenied` if the path leads
    /// outside this directory; otherwise the error of `mkdirat(2)`.
    pub fn create_dir(&self, path: impl AsRef<OsStr>) -> io::Result<()> {
        self.in_parent(path.as_ref(), Kernel::make_dir)
    }

    /// Removes a file. A symbolic link is removed, not followed. Links earlier in the path are
    /// followed if they stay beneath this directory. Open descriptors of the file stay valid. A
    /// worker frees the space of a large one.
    ///
    /// # Errors
    /// `NotFound` if the file does not exist; `InvalidInput` if the path does not end in a name;
    /// `PermissionDenied` if the path leads outside this directory; for a directory `IsADirectory`
    /// or, on systems other than Linux, `PermissionDenied`; otherwise the error of `unlinkat(2)`.
    ///
    /// ```
    /// use sluicegate_reactor::Reactor;
    /// use sluicegate_reactor::fs::CreateOptions;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let place = tempfile::tempdir()?;
    /// # let path = place.path();
    /// let dir = Reactor::new()?.open_dir(path)?;
    /// dir.create_dir("notes")?;
    /// dir.create("notes/today", &CreateOptions::default())?.commit()?;
    /// dir.remove_file("notes/today")?;
    /// assert!(dir.metadata("notes/today").is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove_file(&self, path: impl AsRef<OsStr>) -> io::Result<()> {
        let path = path.as_ref();
        let is_large = self.metadata(path).is_ok_and(|it| it.is_file() && it.len >= LARGE);
        // The removal itself does not free its space while it is open.
        let open = is_large.then(|| self.open(path)).and_then(Result::ok);
        open.iter().for_each(|file| file.0.may_be_large.set(true));
        self.in_parent(path, Kernel::unlink)
    }

    /// Calls `change` with the directory and the name that the path ends in.
    fn in_parent(
        &self,
        path: &OsStr,
        change: impl FnOnce(&Kernel, Fd, &OsStr) -> io::Result<()>,
    ) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let dir = self.open_dir(parent)?;
        change(&self.file.0.kernel, dir.file.fd(), name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::rc::Rc;

    use super::super::Closing;
    use super::*;

    #[test]
    fn directories_are_created_and_files_removed_beneath_a_directory_only() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::write(&outside, "outside").unwrap();
        let root = place.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink("../outside", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        let dir = Dir::open_root(&Kernel::Os, &Default::default(), &root).unwrap();
        dir.create_dir("a").unwrap();
        dir.create_dir("a/b").unwrap();
        fs::write(root.join("a/b/file"), "").unwrap();
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(dir.create_dir("a")), ErrorKind::AlreadyExists);
        assert_eq!(kind(dir.create_dir("nowhere/a")), ErrorKind::NotFound);
        assert_eq!(kind(dir.create_dir("a/b/file/c")), ErrorKind::NotADirectory);
        for path in ["", "a/", "..", "a/."] {
            assert_eq!(kind(dir.create_dir(path)), ErrorKind::InvalidInput, "{path}");
            assert_eq!(kind(dir.remove_file(path)), ErrorKind::InvalidInput, "{path}");
        }
        for path in ["../outside", "up/outside", "up/root/a/b/file"] {
            assert_eq!(kind(dir.create_dir(path)), ErrorKind::PermissionDenied, "{path}");
            assert_eq!(kind(dir.remove_file(path)), ErrorKind::PermissionDenied, "{path}");
        }
        let of_a_directory = kind(dir.remove_file("a"));
        let expected = [ErrorKind::IsADirectory, ErrorKind::PermissionDenied];
        assert!(expected.contains(&of_a_directory), "{of_a_directory}");
        dir.remove_file("a/b/file").unwrap();
        assert_eq!(kind(dir.remove_file("a/b/file")), ErrorKind::NotFound);
        dir.remove_file("link").unwrap();
        assert!(!root.join("link").is_symlink() && outside.exists());
    }

    #[test]
    fn a_large_file_that_has_lost_its_name_is_left_to_a_worker_when_nobody_has_it_any_more() {
        let place = tempfile::tempdir().unwrap();
        let closing = Rc::<Closing>::default();
        let dir = Dir::open_root(&Kernel::Os, &closing, place.path()).unwrap();
        for (len, is_removed, expected) in
            [(LARGE, true, 1), (LARGE - 1, true, 0), (LARGE, false, 0)]
        {
            fs::File::create(place.path().join("file")).unwrap().set_len(len).unwrap();
            let file = dir.open("file").unwrap();
            assert_eq!(file.metadata().unwrap().len, len);
            if is_removed {
                fs::remove_file(place.path().join("file")).unwrap();
            }
            drop(file.clone());
            assert_eq!(closing.borrow().len(), 0);
            drop(file);
            assert_eq!(closing.take().len(), expected, "{len} bytes, removed: {is_removed}");
        }
        dir.remove_file("file").unwrap();
        assert_eq!(closing.take().len(), 1);
        let (mut new, content) = dir.create_unnamed().unwrap();
        new.append(&vec![0; LARGE as usize]).unwrap();
        new.commit().unwrap();
        drop(content);
        assert_eq!(closing.take().len(), 1);
    }
}
