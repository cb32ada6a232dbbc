//! A listing as an HTML page.
//!
//! The page needs no image, no font and no other resource. Without uploads it has no script; with
//! them its form also works if scripts are disabled. Names are escaped for their context, in links
//! and in text. The [policy](content_security_policy) keeps the browser from running anything that
//! might still slip through.

use std::fmt::Write;

use super::html::{push_head, push_text};
use super::listing::Listing;
use super::path::encode;
use super::row::Row;
use super::units::{push_date, push_size, push_time_of_day};
use super::view::{Column, Order};

const STYLE: &str = include_str!("page.css");

/// Uploads with progress, by the form's button and by drag and drop.
const SCRIPT: &str = include_str!("page.js");

/// Allows the browser to apply the page's style, and nothing else. The hash is that of [`STYLE`].
const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
    form-action 'none'; \
    style-src 'sha256-O6ESgZSvUQbSaKzHL9+h2e80RdqB79pKm68bs7hOpfc='";

/// Also allows it to run the page's script, and to send files to this server.
const POLICY_WITH_FORM: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
    form-action 'self'; connect-src 'self'; \
    style-src 'sha256-O6ESgZSvUQbSaKzHL9+h2e80RdqB79pKm68bs7hOpfc='; \
    script-src 'sha256-wZYV96K1DvmsQ86kHpihbuhVzWyhpRSnb3WF1IQ9jxA='";

/// The features of a page besides links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    /// A form for uploads.
    pub(super) upload: bool,
    /// Whether the script continues uploads that were interrupted.
    pub(super) resume: bool,
    /// An archive of the directory.
    pub(super) archive: bool,
}

/// The content security policy of a page.
pub(super) fn content_security_policy(offers: Offers) -> &'static str {
    if offers.upload { POLICY_WITH_FORM } else { POLICY }
}

/// The page for a listing up to its rows. `path` is decoded: empty for the root, else it ends with
/// a slash.
pub(super) fn begin(path: &[u8], order: Order, offers: Offers) -> String {
    let mut page = String::new();
    push_head(&[b"Index of /", path].concat(), STYLE, &mut page);
    page.push_str("<h1>Index of ");
    push_breadcrumbs(path, &mut page);
    page.push_str("</h1>\n");
    if offers.upload {
        push_form(offers.resume, &mut page);
    }
    push_columns(order, &mut page);
    if !path.is_empty() {
        page.push_str("<tr><td><a href=\"../\">Parent directory</a><td><td>\n");
    }
    page
}

/// Completes the page behind its rows.
pub(super) fn end(listing: &Listing, offers: Offers, page: &mut String) {
    page.push_str("</table>\n");
    push_counts(listing, page);
    if offers.archive {
        page.push_str("<p><a href=\"?tar\" download>Download as tar</a></p>\n");
    }
    if listing.pages > 1 {
        push_pager(listing, page);
    }
    if listing.is_cut {
        page.push_str("<p>There are more entries: this list is truncated.</p>\n");
    }
}

/// The path of the directory, with a link to each directory above it. The links are relative: what
/// precedes the root in the URL does not matter.
fn push_breadcrumbs(path: &[u8], page: &mut String) {
    let mut above = path.iter().filter(|byte| **byte == b'/').count();
    let names = path.split_inclusive(|byte| *byte == b'/');
    for name in std::iter::once(&b"/"[..]).chain(names) {
        if above > 0 {
            page.push_str("<a href=\"");
            page.extend(std::iter::repeat_n("../", above));
            page.push_str("\">");
        }
        page.push_str("<bdi>");
        push_text(name, page);
        page.push_str(if above > 0 { "</bdi></a>" } else { "</bdi>" });
        above = above.saturating_sub(1);
    }
}

