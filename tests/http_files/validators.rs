//! The dates and entity tags of files, and every condition that is compared with them.

use sluicegate_reactor::fs::CreateOptions;

use super::*;

/// The seconds that the conditions of these tests name, and how HTTP writes them.
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
const FIRST: &str = "Thu, 01 Jan 1970 00:00:01 GMT";
const SECOND_BEFORE_START: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AT_START: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const END_OF_9999: &str = "Fri, 31 Dec 9999 23:59:59 GMT";

/// The last second that HTTP can write.
const LAST: i64 = 253_402_300_799;

fn site_dated(modified: i64) -> Site {
    let options =
        FilesOptions { upload: Some(CreateOptions::default()), ..FilesOptions::default() };
    site_with(options, |disk| {
        disk.put_file("/www/a", b"content", modified);
    })
}

/// The statuses that GET, HEAD, GET with a range and PUT get with this condition, each on a new
/// site.
fn statuses(modified: i64, condition: &str) -> [u16; 4] {
    let range = "Range: bytes=0-1\r\n";
    [("GET", ""), ("HEAD", ""), ("GET", range), ("PUT", "")].map(|(method, range)| {
        let fields = format!("{condition}\r\n{range}");
        ask(&mut site_dated(modified), &format!("{method} /a"), &fields).status
    })
}

/// Dates of files, the `Last-Modified` that clients get, and the answers to conditions with dates
/// before and after.
#[test]
fn row_21_and_row_44_every_condition_is_compared_with_the_date_that_was_sent() {
    const ALL: [u16; 4] = [200, 200, 206, 204];
    const WHOLE: [u16; 4] = [200, 200, 200, 204];
    const UNMODIFIED: [u16; 4] = [304, 304, 304, 204];
    const FAILED: [u16; 4] = [412; 4];
    // No date: conditions with one are ignored, except that no range is sent by it.
    let without = [i64::MIN, i64::MIN + 1, -86_400, -1, 0];
    let dated = [(1, FIRST, EPOCH), (START - 1, SECOND_BEFORE_START, FIRST)];
    // In the current second, or later.
    let recent = [START, START + 1, START + 1_000_000, LAST, LAST + 1, i64::MAX];

    for modified in without {
        assert_eq!(last_modified(modified), None, "{modified}");
        for date in [EPOCH, FIRST, AT_START, END_OF_9999] {
            assert_eq!(statuses(modified, &format!("If-Modified-Since: {date}")), ALL);
            assert_eq!(statuses(modified, &format!("If-Unmodified-Since: {date}")), ALL);
            assert_eq!(statuses(modified, &format!("If-Range: {date}")), WHOLE, "{modified}");
        }
    }
    for (modified, date, before) in dated {
        assert_eq!(last_modified(modified).as_deref(), Some(date));
        for (date, since, unmodified, range) in [
            (before, ALL, FAILED, WHOLE),
            (date, UNMODIFIED, ALL, ALL),
            (END_OF_9999, UNMODIFIED, ALL, WHOLE),
        ] {
            assert_eq!(statuses(modified, &format!("If-Modified-Since: {date}")), since);
            assert_eq!(statuses(modified, &format!("If-Unmodified-Since: {date}")), unmodified);
            assert_eq!(statuses(modified, &format!("If-Range: {date}")), range);
        }
    }
    for modified in recent {
        assert_eq!(last_modified(modified), None, "{modified}");
        for (date, unmodified) in
            [(EPOCH, FAILED), (SECOND_BEFORE_START, FAILED), (AT_START, ALL), (END_OF_9999, ALL)]
        {
            assert_eq!(statuses(modified, &format!("If-Modified-Since: {date}")), ALL);
            assert_eq!(statuses(modified, &format!("If-Unmodified-Since: {date}")), unmodified);
            assert_eq!(statuses(modified, &format!("If-Range: {date}")), WHOLE, "{modified}");
        }
    }
}

