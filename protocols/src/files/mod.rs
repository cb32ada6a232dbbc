//! Static files and listings of directories.
//!
//! [`Files`] is a [`Service`], and a part of one: [`Files::serve`] answers a request that a service
//! has decided to be for a file.
//!
//! # What is served
//!
//! - Regular files beneath a root directory, to GET and HEAD. Symbolic links are followed as long
//!   as they stay beneath it; one that leaves is answered with 403. What is neither a file nor a
//!   directory is answered with 404, and does not block.
//! - For a directory its first existing [index file](FilesOptions::index), else its
//!   [listing](FilesOptions::listing), else 403. Without a slash at the end it is redirected to
//!   itself with one.
//! - A listing is a page without scripts, or JSON for those who accept that rather than HTML. It is
//!   sorted by `?sort=name`, `size` or `time`, and `order=asc` or `desc`.
//! - Names that begin with a dot are not served, nor listed, unless [asked
//!   for](FilesOptions::hidden); `/.well-known` is.
//! - A path is decoded once. Segments `.` and `..` and an encoded slash are answered with 404, an
//!   encoded NUL and a broken escape with 400. The query means something to listings only.
//! - Conditions and ranges are honoured; several ranges at once are answered with the whole.
//!
//! # Uploads
//!
//! With [`upload`](FilesOptions::upload) a PUT makes a file (201) or replaces one (204), in one
//! step when all of it has arrived: until then its path has what it had, and whatever ends the
//! upload before leaves nothing behind. Directories are not made: without the one that the file
//! belongs into it is 409. A name that is not served cannot be put either: 403. So is what is
//! neither file nor directory; a link is replaced, not followed. `If-Match`, `If-None-Match` and
//! `If-Unmodified-Since` are honoured, `Content-Range` is refused with 400. A full disk is 507. How
//! much is accepted is [`HttpLimits::body`](crate::http::HttpLimits::body).
//!
//! Whoever can reach the server can fill its disk: nobody is asked who they are.
//!
//! # The cache
//!
//! Open files, their header fields and the bytes of small ones are kept. For
//! [`valid_for`](FilesOptions::valid_for) an entry is used without a system call; after that the
//! name is opened anew, and if inode, size and modification time are what they were the entry
//! stays: a file replaced by one with the same three is not noticed. Errors are not kept.
//!
//! Names are looked up and files opened by the reactor, which may wait for the disk: directories
//! are rarely out of memory. What is in the files it does not wait for
//! ([`outbound`](sluicegate_reactor::outbound)): a small one is kept once its bytes are in memory.
//!
//! ```
//! use sluicegate_protocols::http::Http;
//! use sluicegate_protocols::files::{Files, FilesOptions};
//! use sluicegate_reactor::Reactor;
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let files = Files::new(reactor.fs(), ".", FilesOptions::default())?;
//! reactor.register(Http::new(files));
//! # Ok(())
//! # }
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use sluicegate_reactor::fs::{
    Committed, CreateOptions, Dir, File, Fs, Metadata, is_out_of_descriptors,
};

use crate::http::{Answered, Method, Reply, Request, Service, Status};
use cache::Cache;
use entry::Entry;
use listing::{Listing, Order};
use page::CONTENT_SECURITY_POLICY;
use path::Refused;

mod cache;
mod conditions;
mod entry;
mod json;
mod listing;
mod page;
mod path;
mod types;
mod upload;

const ALLOW: &str = "GET, HEAD, OPTIONS";
const ALLOW_PUT: &str = "GET, HEAD, OPTIONS, PUT";

/// What is served, and what is kept of it.
///
/// ```
/// use sluicegate_protocols::files::FilesOptions;
///
/// let options = FilesOptions { listing: false, ..FilesOptions::default() };
/// assert_eq!(options.index, ["index.html"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOptions {
    /// Names of files that are served for their directory; the first that exists. Default:
    /// `index.html`.
    pub index: Vec<String>,
    /// Whether directories without an index file are listed. Default: yes.
    pub listing: bool,
    /// Most names that are read for a listing; it says if there are more. Each is looked at, which
    /// takes some microseconds, and the reactor does nothing else meanwhile. Default 10,000.
    pub listing_names: usize,
    /// Whether names that begin with a dot are served and listed. Default: no.
    pub hidden: bool,
    /// How long a file is served from the cache without looking at the disk. Default 1 s.
    pub valid_for: Duration,
    /// Files of at most so many bytes are kept in memory, longer ones are kept open. Default
    /// 64 KiB.
    pub small_body: usize,
    /// Most files that are kept. Default 1024.
    pub cache_files: usize,
    /// Most bytes that are kept. A file that is kept open counts as 256 KiB, so this bounds the
    /// number of descriptors too. Default 16 MiB.
    pub cache_bytes: usize,
    /// How files are made by [PUT](self#uploads); none, and PUT is answered with 405, if this is
    /// `None`. Default: none.
    pub upload: Option<CreateOptions>,
}

