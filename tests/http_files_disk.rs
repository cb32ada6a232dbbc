//! Static files from a real disk to real sockets, with sendfile and without.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::{Limits, Listen, Reactor, Stopper};
use tempfile::tempdir;

/// Values of [`Limits::small_file`]: long files leave by sendfile, or are copied.
const SMALL_FILES: [u64; 2] = [16 << 10, u64::MAX];

/// A server of a directory, on a thread.
struct Server {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(root: &Path, small_file: u64) -> Server {
        Server::start_with(root, small_file, FilesOptions::default())
    }

    fn start_with(root: &Path, small_file: u64, options: FilesOptions) -> Server {
        let root = root.to_owned();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut reactor = Reactor::new().expect("a reactor");
            let options = FilesOptions { valid_for: Duration::ZERO, ..options };
            let files = Files::new(&mut reactor, root, options).expect("the root");
            let site = reactor.register(Http::new(files));
            let limits = Limits { small_file, ..Limits::default() };
            let listen = Listen { limits, ..Listen::default() };
            let listener = reactor.listen("127.0.0.1:0", &listen, site).expect("a free port");
            let address = reactor
                .listener_address(listener)
                .expect("it listens")
                .ip_and_port()
                .expect("an IP address");
            tell.send((address, reactor.stopper())).expect("the test");
            reactor.run().expect("a run without errors");
        });
        let (address, stopper) = told.recv().expect("a server");
        Server { address, stopper, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        // So that a server that does not answer fails the test and does not hold it.
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    }

    /// The answer to a request that is the last of its connection.
    fn ask(&self, line: &str, fields: &str) -> Vec<u8> {
        let mut stream = self.connect();
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("room for a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer and its end");
        answer
    }

    fn head(&self, path: &str, fields: &str) -> String {
        let answer = self.ask(&format!("HEAD {path}"), fields);
        String::from_utf8(answer).expect("a head of characters")
    }

    /// Status and body of an answer.
    fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut answer = self.ask(&format!("GET {path}"), "");
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of a head");
        let status =
            std::str::from_utf8(&answer[9..12]).expect("digits").parse().expect("a status");
        (status, answer.split_off(end + 4))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopper.stop().expect("a reactor to stop");
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the server panicked");
    }
}

/// Runs a test once for each way files can move.
fn each_transfer(put: impl Fn(&Path), test: impl Fn(&Server, &Path)) {
    for small_file in SMALL_FILES {
        let dir = tempdir().expect("a new directory");
        put(dir.path());
        test(&Server::start(dir.path(), small_file), dir.path());
    }
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i / 7 + i) as u8).collect()
}

#[test]
fn files_of_all_sizes_arrive_whole() {
    let sizes = [0, 1, 4096, 4097, 16 << 10, (16 << 10) + 1, 64 << 10, (64 << 10) + 1, 9 << 20];
    let put = |root: &Path| {
        for size in sizes {
            fs::write(root.join(size.to_string()), noise(size)).expect("a file");
        }
    };
    each_transfer(put, |server, _| {
        for size in sizes {
            let (status, body) = server.get(&format!("/{size}"));
            assert_eq!(status, 200);
            assert!(body == noise(size), "{size}");
        }
    });
}

