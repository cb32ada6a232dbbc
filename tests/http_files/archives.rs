//! Directories as tar archives.

use log::Level;
use sluicegate_protocols::testing::same_at_every_split;

use super::*;

fn archives_of(put: impl FnOnce(&mut Disk)) -> Site {
    let options = FilesOptions { archive: true, ..FilesOptions::default() };
    site_with(options, put)
}

fn photos(disk: &mut Disk) {
    disk.put_file("/secret", b"secret", OLD);
    disk.put_file("/www/photos/a.txt", b"hello", OLD);
    disk.put_file("/www/photos/empty", b"", OLD);
    disk.put_file("/www/photos/sub/large", &noise(200_000), OLD);
    disk.put_file("/www/photos/sub/\u{e4}", &[b'x'; 512], OLD);
    disk.make_dir("/www/photos/sub/nothing");
    disk.put_file("/www/photos/.hidden", b"hidden", OLD);
    disk.put_symlink("/www/photos/link", "a.txt");
    disk.put_symlink("/www/photos/out", "../../secret");
    disk.put_symlink("/www/photos/loop", ".");
    disk.put_fifo("/www/photos/fifo");
    disk.put_file("/www/index.html", b"index", OLD);
}

/// The body of a chunked answer, or of one that ends with its connection.
fn body(answer: &Answer) -> Vec<u8> {
    if answer.field("Transfer-Encoding").is_none() {
        return answer.body.clone();
    }
    let (mut rest, mut all) = (&answer.body[..], Vec::new());
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            assert_eq!(rest, b"0\r\n\r\n");
            return all;
        }
        all.extend_from_slice(&rest[end + 2..][..size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// The names and contents of an archive, sorted.
fn unpack(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut all, mut long_name) = (Vec::new(), None);
    loop {
        let (header, rest) = archive.split_at(512);
        if header == [0; 512] {
            assert_eq!(rest, [0; 512], "the end is two blocks");
            all.sort();
            return all;
        }
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8(bytes[..end].to_vec()).expect("text")
        };
        let len = usize::from_str_radix(&text(&header[124..136]), 8).expect("a length");
        let content = rest[..len].to_vec();
        archive = &rest[len.next_multiple_of(512)..];
        if header[156] == b'x' {
            let records = String::from_utf8(content).expect("text");
            let (_, name) = records.trim_end().split_once(" path=").expect("a path");
            long_name = Some(name.to_owned());
        } else {
            all.push((long_name.take().unwrap_or_else(|| text(&header[..100])), content));
        }
    }
}

fn expected() -> Vec<(String, Vec<u8>)> {
    let entries: [(&str, &[u8]); 6] = [
        ("photos/a.txt", b"hello"),
        ("photos/empty", b""),
        ("photos/sub/", b""),
        ("photos/sub/large", &noise(200_000)),
        ("photos/sub/nothing/", b""),
        ("photos/sub/\u{e4}", &[b'x'; 512]),
    ];
    entries.map(|(name, content)| (name.to_owned(), content.to_vec())).to_vec()
}

#[test]
fn an_archive_holds_what_a_listing_shows_however_it_is_sent() {
    for small_file in SMALL_FILES {
        let options = FilesOptions { archive: true, ..FilesOptions::default() };
        let mut site = site_sending(small_file, options, photos);
        let answer = get(&mut site, "/photos/?tar");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("Content-Type"), Some("application/x-tar"));
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        assert_eq!(unpack(&body(&answer)), expected());
        // The index file does not stand for the root.
        let root = unpack(&body(&get(&mut site, "/?tar")));
        assert_eq!(root.len(), expected().len() + 2);
        assert_eq!(root[0].0, "index.html");
        // An old client gets it until the connection ends.
        let client = site.open();
        site.feed(client, "GET /photos/?tar HTTP/1.0\r\n\r\n");
        assert_eq!(unpack(&body(&Answer::parse(&site.sent(client)))), expected());
        assert_eq!(site.state(client), State::Shut);
    }
    let outcome = same_at_every_split(
        || archives_of(photos),
        "GET /photos/sub/nothing/?tar HTTP/1.1\r\nHost: h\r\n\r\n\
         GET /photos/a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert!(outcome.sent.ends_with(b"\r\n\r\nhello"));
}

