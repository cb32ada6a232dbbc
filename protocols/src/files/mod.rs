//! Static files, directory listings and uploads over HTTP.
//!
//! [`Files`] is a [`Service`](crate::http::Service). A [`Middleware`](crate::http::Middleware) that
//! wraps it can answer some requests itself.
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
//! After the root directory has been replaced by another one, call [`Files::reopen`].
//!
//! # What is served
//!
//! - GET and HEAD return regular files beneath a root directory. Symbolic links, relative and
//!   absolute, are followed as long as they stay beneath it; a link that leads outside gets 403.
//!   Anything that is neither a regular file nor a directory gets 404, without blocking.
//! - A request for a directory returns its first existing [index file](FilesOptions::index), or a
//!   [listing](#listings) if that is enabled, or else 403. If the path does not end in a slash, the
//!   client is redirected to the path with a slash.
//! - Names that begin with a dot are neither served nor listed, unless
//!   [`hidden`](FilesOptions::hidden) is set. `/.well-known` is always served.
//! - Paths are decoded once. Then the segments `.` and `..` are resolved and slashes are merged. A
//!   path that leads above the root, an encoded NUL and a malformed escape get 400; an encoded
//!   slash gets 404. Only listings and archives use the query string.
//! - For a path that does not exist, the client gets 404 with a [custom
//!   page](FilesOptions::not_found) if there is one. Errors are HTML pages for clients that accept
//!   `text/html`, as browsers do, and a line of text for others.
//! - With [`spa`](FilesOptions::spa), a path that does not exist returns the page of a single-page
//!   application if its last segment contains no dot or the client accepts `text/html`. A missing
//!   script or image therefore gets 404.
//! - Each response has the [`headers`](FilesOptions::headers) of the options, including refusals by
//!   [`Http`](crate::http::Http) such as 413. With [`cors`](FilesOptions::cors), scripts of other
//!   origins can read the responses and their header fields. OPTIONS answers the preflight requests
//!   of browsers, and allows only GET and HEAD.
//! - A file that reports a length of 0 may still have contents, like those in `/proc`. It is read
//!   for each request, [up to a limit](FilesOptions::unsized_body).
//!
//! # Listings
//!
//! A listing is an HTML page, or JSON for clients that prefer it. `?sort=name`, `size` or `time`
//! and `order=asc` or `desc` sort it, and `page=2` shows the second
//! [page](FilesOptions::listing_page). Directories come first. Names are sorted naturally, so
//! `file9` comes before `file10`, and the case of ASCII letters is ignored. Listings are built in
//! small steps, so that a long one does not delay other connections.
//!
//! # Compressed files
//!
//! If [`precompressed`](FilesOptions::precompressed) is set, a client that accepts the coding gets
//! `a.css.br`, `a.css.zst` or `a.css.gz` instead of `a.css`: the one it prefers, or the first in
//! this order. A compressed file is sent only if the original exists and was not modified later, in
//! whole seconds: after an upload of `a.css`, the old `a.css.gz` is not sent any more. Compress
//! files where they are served, or copy them with their modification times.
//!
//! Length, ranges, entity tag and date are those of the file that is sent. If a request asks for
//! several ranges of a compressed file, the client gets the whole file. If there is a compressed
//! file, all responses have `Vary: Accept-Encoding`.
//!
//! # Conditions and ranges
//!
//! Conditional requests and ranges are supported. Up to 16 ranges in one request are sent as
//! `multipart/byteranges`; if there are more or they overlap, the client gets the whole file.
//!
//! The entity tag contains the inode and the change time (`ctime`), so it distinguishes any two
//! versions of a file. Copies of a file on two servers have different tags. `Last-Modified` is sent
//! only for a file that was modified before the second of the response's `Date`: until that second
//! is over, the file may change again and keep its date. For a file without `Last-Modified`,
//! `If-Modified-Since` and a date in `If-Range` are not evaluated. Files dated 1970-01-01 00:00:00
//! or earlier have no date.
//!
//! Ranges, conditional requests and paths are handled as by nginx 1.22, with these exceptions:
//!
//! | request | here | nginx | reason |
//! |---|---|---|---|
//! | HEAD with `Range` | 200 | 206 | RFC 9110, section 14.2: only GET has ranges |
//! | ranges that overlap, or more than 16 | 200 | 206 | section 14.2: they may be an attack |
//! | a malformed `Range` | 200 | 416 | section 14.2: it may be ignored |
//! | `Range: bytes=0-` for an empty file | 416 | 200 | section 14.1.2: it has no first byte |
//! | `Range` for a compressed file | 206 | 200 | it has its own entity tag |
//! | `If-Modified-Since` with a later date | 304 | 200 | section 13.1.3; nginx compares exactly |
//! | a malformed `If-Unmodified-Since` | 200 | 412 | section 13.1.4: it is ignored |
//! | a compressed file that is older | plain | compressed | it belongs to an old version |
//! | `Accept-Encoding: *` | compressed | plain | section 12.5.3: it stands for every coding |
//! | `%2F` in the path | 404 | a slash | a name cannot contain it |
//! | a name with a leading dot | 404 | 200 | it may hold secrets |
//!
//! # Archives
//!
//! If [`archive`](FilesOptions::archive) is set, `?tar` on a directory returns a tar archive of
//! everything that its listings show, except symbolic links and what the server may not read. The
//! archive is created while it is sent, so the response has no `Content-Length`. What is removed in
//! the meantime may be missing. A reactor sends at most 16 archives at a time, and to one client
//! (an IPv4 address, or a 64-bit IPv6 prefix) at most as many as are left for others: up to 8.
//! Further requests get 503. If a file shrinks or cannot be opened for another reason, such as a
//! lack of descriptors, if a path is too long for the system, or if directories are nested more than
//! 64 levels deep, the connection is reset and a warning is logged.
//!
//! # Uploads
//!
//! If [`upload`](FilesOptions::upload) is set, PUT creates a file (201) or replaces one (204). The
//! file appears at its path once it is complete. Until then it is called `.RANDOM.part`, in the same
//! directory, and is neither served nor listed; resumable ones are kept elsewhere. An upload that
//! fails leaves nothing behind, unless the process is killed or ends at a second signal, or the
//! power fails. If its directory does not exist, PUT gets 409, unless
//! [`create_directories`](FilesOptions::create_directories) is set. Names that are not served get
//! 403, and so does a path at which there is neither a file nor a directory, such as a device. A
//! symbolic link is replaced, not followed; a dangling one counts as no file. `If-Match`,
//! `If-None-Match` and `If-Unmodified-Since` are supported; `Content-Range` gets 400 unless uploads
//! are [resumable](#resumable-uploads), and `Content-Encoding` gets 415: the coding would be lost.
//! A full disk gets 507. The size is limited by
//! [`HttpLimits::body`](crate::http::HttpLimits::body).
//!
//! Conditions are evaluated when the request arrives, and again when the file is complete: if two
//! uploads of a new file with `If-None-Match: *` overlap, the one that ends last gets 412. Between
//! the second evaluation and the appearance of the file, no other conditional PUT of this process
//! changes it; one without conditions, a DELETE, or another process may, in the microseconds of a
//! system call.
//!
//! The directories of recent uploads stay open for [`valid_for`](FilesOptions::valid_for). If a
//! directory is moved or replaced, uploads may continue to go to the old one for that long. An
//! upload in progress always ends in the directory in which it began; if that directory was
//! removed, the client gets 409.
//!
//! POST of a form (`multipart/form-data`) to a directory saves its files in it, and redirects to
//! the directory (303). Listings contain such a form. If scripts are enabled, it uploads with PUT,
//! accepts files that are dropped on the page, and shows the progress of each upload. A file is
//! saved under the last component of the name that the client gives it. Each file appears once it
//! is complete, so if one fails, those before it have been saved. Forms sent by pages of [other
//! sites](crate::http::Request::is_cross_origin) get 403.
//!
//! # Resumable uploads
//!
//! If [`resume`](FilesOptions::resume) is set, a client can continue a PUT whose connection was
//! lost. The first request has the field `Upload-Token` with a token of 16 to 64 letters, digits,
//! `-` and `_`, chosen at random for each upload. Anyone who knows the token can continue the
//! upload. The next request has the same token, sends the rest, and states its position in
//! `Content-Range`:
//!
//! ```text
//! curl -T video -H 'Upload-Token: 8a1f60c95be24d73' http://localhost:8080/video
//! curl -T video -H 'Upload-Token: 8a1f60c95be24d73' -C 3145728 http://localhost:8080/video
//! ```
//!
//! - `Content-Range: bytes 3145728-4194303/4194304` appends. A part must reach to the end of the
//!   file and have a `Content-Length`. A request without the field sends the whole file.
//! - If the part does not begin where the received bytes end, the client gets 409, and
//!   `Upload-Offset` contains that position. It can be less than the client has sent.
//! - `Content-Range: bytes */4194304` without a body requests the offset. If all bytes have
//!   arrived, it completes the upload (201 or 204).
//! - While another connection sends the same upload, the client gets 503 and should try again in a
//!   few seconds. This includes a lost connection that the server has not detected yet.
//! - The path, the token and the length together identify an upload. An invalid token gets 400. A
//!   chunked body gets 411, because its length is not known. `Content-Range` without a token gets
//!   400.
//! - Conditions are evaluated for each request, so those of the last one apply.
//! - [`HttpLimits::body`](crate::http::HttpLimits::body) limits the whole file, because an upload
//!   begins with a request for all of it.
//!
//! Uploads that were interrupted are kept in a directory in the root,
//! `.uploads.0000000000000000.part`, which is neither served nor listed. Those that have
//! [expired](Resume::keep) are removed when the server starts, whenever a resumable upload begins,
//! and once a minute when another upload begins. An upload that does not fit on the disk is
//! removed, unless its client has left meanwhile. On other file systems mounted beneath the root,
//! uploads are accepted but cannot be continued: the offset is always 0. After a power failure, the
//! last bytes of an interrupted upload may be wrong.
//!
//! The script of a listing continues interrupted uploads automatically, until ten requests in a row
//! have brought no further bytes.
//!
//! This is simpler than PATCH with `Upload-Offset` (draft-ietf-httpbis-resumable-upload), and
//! clients support it: curl implements `-C` for uploads with `Content-Range` and PUT, and a script
//! can send a whole file in one request. The draft announces the URL of an upload in an interim
//! response, which scripts cannot see.
//!
//! # Deleting
//!
//! If [`delete`](FilesOptions::delete) is set, DELETE removes a file (204). If the path is a
//! symbolic link, the link is removed, not its target. The same conditions as for PUT are
//! supported. Directories get 405.
//!
//! # Access
//!
//! [`Files`] does not authenticate clients: anyone who can reach the server can fill its disk. Add
//! HTTP Basic authentication with the feature `auth`, or in a proxy.
//!
//! # The cache
//!
//! Open files, their header fields and the contents of small files are cached. An entry is used for
//! [`valid_for`](FilesOptions::valid_for) without a system call. After that the path is opened
//! again, and the entry is kept if inode, size and times have not changed. Errors are not cached.
//!
//! Each thread has its own cache. A thread sees its own uploads and deletions at once, and those of
//! other threads if they [share](Files::with_changes) them: after one, each entry is checked before
//! it is used again, because a file can have several names, such as one behind a symbolic link.
//! Changes by other processes are seen after `valid_for`.
//!
//! A file that is kept open keeps its space on the disk after it was removed or replaced, until its
//! path is requested again or other files take its place in the cache. [`Files::reopen`] clears the
//! cache. An upload or a deletion by the same thread closes the old file at once, unless it is being
//! sent or is also in the cache under another name.
//!
//! The reactor thread itself looks up names and opens files. This may block on the disk, although
//! directories are usually in memory. The thread never blocks on the contents of files (see
//! [`outbound`](sluicegate_reactor::outbound)): a small file is cached once its contents are in
//! memory.

mod archive;
mod archiver;
mod background;
mod byteranges;
mod cache;
mod cached_file;
mod changes;
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

pub use changes::Changes;
pub use options::{Cors, FilesOptions, Resume};
pub use root::Files;
pub use service::Upload;
