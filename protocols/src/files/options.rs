//! What is served, and what is cached of it.

use std::time::Duration;

use sluicegate_reactor::fs::CreateOptions;

/// What [`Files`](super::Files) serves, and what it caches.
///
/// ```
/// use sluicegate_protocols::files::FilesOptions;
///
/// let options = FilesOptions { listing: false, ..FilesOptions::default() };
/// assert_eq!(options.index, ["index.html"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOptions {
    /// The names of index files. A directory is answered with the first that exists in it. Default:
    /// `index.html`.
    pub index: Vec<String>,
    /// Whether directories without an index file are listed. Default: yes.
    pub listing: bool,
    /// The most names of a directory that are listed; a listing says if there are more. The names
    /// before the end of a page are in memory while it is made. Default 200,000.
    pub listing_names: usize,
    /// The most names on a page of a listing, at least one. Default 1,000.
    pub listing_page: usize,
    /// Whether names that begin with a dot are served and listed. Default: no.
    pub hidden: bool,
    /// How long a cached file is served without a check of the disk. Default 1 s.
    pub valid_for: Duration,
    /// The longest file in bytes that is cached in memory. Longer ones are kept open. Default
    /// 64 KiB.
    pub small_body: usize,
    /// The most bytes of a file that states a length of 0 and still has contents, as those of
    /// `/proc` do. Such a file is read for each request; one with more bytes gets 500. Default
    /// 1 MiB.
    pub unsized_body: usize,
    /// The most files in the cache. Default 1024.
    pub cache_files: usize,
    /// The most bytes in the cache. A file that is kept open counts as 256 KiB, so this bounds the
    /// number of descriptors too. Default 16 MiB.
    pub cache_bytes: usize,
    /// How [PUT](super#uploads) creates files. With `None` it is answered with 405. Default:
    /// `None`.
    pub upload: Option<CreateOptions>,
}

impl Default for FilesOptions {
    fn default() -> FilesOptions {
        FilesOptions {
            index: vec!["index.html".to_owned()],
            listing: true,
            listing_names: 200_000,
            listing_page: 1000,
            hidden: false,
            valid_for: Duration::from_secs(1),
            small_body: 64 << 10,
            unsized_body: 1 << 20,
            cache_files: 1024,
            cache_bytes: 16 << 20,
            upload: None,
        }
    }
}
