//! Static files, directory listings and uploads over HTTP.
//!
//! [`Files`] is a [`Service`](crate::http::Service). Another service can use it for a part of its
//! requests: [`Files::serve`] answers one. See [`Answered::map`](crate::http::Answered::map).
//!
//! ```
//! use sluicegate_protocols::files::{Files, FilesOptions};
//! use sluicegate_protocols::http::Http;
//! use sluicegate_reactor::Reactor;
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let files = Files::new(&mut reactor, ".", FilesOptions::default())?;
//! reactor.register(Http::new(files));
//! # Ok(())
//! # }
//! ```
//!
//! # What is served
//!
//! - GET and HEAD return regular files beneath a root directory. Symbolic links are followed while
//!   they stay beneath it; one that leaves gets 403. Anything that is neither a file nor a
//!   directory gets 404, without blocking.
//! - A directory is answered with its first existing [index file](FilesOptions::index), else with a
//!   [listing](FilesOptions::listing) if that is enabled, else with 403. Without a slash at the end
//!   of the path it is redirected to the path with one.
//! - A listing is a page without scripts, or JSON for clients that prefer that to HTML.
//!   `?sort=name`, `size` or `time` and `order=asc` or `desc` sort it, and `page=2` shows the
//!   second [page](FilesOptions::listing_page). It is made in small steps, so that other
//!   connections do not wait for a long one.
//! - Names that begin with a dot are neither served nor listed, unless
//!   [`hidden`](FilesOptions::hidden) is set. `/.well-known` always is.
//! - Paths are decoded once. The segments `.` and `..` and an encoded slash get 404, an encoded NUL
//!   and a malformed escape get 400. Only listings use the query.
//! - Conditional requests and ranges are supported. A request for several ranges gets the whole
//!   file. The entity tag contains the inode and the time of change, so it tells any two versions
//!   of a file apart; copies of a file on two servers have different tags.
//! - A file that states a length of 0 and still has contents, as those of `/proc` do, is read [up
//!   to a limit](FilesOptions::unsized_body) for each request.
//! - `Last-Modified` is sent only for a file that was modified before the second of the response's
//!   `Date`: until that second is over, the file may change again and keep its date. A file without
//!   `Last-Modified` is not compared with `If-Modified-Since`, nor with a date in `If-Range`. Files
//!   dated 1970-01-01 00:00:00 or earlier have no date.
//!
//! # Uploads
//!
//! If [`upload`](FilesOptions::upload) is set, PUT creates a file (201) or replaces one (204). The
//! file appears under its path when all of it has arrived; an upload that fails leaves nothing
//! behind. Directories are not created: without its directory a file gets 409. Names that are not
//! served get 403, and so does anything that is neither a file nor a directory. A symbolic link is
//! replaced, not followed; one that leads nowhere counts as no file. `If-Match`, `If-None-Match`
//! and `If-Unmodified-Since` are supported; `Content-Range` gets 400. A full disk gets 507. The size
//! is limited by [`HttpLimits::body`](crate::http::HttpLimits::body).
//!
//! Clients are not authenticated: anyone who can reach the server can fill its disk.
//!
//! # The cache
//!
//! Open files, their header fields and the contents of small files are cached. For
//! [`valid_for`](FilesOptions::valid_for) an entry is used without a system call. After that the
//! path is opened again, and the entry stays if inode, size and times have not changed. Errors are
//! not cached.
//!
//! The reactor itself looks up names and opens files, and so may wait for the disk; directories are
//! rarely out of memory. It does not wait for the contents of files
//! ([`outbound`](sluicegate_reactor::outbound)): a small file is cached once its contents are in
//! memory.

mod cache;
mod cached_file;
mod conditions;
mod download;
mod json;
mod lister;
mod listing;
mod options;
mod page;
mod path;
mod root;
mod service;
mod types;
mod unsized_file;
mod upload;
mod validators;
mod view;

pub use options::FilesOptions;
pub use root::Files;
