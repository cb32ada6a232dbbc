//! Uploads that a lost connection interrupts, and that are continued.

use sluicegate_protocols::files::Resume;
use sluicegate_protocols::http::HttpLimits;
use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::Step;

use super::*;

const TOKEN: &str = "0123456789abcdef";
/// Where partial files are.
const PARTIALS: &str = "/.uploads.0000000000000000.part";
const KEEP: Duration = Duration::from_secs(3600);

fn options() -> FilesOptions {
    FilesOptions {
        upload: Some(CreateOptions::default()),
        resume: Some(Resume { keep: KEEP, most: 2 }),
        ..FilesOptions::default()
    }
}

fn uploads_with(limits: HttpLimits, options: FilesOptions, put: impl FnOnce(&mut Disk)) -> Site {
    let disk = |disk: &mut Disk| {
        disk.make_dir("/www/dir");
        // What arrives is written at once.
        disk.set_in_memory();
        put(disk);
    };
    Harness::build(&Listen::default(), disk, |reactor| {
        let files = Files::new(reactor, "/www", options).expect("the root is there");
        reactor.register(Http::with(files, limits))
    })
}

fn uploads() -> Site {
    uploads_with(HttpLimits::default(), options(), |_| {})
}

/// The head of a PUT with a token.
fn head(path: &str, fields: &str, length: usize) -> String {
    format!(
        "PUT {path} HTTP/1.1\r\nHost: h\r\nUpload-Token: {TOKEN}\r\n{fields}\
         Content-Length: {length}\r\n\r\n"
    )
}

/// A PUT of the whole file.
fn whole(path: &str, body: &[u8]) -> Vec<u8> {
    [head(path, "", body.len()).as_bytes(), body].concat()
}

/// A PUT of the rest of a file.
fn rest(path: &str, body: &[u8], offset: usize) -> Vec<u8> {
    let range = format!("Content-Range: bytes {offset}-{}/{}\r\n", body.len() - 1, body.len());
    [head(path, &range, body.len() - offset).as_bytes(), &body[offset..]].concat()
}

/// A PUT that asks how much of a file has arrived.
fn question(path: &str, length: usize) -> String {
    head(path, &format!("Content-Range: bytes */{length}\r\n"), 0)
}

fn send(site: &mut Site, request: impl AsRef<[u8]>) -> Answer {
    let client = site.open();
    site.feed(client, request);
    Answer::parse(&site.sent(client))
}

/// The status of an answer, and the offset that it tells.
fn told(answer: &Answer) -> (u16, Option<usize>) {
    let offset = answer.field("Upload-Offset");
    (answer.status, offset.map(|offset| offset.parse().expect("a number")))
}

/// Sends `count` bytes of a request, and loses the connection.
fn lose(site: &mut Site, request: &[u8], count: usize) {
    let client = site.open();
    site.feed(client, &request[..count]);
    site.reset(client);
}

fn partials(site: &mut Site) -> Vec<String> {
    site.files().names(format!("/www{PARTIALS}"))
}

fn content(site: &mut Site, path: &str) -> Option<Vec<u8>> {
    site.files().content(format!("/www{path}")).map(<[u8]>::to_vec)
}

#[test]
fn row_29_an_upload_is_continued_wherever_its_connection_was_lost() {
    let body = b"all of a file";
    let request = whole("/dir/a", body);
    let start = request.len() - body.len();
    for lost in start..request.len() {
        let mut site = uploads();
        lose(&mut site, &request, lost);
        assert_eq!(content(&mut site, "/dir/a"), None);
        let offset = lost - start;
        let answer = send(&mut site, question("/dir/a", body.len()));
        assert_eq!(told(&answer), (409, Some(offset)));
        // The connection is lost again, after each byte of the rest.
        for offset in offset..body.len() - 1 {
            let request = rest("/dir/a", body, offset);
            let count = request.len() - (body.len() - offset) + 1;
            lose(&mut site, &request, count);
            assert_eq!(content(&mut site, "/dir/a"), None);
        }
        assert_eq!(send(&mut site, rest("/dir/a", body, body.len() - 1)).status, 201);
        assert_eq!(content(&mut site, "/dir/a").expect("a file"), body);
        assert_eq!(partials(&mut site), [""; 0]);
    }
}

