//! Files that are put: whole and at once, or not at all.

use log::Level;
use sluicegate_protocols::http::HttpLimits;
use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::{Client, Step};

use super::*;

fn options() -> FilesOptions {
    FilesOptions { upload: Some(CreateOptions::default()), ..FilesOptions::default() }
}

fn uploads_with(limits: HttpLimits, options: FilesOptions) -> Site {
    let disk = |disk: &mut Disk| {
        disk.make_dir("/www/dir");
        disk.put_file("/www/there", b"what was there", OLD);
        disk.put_fifo("/www/fifo");
        disk.put_file("/secret", b"secret", OLD);
        disk.put_symlink("/www/out", "../secret");
    };
    Harness::build(&Listen::default(), disk, |reactor| {
        let files = Files::new(reactor, "/www", options).expect("the root is there");
        reactor.register(Http::with(files, limits))
    })
}

pub(super) fn uploads() -> Site {
    uploads_with(HttpLimits::default(), options())
}

pub(super) fn put(path: &str, body: &str) -> String {
    let length = body.len();
    format!("PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn put_chunked(path: &str, chunks: &[&str]) -> String {
    let chunk = |chunk: &&str| format!("{:x}\r\n{chunk}\r\n", chunk.len());
    let body: String = chunks.iter().map(chunk).collect();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    head + &body + "0\r\n\r\n"
}

/// The statuses of answers that have short bodies or none.
pub(super) fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let answer = Answer::parse(bytes);
        let length = answer.field("Content-Length").map_or(0, |n| n.parse().expect("a number"));
        bytes = &bytes[bytes.len() - answer.body.len() + length..];
        all.push(answer.status);
    }
    all
}

pub(super) fn content(site: &mut Site, path: &str) -> Option<Vec<u8>> {
    site.files().content(format!("/www{path}")).map(<[u8]>::to_vec)
}

/// Asserts that nothing of an upload is left but the directory, and what the cache holds.
fn assert_nothing_left(site: &mut Site) {
    assert_eq!(site.files().temporary(), 0);
    assert_eq!(site.open_descriptors().files, 1);
}

pub(super) fn send(site: &mut Site, request: impl AsRef<[u8]>) -> (Client, Vec<u16>) {
    let client = site.open();
    site.feed(client, request);
    let all = statuses(&site.sent(client));
    (client, all)
}

#[test]
fn row_29_a_put_makes_or_replaces_a_file_however_it_arrives() {
    let input = put("/a", "hello")
        + &put("/dir/b", "")
        + &put_chunked("/a", &["by", "e, ", "world\r\n"])
        + &put_chunked("/dir/c", &[])
        + "PUT /d HTTP/1.1\r\nHost: h\r\n\r\n"
        + &put("/there", "new")
        + "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    let outcome = same_at_every_split(uploads, &input);
    assert_eq!(statuses(&outcome.sent), [201, 201, 204, 201, 201, 204, 200]);
    assert!(outcome.sent.ends_with(b"\r\n\r\nbye, world\r\n"));
    assert_eq!(outcome.state, State::Open);
    let mut site = uploads();
    send(&mut site, &input);
    for (path, expected) in [("/dir/b", ""), ("/dir/c", ""), ("/d", ""), ("/there", "new")] {
        assert_eq!(content(&mut site, path).expect(path), expected.as_bytes(), "{path}");
    }
    assert_eq!(site.files().temporary(), 0);
}

#[test]
fn row_29_until_all_is_there_the_old_file_is_and_the_new_one_cannot_be_asked_for() {
    let mut site = uploads_with(
        HttpLimits::default(),
        FilesOptions { hidden: true, valid_for: Duration::ZERO, ..options() },
    );
    let request = put("/there", "new");
    let client = site.open();
    site.feed(client, &request[..request.len() - 1]);
    assert_eq!(get(&mut site, "/there").text(), "what was there");
    assert_eq!(site.files().temporary(), 1);
    let listing = ask(&mut site, "GET /", "Accept: application/json\r\n");
    assert!(listing.text().contains("there") && !listing.text().contains(".part"));
    for path in ["/.0123456789abcdef.part", "/%2e0123456789ABCDEF.part"] {
        assert_eq!(get(&mut site, path).status, 404);
        assert_eq!(send(&mut site, put(path, "")).1, [403]);
    }
    site.feed(client, &request[request.len() - 1..]);
    assert_eq!(statuses(&site.sent(client)), [204]);
    assert_eq!(get(&mut site, "/there").text(), "new");
}

