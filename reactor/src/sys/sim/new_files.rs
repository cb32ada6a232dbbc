//! How a reactor changes the disk of a simulated machine: it creates, writes, syncs, renames and
//! removes files.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::disk::{Content, Files, Inode, NAME_MAX, ROOT};
use super::files::{Scope, errno};
use super::trace::Said;
use super::{Fd, Machine, Object, Step, World};

/// How a test controls writing, and sees the results.
impl Files {
    /// Limits the free space to `bytes`. A reactor's writes beyond that fail with `ENOSPC`. Files
    /// that it replaces or removes free no space.
    pub fn set_room(&mut self, bytes: u64) {
        self.writing.room = Some(bytes);
    }

    /// Makes this a memory file system, like tmpfs, which needs no worker. Files that are already
    /// open for writing are not affected.
    pub fn set_in_memory(&mut self) {
        self.writing.in_memory = true;
    }

    /// Makes this a file system on which each file is created with a name, like NFS.
    pub fn refuse_unnamed(&mut self) {
        self.writing.refuses_unnamed = true;
    }

    /// Makes a directory the root of another file system: no file can be moved into it or out of
    /// it. The directories in it are not affected.
    pub fn mount(&mut self, path: impl AsRef<Path>) {
        let inode = self.walk(ROOT, path.as_ref().as_os_str(), Scope::Anywhere);
        self.writing.mounted.insert(inode.expect("a directory to mount on"));
    }

    /// Queues the results of the next writes to any file.
    pub fn script_write(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.writing.script.extend(steps);
    }

    /// Queues the results of the next syncs of any file or directory.
    pub fn script_sync(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.writing.syncs.extend(steps);
    }

    /// The content of a file; `None` if there is no such file. Links are followed.
    #[must_use]
    pub fn content(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        let inode = self.walk(ROOT, path.as_ref().as_os_str(), Scope::Anywhere).ok()?;
        match &self.node(inode).content {
            Content::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The names in a directory, sorted.
    #[must_use]
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let inode = self.walk(ROOT, path.as_ref().as_os_str(), Scope::Anywhere);
        let entries = inode.and_then(|inode| self.read_dir(inode)).unwrap_or_default();
        entries.iter().rev().map(|entry| entry.name.to_string_lossy().into_owned()).collect()
    }

    /// The number of files that reactors have created and neither renamed nor removed.
    /// [Resumable](crate::fs::Dir::create_resumable) ones do not count, as they may stay.
    #[must_use]
    pub fn temporary(&self) -> usize {
        self.writing.temporary.len()
    }
}

/// The implementation of the calls.
impl Files {
    fn create_new(&mut self, dir: Inode, name: &OsStr, now: u64) -> io::Result<Inode> {
        if name.len() > NAME_MAX {
            return Err(errno(libc::ENAMETOOLONG));
        }
        self.check_dir(dir)?;
        if self.names_mut(dir).contains_key(name) {
            return Err(errno(libc::EEXIST));
        }
        let inode = self.add_empty(now);
        self.names_mut(dir).insert(name.to_owned(), inode);
        self.writing.temporary.insert(inode);
        Ok(inode)
    }

    /// Opens or creates a file that nobody has locked.
    fn open_unlocked(&mut self, dir: Inode, name: &OsStr, now: u64) -> io::Result<Inode> {
        let Some(&inode) = self.names_mut(dir).get(name) else {
            let inode = self.create_new(dir, name, now)?;
            self.writing.temporary.remove(&inode);
            return Ok(inode);
        };
        match self.node(inode).content {
            Content::Directory { .. } => return Err(errno(libc::EISDIR)),
            Content::Symlink(_) => return Err(errno(libc::ELOOP)),
            Content::File(_) | Content::Fifo => {}
        }
        if self.writing.locked.values().any(|locked| *locked == inode) {
            return Err(errno(libc::EWOULDBLOCK));
        }
        Ok(inode)
    }

    fn create_unnamed(&mut self, dir: Inode, now: u64) -> io::Result<Inode> {
        self.check_dir(dir)?;
        if self.writing.refuses_unnamed {
            return Err(errno(libc::EOPNOTSUPP));
        }
        Ok(self.add_empty(now))
    }

    fn add_empty(&mut self, now: u64) -> Inode {
        self.now = now as i64;
        self.add(Content::File(Vec::new()), self.now)
    }

    fn check_dir(&self, dir: Inode) -> io::Result<()> {
        match self.node(dir).content {
            Content::Directory { removed: false, .. } => Ok(()),
            Content::Directory { .. } => Err(errno(libc::ENOENT)),
            _ => Err(errno(libc::ENOTDIR)),
        }
    }

