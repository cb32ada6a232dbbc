//! The data on the disk of a simulated machine: a tree of directories, files and symbolic links.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::{Fd, Script};
use crate::sys::FileKind;

/// The inode number of a file, directory or link. None is reused.
pub(super) type Inode = u64;

pub(super) const ROOT: Inode = 1;
/// The longest file name in bytes. Longer ones fail with `ENAMETOOLONG`.
pub(super) const NAME_MAX: usize = 255;

/// The disk of a [`Harness`](crate::testing::Harness): a tree of directories, files and links.
///
/// Paths start at `/`, which may be omitted. They cannot contain `.` or `..`, and do not follow
/// links. A removed file stays readable through descriptors that are already open. The test sets
/// modification times, in seconds since 1970.
///
/// # Panics
/// If a path does not lead to the kind of file that a call needs, which is a mistake in the test.
pub struct Files {
    /// The node with inode number `n` is at index `n - 1`.
    nodes: Vec<Node>,
    /// The wall clock, in seconds since 1970. Files that a test changes are changed at this time.
    pub(super) now: i64,
    pub(super) writing: Writing,
    /// Whether the file system does not report which bytes are in memory.
    pub(super) hides_residency: bool,
}

pub(super) struct Node {
    pub(super) content: Content,
    pub(super) modified: i64,
    pub(super) changed: i64,
    /// The results of the next reads.
    pub(super) reads: Script,
    /// The pages that are not in memory.
    pub(super) cold: BTreeSet<u64>,
}

pub(super) enum Content {
    File(Vec<u8>),
    Directory {
        parent: Inode,
        names: BTreeMap<OsString, Inode>,
        /// Whether it was removed: nothing can be created in it any more.
        removed: bool,
    },
    Symlink(OsString),
    /// Can be opened, but not read at an offset.
    Fifo,
}

impl Content {
    pub(super) fn empty_dir(parent: Inode) -> Content {
        Content::Directory { parent, names: BTreeMap::new(), removed: false }
    }

    pub(super) fn kind(&self) -> FileKind {
        match self {
            Content::File(_) => FileKind::File,
            Content::Directory { .. } => FileKind::Directory,
            Content::Symlink(_) => FileKind::Symlink,
            Content::Fifo => FileKind::Other,
        }
    }
}

/// The limits and scripted failures of writing.
#[derive(Default)]
pub(super) struct Writing {
    /// The free space in bytes, if it is limited.
    pub(super) room: Option<u64>,
    pub(super) in_memory: bool,
    pub(super) refuses_unnamed: bool,
    /// The results of the next writes.
    pub(super) script: Script,
    /// The results of the next syncs.
    pub(super) syncs: Script,
    /// Files that were created and not renamed yet.
    pub(super) temporary: BTreeSet<Inode>,
    /// The locked files, by the descriptors that hold the locks.
    pub(super) locked: BTreeMap<Fd, Inode>,
    /// Directories on other file systems.
    pub(super) mounted: BTreeSet<Inode>,
}

impl Files {
    pub(super) fn new() -> Files {
        let mut files = Files {
            nodes: Vec::new(),
            now: 0,
            hides_residency: false,
            writing: Writing::default(),
        };
        files.add(Content::empty_dir(ROOT), 0);
        files
    }

    pub(super) fn add(&mut self, content: Content, modified: i64) -> Inode {
        self.nodes.push(Node {
            content,
            modified,
            changed: self.now,
            reads: Script::default(),
            cold: BTreeSet::new(),
        });
        self.nodes.len() as Inode
    }

    pub(super) fn has_name(&self, inode: Inode) -> bool {
        self.nodes.iter().any(|node| match &node.content {
            Content::Directory { names, .. } => names.values().any(|named| *named == inode),
            _ => false,
        })
    }

    pub(super) fn node(&self, inode: Inode) -> &Node {
        &self.nodes[inode as usize - 1]
    }

    pub(super) fn node_mut(&mut self, inode: Inode) -> &mut Node {
        &mut self.nodes[inode as usize - 1]
    }
}
