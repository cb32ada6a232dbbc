//! What is promised of static files, on a simulated disk. Each test runs with sendfile and without.

#![cfg(feature = "testing")]

use std::time::Duration;

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::testing::{Files as Disk, Harness, State};
use sluicegate_reactor::{Limits, Listen};

mod archives;
mod cache;
mod common_fields;
mod deleting;
mod directories;
mod forms;
mod links;
mod listings;
#[path = "../reactor/logged.rs"]
mod logged;
mod missing;
mod paths;
mod precompressed;
mod resume;
mod sending;
mod upload_conditions;
mod upload_directories;
mod uploads;
mod validators;

/// Long before the clock of the harness starts, which is in 1994.
const OLD: i64 = 100_000_000;
/// When the clock of the harness starts.
const START: i64 = 784_111_777;
/// Longer than a file stays valid by default.
const LATER: Duration = Duration::from_millis(1100);

type Site = Harness<Http<Files>>;

/// Values of [`Limits::small_file`]: long files leave by sendfile, or are copied.
const SMALL_FILES: [u64; 2] = [16 << 10, u64::MAX];

fn site_sending(small_file: u64, options: FilesOptions, put: impl FnOnce(&mut Disk)) -> Site {
    let limits = Limits { small_file, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let disk = |disk: &mut Disk| {
        disk.make_dir("/www");
        put(disk);
    };
    Harness::build(&listen, disk, |reactor| {
        let files = Files::new(reactor, "/www", options).expect("the root is there");
        reactor.register(Http::new(files))
    })
}

fn site_with(options: FilesOptions, put: impl FnOnce(&mut Disk)) -> Site {
    site_sending(SMALL_FILES[0], options, put)
}

fn site(put: impl FnOnce(&mut Disk)) -> Site {
    site_with(FilesOptions::default(), put)
}

/// Runs a test once for each way files can move.
fn each_transfer(put: impl Fn(&mut Disk), test: impl Fn(Site)) {
    for small_file in SMALL_FILES {
        test(site_sending(small_file, FilesOptions::default(), &put));
    }
}

/// An answer, taken apart.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of a head");
        let head = String::from_utf8(bytes[..end + 2].to_vec()).expect("a head of characters");
        let status = head["HTTP/1.1 ".len()..][..3].parse().expect("a status");
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        let mut values = self.head.lines().filter_map(|line| line.strip_prefix(&prefix));
        let value = values.next();
        assert_eq!(values.next(), None, "{name} comes twice in {}", self.head);
        value
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of characters")
    }
}

/// Sends the head of a request on a new connection and takes the answer.
fn ask(site: &mut Site, line: &str, fields: &str) -> Answer {
    let client = site.open();
    site.feed(client, format!("{line} HTTP/1.1\r\nHost: example.org\r\n{fields}\r\n"));
    let answer = Answer::parse(&site.sent(client));
    assert_eq!(site.state(client), State::Open);
    answer
}

fn get(site: &mut Site, path: &str) -> Answer {
    ask(site, &format!("GET {path}"), "")
}

/// Bytes of which each part looks different.
fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i / 7 + i) as u8).collect()
}