#[test]
fn row_29_the_rest_of_an_upload_is_saved_however_it_arrives() {
    let body = b"all of a file";
    let interrupted = || {
        let mut site = uploads();
        let request = whole("/a", body);
        lose(&mut site, &request, request.len() - 9);
        site
    };
    let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    let requests = [&question("/a", 13).into_bytes(), &rest("/a", body, 4)[..], get.as_bytes()];
    let outcome = same_at_every_split(interrupted, requests.concat());
    let sent = outcome.sent.text();
    let statuses: Vec<_> = sent.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["409", "201", "200"], "{sent}");
    assert!(sent.contains("Upload-Offset: 4\r\n") && sent.ends_with("all of a file"), "{sent}");
}

#[test]
fn row_29_what_workers_have_written_of_an_upload_is_continued() {
    let body = noise(600_000);
    for sync in [false, true] {
        let upload = Some(CreateOptions { sync, ..CreateOptions::default() });
        let mut site = Harness::build(
            &Listen::default(),
            |disk| disk.make_dir("/www"),
            |reactor| {
                let options = FilesOptions { upload, ..options() };
                let files = Files::new(reactor, "/www", options).expect("the root is there");
                reactor.register(Http::new(files))
            },
        );
        let request = whole("/a", &body);
        lose(&mut site, &request, request.len() - 1);
        let (status, offset) = told(&send(&mut site, question("/a", body.len())));
        let offset = offset.expect("an offset");
        assert!(status == 409 && (300_000..body.len()).contains(&offset), "{status} {offset}");
        assert_eq!(send(&mut site, rest("/a", &body, offset)).status, 201);
        assert!(content(&mut site, "/a").expect("a file") == body);
        assert_eq!(partials(&mut site), [""; 0]);
    }
}

#[test]
fn row_29_what_is_kept_of_an_upload_has_no_gaps_though_a_write_fails() {
    let body = noise(2_000_000);
    let mut site = Harness::build(
        &Listen::default(),
        |disk| disk.make_dir("/www"),
        |reactor| {
            let files = Files::new(reactor, "/www", options()).expect("the root is there");
            reactor.register(Http::new(files))
        },
    );
    let client = site.open();
    // Another batch may be with a worker meanwhile.
    site.files().script_write([Step::Errno(libc::EIO)]);
    site.hold_disk();
    site.feed(client, whole("/a", &body));
    site.release_disk();
    assert_eq!(Answer::parse(&site.sent(client)).status, 500);
    for name in partials(&mut site) {
        let partial = content(&mut site, &format!("{PARTIALS}/{name}")).expect("a file");
        assert!(body.starts_with(&partial), "{} bytes", partial.len());
    }
}

#[test]
fn row_29_a_part_that_does_not_begin_where_the_upload_ends_is_refused_with_the_right_offset() {
    let mut site = uploads();
    let body = b"all of a file";
    assert_eq!(told(&send(&mut site, rest("/a", body, 5))), (409, Some(0)));
    let request = whole("/a", body);
    lose(&mut site, &request, request.len() - 9);
    for request in [rest("/a", body, 3), rest("/a", body, 5), whole("/a", body)] {
        assert_eq!(told(&send(&mut site, request)), (409, Some(4)));
    }
    assert_eq!(send(&mut site, rest("/a", body, 4)).status, 201);
    assert_eq!(told(&send(&mut site, question("/a", body.len()))), (409, Some(0)));
    assert_eq!(send(&mut site, whole("/a", body)).status, 204);
    assert_eq!(partials(&mut site), [""; 0]);
}

#[test]
fn row_29_an_upload_is_completed_without_a_body_if_all_of_it_has_arrived() {
    // As a process leaves it that is killed before it renames the file.
    let mut site = uploads();
    let request = whole("/a", b"hello");
    lose(&mut site, &request, request.len() - 1);
    let name = partials(&mut site).remove(0);
    site.files().append(format!("/www{PARTIALS}/{name}"), b"o", START);
    assert_eq!(send(&mut site, question("/a", 5)).status, 201);
    assert_eq!(content(&mut site, "/a").expect("a file"), b"hello");
    assert_eq!(send(&mut site, question("/empty", 0)).status, 201);
    assert_eq!(content(&mut site, "/empty").expect("a file"), b"");
}

