//! The directory that is served, and its cache.

use std::ffi::OsStr;
use std::io;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sluicegate_reactor::fs::{Dir, is_out_of_descriptors};
use sluicegate_reactor::{Reactor, Turn};

use super::archiver::Archives;
use super::cache::Cache;
use super::cached_file::{CachedFile, Check};
use super::changes::Changes;
use super::common_fields::CommonFields;
use super::encodings::Coding;
use super::lister::Listings;
use super::options::FilesOptions;
use super::parents::Parents;
use super::path::{self, PathError, split};
use super::representation::Opened;
use super::resume::Partials;
use crate::http::{Request, WriteErrors};

/// Serves the files beneath a directory.
pub struct Files {
    /// Where the root was found, to open it again.
    location: PathBuf,
    pub(super) root: Dir,
    pub(super) options: FilesOptions,
    pub(super) common_fields: CommonFields,
    /// The route prefix: empty, or without its first slash and with one at the end.
    pub(super) prefix: Vec<u8>,
    pub(super) cache: Cache<CachedFile>,
    changes: Changes,
    pub(super) listings: Listings,
    /// `None` if directories are not archived.
    pub(super) archives: Option<Archives>,
    pub(super) parents: Parents,
    /// `None` if uploads cannot be continued.
    pub(super) partials: Option<Partials>,
    /// Why uploads could not be saved.
    pub(super) unsaved: WriteErrors,
    /// The decoded path of the current request. A field so that its allocation is reused.
    pub(super) path: Vec<u8>,
}

impl Files {
    /// Serves the files beneath `root` on this reactor. This registers a handler that builds
    /// listings, and one that builds archives if they are enabled.
    ///
    /// # Errors
    /// If the directory cannot be opened; `InvalidInput` if an option is invalid; if
    /// [`resume`](FilesOptions::resume) is set and the directory of partial files cannot be created
    /// in it. The message names the directory or the option.
    ///
    /// # Panics
    /// If the reactor already has 256 handlers.
    pub fn new(
        reactor: &mut Reactor,
        root: impl AsRef<Path>,
        options: FilesOptions,
    ) -> io::Result<Files> {
        let common_fields = CommonFields::new(&options)?;
        let prefix = path::parse_prefix(&options.prefix)?;
        let location = root.as_ref().to_owned();
        let root = reactor.open_dir(&location)?;
        let partials = Partials::open(&root, &options)?;
        let cache = Cache::new(options.cache_files, options.cache_bytes);
        let listings = Listings::new(reactor, &options);
        let archives = options.archive.then(|| Archives::new(reactor));
        let parents = Parents::new(&root, options.valid_for);
        Ok(Files {
            location,
            root,
            options,
            common_fields,
            prefix,
            cache,
            changes: Changes::default(),
            listings,
            archives,
            parents,
            partials,
            unsaved: WriteErrors::of(module_path!()),
            path: Vec::new(),
        })
    }

    /// Shares uploads and deletions with the `Files` of other threads that serve the same files:
    /// once a client has got the response to a change, no thread serves the old file from its
    /// cache.
    #[must_use]
    pub fn with_changes(mut self, changes: Changes) -> Files {
        self.changes = changes;
        self
    }

    /// Reopens the root directory by the path that was passed to [`new`](Files::new), and clears
    /// the cache. If the directory has been replaced by another one, further requests get the files
    /// of the new one. Downloads, uploads, listings and archives in progress continue in the old
    /// one.
    ///
    /// # Errors
    /// If the directory, or the directory of partial files in it, cannot be opened. The message
    /// names it. The previous directory is kept.
    pub fn reopen(&mut self, cx: &Turn) -> io::Result<()> {
        let root = cx.open_dir(&self.location)?;
        self.partials = Partials::open(&root, &self.options)?;
        self.root = root;
        self.cache.clear();
        self.parents = Parents::new(&self.root, self.options.valid_for);
        Ok(())
    }

    /// Decodes the path of a request into [`Files::path`].
    pub(super) fn decode(&mut self, request: &Request<'_>) -> Result<(), PathError> {
        path::decode(request.path(), &self.prefix, self.options.hidden, &mut self.path)
    }

    /// Opens a file or a directory beneath the root.
    pub(super) fn open(&mut self, path: &[u8]) -> io::Result<Opened> {
        let name = OsStr::from_bytes(path);
        let file = match self.root.open(name) {
            Err(error) if is_out_of_descriptors(&error) => {
                // Descriptors that are kept open must not keep the process from opening others.
                self.cache.clear();
                self.parents.clear();
                self.root.open(name)?
            }
            result => result?,
        };
        let metadata = file.metadata()?;
        Ok(Opened { file, metadata, coding: None })
    }

    /// The check of the disk that a request makes now if the cache does not answer it.
    pub(super) fn check(&self, now: Duration) -> Check {
        Check { at: now, changes: self.changes.count() }
    }

    /// Counts a change of the file at this path, and removes what depends on it from the cache: it
    /// may be a descriptor that keeps a deleted file on the disk. The file may also be in the cache
    /// under other names, which only the count makes out of date.
    pub(super) fn forget(&mut self, path: &[u8]) {
        self.changes.add();
        let codings = if self.options.precompressed { &Coding::ALL[..] } else { &[] };
        let originals = codings.iter().map(|coding| coding.extension());
        let originals = originals.filter_map(|end| path.strip_suffix(end.as_bytes()));
        for path in iter::once(path).chain(originals) {
            self.cache.remove(path);
            let (directory, name) = split(path);
            if self.options.index.iter().any(|index| index.as_bytes() == name) {
                self.cache.remove(directory);
            }
        }
    }

    /// Does the same for the current path.
    pub(super) fn forget_current(&mut self) {
        let path = std::mem::take(&mut self.path);
        self.forget(&path);
        self.path = path;
    }

    /// Whether the path is neither that of a file nor that of a directory, such as a socket, which
    /// cannot even be opened.
    pub(super) fn is_special(&self, path: &[u8]) -> bool {
        let metadata = self.root.metadata(OsStr::from_bytes(path));
        metadata.is_ok_and(|m| !m.is_file() && !m.is_dir())
    }
}