#[test]
fn what_was_cached_is_forgotten_when_it_is_replaced() {
    let mut site = uploads();
    for path in ["/there", "/index.html", "/dir/index.html"] {
        let asked = path.trim_end_matches("index.html");
        for body in ["one", "two", "three"] {
            assert_eq!(send(&mut site, put(path, body)).1.len(), 1);
            assert_eq!(get(&mut site, asked).text(), body);
        }
    }
}

#[test]
fn row_29_what_cannot_be_put_is_refused() {
    let mut site = uploads();
    for (path, status) in [
        ("/", 405),
        ("/dir", 405),
        ("/dir/", 405),
        ("/new/", 405),
        ("/nowhere/a", 409),
        ("/there/a", 409),
        ("/fifo", 403),
        ("/out/a", 403),
        ("/.hidden", 403),
        ("/dir/.hidden/a", 403),
        ("/../a", 400),
        ("/a%2fb", 403),
        ("/a%00", 400),
        ("/a%", 400),
    ] {
        let (_, all) = send(&mut site, put(path, "body"));
        assert_eq!(all, [status], "{path}");
    }
    let long = format!("/{}", "a".repeat(256));
    assert_eq!(send(&mut site, put(&long, "body")).1, [400]);
    let head = "Content-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\nbody";
    let part = format!("PUT /there HTTP/1.1\r\nHost: h\r\n{head}");
    assert_eq!(send(&mut site, part).1, [400]);
    assert_eq!(content(&mut site, "/there").expect("still there"), b"what was there");
    assert_eq!(site.files().content("/secret"), Some(&b"secret"[..]));
    assert_nothing_left(&mut site);
}

#[test]
fn row_29_a_body_with_a_coding_is_refused() {
    let mut site = uploads();
    for (field, status) in [
        ("Content-Encoding: gzip", 415),
        ("content-encoding: identity, br", 415),
        ("Content-Encoding: identity\r\nContent-Encoding: gzip", 415),
        ("Content-Encoding: Identity", 201),
        ("Content-Encoding:", 204),
    ] {
        let answer = ask(&mut site, "PUT /coded", &format!("{field}\r\n"));
        assert_eq!(answer.status, status, "{field}");
        let accepted = (status == 415).then_some("identity");
        assert_eq!(answer.field("Accept-Encoding"), accepted, "{field}");
    }
}

#[test]
fn row_29_directories_are_created_if_that_was_asked_for() {
    let mut site =
        uploads_with(HttpLimits::default(), FilesOptions { create_directories: true, ..options() });
    let deep = |levels: usize| format!("{}/file", "/d".repeat(levels));
    for (path, status) in [
        ("/dir/x/y/a", 201),
        ("/dir/x/y/a", 204),
        ("/dir/x/z/a", 201),
        ("/there/x/a", 409),
        ("/dir/.hidden/x/a", 403),
        ("/out/x/a", 403),
        (&deep(64), 201),
        (&deep(65), 409),
        ("/new/", 405),
    ] {
        let (_, all) = send(&mut site, put(path, "body"));
        assert_eq!(all, [status], "{path}");
    }
    assert_eq!(content(&mut site, "/dir/x/z/a").expect("put"), b"body");
    // A condition that fails creates nothing.
    assert_eq!(ask(&mut site, "PUT /other/a", "If-Match: *\r\n").status, 409);
    assert_eq!(get(&mut site, "/other/").status, 404);
    // What was created before the client left stays, and the file does not.
    let client = site.open();
    site.feed(client, put("/left/a", "body").trim_end_matches("dy"));
    site.reset(client);
    assert_eq!(get(&mut site, "/left/").status, 200);
    assert_eq!(site.files().temporary(), 0);
}

