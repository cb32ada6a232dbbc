//! Finding, reading and changing the files of a simulated machine. Tests change them through
//! [`World::files`](super::World::files), with simpler paths than the system calls accept: see
//! [`Files`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::disk::{Content, Files, Inode, NAME_MAX, Node, ROOT};
use super::trace::Said;
use super::{Fd, Object, Step, World};
use crate::sys::{Entry, Metadata, ReadDir};

/// The maximum number of links that are followed in one path (`MAXSYMLINKS` of Linux).
const MAX_LINKS: usize = 40;
/// The longest path in bytes, including its terminating zero.
const PATH_MAX: usize = 4096;

/// Where a path may lead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Anywhere,
    /// Beneath the directory that it starts in.
    Beneath,
}

/// How a test changes the disk.
impl Files {
    /// Creates a file, and the directories above it if they are missing. An existing file is
    /// replaced as by `rename(2)`: it can still be read through descriptors that are open.
    pub fn put_file(&mut self, path: impl AsRef<Path>, bytes: &[u8], modified: i64) {
        self.put(path.as_ref(), Content::File(bytes.to_vec()), modified);
    }

    /// Creates a symbolic link to `target`, which need not exist.
    pub fn put_symlink(&mut self, path: impl AsRef<Path>, target: impl AsRef<OsStr>) {
        self.put(path.as_ref(), Content::Symlink(target.as_ref().to_owned()), 0);
    }

    /// Creates a FIFO without a writer.
    pub fn put_fifo(&mut self, path: impl AsRef<Path>) {
        self.put(path.as_ref(), Content::Fifo, 0);
    }

    /// Creates a directory, and those above it if they are missing.
    pub fn make_dir(&mut self, path: impl AsRef<Path>) {
        self.dir_at(path.as_ref());
    }

    /// Removes a file, or a directory with everything in it.
    pub fn remove(&mut self, path: impl AsRef<Path>) {
        let (dir, name) = self.place(path.as_ref());
        let removed = self.names_mut(dir).remove(&name);
        self.empty_out(removed.unwrap_or_else(|| panic!("{} not found", name.display())));
    }

    /// Appends to a file in place: open descriptors see the change.
    pub fn append(&mut self, path: impl AsRef<Path>, bytes: &[u8], modified: i64) {
        self.write(path.as_ref(), modified).extend_from_slice(bytes);
    }

    /// Truncates a file to `len` bytes in place: open descriptors see the change.
    pub fn truncate(&mut self, path: impl AsRef<Path>, len: usize, modified: i64) {
        self.write(path.as_ref(), modified).truncate(len);
    }

    /// Queues the results of the next reads of a file.
    pub fn script_read(&mut self, path: impl AsRef<Path>, steps: impl IntoIterator<Item = Step>) {
        self.existing(path.as_ref()).reads.extend(steps);
    }

    fn write(&mut self, path: &Path, modified: i64) -> &mut Vec<u8> {
        let now = self.now;
        let node = self.existing(path);
        (node.modified, node.changed) = (modified, now);
        match &mut node.content {
            Content::File(bytes) => bytes,
            _ => panic!("{} is not a file", path.display()),
        }
    }

    fn put(&mut self, path: &Path, content: Content, modified: i64) {
        let (dir, name) = self.place(path);
        let inode = self.add(content, modified);
        self.names_mut(dir).insert(name, inode);
    }

    /// The directory and the name that a test's path leads to.
    fn place(&mut self, path: &Path) -> (Inode, OsString) {
        let name = path.file_name().unwrap_or_else(|| panic!("{} has no name", path.display()));
        (self.dir_at(path.parent().unwrap_or(Path::new("/"))), name.to_owned())
    }

    /// The directory that a test's path leads to, created if it is missing.
    fn dir_at(&mut self, path: &Path) -> Inode {
        let mut at = ROOT;
        for component in path.components() {
            let name = match component {
                Component::RootDir => continue,
                Component::Normal(name) => name,
                _ => panic!("{} is not a plain path", path.display()),
            };
            at = match self.names_mut(at).get(name) {
                Some(inode) => *inode,
                None => {
                    let inode = self.add(Content::empty_dir(at), 0);
                    self.names_mut(at).insert(name.to_owned(), inode);
                    inode
                }
            };
        }
        self.names_mut(at);
        at
    }