/// The heads of the columns.
fn push_columns(order: Order, page: &mut String) {
    page.push_str("<table>\n<tr>");
    push_column(Column::Name, "name", "Name", order, page);
    push_column(Column::Size, "size", "Size", order, page);
    push_column(Column::Time, "time", "Modified<span> (UTC)</span>", order, page);
    page.push('\n');
}

/// The head of a column: a link that sorts by it, in reverse if it is sorted by it already.
fn push_column(column: Column, key: &str, title: &str, order: Order, page: &mut String) {
    let (sorted, next, arrow) = match (order.by == column, order.descending) {
        (false, _) => ("none", "asc", ""),
        (true, false) => ("ascending", "desc", " \u{25b2}"),
        (true, true) => ("descending", "asc", " \u{25bc}"),
    };
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<th scope=\"col\" aria-sort=\"{sorted}\">\
         <a href=\"?sort={key}&amp;order={next}\">{title}</a>{arrow}"
    );
}

/// The links to the other pages, in the same order.
fn push_pager(listing: &Listing, out: &mut String) {
    let Listing { view, pages, .. } = *listing;
    let key = match view.order.by {
        Column::Name => "name",
        Column::Size => "size",
        Column::Time => "time",
    };
    let order = if view.order.descending { "desc" } else { "asc" };
    let mut links = String::new();
    let (before, after) = (view.page.saturating_sub(1).min(pages), view.page.saturating_add(1));
    for (title, page) in [("First", 1), ("Previous", before), ("Next", after), ("Last", pages)] {
        if (1..=pages).contains(&page) && page != view.page {
            // Writing to a string cannot fail.
            let _ = write!(
                links,
                " <a href=\"?sort={key}&amp;order={order}&amp;page={page}\">{title}</a>"
            );
        }
    }
    let _ = writeln!(out, "<nav>Page {} of {pages}{links}</nav>", view.page);
}

/// Writes the row of a file or a directory.
pub(super) fn push_row(row: &Row, page: &mut String) {
    // The dot keeps a name with a colon from being read as a scheme.
    page.push_str("<tr><td><a href=\"./");
    push_reference(&row.name, page);
    let slash = if row.is_dir { "/" } else { "" };
    page.push_str(slash);
    page.push_str("\"><bdi>");
    push_text(&row.name, page);
    page.push_str(slash);
    page.push_str("</bdi></a><td>");
    if !row.is_dir {
        push_size(row.len, page);
    }
    page.push_str("<td>");
    push_date(row.modified, page);
    page.push_str("<span> ");
    push_time_of_day(row.modified, page);
    page.push_str("</span>\n");
}

/// The number of directories and files, and the size of the files on this page.
fn push_counts(listing: &Listing, page: &mut String) {
    let &Listing { directories, files, pages, .. } = listing;
    let directory = if directories == 1 { "directory" } else { "directories" };
    let file = if files == 1 { "file" } else { "files" };
    let _ = write!(page, "<p>{directories} {directory}, {files} {file}, ");
    push_size(listing.bytes, page);
    page.push_str(if pages > 1 { " on this page</p>\n" } else { "</p>\n" });
}

/// The form for uploads, and its script. Without the script, the browser sends the files to the
/// directory as `multipart/form-data`.
fn push_form(resume: bool, page: &mut String) {
    page.push_str("<form method=\"post\" enctype=\"multipart/form-data\" action=\"./\"");
    page.push_str(if resume { " data-resume" } else { "" });
    page.push_str(concat!(
        ">\n",
        "<label for=\"files\">Upload files</label>\n",
        "<input id=\"files\" name=\"files\" type=\"file\" multiple required>\n",
        "<button>Upload</button>\n",
        "<p hidden>Or drop them on this page. Files with the same name are replaced.</p>\n",
        "<ul aria-live=\"polite\"></ul>\n</form>\n<script>",
    ));
    page.push_str(SCRIPT);
    page.push_str("</script>\n");
}