impl Default for FilesOptions {
    fn default() -> FilesOptions {
        FilesOptions {
            index: vec!["index.html".to_owned()],
            listing: true,
            listing_names: 10_000,
            hidden: false,
            valid_for: Duration::from_secs(1),
            small_body: 64 << 10,
            cache_files: 1024,
            cache_bytes: 16 << 20,
            upload: None,
        }
    }
}

/// Serves the files beneath a directory.
pub struct Files {
    root: Dir,
    options: FilesOptions,
    cache: Cache<Entry>,
    /// The path of the current request, decoded; kept for its memory.
    path: Vec<u8>,
}

/// What is under a path.
enum Found {
    /// A regular file, and the name that tells its type.
    File(File, Metadata, Vec<u8>),
    /// A directory without an index file.
    Directory(File),
    /// A directory that was asked for like a file.
    NeedsSlash,
    /// Something that is not served.
    Other,
}

impl Files {
    /// Serves the files beneath `root`.
    ///
    /// # Errors
    /// What opening the directory says, with its name.
    pub fn new(fs: Fs, root: impl AsRef<Path>, options: FilesOptions) -> io::Result<Files> {
        let cache = Cache::new(options.cache_files, options.cache_bytes);
        Ok(Files { root: fs.open_dir(root)?, options, cache, path: Vec::new() })
    }

    /// Answers a request for a file.
    pub fn serve(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match request.method() {
            Method::Get | Method::Head => self.get(request, reply),
            Method::Options => {
                reply.status(Status::NO_CONTENT).header("Allow", self.allow()).send("")
            }
            Method::Put => match self.options.upload {
                Some(options) => self.put(request, reply, &options),
                None => reply.header("Allow", ALLOW).error(Status::METHOD_NOT_ALLOWED),
            },
            Method::Other(_) => reply.error(Status::NOT_IMPLEMENTED),
            _ => reply.header("Allow", self.allow()).error(Status::METHOD_NOT_ALLOWED),
        }
    }

