//! The options of [`Files`](super::Files).

use std::time::Duration;

use sluicegate_reactor::fs::CreateOptions;

/// The options of [`Files`](super::Files): what it serves, and what it caches.
///
/// ```
/// use sluicegate_protocols::files::FilesOptions;
///
/// let options = FilesOptions { listing: false, ..FilesOptions::default() };
/// assert_eq!(options.index, ["index.html"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOptions {
    /// The path beneath which the files are served, not percent-encoded: with `/static`, the file
    /// `a` has the path `/static/a`. Other paths get 404. Default: empty, for `/`.
    pub prefix: String,
    /// Header fields for all responses, as names and values. Fields that the server writes itself,
    /// such as `Content-Type`, or `Content-Disposition` with [`archive`](FilesOptions::archive), are
    /// invalid. A `Cache-Control` field applies to listings and errors too. Default: none.
    pub headers: Vec<(String, String)>,
    /// Which other origins can read the files with scripts. Default: none.
    pub cors: Option<Cors>,
    /// The page that is sent with status 404, as a path beneath the root such as `404.html`. If the
    /// file does not exist, clients get the default error page. Default: `None`.
    pub not_found: Option<String>,
    /// The page of a single-page application, as a path beneath the root such as `index.html`. It
    /// is sent with status 200 for paths that do not exist but may be
    /// [routes](super#what-is-served) of the application. Default: `None`.
    pub spa: Option<String>,
    /// The names of index files. A request for a directory returns the first one that exists in it.
    /// Default: `index.html`.
    pub index: Vec<String>,
    /// Whether directories without an index file are listed. Default: yes.
    pub listing: bool,
    /// The maximum number of names of a directory that are listed; a listing states if there are
    /// more. While a page is built, all names up to its end are in memory. Default 200,000.
    pub listing_names: usize,
    /// The maximum number of names on a page of a listing, at least one. Default 1,000.
    pub listing_page: usize,
    /// Whether `?tar` on a directory returns an [archive](super#archives) of it. Default: no.
    pub archive: bool,
    /// Whether names that begin with a dot are served and listed. Default: no.
    pub hidden: bool,
    /// Whether clients that accept it get the [compressed file](super#compressed-files) next to the
    /// one they request, unless it is older. Checking a file then takes three more system calls.
    /// Default: no.
    pub precompressed: bool,
    /// How long a cached file is served without checking the disk, and how long the path of an
    /// upload is assumed to lead to the same directory. Default 1 s.
    pub valid_for: Duration,
    /// The maximum length in bytes of a file that is cached in memory. For longer files, the open
    /// descriptor is cached. Default 64 KiB.
    pub small_body: usize,
    /// The maximum length in bytes of a file that reports a length of 0 but has contents, like
    /// those in `/proc`. Such a file is read for each request; if it is longer, the client gets
    /// 500. Default 1 MiB.
    pub unsized_body: usize,
    /// The maximum number of files in the cache. Default 1024.
    pub cache_files: usize,
    /// The maximum size of the cache in bytes. A file that is kept open counts as 256 KiB, so this
    /// also bounds the number of descriptors. Default 16 MiB.
    pub cache_bytes: usize,
    /// How [PUT](super#uploads) creates files. With `None`, PUT is answered with 405. Default:
    /// `None`.
    pub upload: Option<CreateOptions>,
    /// How long interrupted uploads are kept, so that they can be
    /// [continued](super#resumable-uploads). With `None`, they are removed. Default: `None`.
    pub resume: Option<Resume>,
    /// Whether PUT creates missing directories on its path, up to 64. They stay if the upload
    /// fails, and are not synced. Default: no.
    pub create_directories: bool,
    /// Whether [DELETE](super#deleting) removes files. Without this, it is answered with 405.
    /// Default: no.
    pub delete: bool,
}

impl Default for FilesOptions {
    fn default() -> FilesOptions {
        FilesOptions {
            prefix: String::new(),
            headers: Vec::new(),
            cors: None,
            not_found: None,
            spa: None,
            index: vec!["index.html".to_owned()],
            listing: true,
            listing_names: 200_000,
            listing_page: 1000,
            archive: false,
            hidden: false,
            precompressed: false,
            valid_for: Duration::from_secs(1),
            small_body: 64 << 10,
            unsized_body: 1 << 20,
            cache_files: 1024,
            cache_bytes: 16 << 20,
            upload: None,
            resume: None,
            create_directories: false,
            delete: false,
        }
    }
}

/// The limits on interrupted uploads that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// How long an upload is kept after its last byte arrived, by the wall clock. Default 1 day.
    pub keep: Duration,
    /// The maximum number of uploads, including those in progress. Further uploads are accepted,
    /// but cannot be continued. If several threads or processes serve the directory and uploads
    /// begin at the same moment, there may be a few more. Default 100.
    pub most: usize,
}

impl Default for Resume {
    fn default() -> Resume {
        Resume { keep: Duration::from_secs(24 * 60 * 60), most: 100 }
    }
}

/// Which other origins can read responses with scripts: cross-origin resource sharing (CORS).
/// Credentials are not allowed, and neither are uploads and deletions: browsers do not send them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// All pages.
    AnyOrigin,
    /// The pages of these origins, such as `https://example.org` or `http://localhost:8080`,
    /// written as browsers send them in `Origin`. Responses have `Vary: Origin`.
    Origins(Vec<String>),
}
