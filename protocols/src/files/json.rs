//! A listing as JSON.
//!
//! ```json
//! {"path":"/a/","entries":[
//!     {"name":"b","href":"./b","type":"file","size":5,"modified":784111777}],
//!  "page":1,"pages":1,"cut":false}
//! ```
//!
//! `href` is a URL relative to the listing, correctly encoded for any name. `name` is text, with
//! U+FFFD for invalid UTF-8. `modified` is in seconds since 1970. Directories have no `size`.
//! `pages` is the number of pages; `?page=` selects one. `cut` is true if the directory has more
//! entries than the listing shows.

use std::fmt::Write;

use serde_json::{Value, json};

use super::listing::Listing;
use super::path::encode;
use super::row::Row;

/// The listing as JSON up to its entries. `path` is decoded: empty for the root, else it ends with
/// a slash.
pub(super) fn begin(path: &[u8]) -> String {
    let path = Value::from(format!("/{}", String::from_utf8_lossy(path)));
    format!("{{\"path\":{path},\"entries\":[")
}

/// Completes the listing behind its entries.
pub(super) fn end(listing: &Listing, json: &mut String) {
    let &Listing { view, pages, is_cut, .. } = listing;
    let page = view.page;
    // Writing to a string cannot fail.
    let _ = writeln!(json, "],\"page\":{page},\"pages\":{pages},\"cut\":{is_cut}}}");
}

/// Writes the entry of a file or a directory.
pub(super) fn push_row(row: &Row, json: &mut String) {
    let mut href = b"./".to_vec();
    encode(&row.name, &mut href);
    let (slash, kind) = if row.is_dir { ("/", "directory") } else { ("", "file") };
    let mut entry = json!({
        "name": String::from_utf8_lossy(&row.name),
        "href": format!("{}{slash}", href.escape_ascii()),
        "type": kind,
        "modified": row.modified,
    });
    if !row.is_dir {
        entry["size"] = row.len.into();
    }
    let comma = if json.ends_with('[') { "" } else { "," };
    let _ = write!(json, "{comma}{entry}");
}

#[cfg(test)]
mod tests {
    use super::super::row::Row;
    use super::super::view::View;
    use super::*;

    fn written(path: &[u8], rows: &[Row], listing: &Listing) -> Value {
        let mut json = begin(path);
        rows.iter().for_each(|row| push_row(row, &mut json));
        end(listing, &mut json);
        serde_json::from_str(&json).expect("JSON")
    }

    #[test]
    fn each_name_is_both_text_and_a_reference() {
        let row = |name: &[u8], is_dir| Row { name: name.into(), is_dir, len: 5, modified: -1 };
        let rows = [row(b"sub", true), row(b"a\"\\\n:\xff", false)];
        let view = View { page: 2, ..View::from_query(None) };
        let listing = Listing { bytes: 5, view, pages: 3, directories: 1, files: 1, is_cut: true };
        let expected = json!({
            "path": "/dir/", "page": 2, "pages": 3, "cut": true,
            "entries": [
                {"name": "sub", "href": "./sub/", "type": "directory", "modified": -1},
                {
                    "name": "a\"\\\n:\u{fffd}", "href": "./a%22%5C%0A:%FF", "type": "file",
                    "size": 5, "modified": -1,
                },
            ],
        });
        assert_eq!(written(b"dir/", &rows, &listing), expected);
        let view = View::from_query(None);
        let counts = Listing { directories: 0, files: 0, ..listing };
        let empty = Listing { view, pages: 1, is_cut: false, ..counts };
        let expected = json!({"path": "/", "page": 1, "pages": 1, "cut": false, "entries": []});
        assert_eq!(written(b"", &[], &empty), expected);
    }
}