#[test]
fn row_23_put_is_allowed_only_if_it_was_asked_for() {
    let mut plain = uploads_with(HttpLimits::default(), FilesOptions::default());
    let answer = ask(&mut plain, "PUT /a", "");
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
    let mut site = uploads();
    for method in ["DELETE", "POST", "OPTIONS"] {
        let answer = ask(&mut site, &format!("{method} /a"), "");
        assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS, PUT"), "{method}");
    }
}

#[test]
fn row_24_a_client_is_told_to_continue_if_its_body_is_wanted_and_not_otherwise() {
    let head = |path: &str, framing: &str| {
        format!("PUT {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{framing}\r\n\r\n")
    };
    for (framing, body) in
        [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut site = uploads();
        let client = site.open();
        site.feed(client, head("/a", framing));
        assert_eq!(site.sent(client), "HTTP/1.1 100 Continue\r\n\r\n");
        site.feed(client, body);
        assert_eq!(statuses(&site.sent(client)), [201]);
        let outcome = same_at_every_split(uploads, head("/a", framing) + body);
        assert_eq!(statuses(&outcome.sent), [100, 201]);
        let outcome = same_at_every_split(uploads, head("/a", "Content-Length: 0"));
        assert_eq!(statuses(&outcome.sent), [201]);
        for (path, status) in [("/nowhere/a", 409), ("/", 405), ("/.a", 403)] {
            let outcome = same_at_every_split(uploads, head(path, framing));
            assert_eq!(statuses(&outcome.sent), [status], "{path}");
            assert_eq!(outcome.state, State::Shut, "{path}");
        }
    }
}

#[test]
fn row_16_a_body_over_the_limit_is_refused_and_nothing_of_it_is_stored() {
    let limits = HttpLimits { body: 10, ..HttpLimits::default() };
    let mut site = uploads_with(limits, options());
    let (client, all) = send(&mut site, put("/a", "hello world"));
    assert_eq!((all, site.state(client)), (vec![413], State::Shut));
    let (client, all) = send(&mut site, put_chunked("/a", &["hello", " world"]));
    assert_eq!((all, site.state(client)), (vec![413], State::Shut));
    assert_eq!(send(&mut site, put_chunked("/b", &["hello", "world"])).1, [201]);
    assert_eq!(content(&mut site, "/a"), None);
    assert_nothing_left(&mut site);
}

