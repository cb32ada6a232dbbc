//! Walks a directory, one entry at a time, for an archive of it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sluicegate_reactor::fs::{Dir, FileKind, ReadDir, Region};

use super::lister::status_of;
use super::path::is_served;
use super::tar::{self, Kind};
use crate::http::Status;

/// The deepest nesting of directories; an archive that is deeper fails. The walk has all of them
/// open, and a file system that does not distinguish links from directories may have loops.
const MAX_DEPTH: usize = 64;

/// An archive in progress.
///
/// Leaves out what a listing does, and symbolic links: the file that one leads to may be in the
/// archive already, or contain it.
pub(super) struct Archive {
    root: Dir,
    hidden: bool,
    /// The path of the current directory, and while an entry is examined its name.
    path: Vec<u8>,
    /// The length of the part of `path` that the names in the archive leave out.
    outside: usize,
    /// The current directory and those above it, the top first, with the lengths of their paths.
    open: Vec<(ReadDir, usize)>,
    /// The length of the last content, which padding follows.
    last_len: u64,
}

/// The next part of an archive.
pub(super) enum Step {
    /// Nothing: an entry is left out.
    Nothing,
    /// A header, and the content that follows.
    Entry(Vec<u8>, Option<Region>),
    /// The last bytes.
    End(Vec<u8>),
}

impl Archive {
    /// Starts to archive the directory at `path` beneath `root`. The names in the archive begin
    /// with that of the directory, unless it is the root.
    pub(super) fn start(root: &Dir, path: Vec<u8>, hidden: bool) -> io::Result<Archive> {
        let entries = root.open(OsStr::from_bytes(&path))?.read_dir()?;
        let parents = path.strip_suffix(b"/").unwrap_or_default();
        let outside = parents.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let open = vec![(entries, path.len())];
        Ok(Archive { root: root.clone(), hidden, path, outside, open, last_len: 0 })
    }

    /// Reads one entry: a few system calls at most.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let Some((entries, len)) = self.open.last_mut() else {
            let mut end = self.padding();
            end.extend_from_slice(&tar::END);
            return Ok(Step::End(end));
        };
        self.path.truncate(*len);
        let Some(entry) = entries.next().transpose()? else {
            self.open.pop();
            return Ok(Step::Nothing);
        };
        let name = entry.name.into_vec();
        let is_wrong_kind = matches!(entry.kind, Some(FileKind::Symlink | FileKind::Other));
        if is_wrong_kind || !is_served(&name, self.hidden) {
            return Ok(Step::Nothing);
        }
        self.path.extend_from_slice(&name);
        match self.archive() {
            Err(error) if self.is_left_out(&error) => Ok(Step::Nothing),
            archived => archived,
        }
    }

    /// The path of what was examined last.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Whether what is at `path` belongs in no archive although opening it has failed: it was
    /// removed meanwhile, may not be read, or is neither a file nor a directory.
    fn is_left_out(&self, error: &io::Error) -> bool {
        match status_of(error) {
            // The whole path is too long. A name that a directory contains never is.
            Some(_) if error.kind() == io::ErrorKind::InvalidFilename => false,
            Some(status) => status != Status::SERVICE_UNAVAILABLE,
            None => {
                let metadata = self.root.metadata(OsStr::from_bytes(&self.path));
                metadata.is_ok_and(|it| !it.is_file() && !it.is_dir())
            }
        }
    }

    /// Archives the file or directory at `path`.
    fn archive(&mut self) -> io::Result<Step> {
        let file = self.root.open(OsStr::from_bytes(&self.path))?;
        let metadata = file.metadata()?;
        let (kind, len) = match metadata.kind {
            FileKind::File => (Kind::File, metadata.len),
            FileKind::Directory if self.open.len() >= MAX_DEPTH => {
                return Err(io::Error::other("directories are nested too deeply"));
            }
            FileKind::Directory => {
                let entries = file.read_dir()?;
                self.path.push(b'/');
                self.open.push((entries, self.path.len()));
                (Kind::Directory, 0)
            }
            _ => return Ok(Step::Nothing),
        };
        let mut header = self.padding();
        let name = &self.path[self.outside..];
        tar::push_header(&mut header, name, kind, len, metadata.modified_seconds);
        self.last_len = len;
        Ok(Step::Entry(header, (len > 0).then(|| file.region(0, len))))
    }

    /// What follows the last content.
    fn padding(&self) -> Vec<u8> {
        let mut padding = Vec::new();
        tar::push_padding(&mut padding, self.last_len);
        padding
    }
}