fn push_reference(name: &[u8], page: &mut String) {
    let mut encoded = Vec::with_capacity(name.len());
    encode(name, &mut encoded);
    page.extend(encoded.into_iter().map(char::from));
}

#[cfg(test)]
mod tests {
    use super::super::html::source_hash;
    use super::super::view::View;
    use super::*;

    const UPLOAD: Offers = Offers { upload: true, resume: false, archive: false };

    fn row(name: &[u8], is_dir: bool, len: u64, modified: i64) -> Row {
        Row { name: name.to_vec(), is_dir, len, modified }
    }

    fn listing(rows: &[Row], query: Option<&str>) -> Listing {
        let directories = rows.iter().filter(|row| row.is_dir).count();
        Listing {
            bytes: rows
                .iter()
                .filter(|row| !row.is_dir)
                .fold(0, |sum, it| sum.saturating_add(it.len)),
            view: View::from_query(query),
            pages: 1,
            directories,
            files: rows.len() - directories,
            is_cut: false,
        }
    }

    fn html(path: &[u8], rows: &[Row], listing: &Listing, offers: Offers) -> String {
        let mut page = begin(path, listing.view.order, offers);
        rows.iter().for_each(|row| push_row(row, &mut page));
        end(listing, offers, &mut page);
        page
    }

    fn page(path: &[u8], rows: &[Row], query: Option<&str>) -> String {
        html(path, rows, &listing(rows, query), Offers::default())
    }

