//! Static files, directory listings and uploads over HTTP.
//!
//! [`Files`] is a [`Service`](crate::http::Service). A [`Middleware`](crate::http::Middleware) in
//! front of it can answer some requests itself.
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
//! [`Files::reopen`] opens the root directory again, for when another one has taken its place.
//!
//! # What is served
//!
//! - GET and HEAD return regular files beneath a root directory. Symbolic links, relative and
//!   absolute, are followed as long as they stay beneath it; a link that leads outside gets 403.
//!   Anything that is neither a file nor a directory gets 404, without blocking.
//! - A request for a directory returns its first existing [index file](FilesOptions::index), or a
//!   [listing](#listings) if that is enabled, or else 403. If the path does not end in a slash, the
//!   client is redirected to the path that does.
//! - Names that begin with a dot are neither served nor listed, unless
//!   [`hidden`](FilesOptions::hidden) is set. `/.well-known` is always served.
//! - Paths are decoded once. Then the segments `.` and `..` are resolved and slashes are merged. A
//!   path that leads above the root, an encoded NUL and a malformed escape get 400; an encoded
//!   slash gets 404. Only listings and archives use the query string.
//! - For a path that does not exist, the client gets 404 with
//!   [a page of yours](FilesOptions::not_found) if there is one. Errors are HTML pages for clients
//!   that accept `text/html`, as browsers do, and a line of text for others.
//! - With [`spa`](FilesOptions::spa), a path that does not exist returns the page of a single-page
//!   application if its last segment contains no dot or the client accepts `text/html`. A script or
//!   an image that is missing thus gets 404.
//! - Each response has the [`headers`](FilesOptions::headers) of the options, except those with
//!   which [`Http`](crate::http::Http) refuses a request, such as 413. With
//!   [`cors`](FilesOptions::cors), scripts of other origins can read these responses and their
//!   header fields, and OPTIONS answers the preflight requests of browsers.
//! - A file that reports a length of 0 may still have contents, as those in `/proc` do. It is read
//!   for each request, [up to a limit](FilesOptions::unsized_body).
//!
//! # Listings
//!
//! A listing is an HTML page, or JSON for clients that prefer it. `?sort=name`, `size` or `time`
//! and `order=asc` or `desc` sort it, and `page=2` shows the second
//! [page](FilesOptions::listing_page). Directories come first. Names are compared as people count,
//! so `file9` comes before `file10`, and ASCII letters without regard to case. Listings are built
//! in small steps, so that a long one does not hold up other connections.
//!
//! # Compressed files
//!
//! If [`precompressed`](FilesOptions::precompressed) is set, a client that accepts the coding gets
//! `a.css.br`, `a.css.zst` or `a.css.gz` instead of `a.css`: the one it prefers, or the first in
//! this order. A compressed file is not sent without the original. As in nginx (`gzip_static`), the
//! times of the files are not compared: replace both together.
//!
//! Length, ranges, entity tag and date are those of the file that is sent. A request for several
//! ranges of a compressed file gets all of it. If there is a compressed file, all responses have
//! `Vary: Accept-Encoding`.
//!
//! # Conditions and ranges
//!
//! Conditional requests and ranges are supported. Up to 16 ranges in one request are sent as
//! `multipart/byteranges`; if there are more or they overlap, the client gets the whole file.
//!
//! The entity tag contains the inode and the time of change, so it distinguishes any two versions
//! of a file; copies of a file on two servers have different tags. `Last-Modified` is sent only for
//! a file that was modified before the second of the response's `Date`: until that second is over,
//! the file may change again and keep its date. For a file without `Last-Modified`,
//! `If-Modified-Since` and a date in `If-Range` are not evaluated. Files dated 1970-01-01 00:00:00
//! or earlier have no date.
//!
//! Ranges, conditional requests and paths get the same answers as from nginx 1.22, except for
//! these:
//!
//! | request | here | nginx | reason |
//! |---|---|---|---|
//! | HEAD with `Range` | 200 | 206 | RFC 9110, section 14.2: only GET has ranges |
//! | ranges that overlap, or more than 16 | 200 | 206 | section 14.2: they may be an attack |
//! | a malformed `Range` | 200 | 416 | section 14.2: it may be ignored |
//! | `Range: bytes=0-` for an empty file | 416 | 200 | section 14.1.2: it has no first byte |
//! | `Range` for a compressed file | 206 | 200 | it has an entity tag of its own |
//! | `If-Modified-Since` with a later date | 304 | 200 | section 13.1.3; nginx compares exactly |
//! | a malformed `If-Unmodified-Since` | 200 | 412 | section 13.1.4: it is ignored |
//! | `Accept-Encoding: *` | compressed | plain | section 12.5.3: it stands for every coding |
//! | `%2F` in the path | 404 | a slash | a name cannot contain it |
//! | a name with a leading dot | 404 | 200 | it may hold secrets |
//!
//! # Archives
//!
//! If [`archive`](FilesOptions::archive) is set, `?tar` on a directory returns a tar archive of all
//! that its listings show, except symbolic links. The archive is made while it is sent, so it has
//! no length; if a file shrinks meanwhile, the connection is reset.
//!
//! # Uploads
//!
//! If [`upload`](FilesOptions::upload) is set, PUT creates a file (201) or replaces one (204). The
//! file appears at its path when all of it has arrived; an upload that fails leaves nothing behind.
//! If its directory does not exist, PUT gets 409, unless
//! [`create_directories`](FilesOptions::create_directories) is set. Names that are not served get
//! 403, and so does a path at which there is neither a file nor a directory, such as a device. A
//! symbolic link is replaced, not followed; a dangling one counts as no file. `If-Match`,
//! `If-None-Match` and `If-Unmodified-Since` are supported; `Content-Range` gets 400 unless uploads
//! are [resumable](#resumable-uploads). A full disk gets 507. The size is limited by
//! [`HttpLimits::body`](crate::http::HttpLimits::body).
//!
//! Conditions are evaluated when the request arrives, not when the file is complete. Two uploads of
//! a new file with `If-None-Match: *` may both be accepted if they overlap; the one that ends last
//! replaces the other.
//!
//! The directories of recent uploads stay open for [`valid_for`](FilesOptions::valid_for). If a
//! directory is moved, or another takes its name, uploads may continue to go to it that long. An
//! upload that has begun always ends in the directory in which it began; if that was removed, it
//! gets 409.
//!
//! POST of a form (`multipart/form-data`) to a directory saves its files in it, and redirects to
//! the directory (303). Listings have such a form; if scripts are enabled, it uploads with PUT,
//! also files that are dropped on the page, and shows the progress of each. A file is saved under
//! the last component of the name that the client gives it. Each appears when all of it has
//! arrived, so if one fails, those before it have been saved. Forms that pages of
//! [other sites](crate::http::Request::is_cross_origin) send get 403.
//!
//! # Resumable uploads
//!
//! If [`resume`](FilesOptions::resume) is set, a client can continue a PUT whose connection was
//! lost. It sends a token with the first request, `Upload-Token`: 16 to 64 letters, digits, `-` and
//! `_`, chosen at random for each upload. Whoever knows the token can continue the upload. With the
//! same token, the next request sends the rest, and says in `Content-Range` where that belongs:
//!
//! ```text
//! curl -T video -H 'Upload-Token: 8a1f60c95be24d73' http://localhost:8080/video
//! curl -T video -H 'Upload-Token: 8a1f60c95be24d73' -C 3145728 http://localhost:8080/video
//! ```
//!
//! - `Content-Range: bytes 3145728-4194303/4194304` appends. A part must reach to the end of the
//!   file and have a `Content-Length`. A request without the field sends the whole file.
//! - If the part does not begin where the received bytes end, the client gets 409, and
//!   `Upload-Offset` tells where that is. Some of the bytes that a client has sent may be missing.
//! - `Content-Range: bytes */4194304` without a body asks for the offset. If all bytes are there,
//!   it completes the upload (201 or 204).
//! - While another connection sends the same upload, also one that the server does not yet know to
//!   be lost, the client gets 503. It should try again in a few seconds.
//! - The path, the token and the length together identify an upload. A token of another form gets
//!   400, a chunked body 411, since its length is not known. Without a token, `Content-Range` gets
//!   400.
//! - Conditions are evaluated when a request begins, so those of the last request decide.
//! - [`HttpLimits::body`](crate::http::HttpLimits::body) limits the whole file, since an upload
//!   begins with a request for all of it.
//!
//! Uploads that were interrupted are kept in a directory in the root,
//! `.uploads.0000000000000000.part`, which is neither served nor listed. Those that have
//! [expired](Resume::keep) are removed when the server starts and whenever a resumable upload
//! begins. On other file systems that are mounted beneath the root, uploads are accepted, but
//! cannot be continued: the offset is always 0. After a power failure, the last bytes of an
//! interrupted upload may be wrong.
//!
//! The script of a listing continues its uploads by itself, up to ten times.
//!
//! This is simpler than PATCH with `Upload-Offset` (draft-ietf-httpbis-resumable-upload), and has
//! the clients: curl implements `-C` for uploads with `Content-Range` and PUT, and a script sends a
//! whole file in one request, while the draft announces the URL of an upload in an interim response
//! that scripts cannot see.
//!
//! # Deleting
//!
//! If [`delete`](FilesOptions::delete) is set, DELETE removes a file (204), or a symbolic link and
//! not the file that it leads to. Conditions are those of PUT. Directories get 405.
//!
//! # Access
//!
//! [`Files`] does not authenticate clients: anyone who can reach the server can fill its disk. Put
//! HTTP Basic authentication in front of it with the feature `auth`, or do that in a proxy.
//!
//! # The cache
//!
//! Open files, their header fields and the contents of small files are cached. An entry is used for
//! [`valid_for`](FilesOptions::valid_for) without a system call. After that the path is opened
//! again, and the entry is kept if inode, size and times have not changed. Errors are not cached.
//!
//! The reactor thread itself looks up names and opens files, which may block on the disk, although
//! directories are usually in memory. It never blocks on the contents of files (see
//! [`outbound`](sluicegate_reactor::outbound)): a small file is cached once its contents are in
//! memory.

mod accept;
mod archive;
mod archiver;
mod background;
mod byteranges;
mod cache;
mod cached_file;
mod common_fields;
mod conditions;
mod delete;
mod directory;
mod download;
mod encodings;
mod error_page;
mod form;
mod html;
mod json;
mod lister;
mod listing;
mod missing;
mod options;
mod page;
mod parents;
mod path;
mod ranges;
mod representation;
mod resume;
mod root;
mod row;
mod service;
mod tar;
mod types;
mod units;
mod unsized_file;
mod upload;
mod validators;
mod view;

pub use options::{Cors, FilesOptions, Resume};
pub use root::Files;
pub use service::Upload;