    fn rename(
        &mut self,
        (dir, name): (Inode, &OsStr),
        (new_dir, new_name): (Inode, &OsStr),
    ) -> io::Result<()> {
        self.check_dir(dir)?;
        self.check_dir(new_dir)?;
        let is_mounted = |dir| self.writing.mounted.contains(&dir);
        if dir != new_dir && (is_mounted(dir) || is_mounted(new_dir)) {
            return Err(errno(libc::EXDEV));
        }
        let inode = *self.names_mut(dir).get(name).ok_or_else(|| errno(libc::ENOENT))?;
        let there = self.names_mut(new_dir).get(new_name).copied();
        if there.is_some_and(|it| matches!(self.node(it).content, Content::Directory { .. })) {
            return Err(errno(libc::EISDIR));
        }
        self.names_mut(dir).remove(name);
        self.names_mut(new_dir).insert(new_name.to_owned(), inode);
        self.writing.temporary.remove(&inode);
        Ok(())
    }

    fn create_dir(&mut self, dir: Inode, name: &OsStr, now: u64) -> io::Result<()> {
        self.check_dir(dir)?;
        if self.names_mut(dir).contains_key(name) {
            return Err(errno(libc::EEXIST));
        }
        self.now = now as i64;
        let inode = self.add(Content::empty_dir(dir), self.now);
        self.names_mut(dir).insert(name.to_owned(), inode);
        Ok(())
    }

    fn unlink(&mut self, dir: Inode, name: &OsStr) -> io::Result<()> {
        let inode = *self.names_mut(dir).get(name).ok_or_else(|| errno(libc::ENOENT))?;
        if let Content::Directory { .. } = self.node(inode).content {
            return Err(errno(libc::EISDIR));
        }
        self.names_mut(dir).remove(name);
        self.writing.temporary.remove(&inode);
        Ok(())
    }

    pub(super) fn write_at(
        &mut self,
        inode: Inode,
        bytes: &[u8],
        offset: u64,
        now: u64,
    ) -> io::Result<usize> {
        // Files have no edges.
        let limit = self.writing.script.next(&mut false)?;
        let room = self.writing.room.map_or(usize::MAX, |room| room as usize);
        let count = bytes.len().min(limit).min(room);
        if count == 0 && !bytes.is_empty() {
            return Err(errno(libc::ENOSPC));
        }
        self.writing.room = self.writing.room.map(|room| room - count as u64);
        let node = self.node_mut(inode);
        (node.modified, node.changed) = (now as i64, now as i64);
        let Content::File(content) = &mut node.content else { return Err(errno(libc::EBADF)) };
        let start = usize::try_from(offset).map_err(|_| errno(libc::EFBIG))?;
        let end = start + count;
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(&bytes[..count]);
        Ok(count)
    }
}

/// The calls for new files, each documented at [`Kernel`](super::super::Kernel).
impl World {
    pub(crate) fn open_dir_beneath(&self, dir: Fd, path: &OsStr) -> io::Result<Fd> {
        let state = &mut *self.0.borrow_mut();
        state.calls.open += 1;
        let dir = state.inode(dir);
        let fd = state.fault_in_open().and_then(|()| {
            let inode = state.files.find_beneath(dir, path)?;
            match state.files.node(inode).content {
                Content::Directory { .. } => state.table.insert(Object::PathOnly(inode)),
                _ => Err(errno(libc::ENOTDIR)),
            }
        });
        state.note(format_args!("open_dir({:?}) = {}", path.display(), Said(&fd)));
        fd
    }

    pub(crate) fn create_new(&self, dir: Fd, name: &OsStr, _mode: u32) -> io::Result<Fd> {
        let now = self.realtime();
        let state = &mut *self.0.borrow_mut();
        state.calls.create += 1;
        let dir = state.inode(dir);
        let fd = state.fault_in_open().and_then(|()| {
            state.table.check_limit()?;
            let inode = state.files.create_new(dir, name, now)?;
            state.table.insert(Object::File(inode))
        });
        state.note(format_args!("create({:?}) = {}", name.display(), Said(&fd)));
        fd
    }

    pub(crate) fn open_locked(&self, dir: Fd, name: &OsStr, _mode: u32) -> io::Result<Fd> {
        let now = self.realtime();
        let state = &mut *self.0.borrow_mut();
        state.calls.create += 1;
        let dir = state.inode(dir);
        let fd = state.fault_in_open().and_then(|()| {
            state.table.check_limit()?;
            let inode = state.files.open_unlocked(dir, name, now)?;
            let fd = state.table.insert(Object::File(inode))?;
            state.files.writing.locked.insert(fd, inode);
            Ok(fd)
        });
        state.note(format_args!("open_locked({:?}) = {}", name.display(), Said(&fd)));
        fd
    }

    pub(crate) fn create_unnamed(&self, dir: Fd) -> io::Result<Fd> {
        let now = self.realtime();
        let state = &mut *self.0.borrow_mut();
        state.calls.create += 1;
        let dir = state.inode(dir);
        let fd = state.fault_in_open().and_then(|()| {
            state.table.check_limit()?;
            let inode = state.files.create_unnamed(dir, now)?;
            state.table.insert(Object::File(inode))
        });
        state.note(format_args!("create_unnamed() = {}", Said(&fd)));
        fd
    }

