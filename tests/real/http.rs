//! The example `http`, moving files both ways it can.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{Process, Server, example, has, run};
use crate::random::noise;

/// A directory and a server of it.
struct Site {
    dir: TempDir,
    server: Server,
}

impl Site {
    fn start(put: impl FnOnce(&Path), flags: &[&str]) -> Site {
        let dir = tempdir().expect("a new directory");
        put(dir.path());
        let server = Server::start(example("http").arg(dir.path()).args(flags));
        Site { dir, server }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// Fetches a file with curl and compares.
    fn curl(&self, name: &str, flags: &[&str]) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "120"]).args(flags);
        let mut curl = Process::spawn(curl.arg(self.url("/") + name).stdout(Stdio::piped()));
        self.compare(curl.stdout(), name);
        assert_eq!(curl.wait(), Some(0), "curl of {name}");
    }

    /// Compares what arrives, to its end, with a file.
    fn compare(&self, mut arriving: impl Read, name: &str) {
        const CHUNK: u64 = 1 << 20;
        let mut file = File::open(self.dir.path().join(name)).expect("a file");
        let (mut expected, mut received) = (Vec::new(), Vec::new());
        for chunk in 0.. {
            expected.clear();
            received.clear();
            (&mut file).take(CHUNK).read_to_end(&mut expected).expect("its bytes");
            (&mut arriving).take(CHUNK).read_to_end(&mut received).expect("bytes or the end");
            assert!(expected == received, "{name} is not the same in its MiB {chunk}");
            if expected.is_empty() {
                return;
            }
        }
    }
}

/// Runs a test once for each way files can move.
fn each_way(put: impl Fn(&Path), test: impl Fn(&Site)) {
    test(&Site::start(&put, &[]));
    test(&Site::start(&put, &["--copy"]));
}

fn put_noise(root: &Path, name: &str, len: usize) {
    fs::write(root.join(name), noise(len, len as u64 + 1)).expect("a file");
}

#[test]
fn curl_gets_files_of_all_sizes_byte_for_byte() {
    const SIZES: [usize; 7] = [0, 1, 16_383, 16_384, 16_385, 64 << 10, 10 << 20];
    if !has("curl") {
        return;
    }
    let put = |root: &Path| SIZES.iter().for_each(|&len| put_noise(root, &len.to_string(), len));
    each_way(put, |site| {
        for len in SIZES {
            site.curl(&len.to_string(), &[]);
        }
    });
}

/// A file with holes, so that it takes little of the disk.
fn put_gibibyte(root: &Path) {
    const LEN: u64 = 1 << 30;
    let file = File::create_new(root.join("gibibyte")).expect("a file");
    file.set_len(LEN).expect("a file system that has holes");
    let island = noise(100_000, 1);
    for at in [0, (1 << 20) - 7, (8 << 20) - 1, (1 << 29) - 50_000, LEN - island.len() as u64] {
        file.write_all_at(&island, at).expect("room on the disk");
    }
}

#[test]
fn curl_gets_a_gibibyte_byte_for_byte() {
    if has("curl") {
        each_way(put_gibibyte, |site| site.curl("gibibyte", &[]));
    }
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    if has("curl") {
        let put = |root: &Path| put_noise(root, "file", 8 << 20);
        each_way(put, |site| site.curl("file", &["--limit-rate", "6M"]));
    }
}

#[test]
fn fifty_clients_at_a_time_get_what_each_asked_for() {
    const CLIENTS: usize = 50;
    let len = |client: usize| 10_000 + client * 20_000;
    let put = |root: &Path| {
        (0..CLIENTS).for_each(|client| put_noise(root, &client.to_string(), len(client)));
    };
    each_way(put, |site| {
        let all_connected = Barrier::new(CLIENTS);
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let all_connected = &all_connected;
                scope.spawn(move || {
                    let mut client = Client::new(&site.server);
                    all_connected.wait();
                    for _ in 0..3 {
                        client.ask("GET", &format!("/{number}"));
                        let len = client.head().len;
                        site.compare(client.rest().take(len), &number.to_string());
                    }
                });
            }
        });
    });
}

/// How many descriptors a process has open, where that can be seen.
fn descriptors(server: &Server) -> Option<usize> {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).ok().map(Iterator::count)
}

/// Waits until a server has no more descriptors open than that.
fn back_to(baseline: Option<usize>, server: &Server) {
    crate::process::eventually("the descriptors are given back", || {
        (descriptors(server) == baseline).then_some(())
    });
}

#[test]
fn clients_cut_in_the_middle_disturb_nobody_and_leave_no_descriptor() {
    let put = |root: &Path| {
        put_noise(root, "large", 10 << 20);
        put_noise(root, "small", 1000);
    };
    each_way(put, |site| {
        let mut client = Client::new(&site.server);
        client.get("/nothing");
        // The file stays open in the cache, this connection does not.
        let baseline = descriptors(&site.server);
        client.get("/large");
        drop(client);
        back_to(baseline, &site.server);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = Client::new(&site.server);
                for name in ["large", "small", "large", "large"] {
                    client.ask("GET", &format!("/{name}"));
                    let len = client.head().len;
                    site.compare(client.rest().take(len), name);
                }
            });
            for number in 0..60 {
                let mut client = Client::new(&site.server);
                client.ask("GET", "/large");
                let mut some = vec![0; number * 5000];
                client.rest().read_exact(&mut some).expect("some of it");
                let stream = client.into_stream();
                if number % 2 == 0 {
                    let now = Some(Duration::ZERO);
                    SockRef::from(&stream).set_linger(now).expect("an option");
                }
            }
        });
        back_to(baseline, &site.server);
        assert_eq!(Client::new(&site.server).get("/small").0.status, 200);
    });
}

