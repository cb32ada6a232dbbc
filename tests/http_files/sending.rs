//! What an answer with a file consists of, and what conditions and ranges make of it.

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Client, State};

use super::*;

#[test]
fn files_of_all_sizes_arrive_whole() {
    let sizes = [0, 1, 4096, 4097, 16 << 10, (16 << 10) + 1, 64 << 10, (64 << 10) + 1, 3 << 20];
    let put = |disk: &mut Disk| {
        for size in sizes {
            disk.put_file(format!("/www/{size}"), &noise(size), OLD);
        }
    };
    each_transfer(put, |mut site| {
        // From the disk, and then from the cache.
        for size in sizes.into_iter().chain(sizes) {
            let answer = get(&mut site, &format!("/{size}"));
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("Content-Length"), Some(&*size.to_string()));
            assert!(answer.body == noise(size), "{size}");
        }
    });
}

#[test]
fn requests_behind_one_another_are_answered_in_order_however_they_arrive() {
    for small_file in SMALL_FILES {
        let make = || {
            site_sending(small_file, FilesOptions::default(), |disk| {
                disk.put_file("/www/a", b"small", OLD);
                disk.put_file("/www/b", &noise(70_000), OLD);
            })
        };
        let request = |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let input = ["/a", "/b", "/", "/none", "/a"].map(request).concat();
        let sent = same_at_every_split(make, input).sent;
        let count = sent.windows(9).filter(|w| w == b"HTTP/1.1 ").count();
        assert_eq!(count, 5);
        assert!(sent.windows(1000).any(|w| w == &noise(70_000)[69_000..]));
        assert!(sent.ends_with(b"\r\n\r\nsmall"));
    }
}

#[test]
fn row_22_head_has_the_fields_of_get_and_no_body() {
    let put = |disk: &mut Disk| {
        disk.put_file("/www/small", b"small", OLD);
        disk.put_file("/www/large", &noise(200_000), OLD);
        disk.put_file("/www/dir/page", b"", OLD);
    };
    each_transfer(put, |mut site| {
        for path in ["/small", "/large", "/dir", "/none"] {
            let whole = get(&mut site, path);
            let head = ask(&mut site, &format!("HEAD {path}"), "");
            assert_eq!(head.head, whole.head, "{path}");
            assert_eq!(head.body, b"", "{path}");
        }
    });
}

#[test]
fn row_23_methods_are_answered_by_what_they_are() {
    let mut site = site(|disk| disk.put_file("/www/a", b"a", OLD));
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = ask(&mut site, &format!("{method} /a"), "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS"), "{method}");
    }
    for line in ["OPTIONS /a", "OPTIONS *"] {
        let answer = ask(&mut site, line, "");
        assert_eq!((answer.status, &*answer.body), (204, &b""[..]), "{line}");
        assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS"), "{line}");
    }
    assert_eq!(ask(&mut site, "BREW /a", "").status, 501);
}

#[test]
fn row_26_a_client_that_has_the_file_is_told_so() {
    let mut site = site(|disk| disk.put_file("/www/a", b"content", OLD));
    let whole = get(&mut site, "/a");
    let etag = whole.field("ETag").expect("an entity tag");
    let modified = whole.field("Last-Modified").expect("a date");
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    for field in [format!("If-None-Match: {etag}"), format!("If-Modified-Since: {modified}")] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&mut site, &format!("{method} /a"), &format!("{field}\r\n"));
            assert_eq!((answer.status, &*answer.body), (304, &b""[..]), "{field}");
            assert_eq!(answer.field("ETag"), Some(etag));
            assert_eq!(answer.field("Last-Modified"), Some(modified));
            assert_eq!(answer.field("Content-Type"), None);
        }
    }
    assert_eq!(ask(&mut site, "GET /a", "If-Match: \"other\"\r\n").status, 412);
}

#[test]
fn row_26_a_changed_file_has_another_tag() {
    let mut site = site(|disk| disk.put_file("/www/a", b"one", OLD));
    let tag = |site: &mut Site| get(site, "/a").field("ETag").map(str::to_owned);
    let first = tag(&mut site);
    site.files().put_file("/www/a", b"two", OLD);
    site.advance(LATER);
    let replaced = tag(&mut site);
    site.files().append("/www/a", b"more", OLD);
    site.advance(LATER);
    let longer = tag(&mut site);
    site.files().append("/www/a", b"", OLD + 1);
    site.advance(LATER);
    let touched = tag(&mut site);
    let all = [first, replaced, longer, touched];
    for (i, tag) in all.iter().enumerate() {
        assert!(tag.is_some() && !all[..i].contains(tag), "{all:?}");
    }
}