    pub(super) fn existing(&mut self, path: &Path) -> &mut Node {
        let (dir, name) = self.place(path);
        match self.names_mut(dir).get(&name).copied() {
            Some(inode) => self.node_mut(inode),
            None => panic!("{} not found", path.display()),
        }
    }

    /// Removes everything in a directory and marks it as removed. Does nothing to other files.
    fn empty_out(&mut self, inode: Inode) {
        self.writing.temporary.remove(&inode);
        if let Content::Directory { names, removed, .. } = &mut self.node_mut(inode).content {
            *removed = true;
            for inode in std::mem::take(names).into_values() {
                self.empty_out(inode);
            }
        }
    }

    pub(super) fn names_mut(&mut self, dir: Inode) -> &mut BTreeMap<OsString, Inode> {
        match &mut self.node_mut(dir).content {
            Content::Directory { names, .. } => names,
            _ => panic!("inode {dir} is not a directory"),
        }
    }
}

/// The implementation of the calls.
impl Files {
    pub(super) fn find_dir(&self, path: &Path) -> io::Result<Inode> {
        if path.as_os_str().is_empty() {
            return Err(errno(libc::ENOENT));
        }
        let inode = self.walk(ROOT, path.as_os_str(), Scope::Anywhere)?;
        match self.node(inode).content {
            Content::Directory { .. } => Ok(inode),
            _ => Err(errno(libc::ENOTDIR)),
        }
    }

    pub(super) fn find_beneath(&self, dir: Inode, path: &OsStr) -> io::Result<Inode> {
        self.walk(dir, path, Scope::Beneath)
    }

    /// Resolves a path. Links are followed, including the last component.
    pub(super) fn walk(&self, start: Inode, path: &OsStr, scope: Scope) -> io::Result<Inode> {
        let mut at = start;
        let mut links = 0;
        // The components that are left, the next one last.
        let mut rest = Vec::new();
        match push_path(&mut rest, path)? {
            true if scope == Scope::Beneath => return Err(outside()),
            true => at = ROOT,
            false => {}
        }
        while let Some(name) = rest.pop() {
            let Content::Directory { parent, names, .. } = &self.node(at).content else {
                return Err(errno(libc::ENOTDIR));
            };
            match name.as_bytes() {
                b"." => continue,
                b".." if at == start && scope == Scope::Beneath => return Err(outside()),
                b".." => at = *parent,
                long if long.len() > NAME_MAX => return Err(errno(libc::ENAMETOOLONG)),
                _ => {
                    let inode = *names.get(name).ok_or_else(|| errno(libc::ENOENT))?;
                    let Content::Symlink(target) = &self.node(inode).content else {
                        at = inode;
                        continue;
                    };
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::ErrorKind::PermissionDenied.into());
                    }
                    let is_absolute = target.as_bytes().starts_with(b"/");
                    if is_absolute && scope == Scope::Beneath {
                        at = start;
                        push_path(&mut rest, self.below(start, target)?)?;
                    } else if push_path(&mut rest, target)? {
                        at = ROOT;
                    }
                }
            }
        }
        Ok(at)
    }

    /// The part of an absolute path that follows a directory, as `sys/dir/walk.rs` finds it.
    fn below<'a>(&self, dir: Inode, path: &'a OsStr) -> io::Result<&'a OsStr> {
        let bytes = path.as_bytes();
        let is_end = |at: &usize| *at == 1 || bytes.get(*at).is_none_or(|byte| *byte == b'/');
        for end in (1..=bytes.len()).filter(is_end) {
            let ancestor = OsStr::from_bytes(&bytes[..end]);
            match self.walk(ROOT, ancestor, Scope::Anywhere) {
                Ok(found) if found == dir => return Ok(OsStr::from_bytes(&bytes[end..])),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Err(outside())
    }

    pub(super) fn metadata(&self, inode: Inode) -> Metadata {
        let node = self.node(inode);
        let len = match &node.content {
            Content::File(bytes) => bytes.len() as u64,
            _ => 0,
        };
        let kind = node.content.kind();
        Metadata {
            kind,
            len,
            modified_seconds: node.modified,
            modified_nanos: 0,
            changed_seconds: node.changed,
            changed_nanos: 0,
            inode,
        }
    }

    /// The content of a file from `offset` on, empty at or beyond its end.
    pub(super) fn bytes_from(&self, inode: Inode, offset: u64) -> io::Result<&[u8]> {
        match &self.node(inode).content {
            Content::File(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(&bytes[start..])
            }
            Content::Directory { .. } => Err(errno(libc::EISDIR)),
            Content::Symlink(_) | Content::Fifo => Err(errno(libc::ESPIPE)),
        }
    }

    pub(super) fn read_at(
        &mut self,
        inode: Inode,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        // Files have no edges.
        let limit = self.node_mut(inode).reads.next(&mut false)?;
        let bytes = self.bytes_from(inode, offset)?;
        let count = bytes.len().min(buffer.len()).min(limit);
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    pub(super) fn read_dir(&self, inode: Inode) -> io::Result<Vec<Entry>> {
        let Content::Directory { names, .. } = &self.node(inode).content else {
            return Err(errno(libc::ENOTDIR));
        };
        let entry = |(name, inode): (&OsString, &Inode)| Entry {
            name: name.clone(),
            kind: Some(self.node(*inode).content.kind()),
        };
        // In reverse, so that no caller relies on sorted names.
        Ok(names.iter().rev().map(entry).collect())
    }
}

/// Pushes the components of `path` in reverse onto those that are left. Returns whether it starts
/// at `/`.
fn push_path<'a>(rest: &mut Vec<&'a OsStr>, path: &'a OsStr) -> io::Result<bool> {
    let bytes = path.as_bytes();
    if bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if bytes.len() >= PATH_MAX {
        return Err(errno(libc::ENAMETOOLONG));
    }
    // A slash at the end requires a directory, and so does a dot.
    if bytes.last() == Some(&b'/') {
        rest.push(OsStr::new("."));
    }
    let names = bytes.rsplit(|byte| *byte == b'/').filter(|name| !name.is_empty());
    rest.extend(names.map(OsStr::from_bytes));
    Ok(bytes.starts_with(b"/"))
}