    /// What `Allow` says.
    fn allow(&self) -> &'static str {
        if self.options.upload.is_some() { ALLOW_PUT } else { ALLOW }
    }

    fn get(&mut self, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Answered {
        match path::decode(request.path(), self.options.hidden, &mut self.path) {
            Ok(()) => {}
            Err(Refused::Malformed) => return reply.error(Status::BAD_REQUEST),
            Err(Refused::Absent) => return reply.error(Status::NOT_FOUND),
        }
        let now = reply.turn().now();
        if let Some(entry) = self.cache.get(&self.path)
            && entry.is_fresh(now, self.options.valid_for)
        {
            return entry.answer(request, reply);
        }
        let found = self.find();
        if !matches!(found, Ok(Found::File(..))) {
            self.cache.remove(&self.path);
        }
        match found {
            Ok(Found::File(file, metadata, name)) => {
                self.send_file((file, metadata, name), now, request, reply)
            }
            Ok(Found::Directory(dir)) => self.send_listing(&dir, request, reply),
            Ok(Found::NeedsSlash) => self.redirect(request, reply),
            Ok(Found::Other) => reply.error(Status::NOT_FOUND),
            Err(error) => self.refuse(&error, reply),
        }
    }

    /// Looks at the disk.
    fn find(&mut self) -> io::Result<Found> {
        let wants_directory = self.path.is_empty() || self.path.ends_with(b"/");
        if wants_directory {
            for at in 0..self.options.index.len() {
                let name = [&self.path, self.options.index[at].as_bytes()].concat();
                match self.open(&name) {
                    Ok((file, metadata)) if metadata.is_file() => {
                        return Ok(Found::File(file, metadata, name));
                    }
                    Err(error)
                        if error.kind() != io::ErrorKind::NotFound && !self.is_special(&name) =>
                    {
                        return Err(error);
                    }
                    _ => {}
                }
            }
        }
        let path = self.path.clone();
        let (file, metadata) = self.open(&path)?;
        Ok(match (metadata.is_dir(), wants_directory) {
            (true, true) => Found::Directory(file),
            (true, false) => Found::NeedsSlash,
            (false, _) if metadata.is_file() => Found::File(file, metadata, path),
            (false, _) => Found::Other,
        })
    }

    fn open(&mut self, path: &[u8]) -> io::Result<(File, Metadata)> {
        let name = OsStr::from_bytes(path);
        let file = match self.root.open(name) {
            Err(error) if is_out_of_descriptors(&error) => {
                // The cache must not be what starves the rest of the process.
                self.cache.clear();
                self.root.open(name)?
            }
            result => result?,
        };
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    /// Answers with a file that was just opened, from the cache if that has the same.
    fn send_file(
        &mut self,
        (mut file, metadata, name): (File, Metadata, Vec<u8>),
        now: Duration,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        if let Some(entry) = self.cache.get(&self.path)
            && entry.is_current(&metadata)
        {
            match entry.to_load(self.options.small_body) {
                Some(same) => file = same.clone(),
                None => {
                    entry.checked = now;
                    return entry.answer(request, reply);
                }
            }
        }
        let (small_body, date) = (self.options.small_body, reply.unix_time());
        match Entry::load(file, metadata, &name, small_body, now, date) {
            Ok(entry) => {
                let answered = entry.answer(request, reply);
                let weight = entry.weight();
                self.cache.insert(&self.path, entry, weight);
                answered
            }
            Err(error) => self.refuse(&error, reply),
        }
    }

    fn send_listing(&self, dir: &File, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if !self.options.listing {
            return reply.error(Status::FORBIDDEN);
        }
        let fields = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Accept"));
        let wants_json = json::is_wanted(fields.map(|(_, value)| value));
        // Thousands of HEADs fit in one receive, and a long listing takes tens of milliseconds.
        let page = match request.method() {
            Method::Head => None,
            _ => match self.listing(dir, request.query(), wants_json) {
                Ok(page) => Some(page),
                Err(error) => return self.refuse(&error, reply),
            },
        };
        let reply = reply
            .header("X-Content-Type-Options", "nosniff")
            .header("Cache-Control", "no-cache")
            .header("Vary", "Accept");
        let reply = if wants_json {
            reply.header("Content-Type", "application/json")
        } else {
            reply
                .header("Content-Type", "text/html; charset=utf-8")
                .header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        };
        match page {
            Some(page) => reply.send(page),
            None => reply.send_head(),
        }
    }

    fn listing(&self, dir: &File, query: Option<&str>, as_json: bool) -> io::Result<String> {
        let FilesOptions { listing_names, hidden, .. } = self.options;
        let mut listing = Listing::read(&self.root, &self.path, dir, hidden, listing_names)?;
        let order = Order::from_query(query);
        listing.sort(order);
        Ok(if as_json {
            json::json(&self.path, &listing)
        } else {
            page::html(&self.path, &listing, order)
        })
    }

    /// Sends the client to the same path with a slash. The reference is made of what was decoded,
    /// so it begins with exactly one slash, names no host and has nothing that could end a line.
    fn redirect(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let mut location = b"/".to_vec();
        path::encode(&self.path, &mut location);
        location.push(b'/');
        if let Some(query) = request.query() {
            location.push(b'?');
            path::encode_query(query, &mut location);
        }
        reply.header("Location", &location).error(Status::MOVED_PERMANENTLY)
    }

    fn refuse(&self, error: &io::Error, reply: Reply<'_, '_>) -> Answered {
        let status = match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => Status::NOT_FOUND,
            io::ErrorKind::PermissionDenied => Status::FORBIDDEN,
            // The reactor's listeners log it too, and not once for each request.
            _ if is_out_of_descriptors(error) => Status::SERVICE_UNAVAILABLE,
            _ if self.is_special(&self.path) => Status::NOT_FOUND,
            _ => {
                log::warn!("{}: {error}", self.path.escape_ascii());
                Status::INTERNAL_SERVER_ERROR
            }
        };
        reply.error(status)
    }

    /// Whether the name is of something that is neither file nor directory: sockets cannot even be
    /// opened.
    fn is_special(&self, path: &[u8]) -> bool {
        let metadata = self.root.metadata(OsStr::from_bytes(path));
        metadata.is_ok_and(|m| !m.is_file() && !m.is_dir())
    }
}

impl Service for Files {
    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        self.serve(request, reply)
    }

    fn on_saved(
        &mut self,
        request: &Request<'_>,
        saved: &io::Result<Committed>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        self.saved(request, saved, reply)
    }
}