#[test]
fn row_27_a_range_is_sent_from_memory_and_from_the_disk() {
    let put = |disk: &mut Disk| {
        disk.put_file("/www/small", &noise(1000), OLD);
        disk.put_file("/www/large", &noise(1_000_000), OLD);
    };
    each_transfer(put, |mut site| {
        for (path, len) in [("/small", 1000), ("/large", 1_000_000)] {
            for (range, start, end) in
                [("10-19", 10, 20), ("0-", 0, len), ("-5", len - 5, len), ("5-99999999", 5, len)]
            {
                let line = format!("GET {path}");
                let answer = ask(&mut site, &line, &format!("Range: bytes={range}\r\n"));
                assert_eq!(answer.status, 206);
                let expected = format!("bytes {start}-{}/{len}", end - 1);
                assert_eq!(answer.field("Content-Range"), Some(&*expected));
                assert_eq!(answer.field("Content-Length"), Some(&*(end - start).to_string()));
                assert!(answer.body == noise(len)[start..end], "{path} {range}");
            }
            let answer = ask(&mut site, &format!("GET {path}"), "Range: bytes=1000000-\r\n");
            assert_eq!(answer.status, 416);
            assert_eq!(answer.field("Content-Range"), Some(&*format!("bytes */{len}")));
            let answer = ask(&mut site, &format!("HEAD {path}"), "Range: bytes=0-1\r\n");
            assert_eq!((answer.status, answer.field("Content-Range")), (200, None));
        }
    });
}

/// The parts of a multipart answer: the range that each states, and its bytes.
fn parts(answer: &Answer, content_type: &str) -> Vec<(String, Vec<u8>)> {
    let boundary = answer.field("Content-Type").expect("a type");
    let boundary = boundary.strip_prefix("multipart/byteranges; boundary=").expect("several parts");
    assert_eq!(answer.field("Content-Range"), None);
    assert_eq!(answer.field("Content-Length"), Some(&*answer.body.len().to_string()));
    let mut rest = &answer.body[..];
    let mut parts = Vec::new();
    while !rest.starts_with(format!("\r\n--{boundary}--\r\n").as_bytes()) {
        let separator = if parts.is_empty() { "" } else { "\r\n" };
        let head = format!("{separator}--{boundary}\r\nContent-Type: {content_type}\r\n");
        rest = rest.strip_prefix(head.as_bytes()).expect("the head of a part");
        rest = rest.strip_prefix(b"Content-Range: ").expect("a range");
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").expect("its end");
        let range = String::from_utf8(rest[..end].to_vec()).expect("characters");
        let numbers =
            range.strip_prefix("bytes ").expect("bytes").split_once('/').expect("a length");
        let (first, last) = numbers.0.split_once('-').expect("two positions");
        let len = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
        let (bytes, after) = rest[end + 4..].split_at(len);
        rest = after;
        parts.push((range, bytes.to_vec()));
    }
    assert_eq!(rest.len(), boundary.len() + 8, "nothing follows");
    parts
}

#[test]
fn row_28_several_ranges_are_sent_as_parts_from_memory_and_from_the_disk() {
    let put = |disk: &mut Disk| {
        disk.put_file("/www/small.txt", &noise(1000), OLD);
        disk.put_file("/www/large.txt", &noise(1_000_000), OLD);
    };
    let every_second: Vec<_> = (0..17).map(|at| format!("{0}-{0}", 2 * at)).collect();
    let every_second = every_second.join(",");
    each_transfer(put, |mut site| {
        for (path, len) in [("/small.txt", 1000), ("/large.txt", 1_000_000)] {
            let line = format!("GET {path}");
            let whole = get(&mut site, path);
            let answer = ask(&mut site, &line, "Range: bytes=-5,10-19,2000000-,20-899\r\n");
            assert_eq!(answer.status, 206);
            assert_eq!(answer.field("ETag"), whole.field("ETag"));
            assert_eq!(answer.field("Last-Modified"), whole.field("Last-Modified"));
            let expected = [(len - 5, len), (10, 20), (20, 900)].map(|(start, end)| {
                (format!("bytes {start}-{}/{len}", end - 1), noise(len)[start..end].to_vec())
            });
            assert!(parts(&answer, "text/plain; charset=utf-8") == expected, "{path}");

            for (ranges, status) in [
                ("0-1,1-2", 200),
                ("0-1,4-5,x", 200),
                (&every_second, 200),
                ("2000000-,3000000-", 416),
                ("2000000-,3-4", 206),
            ] {
                let answer = ask(&mut site, &line, &format!("Range: bytes={ranges}\r\n"));
                assert_eq!(answer.status, status, "{ranges}");
                assert!(status != 200 || answer.body == noise(len), "{ranges}");
                assert!(status != 206 || answer.body == noise(len)[3..5], "{ranges}");
            }
            let answer = ask(&mut site, &line, "Range: bytes=0-1,3-4\r\nIf-Range: \"x\"\r\n");
            assert_eq!((answer.status, answer.body.len()), (200, len));
            let answer = ask(&mut site, &format!("HEAD {path}"), "Range: bytes=0-1,3-4\r\n");
            assert_eq!(answer.head, whole.head);
        }
    });
}

