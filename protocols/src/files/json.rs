//! A listing as JSON, and content negotiation.
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

/// Whether a client with these `Accept` fields prefers JSON to HTML. At equal quality it gets HTML,
/// unless it names JSON more specifically.
pub(super) fn is_wanted<'a>(accept: impl Iterator<Item = &'a [u8]>) -> bool {
    // Quality and specificity.
    let (mut html, mut json) = ((0.0, 0), (0.0, 0));
    for list in accept.filter_map(|value| std::str::from_utf8(value).ok()) {
        for range in list.split(',') {
            let Some((name, quality)) = media_range(range) else { continue };
            let better = |known: &mut (f32, u8), precision| {
                if precision > known.1 {
                    *known = (quality, precision);
                }
            };
            match name.to_ascii_lowercase().as_str() {
                "text/html" => better(&mut html, 3),
                "text/*" => better(&mut html, 2),
                "application/json" => better(&mut json, 3),
                "application/*" => better(&mut json, 2),
                "*/*" => {
                    better(&mut html, 1);
                    better(&mut json, 1);
                }
                _ => {}
            }
        }
    }
    json.0 > 0.0 && json > html
}

/// The type and the quality of a media range; `None` if the quality is invalid.
fn media_range(range: &str) -> Option<(&str, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let quality = quality.map_or(Ok(1.0), str::parse).ok()?;
    (0.0..=1.0).contains(&quality).then_some((name, quality))
}

#[cfg(test)]
mod tests {
    use super::super::row::Row;
    use super::super::view::View;
    use super::*;

    #[test]
    fn a_listing_has_its_names_as_text_and_as_references() {
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

    #[test]
    fn json_is_for_those_who_prefer_it() {
        let table: [(&[&str], bool); 14] = [
            (&[], false),
            (&[""], false),
            (&["*/*"], false),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], false),
            (&["application/json"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["application/json, text/plain, */*"], true),
            (&["text/html, application/json"], false),
            (&["text/html;q=0.5, application/json;q=0.6"], true),
            (&["text/html;q=0.5", "application/json;q=0.6"], true),
            (&["application/json;q=0, */*"], false),
            (&["application/json;q=0"], false),
            (&["application/json;q=nan"], false),
            (&["text/html;q=0, */*;q=0.1"], true),
        ];
        for (accept, expected) in table {
            let values = accept.iter().map(|value| value.as_bytes());
            assert_eq!(is_wanted(values), expected, "{accept:?}");
        }
    }
}