#[test]
fn row_5_broken_chunks_end_the_connection_and_leave_nothing() {
    for body in ["x\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello\r\n0\r\nA\r\n\r\n", "5\nhello"] {
        let head = "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        let outcome = same_at_every_split(uploads, head.to_owned() + body);
        assert_eq!(statuses(&outcome.sent), [400], "{body:?}");
        assert_eq!(outcome.state, State::Shut, "{body:?}");
        let mut site = uploads();
        send(&mut site, head.to_owned() + body);
        assert_nothing_left(&mut site);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    for request in [put("/there", "hello world"), put_chunked("/there", &["hello", " world"])] {
        for leave in [Harness::finish, Harness::reset] {
            for len in 1..request.len() {
                let mut site = uploads();
                let client = site.open();
                site.feed(client, &request[..len]);
                leave(&mut site, client);
                assert!(site.sent(client).is_empty());
                assert_ne!(site.state(client), State::Open);
                assert_eq!(content(&mut site, "/there").expect("still there"), b"what was there");
                assert_nothing_left(&mut site);
            }
        }
    }
}

#[test]
fn a_full_disk_is_507_and_the_connection_goes_on_if_little_is_left() {
    let mut site = uploads();
    // Written as it comes, so that it shows before all has come.
    site.files().set_in_memory();
    site.files().set_room(7);
    let client = site.open();
    let request = put("/there", "hello world");
    site.feed(client, &request[..request.len() - 2]);
    assert_eq!(statuses(&site.sent(client)), [507]);
    site.feed(client, &request[request.len() - 2..]);
    site.files().set_room(100);
    site.feed(client, put("/there", "new"));
    assert_eq!(statuses(&site.sent(client)), [204]);
    site.files().set_room(7);
    let (client, all) = send(&mut site, put("/a", &"b".repeat(1 << 20)));
    assert_eq!((all, site.state(client)), (vec![507], State::Shut));
    let (client, all) = send(&mut site, put_chunked("/a", &["hello", " world"]));
    assert_eq!((all, site.state(client)), (vec![507], State::Shut));
    assert_eq!(content(&mut site, "/a"), None);
    assert_nothing_left(&mut site);
}

#[test]
fn a_disk_that_stays_full_is_logged_once_a_second() {
    let logged = logged::logged_in(Level::Warn, || {
        let mut site = uploads();
        site.files().set_room(7);
        for _ in 0..30 {
            assert_eq!(send(&mut site, put("/dir/a", "hello world")).1, [507]);
            site.advance(Duration::from_millis(100));
        }
    });
    let first = "dir/a: not saved: No space left on device (os error 28)";
    let next = format!("{first} (9 more since the last warning)");
    assert_eq!(logged[..3], [first, &next, &next]);
}

#[test]
fn what_the_disk_says_decides_the_status() {
    const EIO: i32 = 5;
    const EFBIG: i32 = 27;
    for (error, status) in [(EIO, 500), (EFBIG, 507)] {
        let mut site = uploads();
        site.files().script_write([Step::Errno(error)]);
        assert_eq!(send(&mut site, put("/a", "hello")).1, [status]);
        assert_nothing_left(&mut site);
    }
    let mut site = uploads();
    let request = put("/dir/a", "hello");
    let client = site.open();
    site.feed(client, &request[..request.len() - 1]);
    site.files().remove("/www/dir");
    site.feed(client, &request[request.len() - 1..]);
    assert_eq!(statuses(&site.sent(client)), [409]);
    assert_eq!(site.files().temporary(), 0);
    assert_eq!(site.open_descriptors().files, 2, "the root and the directory");
}

#[test]
fn row_17_a_body_that_comes_too_slowly_is_refused_and_a_steady_one_may_take_its_time() {
    let limits = HttpLimits { body_rate: 10, ..HttpLimits::default() };
    for (head, begun) in [
        ("Content-Length: 1000\r\n\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n3e8\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n", false),
    ] {
        let mut site = uploads_with(limits.clone(), options());
        let client = site.open();
        site.feed(client, format!("PUT /a HTTP/1.1\r\nHost: h\r\n{head}"));
        for _ in 0..if begun { 5 } else { 0 } {
            site.advance(Duration::from_secs(9));
            assert_eq!(site.state(client), State::Open, "{head:?}");
            site.feed(client, [b'b'; 100]);
        }
        assert!(site.sent(client).is_empty());
        site.advance(Duration::from_secs(21));
        assert_eq!(statuses(&site.sent(client)), [408], "{head:?}");
        assert_ne!(site.state(client), State::Open);
        assert_nothing_left(&mut site);
    }
}

#[test]
fn a_reactor_that_stops_takes_an_upload_to_its_end_and_says_that_it_was_the_last() {
    for request in [put("/a", "hello"), put_chunked("/a", &["hello"])] {
        let head = request.find("\r\n\r\n").expect("a head") + 4;
        for split in head..request.len() {
            let mut site = uploads();
            let client = site.open();
            site.feed(client, &request[..split]);
            site.stop();
            assert_eq!(site.state(client), State::Open, "{split}");
            site.feed(client, &request[split..]);
            let answer = Answer::parse(&site.sent(client));
            assert_eq!((answer.status, answer.field("Connection")), (201, Some("close")));
            assert_eq!(site.state(client), State::Shut);
            assert_eq!(content(&mut site, "/a").expect("put"), b"hello");
        }
    }
}
