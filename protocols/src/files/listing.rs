//! Reads and sorts a directory.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sluicegate_reactor::fs::{Dir, File, is_temporary};

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Vec<u8>,
    pub(super) is_dir: bool,
    pub(super) len: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// The entries of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) rows: Vec<Row>,
    /// Whether there are more entries than were asked for.
    pub(super) is_cut: bool,
}

impl Listing {
    /// Reads the directory that was opened at `path` beneath `root`. Leaves out what cannot be
    /// requested: links that are broken or lead outside, special files, hidden names, and uploads
    /// in progress.
    pub(super) fn read(
        root: &Dir,
        path: &[u8],
        dir: &File,
        hidden: bool,
        limit: usize,
    ) -> io::Result<Listing> {
        let mut entries = dir.read_dir(limit.saturating_add(1))?;
        let is_cut = entries.len() > limit;
        entries.truncate(limit);
        let mut rows = Vec::with_capacity(entries.len());
        let mut full = path.to_vec();
        for entry in entries {
            let name = entry.name.into_vec();
            if name.starts_with(b".") && (!hidden || is_temporary(OsStr::from_bytes(&name))) {
                continue;
            }
            full.truncate(path.len());
            full.extend_from_slice(&name);
            // From the root: a link may leave this directory and stay beneath the root.
            let Ok(metadata) = root.metadata(OsStr::from_bytes(&full)) else { continue };
            if metadata.is_file() || metadata.is_dir() {
                let (is_dir, len) = (metadata.is_dir(), metadata.len);
                rows.push(Row { name, is_dir, len, modified: metadata.modified_seconds });
            }
        }
        Ok(Listing { rows, is_cut })
    }

    /// Sorts the entries.
    pub(super) fn sort(&mut self, order: Order) {
        self.rows.sort_unstable_by(|a, b| order.compare(a, b));
    }
}

/// The order of a listing. Directories always come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: Column,
    pub(super) descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    /// Of files only: the length of a directory means nothing.
    Size,
    Time,
}

impl Order {
    /// The order that `?sort=name|size|time` and `order=asc|desc` ask for; by name without them.
    /// Anything else is ignored.
    pub(super) fn from_query(query: Option<&str>) -> Order {
        let mut order = Order { by: Column::Name, descending: false };
        for pair in query.unwrap_or("").split('&') {
            match pair {
                "sort=name" => order.by = Column::Name,
                "sort=size" => order.by = Column::Size,
                "sort=time" => order.by = Column::Time,
                "order=asc" => order.descending = false,
                "order=desc" => order.descending = true,
                _ => {}
            }
        }
        order
    }

    fn compare(self, a: &Row, b: &Row) -> Ordering {
        let directories_first = b.is_dir.cmp(&a.is_dir);
        let by_column = match self.by {
            Column::Name => compare_names(&a.name, &b.name),
            Column::Size if a.is_dir => Ordering::Equal,
            Column::Size => a.len.cmp(&b.len),
            Column::Time => a.modified.cmp(&b.modified),
        };
        let by_column = if self.descending { by_column.reverse() } else { by_column };
        directories_first.then(by_column).then_with(|| compare_names(&a.name, &b.name))
    }
}

/// Compares ignoring case, and by case if the names are equal otherwise.
fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    fn lower(name: &[u8]) -> impl Iterator<Item = u8> {
        name.iter().map(u8::to_ascii_lowercase)
    }
    lower(a).cmp(lower(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, is_dir: bool, len: u64, modified: i64) -> Row {
        Row { name: name.into(), is_dir, len, modified }
    }

    #[test]
    fn a_listing_is_sorted_as_asked_with_directories_first() {
        let rows = [
            row("B", false, 3, 20),
            row("a", false, 2, 30),
            row("c", false, 1, 10),
            row("z", true, 4096, 5),
            row("y", true, 8192, 40),
            row("b", false, 3, 20),
        ];
        let table = [
            (None, "yzaBbc"),
            (Some("sort=name&order=desc"), "zycbBa"),
            (Some("sort=size"), "yzcaBb"),
            (Some("order=desc&sort=size"), "yzBbac"),
            (Some("sort=time"), "zycBba"),
            (Some("sort=time&order=desc"), "yzaBbc"),
            (Some("sort=&order=x&&sort"), "yzaBbc"),
        ];
        for (query, expected) in table {
            let mut listing = Listing { rows: rows.to_vec(), is_cut: false };
            listing.sort(Order::from_query(query));
            let names: Vec<u8> = listing.rows.iter().flat_map(|row| row.name.clone()).collect();
            assert_eq!(String::from_utf8_lossy(&names), expected, "{query:?}");
        }
    }
}