    pub(crate) fn rename(
        &self,
        dir: Fd,
        name: &OsStr,
        new_dir: Fd,
        new_name: &OsStr,
    ) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.calls.rename += 1;
        let (dir, new_dir) = (state.inode(dir), state.inode(new_dir));
        let renamed = state.files.rename((dir, name), (new_dir, new_name)).map(|()| 0);
        let (name, new_name, said) = (name.display(), new_name.display(), Said(&renamed));
        state.note(format_args!("rename({name:?}, {new_name:?}) = {said}"));
        renamed.map(drop)
    }

    pub(crate) fn make_dir(&self, dir: Fd, name: &OsStr) -> io::Result<()> {
        let now = self.realtime();
        let state = &mut *self.0.borrow_mut();
        state.calls.create += 1;
        let dir = state.inode(dir);
        let made = state.files.create_dir(dir, name, now).map(|()| 0);
        state.note(format_args!("mkdir({:?}) = {}", name.display(), Said(&made)));
        made.map(drop)
    }

    pub(crate) fn unlink(&self, dir: Fd, name: &OsStr) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.calls.unlink += 1;
        let dir = state.inode(dir);
        state.note(format_args!("unlink({:?})", name.display()));
        state.files.unlink(dir, name)
    }

    pub(crate) fn exists(&self, dir: Fd, name: &OsStr) -> io::Result<bool> {
        let state = &mut *self.0.borrow_mut();
        state.calls.metadata += 1;
        let dir = state.inode(dir);
        state.files.check_dir(dir)?;
        Ok(state.files.walk(dir, name, Scope::Anywhere).is_ok())
    }

    pub(crate) fn write_at(&self, file: Fd, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let now = self.realtime();
        let state = &mut *self.0.borrow_mut();
        state.calls.write_at += 1;
        let inode = state.inode(file);
        state.fault_in_write(bytes.len());
        let written = state.files.write_at(inode, bytes, offset, now);
        state.note(format_args!("write({file}, {} at {offset}) = {}", bytes.len(), Said(&written)));
        written
    }

    pub(crate) fn sync(&self, file: Fd) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.calls.sync += 1;
        state.inode(file);
        let synced = state.sync(file).map(|()| 0);
        state.note(format_args!("sync({file}) = {}", Said(&synced)));
        synced.map(drop)
    }

    pub(crate) fn is_in_memory(&self, file: Fd) -> io::Result<bool> {
        let state = &mut *self.0.borrow_mut();
        state.inode(file);
        Ok(state.files.writing.in_memory)
    }
}

impl Machine {
    /// Draws a fault for a write of `bytes` bytes, unless the test has scripted its result.
    fn fault_in_write(&mut self, bytes: usize) {
        let step = match &self.files.writing.script {
            script if script.is_empty() => self.write_fault(bytes),
            _ => None,
        };
        self.files.writing.script.extend(step);
    }

    fn sync(&mut self, file: Fd) -> io::Result<()> {
        if let Some(Object::PathOnly(_)) = self.table.object(file) {
            return Err(errno(libc::EBADF));
        }
        if self.files.writing.syncs.is_empty() {
            let step = self.write_fault(0);
            self.files.writing.syncs.extend(step);
        }
        // Files have no edges.
        self.files.writing.syncs.next(&mut false).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::from_bytes(text.as_bytes())
    }

    #[test]
    fn a_new_file_is_written_at_offsets_and_gets_the_name_of_another() {
        let world = World::new(1);
        world.files().put_file("/srv/a", b"old", 0);
        let dir = world.open_dir(Path::new("/srv")).unwrap();
        let file = world.create_new(dir, name(".a"), 0o644).unwrap();
        let again = world.create_new(dir, name(".a"), 0o644).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(world.write_at(file, b"world", 6).unwrap(), 5);
        assert_eq!(world.write_at(file, b"hello ", 0).unwrap(), 6);
        assert_eq!(world.files().content("/srv/a"), Some(&b"old"[..]));
        assert_eq!(world.files().temporary(), 1);
        assert!(world.exists(dir, name("a")).unwrap());
        world.rename(dir, name(".a"), dir, name("a")).unwrap();
        assert_eq!(world.files().content("/srv/a"), Some(&b"hello world"[..]));
        assert_eq!(world.files().content("/srv/.a"), None);
        assert_eq!(world.files().temporary(), 0);
        world.unlink(dir, name("a")).unwrap();
        assert_eq!(world.unlink(dir, name("a")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_full_disk_takes_what_there_is_room_for_and_a_directory_that_is_gone_takes_nothing() {
        let world = World::new(1);
        world.files().make_dir("/srv/sub");
        let dir = world.open_dir(Path::new("/srv/sub")).unwrap();
        let file = world.create_new(dir, name(".a"), 0o644).unwrap();
        world.files().set_room(4);
        assert_eq!(world.write_at(file, b"hello", 0).unwrap(), 4);
        let full = world.write_at(file, b"o", 4).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        world.files().remove("/srv");
        assert_eq!(world.files().temporary(), 0);
        for gone in [
            world.rename(dir, name(".a"), dir, name("a")),
            world.unlink(dir, name(".a")),
            world.create_new(dir, name("b"), 0o644).map(drop),
        ] {
            assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