#[test]
fn row_29_path_token_and_length_identify_an_upload() {
    let body = b"all of a file";
    let mut site = uploads();
    let request = whole("/a", body);
    lose(&mut site, &request, request.len() - 9);
    let other = question("/a", 13).replace(TOKEN, "another-long-token");
    for request in [question("/b", 13), question("/a", 14), other] {
        assert_eq!(told(&send(&mut site, request)), (409, Some(0)));
    }
    // The same path in other words.
    assert_eq!(told(&send(&mut site, question("/dir/..//%61", 13))), (409, Some(4)));
}

#[test]
fn row_29_only_one_connection_at_a_time_sends_an_upload() {
    let mut site = uploads();
    let request = whole("/a", b"hello");
    let first = site.open();
    site.feed(first, &request[..request.len() - 2]);
    for request in [question("/a", 5).into_bytes(), rest("/a", b"hello", 3)] {
        let answer = send(&mut site, request);
        assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")));
    }
    site.feed(first, &request[request.len() - 2..]);
    assert_eq!(Answer::parse(&site.sent(first)).status, 201);
    assert_eq!(content(&mut site, "/a").expect("a file"), b"hello");
}

#[test]
fn row_29_a_part_without_token_or_length_is_refused() {
    let chunked = head("/a", "", 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let range = "Content-Range: bytes 0-4/5\r\n";
    for (request, status) in [
        (head("/a", range, 5).replace("Upload-Token", "Other"), 400),
        (head("/a", "Content-Range: bytes 0-3/5\r\n", 4), 400),
        (head("/a", "", 5).replace(TOKEN, "short"), 400),
        (head("/a", "", 5).replace(TOKEN, "../../0123456789abc"), 400),
        (chunked + "0\r\n\r\n", 411),
    ] {
        let mut site = uploads();
        assert_eq!(send(&mut site, &request).status, status, "{request}");
        assert_eq!(partials(&mut site), [""; 0]);
    }
    let off = FilesOptions { resume: None, ..options() };
    let mut site = uploads_with(HttpLimits::default(), off, |_| {});
    assert_eq!(send(&mut site, rest("/a", b"hello", 0)).status, 400);
    assert_eq!(send(&mut site, whole("/a", b"hello")).status, 201);
    assert!(!site.files().names("/www").iter().any(|name| name.ends_with(".part")));
}

#[test]
fn row_29_all_parts_together_count_against_the_limit_of_a_body() {
    let limits = HttpLimits { body: 10, ..HttpLimits::default() };
    let mut site = uploads_with(limits, options(), |_| {});
    let request = whole("/a", b"0123456789");
    lose(&mut site, &request, request.len() - 1);
    assert_eq!(send(&mut site, rest("/a", b"0123456789", 9)).status, 201);
    // A part continues only what began with a request for the whole file.
    for request in [whole("/a", b"0123456789a"), rest("/a", b"0123456789a", 0)] {
        assert_eq!(send(&mut site, request).status, 413);
    }
    assert_eq!(told(&send(&mut site, rest("/a", b"0123456789a", 9))), (409, Some(0)));
    assert_eq!(partials(&mut site), [""; 0]);
}

#[test]
fn row_29_partial_files_are_neither_served_nor_listed() {
    let options = FilesOptions { hidden: true, delete: true, archive: true, ..options() };
    let mut site = uploads_with(HttpLimits::default(), options, |_| {});
    let request = whole("/a", b"hello");
    lose(&mut site, &request, request.len() - 1);
    let name = partials(&mut site).remove(0);
    let path = format!("{PARTIALS}/{name}");
    assert_eq!(content(&mut site, &path).expect("a file"), b"hell");
    assert_eq!(get(&mut site, &path).status, 404);
    assert_eq!(get(&mut site, &format!("{PARTIALS}/")).status, 404);
    assert_eq!(ask(&mut site, &format!("DELETE {path}"), "").status, 403);
    assert_eq!(send(&mut site, whole(&path, b"x")).status, 403);
    let listing = ask(&mut site, "GET /", "Accept: application/json\r\n");
    assert!(listing.text().contains("dir") && !listing.text().contains("part"));
    assert!(!get(&mut site, "/?tar").body.windows(5).any(|part| part == b".part"));
}

#[test]
fn row_29_uploads_expire_after_their_last_byte() {
    let mut site = uploads();
    let body = b"all of a file";
    let request = whole("/a", body);
    lose(&mut site, &request, request.len() - 9);
    site.advance(KEEP / 2);
    let request = rest("/a", body, 4);
    lose(&mut site, &request, request.len() - 7);
    // Another upload looks for expired ones.
    site.advance(KEEP);
    assert_eq!(send(&mut site, whole("/b", body)).status, 201);
    assert_eq!(told(&send(&mut site, question("/a", 13))), (409, Some(6)));
    site.advance(Duration::from_secs(2));
    assert_eq!(send(&mut site, whole("/b", body)).status, 204);
    assert_eq!(partials(&mut site), [""; 0]);
}

#[test]
fn row_29_what_an_earlier_process_has_left_expires_when_the_server_starts() {
    let mut site = uploads_with(HttpLimits::default(), options(), |disk| {
        disk.put_file(format!("/www{PARTIALS}/old"), b"x", START - 3602);
        disk.put_file(format!("/www{PARTIALS}/new"), b"x", START - 3500);
    });
    assert_eq!(partials(&mut site), ["new"]);
}

#[test]
fn row_29_an_upload_that_cannot_be_kept_is_accepted_and_starts_again() {
    let body = b"all of a file";
    let at_the_limit = uploads_with(HttpLimits::default(), options(), |disk| {
        for name in ["1", "2"] {
            disk.put_file(format!("/www{PARTIALS}/{name}"), b"x", START);
        }
    });
    let on_another_disk =
        uploads_with(HttpLimits::default(), options(), |disk| disk.mount("/www/dir"));
    let mut without_directory = uploads();
    without_directory.files().remove(format!("/www{PARTIALS}"));
    for mut site in [at_the_limit, on_another_disk, without_directory] {
        let (request, before) = (whole("/dir/a", body), partials(&mut site));
        lose(&mut site, &request, request.len() - 9);
        assert_eq!(partials(&mut site), before);
        assert_eq!(told(&send(&mut site, question("/dir/a", 13))), (409, Some(0)));
        assert_eq!(send(&mut site, whole("/dir/a", body)).status, 201);
        assert_eq!(content(&mut site, "/dir/a").expect("a file"), body);
    }
}

#[test]
fn row_29_the_conditions_of_the_last_request_decide() {
    let mut site = uploads();
    let body = b"all of a file";
    let request = whole("/a", body);
    lose(&mut site, &request, request.len() - 9);
    site.files().put_file("/www/a", b"another", OLD);
    let condition = format!("Upload-Token: {TOKEN}\r\nIf-None-Match: *");
    let last = String::from_utf8(rest("/a", body, 4)).expect("characters");
    let conditional = last.replace(&format!("Upload-Token: {TOKEN}"), &condition);
    assert_eq!(send(&mut site, conditional).status, 412);
    assert_eq!(content(&mut site, "/a").expect("a file"), b"another");
    assert_eq!(send(&mut site, last).status, 204);
    assert_eq!(get(&mut site, "/a").text(), "all of a file");
}

#[test]
fn row_29_an_upload_that_does_not_fit_on_the_disk_is_removed() {
    for error in [libc::ENOSPC, libc::EDQUOT, libc::EFBIG] {
        let body = b"all of a file";
        let mut site = uploads();
        site.files().script_write([Step::Short(4), Step::Errno(error)]);
        assert_eq!(send(&mut site, whole("/a", body)).status, 507);
        assert_eq!(partials(&mut site), [""; 0]);
        // Also if a worker has written the beginning.
        let mut site = site_with(options(), |_| {});
        let body = noise(600_000);
        let request = whole("/a", &body);
        lose(&mut site, &request, request.len() - 1);
        let offset = told(&send(&mut site, question("/a", body.len()))).1.expect("an offset");
        site.files().script_write([Step::Errno(error)]);
        assert_eq!(send(&mut site, rest("/a", &body, offset)).status, 507);
        assert_eq!(partials(&mut site), [""; 0]);
    }
}

#[test]
fn row_29_other_uploads_look_for_expired_ones_once_a_minute() {
    const SHORT: Duration = Duration::from_secs(30);
    let resume = Some(Resume { keep: SHORT, most: 2 });
    let options = FilesOptions { resume, ..options() };
    let mut site = uploads_with(HttpLimits::default(), options, |_| {});
    let request = whole("/a", b"hello");
    lose(&mut site, &request, request.len() - 1);
    for kept in [1, 0] {
        site.advance(SHORT + Duration::from_secs(1));
        assert_eq!(ask(&mut site, "PUT /b", "").status, if kept == 1 { 201 } else { 204 });
        assert_eq!(partials(&mut site).len(), kept);
    }
}
