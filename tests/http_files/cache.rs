//! What is kept of files, and when a change is seen.

use sluicegate_protocols::files::{Changes, Upload};
use sluicegate_protocols::http::{Answered, Middleware, Reply, Request, Service};
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::Step;

use super::uploads::put;
use super::*;

/// The same files for two threads. Changes go to the first one, and requests with a query to the
/// second one.
struct Threads([Files; 2]);

impl Middleware for Threads {
    type Inner = Files;

    fn inner(&self) -> &Files {
        &self.0[0]
    }

    fn inner_mut(&mut self) -> &mut Files {
        &mut self.0[0]
    }

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered<Upload> {
        self.0[usize::from(request.query().is_some())].call(request, reply)
    }
}

#[test]
fn a_thread_sees_the_uploads_and_deletions_of_another_one_at_once() {
    let mut site = Harness::build(
        &Listen::default(),
        |disk| {
            disk.put_file("/www/a", b"old", OLD);
        },
        |reactor| {
            let upload = Some(CreateOptions::default());
            let options = FilesOptions { upload, delete: true, ..FilesOptions::default() };
            let changes = Changes::default();
            let threads = [0, 1].map(|_| {
                let files = Files::new(reactor, "/www", options.clone());
                files.expect("the root is there").with_changes(changes.clone())
            });
            reactor.register(Http::new(Threads(threads)))
        },
    );
    let client = site.open();
    let mut ask = |request: &str| {
        site.feed(client, request);
        let answer = Answer::parse(&site.take(client));
        (answer.status, answer.text().to_owned(), site.calls().open)
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    for path in ["/a", "/a?"] {
        ask(&get(path));
    }
    ask(&put("/a", "new"));
    assert_eq!(ask(&get("/a?")).1, "new");
    let before = ask(&get("/a?")).2;
    assert_eq!(ask(&get("/a?")), (200, "new".to_owned(), before), "a file is checked once");
    ask("DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(ask(&get("/a?")).0, 404);
}

#[test]
fn a_change_is_seen_at_once_under_every_name_of_the_file() {
    let upload = Some(CreateOptions::default());
    let options = FilesOptions { upload, delete: true, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        disk.put_file("/www/dir/a", b"old", OLD);
        disk.put_symlink("/www/link", "dir");
    });
    assert_eq!(get(&mut site, "/link/a").text(), "old");
    let client = site.open();
    site.feed(client, put("/dir/a", "new"));
    assert_eq!(Answer::parse(&site.take(client)).status, 204);
    assert_eq!(get(&mut site, "/link/a").text(), "new");
    assert_eq!(ask(&mut site, "DELETE /dir/a", "").status, 204);
    assert_eq!(get(&mut site, "/link/a").status, 404);
}

#[test]
fn a_file_in_the_cache_is_served_without_a_system_call_for_it() {
    let mut site = site(|disk| disk.put_file("/www/a", b"content", OLD));
    get(&mut site, "/a");
    let before = site.calls();
    assert_eq!(get(&mut site, "/a").text(), "content");
    let after = site.calls();
    assert_eq!(after.open, before.open);
    assert_eq!(after.metadata, before.metadata);
    assert_eq!(after.read_at, before.read_at);
    site.advance(LATER);
    assert_eq!(get(&mut site, "/a").text(), "content");
    let later = site.calls();
    assert_eq!(later.open, after.open + 1);
    assert_eq!(later.read_at, after.read_at, "an unchanged file is not read again");
}

#[test]
fn a_file_that_was_replaced_changed_or_removed_is_seen_in_time() {
    let put = |disk: &mut Disk| {
        disk.put_file("/www/small", b"one", OLD);
        disk.put_file("/www/large", &noise(100_000), OLD);
    };
    each_transfer(put, |mut site| {
        for path in ["/small", "/large"] {
            get(&mut site, path);
            site.files().put_file(format!("/www{path}"), b"two", OLD);
            site.advance(LATER);
            assert_eq!(get(&mut site, path).text(), "two");
            site.files().append(format!("/www{path}"), b"!", START);
            site.advance(LATER);
            assert_eq!(get(&mut site, path).text(), "two!");
            site.files().remove(format!("/www{path}"));
            site.advance(LATER);
            assert_eq!(get(&mut site, path).status, 404);
            site.files().put_file(format!("/www{path}"), b"three", OLD);
            assert_eq!(get(&mut site, path).text(), "three", "errors are not kept");
        }
    });
}

#[test]
fn a_file_held_open_that_was_removed_is_closed_when_it_is_missed() {
    let put = |disk: &mut Disk| disk.put_file("/www/a", &noise(100_000), OLD);
    each_transfer(put, |mut site| {
        let root = site.open_descriptors().files;
        get(&mut site, "/a");
        assert_eq!(site.open_descriptors().files, root + 1);
        site.files().remove("/www/a");
        site.advance(LATER);
        assert_eq!(get(&mut site, "/a").status, 404);
        assert_eq!(site.open_descriptors().files, root);
    });
}

#[test]
fn a_file_held_open_that_changes_in_place_is_seen_once_the_time_is_over() {
    let put = |disk: &mut Disk| disk.put_file("/www/a", &noise(100_000), OLD);
    each_transfer(put, |mut site| {
        let before = get(&mut site, "/a");
        site.files().truncate("/www/a", 70_000, START);
        site.advance(LATER);
        let after = get(&mut site, "/a");
        assert!(after.body == noise(70_000));
        assert_ne!(before.field("ETag"), after.field("ETag"));
    });
}

#[test]
fn a_change_within_the_second_of_the_last_one_is_not_missed() {
    let mut site = site(|disk| disk.put_file("/www/a", b"one", START));
    assert_eq!(get(&mut site, "/a").text(), "one");
    // The clock of the disk has not moved on, and neither has the length.
    site.files().truncate("/www/a", 0, START);
    site.files().append("/www/a", b"two", START);
    site.advance(LATER);
    assert_eq!(get(&mut site, "/a").text(), "two");
}

#[test]
fn a_file_that_is_read_in_pieces_is_kept_whole() {
    let mut site = site(|disk| disk.put_file("/www/a", b"content", OLD));
    site.files().script_read("/www/a", [Step::Short(3), Step::Interrupted, Step::Short(1)]);
    assert_eq!(get(&mut site, "/a").text(), "content");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_is_not_kept() {
    let mut site = site(|disk| disk.put_file("/www/a", b"content", OLD));
    site.files().script_read("/www/a", [Step::Errno(libc::EIO)]);
    assert_eq!(get(&mut site, "/a").status, 500);
    assert_eq!(get(&mut site, "/a").text(), "content");
}

#[test]
fn running_out_of_descriptors_is_answered_and_passes() {
    let mut site = site(|disk| disk.put_file("/www/a", b"content", OLD));
    let client = site.open();
    // The listener, the client and the root are open.
    site.set_descriptor_limit(3);
    site.feed(client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(Answer::parse(&site.sent(client)).status, 503);
    site.set_descriptor_limit(10);
    site.feed(client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(Answer::parse(&site.sent(client)).text(), "content");
}

#[test]
fn the_cache_keeps_within_its_bounds() {
    let options =
        FilesOptions { cache_files: 3, cache_bytes: 520 << 10, ..FilesOptions::default() };
    let mut site = site_with(options, |disk| {
        (0..10).for_each(|i| disk.put_file(format!("/www/{i}"), &noise(100_000), OLD));
    });
    let idle = site.open_descriptors().files;
    for i in 0..10 {
        assert!(get(&mut site, &format!("/{i}")).body == noise(100_000));
        assert!(site.open_descriptors().files <= idle + 2);
    }
}

#[test]
fn the_cache_gives_its_descriptors_back_when_there_are_no_others() {
    let mut site = site(|disk| {
        (0..10).for_each(|i| disk.put_file(format!("/www/{i}"), &noise(100_000), OLD));
    });
    let client = site.open();
    // The listener, the client and the root are open.
    site.set_descriptor_limit(5);
    for i in 0..10 {
        site.feed(client, format!("GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(Answer::parse(&site.take(client)).status, 200, "{i}");
    }
}
