//! Reads and sorts a directory, one entry at a time, and takes a page of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::iter::Peekable;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sluicegate_reactor::fs::{Dir, Entry, FileKind, ReadDir};

use super::path::is_served;
use super::row::{Ranked, Row};
use super::view::{Column, View};

/// What is known of a directory and its page at the end of a scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// The size of the files on the page.
    pub(super) bytes: u64,
    pub(super) view: View,
    /// The number of pages, at least one.
    pub(super) pages: usize,
    /// The number of directories and files on all pages.
    pub(super) directories: usize,
    pub(super) files: usize,
    /// Whether there are more entries than were read.
    pub(super) is_cut: bool,
}

/// How many entries a listing has at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Entries that are read.
    pub(super) names: usize,
    /// Entries on a page, at least one.
    pub(super) page: usize,
}

/// Writes a row of a page behind the ones before it.
pub(super) type WriteRow = fn(&Row, &mut String);

/// A listing in progress. Rows are written as they are examined: a page of them at the end would
/// take too long for one turn.
///
/// Leaves out what cannot be requested: links that are broken or lead outside, special files,
/// hidden names, and uploads in progress.
pub(super) struct Scan {
    root: Dir,
    dir: Dir,
    /// The path of the directory, and while an entry is examined its name.
    path: Vec<u8>,
    hidden: bool,
    view: View,
    sizes: Sizes,
    /// The entries that have not been read; `None` once all have.
    entries: Option<Peekable<ReadDir>>,
    /// The number of entries read.
    read: usize,
    /// The number of rows found: directories and files.
    directories: usize,
    files: usize,
    /// Those found that come first in the order, up to the end of the page. Sorted as they are
    /// found: sorting many at the end would take too long for one turn.
    first: BTreeSet<Ranked>,
    /// The number of rows taken out of `first` because they are on the pages before.
    skipped: usize,
    write_row: WriteRow,
    text: String,
    bytes: u64,
    is_cut: bool,
}

impl Scan {
    /// Starts to list the directory at `path` beneath `root`. Rows are written behind a text.
    pub(super) fn start(
        root: &Dir,
        path: Vec<u8>,
        hidden: bool,
        view: View,
        sizes: Sizes,
        (write_row, text): (WriteRow, String),
    ) -> io::Result<Scan> {
        let file = root.open(OsStr::from_bytes(&path))?;
        let mut entries = file.read_dir()?.peekable();
        // This reads many at once, and the following steps take them.
        entries.peek();
        Ok(Scan {
            root: root.clone(),
            dir: file.into(),
            path,
            hidden,
            view,
            sizes,
            entries: Some(entries),
            read: 0,
            directories: 0,
            files: 0,
            first: BTreeSet::new(),
            skipped: 0,
            write_row,
            text,
            bytes: 0,
            is_cut: false,
        })
    }

    /// Reads one entry: a few system calls at most. Returns whether the listing is complete.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        let Some(entries) = &mut self.entries else { return Ok(self.take_first()) };
        match entries.next().transpose()? {
            Some(entry) if self.read < self.sizes.names => {
                self.read += 1;
                self.note(entry);
            }
            more => {
                self.is_cut = more.is_some();
                self.entries = None;
            }
        }
        Ok(false)
    }

    /// The path of the directory.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The text up to the last row, and the listing. To be called when that is complete.
    pub(super) fn finish(self) -> (String, Listing) {
        let Scan { text, view, bytes, is_cut, directories, files, sizes, .. } = self;
        let pages = (directories + files).div_ceil(sizes.page).max(1);
        (text, Listing { bytes, view, pages, directories, files, is_cut })
    }

    /// Inserts an entry in the order, if it can be requested.
    fn note(&mut self, entry: Entry) {
        let name = entry.name.into_vec();
        if !is_served(&name, self.hidden) {
            return;
        }
        let order = self.view.order;
        let row = match (order.by, entry.kind) {
            (_, Some(FileKind::Other)) => return,
            // Only the rows of the page are asked for their sizes and times.
            (Column::Name, Some(kind @ (FileKind::File | FileKind::Directory))) => {
                Row { name, is_dir: kind == FileKind::Directory, len: 0, modified: 0 }
            }
            _ => match self.examine(name) {
                Some(row) => row,
                None => return,
            },
        };
        *(if row.is_dir { &mut self.directories } else { &mut self.files }) += 1;
        self.first.insert(Ranked { order, row });
        if self.first.len() > self.view.page.saturating_mul(self.sizes.page) {
            self.first.pop_last();
        }
    }

    /// Takes the first of the sorted rows. Returns whether there was none left.
    fn take_first(&mut self) -> bool {
        let Some(Ranked { order, row }) = self.first.pop_first() else { return true };
        if self.skipped < (self.view.page - 1).saturating_mul(self.sizes.page) {
            self.skipped += 1;
            return false;
        }
        let row = if order.by == Column::Name { self.examine(row.name) } else { Some(row) };
        if let Some(row) = row {
            (self.write_row)(&row, &mut self.text);
            // Directories have no size of their own.
            self.bytes = self.bytes.saturating_add(if row.is_dir { 0 } else { row.len });
        }
        false
    }

    /// The row for a name, unless it cannot be requested.
    fn examine(&mut self, name: Vec<u8>) -> Option<Row> {
        // A name takes one system call, a path several. But a link may leave this directory and
        // stay beneath the root.
        let metadata = self.dir.metadata(OsStr::from_bytes(&name)).or_else(|_| {
            let len = self.path.len();
            self.path.extend_from_slice(&name);
            let metadata = self.root.metadata(OsStr::from_bytes(&self.path));
            self.path.truncate(len);
            metadata
        });
        let metadata = metadata.ok().filter(|it| it.is_file() || it.is_dir())?;
        let (is_dir, len) = (metadata.is_dir(), metadata.len);
        Some(Row { name, is_dir, len, modified: metadata.modified_seconds })
    }
}
