//! What is in a directory, read and put in order.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sluicegate_reactor::fs::{Dir, File, is_temporary};

/// A name that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Vec<u8>,
    pub(super) is_dir: bool,
    pub(super) len: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// The names in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) rows: Vec<Row>,
    /// There are more than were asked for.
    pub(super) is_cut: bool,
}

impl Listing {
    /// Reads a directory that was opened at `path` beneath `root`. Left out is what could not be
    /// fetched: links that lead nowhere or outside, what is no file, hidden names, and what is
    /// being uploaded.
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
            // Through the root, as a link may lead out of this directory and still stay beneath it.
            let Ok(metadata) = root.metadata(OsStr::from_bytes(&full)) else { continue };
            if metadata.is_file() || metadata.is_dir() {
                let (is_dir, len) = (metadata.is_dir(), metadata.len);
                rows.push(Row { name, is_dir, len, modified: metadata.modified_seconds });
            }
        }
        Ok(Listing { rows, is_cut })
    }

    /// Puts it in an order.
    pub(super) fn sort(&mut self, order: Order) {
        self.rows.sort_unstable_by(|a, b| order.compare(a, b));
    }
}

/// By what a listing is sorted. Directories come first in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: Column,
    pub(super) descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    /// Of files; the length of a directory says nothing.
    Size,
    Time,
}

impl Order {
    /// As `?sort=name|size|time` and `order=asc|desc` ask for. By name without them; what is not
    /// understood is ignored.
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

/// Without regard to case, unless that is all they differ in.
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