pub(super) fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the path leads outside its directory")
}

/// The calls for files, each documented at [`Kernel`](super::super::Kernel).
impl World {
    pub(crate) fn open_dir(&self, path: &Path) -> io::Result<Fd> {
        let state = &mut *self.0.borrow_mut();
        state.calls.open += 1;
        let inode = state.files.find_dir(path)?;
        state.table.insert(Object::File(inode))
    }

    pub(crate) fn open_beneath(&self, dir: Fd, path: &OsStr) -> io::Result<Fd> {
        let state = &mut *self.0.borrow_mut();
        state.calls.open += 1;
        let dir = state.inode(dir);
        let fd = state.fault_in_open().and_then(|()| {
            let inode = state.files.find_beneath(dir, path)?;
            state.table.insert(Object::File(inode))
        });
        state.note(format_args!("open({:?}) = {}", path.display(), Said(&fd)));
        fd
    }

    pub(crate) fn removed_len(&self, file: Fd) -> u64 {
        let state = &mut *self.0.borrow_mut();
        let inode = state.inode(file);
        if state.files.has_name(inode) { 0 } else { state.files.metadata(inode).len }
    }

    pub(crate) fn metadata(&self, file: Fd) -> io::Result<Metadata> {
        let state = &mut *self.0.borrow_mut();
        state.calls.metadata += 1;
        let inode = state.inode(file);
        Ok(state.files.metadata(inode))
    }

    pub(crate) fn metadata_beneath(&self, dir: Fd, path: &OsStr) -> io::Result<Metadata> {
        let state = &mut *self.0.borrow_mut();
        state.calls.metadata += 1;
        let dir = state.inode(dir);
        let inode = state.files.find_beneath(dir, path)?;
        Ok(state.files.metadata(inode))
    }

    pub(crate) fn read_at(&self, file: Fd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        state.calls.read_at += 1;
        let inode = state.inode(file);
        state.wait_for_disk();
        state.touch(inode, offset, buffer.len());
        let read = state.read(inode, buffer, offset);
        state.note(format_args!("read({file}, {} at {offset}) = {}", buffer.len(), Said(&read)));
        read
    }

    pub(crate) fn read_dir(&self, dir: Fd) -> io::Result<ReadDir> {
        let state = &mut *self.0.borrow_mut();
        let inode = state.inode(dir);
        let entries = state.files.read_dir(inode)?;
        let world = self.clone();
        Ok(Box::new(entries.into_iter().map(move |entry| {
            world.0.borrow_mut().calls.read_dir += 1;
            Ok(entry)
        })))
    }
}