fn last_modified(modified: i64) -> Option<String> {
    let mut site = site_dated(modified);
    let answer = get(&mut site, "/a");
    let head = ask(&mut site, "HEAD /a", "");
    assert_eq!(answer.field("Last-Modified"), head.field("Last-Modified"));
    let etag = answer.field("ETag").expect("an entity tag");
    let unmodified = ask(&mut site, "GET /a", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(unmodified.status, 304);
    assert_eq!(answer.field("Last-Modified"), unmodified.field("Last-Modified"));
    answer.field("Last-Modified").map(str::to_owned)
}

#[test]
fn row_44_a_date_is_sent_once_the_file_cannot_change_again_within_its_second() {
    let sizes = [7, 100_000];
    for size in sizes {
        let mut site = site(|disk| disk.put_file("/www/a", &noise(size), START));
        for _ in 0..2 {
            assert_eq!(get(&mut site, "/a").field("Last-Modified"), None);
        }
        site.advance(LATER);
        for _ in 0..2 {
            let answer = get(&mut site, "/a");
            assert_eq!(answer.field("Last-Modified"), Some(AT_START), "{size}");
        }
    }
}

#[test]
fn row_44_no_date_that_was_sent_names_two_versions() {
    for size in [7, 100_000] {
        let mut site = site(|disk| disk.put_file("/www/a", &noise(size), START));
        // Whoever asks within the second gets no date to ask for the rest by.
        assert_eq!(get(&mut site, "/a").field("Last-Modified"), None);
        site.files().truncate("/www/a", 0, START);
        site.files().append("/www/a", &vec![b'x'; size], START);
        let rest = format!("Range: bytes=5-\r\nIf-Range: {AT_START}\r\n");
        assert_eq!(ask(&mut site, "GET /a", &rest).status, 200);
        let since = format!("If-Modified-Since: {AT_START}\r\n");
        assert_eq!(ask(&mut site, "GET /a", &since).status, 200);
        site.advance(LATER);
        let answer = get(&mut site, "/a");
        assert_eq!(answer.field("Last-Modified"), Some(AT_START));
        assert!(answer.body == vec![b'x'; size]);
        let answer = ask(&mut site, "GET /a", &rest);
        assert_eq!((answer.status, answer.body.len()), (206, size - 5));
    }
}

#[test]
fn row_37_a_file_rewritten_in_place_has_another_tag_even_if_its_date_is_set_back() {
    for size in [7, 100_000] {
        let mut site = site(|disk| disk.put_file("/www/a", &noise(size), OLD));
        let before = get(&mut site, "/a");
        site.advance(LATER);
        site.files().truncate("/www/a", 0, OLD);
        site.files().append("/www/a", &vec![b'x'; size], OLD);
        let after = get(&mut site, "/a");
        assert!(after.body == vec![b'x'; size], "{size}");
        assert_ne!(before.field("ETag"), after.field("ETag"), "{size}");
        assert_eq!(before.field("Last-Modified"), after.field("Last-Modified"));
        let etag = before.field("ETag").expect("an entity tag");
        let rest = format!("Range: bytes=5-\r\nIf-Range: {etag}\r\n");
        assert_eq!(ask(&mut site, "GET /a", &rest).status, 200, "{size}");
        assert_eq!(ask(&mut site, "GET /a", &format!("If-None-Match: {etag}\r\n")).status, 200);
        assert_eq!(ask(&mut site, "GET /a", &format!("If-Match: {etag}\r\n")).status, 412);
    }
}

#[test]
fn row_26_every_condition_with_a_tag_is_compared_with_the_one_that_was_sent() {
    const ALL: [u16; 4] = [200, 200, 206, 204];
    const UNMODIFIED: [u16; 4] = [304, 304, 304, 412];
    const FAILED: [u16; 4] = [412; 4];
    for modified in [i64::MIN, 0, OLD, START, i64::MAX] {
        let tag = get(&mut site_dated(modified), "/a").field("ETag").expect("a tag").to_owned();
        for (condition, expected) in [
            (format!("If-Match: {tag}"), ALL),
            ("If-Match: *".to_owned(), ALL),
            (format!("If-Match: W/{tag}"), FAILED),
            ("If-Match: \"other\"".to_owned(), FAILED),
            (format!("If-None-Match: {tag}"), UNMODIFIED),
            (format!("If-None-Match: W/{tag}"), UNMODIFIED),
            ("If-None-Match: *".to_owned(), UNMODIFIED),
            ("If-None-Match: \"other\"".to_owned(), ALL),
            (format!("If-Range: {tag}"), ALL),
            (format!("If-Range: W/{tag}"), [200, 200, 200, 204]),
            ("If-Range: \"other\"".to_owned(), [200, 200, 200, 204]),
        ] {
            assert_eq!(statuses(modified, &condition), expected, "{modified} {condition}");
        }
    }
}

#[test]
fn row_26_a_listing_has_no_validators_and_is_there() {
    let mut site = site(|disk| disk.put_file("/www/dir/a", b"a", OLD));
    for (condition, status) in [
        ("If-Match: *", 200),
        ("If-Match: \"a\"", 412),
        ("If-None-Match: *", 304),
        ("If-None-Match: \"\"", 200),
        ("If-None-Match: \"a\"", 200),
        ("If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT", 200),
        ("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("Range: bytes=0-1", 200),
        ("Range: bytes=0-1\r\nIf-Range: \"a\"", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let line = format!("{method} /dir/");
            let answer = ask(&mut site, &line, &format!("{condition}\r\n"));
            assert_eq!(answer.status, status, "{line} {condition}");
        }
    }
    // What is answered otherwise without a condition is answered so with one.
    assert_eq!(ask(&mut site, "GET /dir", "If-None-Match: *\r\n").status, 301);
    assert_eq!(ask(&mut site, "GET /none", "If-Match: *\r\n").status, 404);
}