#[test]
fn row_28_no_part_contains_the_boundary_even_if_a_client_has_seen_it_before() {
    let mut site = site(|disk| disk.put_file("/www/a", &noise(1000), OLD));
    let ranges = "Range: bytes=0-1,3-4\r\n";
    let boundary = |answer: &Answer| {
        let field = answer.field("Content-Type").expect("a type");
        field.split_once("boundary=").expect("a boundary").1.to_owned()
    };
    let before = boundary(&ask(&mut site, "GET /a", ranges));
    site.advance(LATER);
    site.files().truncate("/www/a", 0, START);
    site.files().append("/www/a", format!("{before}, once more: {before}").as_bytes(), START);
    let after = boundary(&ask(&mut site, "GET /a", ranges));
    assert_ne!(before, after);
}

#[test]
fn row_28_a_file_that_shrinks_while_its_parts_are_sent_resets_the_connection() {
    let put = |disk: &mut Disk| disk.put_file("/www/large", &noise(1_000_000), OLD);
    each_transfer(put, |mut site| {
        let client = site.open();
        site.set_room(client, 10_000);
        let ranges = "Range: bytes=0-399999,500000-999999";
        site.feed(client, format!("GET /large HTTP/1.1\r\nHost: x\r\n{ranges}\r\n\r\n"));
        let begun = site.take(client);
        assert!(begun.starts_with(b"HTTP/1.1 206 "));
        site.files().truncate("/www/large", 600_000, START);
        site.sent(client);
        assert_eq!(site.state(client), State::Reset);
    });
}

/// Asks for a file of 1 MB, and takes only the first bytes of it.
fn begin_large(site: &mut Site) -> (Client, Vec<u8>) {
    let client = site.open();
    site.set_room(client, 10_000);
    site.feed(client, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    let begun = site.take(client);
    assert!(begun.starts_with(b"HTTP/1.1 200 OK\r\n"));
    (client, begun.into())
}

#[test]
fn row_30_a_file_that_shrinks_while_it_is_sent_resets_the_connection() {
    let put = |disk: &mut Disk| disk.put_file("/www/large", &noise(1_000_000), OLD);
    each_transfer(put, |mut site| {
        let (client, mut sent) = begin_large(&mut site);
        site.files().truncate("/www/large", 50_000, START);
        sent.extend(site.sent(client));
        assert_eq!(site.state(client), State::Reset);
        let body = Answer::parse(&sent).body;
        assert!(body == noise(1_000_000)[..body.len()] && body.len() <= 50_000);
    });
}

#[test]
fn row_30_a_file_that_grows_while_it_is_sent_is_sent_as_it_was_promised() {
    let put = |disk: &mut Disk| disk.put_file("/www/large", &noise(1_000_000), OLD);
    each_transfer(put, |mut site| {
        let (client, mut sent) = begin_large(&mut site);
        site.files().append("/www/large", b"more", START);
        sent.extend(site.sent(client));
        assert_eq!(site.state(client), State::Open);
        assert!(Answer::parse(&sent).body == noise(1_000_000));
        site.advance(Duration::from_secs(2));
        site.feed(client, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(Answer::parse(&site.sent(client)).field("Content-Length"), Some("1000004"));
    });
}

#[test]
fn a_client_that_takes_no_answers_holds_a_few_descriptors_of_files() {
    let put = |disk: &mut Disk| {
        (0..100).for_each(|i| disk.put_file(format!("/www/{i}"), &noise(100_000), OLD));
    };
    let options = FilesOptions { cache_files: 0, ..FilesOptions::default() };
    for small_file in SMALL_FILES {
        let mut site = site_sending(small_file, options.clone(), put);
        let idle = site.open_descriptors().files;
        let client = site.open();
        site.set_room(client, 1000);
        let request = |i| format!("GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n");
        site.feed(client, (0..100).map(request).collect::<String>());
        assert_eq!(site.open_descriptors().files, idle + Limits::default().send_files);
        let sent = site.sent(client);
        assert_eq!(sent.windows(9).filter(|w| w == b"HTTP/1.1 ").count(), 100);
        assert_eq!(site.open_descriptors().files, idle);
    }
}