#[test]
fn head_tells_the_length_and_sends_no_body() {
    let put = |root: &Path| {
        put_noise(root, "small", 1000);
        put_noise(root, "large", 100_000);
    };
    each_way(put, |site| {
        let mut client = Client::new(&site.server);
        for (name, len) in [("/small", 1000), ("/large", 100_000)] {
            client.ask("HEAD", name);
            let head = client.head();
            assert_eq!((head.status, head.len), (200, len));
            // A body would be taken for the next head.
            let (again, body) = client.get(name);
            assert_eq!((again.status, body.len() as u64), (200, len));
        }
    });
}

#[test]
fn what_is_not_there_is_refused_and_the_connection_goes_on() {
    let put = |root: &Path| put_noise(root, "file", 1000);
    each_way(put, |site| {
        let mut client = Client::new(&site.server);
        for path in ["/none", "/none/", "/file/", "/file/none"] {
            assert_eq!(client.get(path).0.status, 404, "{path}");
        }
        for path in ["/../file", "/%2e%2e/file"] {
            assert_eq!(client.get(path).0.status, 400, "{path}");
        }
        assert_eq!(client.get("/file").0.status, 200);
    });
}

#[test]
fn requests_one_after_the_other_use_one_connection() {
    let put = |root: &Path| (0..10).for_each(|n| put_noise(root, &n.to_string(), n * 3000));
    each_way(put, |site| {
        let mut client = Client::new(&site.server);
        for n in (0..10).cycle().take(200) {
            let (head, body) = client.get(&format!("/{n}"));
            assert_eq!(head.status, 200);
            assert!(body == noise(n * 3000, n as u64 * 3000 + 1), "{n}");
        }
    });
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let put = |root: &Path| (0..10).for_each(|n| put_noise(root, &n.to_string(), n * 9000));
    each_way(put, |site| {
        let mut client = Client::new(&site.server);
        let order = || (0..10).cycle().take(300);
        let request = |n: usize| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.send(order().map(request).collect::<String>().as_bytes());
        for n in order() {
            let (head, body) = client.answer();
            assert_eq!(head.status, 200);
            assert!(body == noise(n * 9000, n as u64 * 9000 + 1), "{n}");
        }
    });
}

#[test]
fn a_listing_has_its_names_escaped() {
    let names = ["a&b\"c'd", "<script>x", "50% #1?", "über", "javascript:x"];
    let put = |root: &Path| names.iter().for_each(|name| put_noise(root, name, 1));
    each_way(put, |site| {
        let (head, page) = Client::new(&site.server).get("/");
        assert!(head.fields.contains("Content-Type: text/html; charset=utf-8\r\n"), "{head:?}");
        let page = String::from_utf8(page).expect("a page of characters");
        for row in [
            "<a href=\"./a%26b%22c%27d\"><bdi>a&amp;b&quot;c&#39;d</bdi></a>",
            "<a href=\"./%3Cscript%3Ex\"><bdi>&lt;script&gt;x</bdi></a>",
            "<a href=\"./50%25%20%231%3F\"><bdi>50% #1?</bdi></a>",
            "<a href=\"./%C3%BCber\"><bdi>über</bdi></a>",
            "<a href=\"./javascript:x\"><bdi>javascript:x</bdi></a>",
        ] {
            assert!(page.contains(row), "{row} is not in {page}");
        }
        assert!(!page.contains("<script"), "{page}");
    });
}

#[test]
fn a_directory_that_is_not_there_is_one_line_and_code_1() {
    let outcome = run(example("http").args(["/no/such/directory", "--port", "0"]));
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("/no/such/directory"), "{outcome:?}");
}

#[test]
fn terminate_ends_it_with_success_in_the_middle_of_an_answer() {
    let dir = tempdir().expect("a new directory");
    put_noise(dir.path(), "large", 10 << 20);
    for flags in [&[][..], &["--copy"]] {
        let mut http = example("http");
        let mut server = Server::start(http.arg(dir.path()).args(flags).args(["--drain", "0"]));
        let mut client = Client::new(&server);
        client.ask("GET", "/large");
        client.head();
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
    }
}

#[test]
fn a_directory_is_unpacked_by_tar() {
    if !has("curl") || !has("tar") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let deep = dir.path().join("photos").join("a".repeat(120)).join("B\u{e4}ume");
    fs::create_dir_all(&deep).expect("directories");
    fs::write(deep.join("file"), "content").expect("a file");
    let large = File::create(dir.path().join("photos/large")).expect("a file");
    large.set_len(3 << 20).expect("a sparse file");
    let server = Server::start(example("http").arg("--archive").arg(dir.path()));
    let url = format!("http://{}/photos/?tar", server.address);
    let archive = local.path().join("photos.tar");
    let curl = run(Command::new("curl").args(["-sfo"]).arg(&archive).arg(url));
    assert_eq!(curl.code, Some(0), "{curl:?}");
    let tar = run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(local.path()));
    assert_eq!(tar.code, Some(0), "{tar:?}");
    let diff = Command::new("diff")
        .arg("-r")
        .args([dir.path().join("photos"), local.path().join("photos")])
        .status();
    assert!(diff.expect("diff").success());
}