    /// The references in a page, in order, without those of its head.
    fn references(page: &str) -> Vec<&str> {
        let ends = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        ends.filter(|reference| !reference.starts_with('?')).collect()
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_page() {
        let names: [(&[u8], &str, &str); 6] = [
            (b"a&b<c>\"'.txt", "./a%26b%3Cc%3E%22%27.txt", "a&amp;b&lt;c&gt;&quot;&#39;.txt"),
            (b"javascript:alert(1)", "./javascript:alert(1)", "javascript:alert(1)"),
            (b"100%?#.txt", "./100%25%3F%23.txt", "100%?#.txt"),
            (b"a b\\c", "./a%20b%5Cc", "a b\\c"),
            (b"\xffx", "./%FFx", "\u{fffd}x"),
            (b"a\r\nb", "./a%0D%0Ab", "a\u{fffd}\u{fffd}b"),
        ];
        for (name, reference, shown) in names {
            let page = page(b"", &[row(name, false, 1, 0)], None);
            assert_eq!(references(&page), [reference]);
            assert!(page.contains(&format!("<bdi>{shown}</bdi>")), "{page}");
        }
    }

    #[test]
    fn the_path_is_escaped_in_the_title_and_the_heading() {
        let page = page(b"<b>/", &[], None);
        assert!(page.contains("<title>Index of /&lt;b&gt;/</title>"));
        assert!(page.contains("<bdi>&lt;b&gt;/</bdi></h1>"));
    }

    #[test]
    fn there_is_a_way_up_except_from_the_root() {
        assert_eq!(references(&page(b"", &[], None)), Vec::<&str>::new());
        assert_eq!(references(&page(b"a/", &[], None)), ["../", "../"]);
    }

    #[test]
    fn row_35_each_directory_above_has_a_link() {
        let page = page(b"a/<b>/c d/", &[], None);
        let expected = concat!(
            "<h1>Index of ",
            "<a href=\"../../../\"><bdi>/</bdi></a>",
            "<a href=\"../../\"><bdi>a/</bdi></a>",
            "<a href=\"../\"><bdi>&lt;b&gt;/</bdi></a>",
            "<bdi>c d/</bdi></h1>"
        );
        assert!(page.contains(expected), "{page}");
    }

    #[test]
    fn row_35_a_page_counts_its_entries() {
        let rows = [row(b"a", true, 4096, 0), row(b"b", false, 1000, 0), row(b"c", false, 1048, 0)];
        let table: [(&[Row], usize, &str); 5] = [
            (&[], 1, "<p>0 directories, 0 files, 0 B</p>"),
            (&rows[..1], 1, "<p>1 directory, 0 files, 0 B</p>"),
            (&rows[..2], 1, "<p>1 directory, 1 file, 1000 B</p>"),
            (&rows[1..], 1, "<p>0 directories, 2 files, 2.0 KiB</p>"),
            (&rows, 2, "<p>1 directory, 2 files, 2.0 KiB on this page</p>"),
        ];
        for (rows, pages, expected) in table {
            let page =
                html(b"", rows, &Listing { pages, ..listing(rows, None) }, Offers::default());
            assert!(page.contains(expected), "{expected}: {page}");
        }
        let huge = [row(b"a", false, u64::MAX, 0), row(b"b", false, u64::MAX, 0)];
        assert!(page(b"", &huge, None).contains("16.0 EiB"));
    }

    #[test]
    fn a_page_has_a_form_and_a_script_only_if_files_can_be_uploaded() {
        for (offers, has_form) in [(Offers::default(), false), (UPLOAD, true)] {
            let page = html(b"", &[], &listing(&[], None), offers);
            for part in ["<form", "<script"] {
                assert_eq!(page.matches(part).count(), usize::from(has_form));
            }
        }
    }

    #[test]
    fn row_35_the_policy_allows_the_style_and_the_script_of_the_page_by_their_hashes() {
        let page = html(b"", &[], &listing(&[], None), UPLOAD);
        for (element, source) in [("style", STYLE), ("script", SCRIPT)] {
            assert!(page.contains(&format!("<{element}>{source}</{element}>")));
            let allowed = format!("{element}-src {}", source_hash(source));
            assert!(content_security_policy(UPLOAD).contains(&allowed), "not {allowed}");
            let is_style = element == "style";
            assert_eq!(
                content_security_policy(Offers::default()).contains(&allowed),
                is_style,
                "{allowed}"
            );
        }
        assert!(!content_security_policy(Offers::default()).contains("script-src"));
    }

    #[test]
    fn the_sorted_column_reverses_and_the_others_start_ascending() {
        let page = page(b"", &[], Some("sort=size"));
        assert!(page.contains("aria-sort=\"ascending\"><a href=\"?sort=size&amp;order=desc\">"));
        assert!(page.contains("aria-sort=\"none\"><a href=\"?sort=name&amp;order=asc\">"));
    }

    #[test]
    fn a_truncated_listing_says_so() {
        let cut = Listing { is_cut: true, ..listing(&[], None) };
        assert!(html(b"", &[], &cut, Offers::default()).contains("this list is truncated"));
        assert!(!page(b"", &[row(b"a", false, 1, 0)], None).contains("this list is truncated"));
    }

    #[test]
    fn a_page_links_to_the_others_in_the_same_order() {
        let table = [
            (1, 1, ""),
            (1, 2, "Next 2, Last 2"),
            (2, 2, "First 1, Previous 1"),
            (3, 9, "First 1, Previous 2, Next 4, Last 9"),
            (20, 9, "First 1, Previous 9, Last 9"),
            (usize::MAX, 2, "First 1, Previous 2, Last 2"),
        ];
        for (number, pages, expected) in table {
            let query = format!("sort=size&order=desc&page={number}");
            let listing = Listing { pages, ..listing(&[], Some(&query)) };
            let page = html(b"", &[], &listing, Offers::default());
            let links: Vec<_> = expected
                .split_terminator(", ")
                .filter_map(|link| link.split_once(' '))
                .map(|(title, page)| {
                    format!(" <a href=\"?sort=size&amp;order=desc&amp;page={page}\">{title}</a>")
                })
                .collect();
            let nav = format!("<nav>Page {number} of {pages}{}</nav>", links.concat());
            assert_eq!(page.contains(&nav), pages > 1, "{page}");
        }
    }
}