#[test]
fn many_requests_on_one_connection_are_answered_in_order() {
    const ROUNDS: usize = 20;
    let put = |root: &Path| {
        fs::write(root.join("small"), noise(100)).expect("a file");
        fs::write(root.join("large"), noise(300_000)).expect("a file");
    };
    each_transfer(put, |server, _| {
        let mut stream = server.connect();
        let mut sender = stream.try_clone().expect("another handle");
        let writer = thread::spawn(move || {
            let round =
                "GET /small HTTP/1.1\r\nHost: x\r\n\r\nGET /large HTTP/1.1\r\nHost: x\r\n\r\n";
            sender.write_all(round.repeat(ROUNDS).as_bytes()).expect("room for requests");
            sender.write_all(b"GET /none HTTP/1.0\r\n\r\n").expect("room for requests");
        });
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("answers and their end");
        writer.join().expect("all requests were sent");
        let mut rest = &all[..];
        for len in [100, 300_000].repeat(ROUNDS) {
            let end = rest.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of a head");
            assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(rest[end + 4..][..len] == noise(len));
            rest = &rest[end + 4 + len..];
        }
        assert!(rest.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
    });
}

#[test]
fn links_are_followed_inside_and_refused_outside() {
    let outside = tempdir().expect("a new directory");
    fs::write(outside.path().join("secret"), "secret").expect("a file");
    let put = |root: &Path| {
        fs::create_dir(root.join("dir")).expect("a directory");
        fs::write(root.join("dir/file"), "content").expect("a file");
        symlink("dir/file", root.join("inside")).expect("a link");
        symlink("../dir", root.join("dir/round")).expect("a link");
        symlink(outside.path().join("secret"), root.join("absolute-outside")).expect("a link");
        symlink(root.join("dir/file"), root.join("absolute-inside")).expect("a link");
        symlink("..", root.join("up")).expect("a link");
        symlink("/proc/self/root", root.join("magic")).expect("a link");
        symlink("nowhere", root.join("broken")).expect("a link");
    };
    each_transfer(put, |server, _| {
        assert_eq!(server.get("/inside"), (200, b"content".to_vec()));
        assert_eq!(server.get("/dir/round/round/file"), (200, b"content".to_vec()));
        assert_eq!(server.get("/absolute-inside"), (200, b"content".to_vec()));
        for path in ["/absolute-outside", "/up/", "/up/x", "/magic/etc/passwd"] {
            assert_eq!(server.get(path).0, 403, "{path}");
        }
        assert_eq!(server.get("/broken").0, 404);
        let (_, listing) = server.get("/");
        let listing = String::from_utf8(listing).expect("a page of characters");
        for name in ["inside", "absolute-inside", "dir/"] {
            assert!(listing.contains(&format!("\"./{name}\"")), "{name}");
        }
        for name in ["absolute-outside", "up/", "magic", "broken"] {
            assert!(!listing.contains(name), "{name}");
        }
    });
}

#[test]
fn what_is_neither_file_nor_directory_is_refused_without_waiting() {
    let put = |root: &Path| {
        let made = Command::new("mkfifo").arg(root.join("fifo")).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo(1)");
        UnixListener::bind(root.join("socket")).expect("a socket");
        fs::create_dir(root.join("dir")).expect("a directory");
        UnixListener::bind(root.join("dir/index.html")).expect("a socket");
    };
    each_transfer(put, |server, _| {
        assert_eq!(server.get("/fifo").0, 404);
        assert_eq!(server.get("/socket").0, 404);
        let (_, listing) = server.get("/");
        let listing = String::from_utf8_lossy(&listing).into_owned();
        assert!(!listing.contains("fifo") && !listing.contains("socket"));
        let (status, listing) = server.get("/dir/");
        assert_eq!(status, 200);
        assert!(String::from_utf8_lossy(&listing).contains("0 directories, 0 files"));
    });
}

#[test]
fn a_name_that_is_not_utf_8_is_listed_and_served() {
    let put = |root: &Path| {
        // Some file systems refuse such names; then there is nothing to serve.
        let _ = fs::write(root.join(OsStr::from_bytes(b"caf\xe9.txt")), "content");
    };
    each_transfer(put, |server, root| {
        if fs::read_dir(root).expect("the root").count() == 1 {
            let (_, listing) = server.get("/");
            let listing = String::from_utf8(listing).expect("a page of characters");
            assert!(listing.contains("<a href=\"./caf%E9.txt\"><bdi>caf\u{fffd}.txt</bdi></a>"));
            assert_eq!(server.get("/caf%E9.txt"), (200, b"content".to_vec()));
        }
    });
}

#[test]
fn every_name_of_a_long_directory_is_on_a_page() {
    const COUNT: usize = 2500;
    let put = |root: &Path| {
        for i in 0..COUNT {
            fs::write(root.join(format!("{i:04}")), "").expect("a file");
        }
    };
    each_transfer(put, |server, _| {
        let mut all = Vec::new();
        for page in 1..=3 {
            let (status, page) = server.get(&format!("/?page={page}"));
            assert_eq!(status, 200);
            let page = String::from_utf8(page).expect("a page of characters");
            let names = page.split("<bdi>").skip(2).filter_map(|part| part.split('<').next());
            all.extend(names.map(str::to_owned));
        }
        assert!(all.into_iter().eq((0..COUNT).map(|i| format!("{i:04}"))));
    });
}

#[test]
fn a_file_replaced_by_a_rename_is_never_mixed_with_the_old_one() {
    const LEN: usize = 200_000;
    let put = |root: &Path| fs::write(root.join("file"), vec![b'a'; LEN]).expect("a file");
    each_transfer(put, |server, root| {
        for letter in b"bcdefgh" {
            fs::write(root.join("new"), vec![*letter; LEN]).expect("a file");
            fs::rename(root.join("new"), root.join("file")).expect("a new name");
            assert!(server.get("/file") == (200, vec![*letter; LEN]));
        }
    });
}

#[test]
fn a_root_that_is_missing_is_named_in_the_error() {
    let mut reactor = Reactor::new().expect("a reactor");
    let error = Files::new(&mut reactor, "/no/such/directory", FilesOptions::default())
        .err()
        .expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/no/such/directory"), "{error}");
}

/// The kernel makes the contents of such files when they are read, and states a length of 0.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_states_no_length_is_read_to_its_end() {
    let expected = fs::read("/proc/sys/kernel/ostype").expect("the name of the kernel");
    for small_file in SMALL_FILES {
        let server = Server::start(Path::new("/proc/sys/kernel"), small_file);
        for _ in 0..2 {
            assert_eq!(server.get("/ostype"), (200, expected.clone()));
        }
        let head = server.head("/ostype", "If-None-Match: *\r\n");
        assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
        let head = server.head("/ostype", "If-Match: \"a\"\r\n");
        assert!(head.starts_with("HTTP/1.1 412 "), "{head}");
        let conditions = "If-None-Match: \"\"\r\nIf-Match: *\r\n";
        let part = server.ask("GET /ostype", "Range: bytes=0-1\r\n");
        assert!(part.starts_with(b"HTTP/1.1 200 ") && part.ends_with(&expected));
        let head = server.head("/ostype", conditions);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", expected.len())), "{head}");
        for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
            assert!(!head.contains(name), "{head}");
        }
        // Longer than a page: read in several pieces.
        let server = Server::start(Path::new("/proc/self"), small_file);
        let (status, maps) = server.get("/smaps");
        assert!(status == 200 && maps.len() > 4096 && maps.ends_with(b"\n"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_states_no_length_and_has_too_much_is_an_error() {
    let options = FilesOptions { unsized_body: 5, ..FilesOptions::default() };
    let server = Server::start_with(Path::new("/proc/sys/kernel"), u64::MAX, options);
    assert_eq!(fs::read("/proc/sys/kernel/ostype").expect("the name of the kernel").len(), 6);
    assert_eq!(server.get("/ostype").0, 500);
}