#[test]
fn an_archive_is_named_after_its_directory_also_for_clients_that_know_only_ascii() {
    let mut site = archives_of(|disk| {
        for name in ["photos", "a b", "\"q\"\\;%41", "\u{e4}", "a\r\nX: y"] {
            disk.put_file(format!("/www/{name}/a.txt"), b"a", OLD);
        }
    });
    for (path, plain, extended) in [
        ("/", "files", "files"),
        ("/photos/", "photos", "photos"),
        ("/a%20b/", "a b", "a%20b"),
        ("/%22q%22%5c;%2541/", "_q__;_41", "%22q%22%5C%3B%2541"),
        ("/%c3%a4/", "__", "%C3%A4"),
        ("/a%0d%0aX:%20y/", "a__X: y", "a%0D%0AX%3A%20y"),
    ] {
        let answer = get(&mut site, &format!("{path}?tar"));
        let disposition =
            format!("attachment; filename=\"{plain}.tar\"; filename*=UTF-8''{extended}.tar");
        assert_eq!(answer.field("Content-Disposition"), Some(&*disposition));
    }
}

#[test]
fn a_client_that_reads_slowly_gets_its_archive_and_holds_few_descriptors() {
    let mut site = archives_of(|disk| {
        for i in 0..100 {
            disk.put_file(format!("/www/dir/{i:03}"), &noise(100_000), OLD);
        }
    });
    let client = site.open();
    site.set_room(client, 10_000);
    site.feed(client, "GET /dir/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut received = Vec::new();
    loop {
        assert!(site.open_descriptors().files < 20, "{:?}", site.open_descriptors());
        let part = site.take(client);
        if part.is_empty() {
            break;
        }
        received.extend_from_slice(&part);
        site.run();
    }
    let entries = unpack(&body(&Answer::parse(&received)));
    assert_eq!(entries.len(), 100);
    assert!(entries.iter().all(|(_, content)| *content == noise(100_000)));
}

#[test]
fn a_client_that_leaves_ends_its_archive() {
    let mut site = archives_of(|disk| {
        for i in 0..100 {
            disk.put_file(format!("/www/dir/{i:03}"), &noise(100_000), OLD);
        }
    });
    for leave in [Harness::reset, |site: &mut Site, _| site.advance(Duration::from_secs(100))] {
        let client = site.open();
        site.set_room(client, 10_000);
        site.feed(client, "GET /dir/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
        leave(&mut site, client);
        // The root.
        assert_eq!(site.open_descriptors().files, 1);
    }
}

#[test]
fn nobody_waits_for_a_long_archive() {
    let mut site = archives_of(|disk| {
        (0..10_000).for_each(|i| disk.put_file(format!("/www/many/{i}"), b"", OLD));
        disk.put_file("/www/few/a", b"a", OLD);
    });
    let (long, short) = (site.open(), site.open());
    site.at_once(|site| {
        site.feed(long, "GET /many/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
        site.turn();
        site.feed(short, "GET /few/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
        (0..3).for_each(|_| site.turn());
        assert!(site.arrived(short) > 0);
        assert!(site.calls().open < 1000);
    });
    assert_eq!(unpack(&body(&Answer::parse(&site.sent(short)))).len(), 1);
    assert_eq!(unpack(&body(&Answer::parse(&site.sent(long)))).len(), 10_000);
}

#[test]
fn row_30_a_file_that_shrinks_while_it_is_archived_resets_the_connection() {
    let mut site = archives_of(|disk| disk.put_file("/www/dir/a", &noise(1 << 20), OLD));
    let client = site.open();
    site.set_room(client, 10_000);
    site.feed(client, "GET /dir/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
    site.files().truncate("/www/dir/a", 100_000, OLD);
    site.sent(client);
    assert_eq!(site.state(client), State::Reset);
}

#[test]
fn a_file_that_cannot_be_opened_while_it_is_archived_resets_the_connection() {
    let mut site = archives_of(|disk| {
        (0..20).for_each(|i| disk.put_file(format!("/www/dir/{i}"), &noise(100_000), OLD));
    });
    let client = site.open();
    site.set_room(client, 10_000);
    site.feed(client, "GET /dir/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
    site.set_descriptor_limit(1);
    let logged = logged::logged_in(Level::Warn, || _ = site.sent(client));
    assert_eq!(site.state(client), State::Reset);
    assert!(logged.iter().any(|line| line.contains(": archive not completed: dir/")), "{logged:?}");
}

#[test]
fn what_is_removed_while_it_is_archived_is_left_out() {
    let mut site = archives_of(|disk| {
        (0..20).for_each(|i| disk.put_file(format!("/www/dir/{i:02}"), &noise(100_000), OLD));
    });
    let client = site.open();
    site.set_room(client, 10_000);
    site.feed(client, "GET /dir/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
    (0..20).for_each(|i| site.files().remove(format!("/www/dir/{i:02}")));
    let entries = unpack(&body(&Answer::parse(&site.sent(client))));
    assert!((1..20).contains(&entries.len()), "{}", entries.len());
}

#[test]
fn directories_that_are_nested_too_deeply_reset_the_connection() {
    // The longest path has 4095 bytes.
    let long = "a".repeat(204) + "/";
    for (name, levels, state) in [
        ("a/", 63, State::Open),
        ("a/", 64, State::Reset),
        (&long, 19, State::Open),
        (&long, 20, State::Reset),
    ] {
        let nested = name.repeat(levels);
        let mut site = archives_of(|disk| disk.put_file(format!("/www/{nested}file"), b"f", OLD));
        let client = site.open();
        site.feed(client, "GET /?tar HTTP/1.1\r\nHost: h\r\n\r\n");
        let sent = site.sent(client);
        assert_eq!(site.state(client), state, "{levels}");
        if state == State::Open {
            assert_eq!(unpack(&body(&Answer::parse(&sent))).len(), levels + 1);
        }
    }
}

#[test]
fn only_directories_are_archived_and_only_if_that_was_asked_for() {
    let mut site = archives_of(photos);
    for (path, status) in [
        ("/photos?tar", 301),
        ("/nowhere/?tar", 404),
        ("/photos/a.txt/?tar", 404),
        ("/photos/out/?tar", 403),
    ] {
        assert_eq!(get(&mut site, path).status, status, "{path}");
    }
    assert_eq!(get(&mut site, "/photos/a.txt?tar").text(), "hello");
    let head = ask(&mut site, "HEAD /photos/?tar", "");
    assert_eq!((head.status, head.field("Content-Type")), (200, Some("application/x-tar")));
    assert!(head.body.is_empty());
    assert!(get(&mut site, "/photos/").text().contains("<a href=\"?tar\" download>"));
    let mut plain = site_with(FilesOptions::default(), photos);
    let answer = get(&mut plain, "/photos/?tar");
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(!answer.text().contains("?tar"));
}

#[test]
fn more_archives_than_may_be_sent_are_refused() {
    // More files than the queue of a connection takes.
    let mut site = archives_of(|disk| {
        (0..20).for_each(|i| disk.put_file(format!("/www/dir/{i}"), &noise(100_000), OLD));
    });
    let ask = |site: &mut Site, address: &str| {
        let client = site.open_from(address.parse().expect("an address"));
        site.set_room(client, 10_000);
        site.feed(client, "GET /dir/?tar HTTP/1.1\r\nHost: h\r\n\r\n");
        client
    };
    let mut clients = Vec::new();
    // A client gets at most half of those that others leave it.
    for (address, most) in [("2001:db8::1", 8), ("192.0.2.1", 4), ("192.0.2.2", 2)] {
        clients.extend((0..most).map(|_| ask(&mut site, address)));
        let refused = ask(&mut site, &address.replace("::1", "::2"));
        let answer = Answer::parse(&site.sent(refused));
        assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")), "{address}");
        // None of the fields of an archive.
        assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.field("Content-Disposition"), None);
    }
    clients.extend(["192.0.2.3", "192.0.2.4"].map(|address| ask(&mut site, address)));
    let refused = ask(&mut site, "192.0.2.5");
    assert_eq!(Answer::parse(&site.sent(refused)).status, 503);
    for client in clients {
        assert_eq!(unpack(&body(&Answer::parse(&site.sent(client)))).len(), 20);
    }
    assert_eq!(get(&mut site, "/dir/?tar").status, 200);
}
