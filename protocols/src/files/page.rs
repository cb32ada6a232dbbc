//! A listing as an HTML page.
//!
//! The page needs no script, image or font. Names are escaped for their context, in links and in
//! text. [`CONTENT_SECURITY_POLICY`] keeps the browser from running anything that might still slip
//! through.

use std::fmt::Write;

use super::listing::{Listing, Row};
use super::path::encode;
use super::view::{Column, Order};

/// Allows the browser to use the page's own style, and nothing else.
pub(super) const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;\
--text:#1c1e21;--back:#fff;--link:#0a58ca;--line:#d8dce0;--dim:#5c636a}\
@media(prefers-color-scheme:dark)\
{:root{--text:#e3e6e8;--back:#16181a;--link:#7db4ff;--line:#33383d;--dim:#9aa2a9}}\
body{font:1rem/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);\
max-width:60rem;margin:0 auto;padding:1rem}\
h1{font-size:1.2rem;overflow-wrap:anywhere}\
table{width:100%;border-collapse:collapse}\
th,td{padding:.35rem .5rem;text-align:left;border-bottom:1px solid var(--line)}\
td:first-child{overflow-wrap:anywhere}\
th+th,td+td{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
td+td,p{color:var(--dim)}\
nav{display:flex;flex-wrap:wrap;gap:1rem;padding:.5rem}\
a{color:var(--link);text-decoration:none}\
a:hover,a:focus{text-decoration:underline}\
@media(max-width:36rem){body{padding:.5rem}th,td{padding:.5rem .25rem}th+th{white-space:normal}\
td+td{font-size:.8rem}}";

/// The page for a listing. `path` is decoded: empty for the root, else it ends with a slash.
pub(super) fn html(path: &[u8], listing: &Listing) -> String {
    let mut page = String::with_capacity(2048 + listing.rows.len() * 200);
    push_head(path, listing.view.order, &mut page);
    if !path.is_empty() {
        page.push_str("<tr><td><a href=\"../\">Parent directory</a><td><td>\n");
    }
    for row in &listing.rows {
        push_row(row, &mut page);
    }
    page.push_str("</table>\n");
    if listing.rows.is_empty() {
        page.push_str("<p>Nothing is here.</p>\n");
    }
    if listing.pages > 1 {
        push_pager(listing, &mut page);
    }
    if listing.is_cut {
        page.push_str("<p>There are more entries: this list is truncated.</p>\n");
    }
    page
}

fn push_head(path: &[u8], order: Order, page: &mut String) {
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<title>Index of /");
    push_text(path, page);
    page.push_str("</title>\n<style>");
    page.push_str(STYLE);
    page.push_str("</style>\n</head>\n<body>\n<h1>Index of <bdi>/");
    push_text(path, page);
    page.push_str("</bdi></h1>\n<table>\n<tr>");
    push_column(Column::Name, "name", "Name", order, page);
    push_column(Column::Size, "size", "Size", order, page);
    push_column(Column::Time, "time", "Modified (UTC)", order, page);
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

fn push_row(row: &Row, page: &mut String) {
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
    push_time(row.modified, page);
    page.push('\n');
}

fn push_reference(name: &[u8], page: &mut String) {
    let mut encoded = Vec::with_capacity(name.len());
    encode(name, &mut encoded);
    page.extend(encoded.into_iter().map(char::from));
}

/// Appends a name as HTML text. Control characters and invalid UTF-8 are shown as U+FFFD.
pub(super) fn push_text(name: &[u8], page: &mut String) {
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c if c.is_control() => page.push(char::REPLACEMENT_CHARACTER),
            c => page.push(c),
        }
    }
}

/// Appends a length for people, in units of 1024.
fn push_size(len: u64, page: &mut String) {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if len < 1024 {
        let _ = write!(page, "{len} B");
        return;
    }
    let mut value = len as f64 / 1024.0;
    let mut unit = 0;
    // A value that would be printed as 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let _ = write!(page, "{value:.1} {}", UNITS[unit]);
}

fn push_time(seconds: i64, page: &mut String) {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let minutes = seconds.rem_euclid(86_400) / 60;
    let (hour, minute) = (minutes / 60, minutes % 60);
    let _ = write!(page, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}");
}

/// The year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years count
/// from March, so that the leap day is the last, in cycles of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let day_of_cycle = (days + EPOCH).rem_euclid(CYCLE);
    let cycle = (days + EPOCH).div_euclid(CYCLE);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Five months from March or August have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year_of_cycle + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::super::view::View;
    use super::*;

    fn row(name: &[u8], is_dir: bool, len: u64, modified: i64) -> Row {
        Row { name: name.to_vec(), is_dir, len, modified }
    }

    fn listing(rows: &[Row], query: Option<&str>) -> Listing {
        Listing { rows: rows.to_vec(), view: View::from_query(query), pages: 1, is_cut: false }
    }

    fn page(path: &[u8], rows: &[Row], query: Option<&str>) -> String {
        html(path, &listing(rows, query))
    }

    /// The references in a page, in order, without those of its head.
    fn references(page: &str) -> Vec<&str> {
        let ends = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        ends.filter(|reference| !reference.starts_with('?')).collect()
    }

    fn text(push: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
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
        assert!(page.contains("<h1>Index of <bdi>/&lt;b&gt;/</bdi></h1>"));
    }

    #[test]
    fn there_is_a_way_up_except_from_the_root() {
        assert_eq!(references(&page(b"", &[], None)), Vec::<&str>::new());
        assert_eq!(references(&page(b"a/", &[], None)), ["../"]);
    }

    #[test]
    fn the_column_sorted_by_turns_round_and_the_others_begin_ascending() {
        let page = page(b"", &[], Some("sort=size"));
        assert!(page.contains("aria-sort=\"ascending\"><a href=\"?sort=size&amp;order=desc\">"));
        assert!(page.contains("aria-sort=\"none\"><a href=\"?sort=name&amp;order=asc\">"));
    }

    #[test]
    fn a_cut_listing_says_so() {
        let cut = Listing { is_cut: true, ..listing(&[row(b"a", false, 1, 0)], None) };
        assert!(html(b"", &cut).contains("this list is truncated"));
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
            let page = html(b"", &Listing { pages, ..listing(&[], Some(&query)) });
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

    #[test]
    fn sizes_are_short() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (len, expected) in table {
            assert_eq!(text(|out| push_size(len, out)), expected);
        }
    }

    #[test]
    fn times_are_dates_of_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_800, "2000-03-01 00:00"),
            (1_767_225_599, "2025-12-31 23:59"),
            (-1, "1969-12-31 23:59"),
            (4_107_542_400, "2100-03-01 00:00"),
        ];
        for (seconds, expected) in table {
            assert_eq!(text(|out| push_time(seconds, out)), expected);
        }
        // Whatever a file system holds is printed.
        text(|out| push_time(i64::MIN, out));
        text(|out| push_time(i64::MAX, out));
    }
}
