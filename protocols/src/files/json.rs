//! A listing as JSON.
//!
//! ```json
//! {"path":"/a/","page":1,"pages":1,"cut":false,"entries":[
//! {"name":"b","href":"./b","type":"file","size":5,"modified":784111777}
//! ]}
//! ```
//!
//! `href` is a URL relative to the listing, correctly encoded for any name. `name` is text, with
//! U+FFFD for invalid UTF-8. `modified` is in seconds since 1970. Directories have no `size`.
//! `pages` is the number of pages; `?page=` selects one. `cut` is true if there are more entries
//! than the pages can show.

use std::fmt::Write;

use super::listing::Listing;
use super::path::encode;

/// The listing as JSON. `path` is decoded: empty for the root, else it ends with a slash.
pub(super) fn json(path: &[u8], listing: &Listing) -> String {
    let mut out = String::with_capacity(64 + listing.rows.len() * 120);
    out.push_str("{\"path\":\"/");
    push_text(path, &mut out);
    // Writing to a string cannot fail.
    let Listing { view, pages, is_cut, .. } = listing;
    let _ = write!(out, "\",\"page\":{},\"pages\":{pages},\"cut\":{is_cut}", view.page);
    out.push_str(",\"entries\":[");
    for (index, row) in listing.rows.iter().enumerate() {
        out.push_str(if index == 0 { "\n{\"name\":\"" } else { ",\n{\"name\":\"" });
        push_text(&row.name, &mut out);
        let mut href = b"./".to_vec();
        encode(&row.name, &mut href);
        let (slash, kind) = if row.is_dir { ("/", "directory") } else { ("", "file") };
        let href = href.escape_ascii();
        let _ = write!(out, "\",\"href\":\"{href}{slash}\",\"type\":\"{kind}\"");
        if !row.is_dir {
            let _ = write!(out, ",\"size\":{}", row.len);
        }
        let _ = write!(out, ",\"modified\":{}}}", row.modified);
    }
    out.push_str("\n]}\n");
    out
}

/// Appends the contents of a JSON string.
fn push_text(text: &[u8], out: &mut String) {
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Row;
    use super::super::view::View;
    use super::*;

    #[test]
    fn each_name_is_both_text_and_a_reference() {
        let row = |name: &[u8], is_dir| Row { name: name.into(), is_dir, len: 5, modified: -1 };
        let rows = vec![row(b"sub", true), row(b"a\"\\\n:\xff", false)];
        let view = View { page: 2, ..View::from_query(None) };
        let listing = Listing { rows, view, pages: 3, directories: 1, files: 1, is_cut: true };
        let expected = concat!(
            "{\"path\":\"/dir/\",\"page\":2,\"pages\":3,\"cut\":true,\"entries\":[\n",
            "{\"name\":\"sub\",\"href\":\"./sub/\",\"type\":\"directory\",\"modified\":-1},\n",
            "{\"name\":\"a\\\"\\\\\\u000a:\u{fffd}\",\"href\":\"./a%22%5C%0A:%FF\",",
            "\"type\":\"file\",\"size\":5,\"modified\":-1}\n",
            "]}\n"
        );
        assert_eq!(json(b"dir/", &listing), expected);
        let view = View::from_query(None);
        let counts = Listing { directories: 0, files: 0, ..listing };
        let empty = Listing { rows: Vec::new(), view, pages: 1, is_cut: false, ..counts };
        let expected = "{\"path\":\"/\",\"page\":1,\"pages\":1,\"cut\":false,\"entries\":[\n]}\n";
        assert_eq!(json(b"", &empty), expected);
    }
}
