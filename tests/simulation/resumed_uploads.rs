//! Uploads that are interrupted and continued, at any of two servers of one directory: what is kept
//! is always the beginning of the file, and the file appears only when it is complete.

use sluicegate_protocols::files::{Files, FilesOptions, Resume};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::Listen;
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::simulation::Client;
use sluicegate_reactor::testing::{Faults, Sim, Simulation};

use crate::noise;
use crate::watched::Watched;

const ADDRESSES: [&str; 2] = ["10.0.0.1:80", "10.0.0.1:81"];
const PARTIALS: &str = "/www/.uploads.0000000000000000.part";
const SIZES: [usize; 4] = [13, 3000, 70_000, 300_000];
/// How often a client tries.
const TRIES: usize = 8;

fn serve(sim: &mut Sim) {
    sim.files().make_dir("/www");
    let sync = sim.below(2) == 0;
    if sim.below(3) == 0 {
        sim.files().set_in_memory();
    }
    let options = FilesOptions {
        upload: Some(CreateOptions { sync, ..CreateOptions::default() }),
        resume: Some(Resume::default()),
        ..FilesOptions::default()
    };
    for address in ADDRESSES {
        sim.reactor(|reactor| {
            // Files cannot always be opened.
            let mut tries =
                (0..100).filter_map(|_| Files::new(reactor, "/www", options.clone()).ok());
            let files = tries.next().expect("the root is there");
            drop(tries);
            let http = reactor.register(Watched::new(Http::new(files)));
            reactor.listen(address, &Listen::default(), http).expect("the address is free");
        });
    }
}

/// A request that sends the rest of the file. If there is none, it asks how much has arrived.
fn request(size: usize, offset: usize) -> Vec<u8> {
    let range = match offset {
        0 => String::new(),
        _ if offset == size => format!("Content-Range: bytes */{size}\r\n"),
        _ => format!("Content-Range: bytes {offset}-{}/{size}\r\n", size - 1),
    };
    let length = size - offset;
    let head = format!(
        "PUT /a HTTP/1.1\r\nHost: h\r\nUpload-Token: 0123456789abcdef\r\n{range}\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &noise(size)[offset..]].concat()
}

/// The last offset that a server has told a client.
fn told(client: &Client) -> Option<usize> {
    let received = client.received().text().to_owned();
    let (_, offset) = received.rsplit_once("Upload-Offset: ")?;
    Some(offset.split_once("\r\n")?.0.parse().expect("a number"))
}

fn is_saved(client: &Client) -> bool {
    [b"HTTP/1.1 201", b"HTTP/1.1 204"].iter().any(|start| client.received().starts_with(*start))
}

/// Asserts that files have no gaps. Returns whether the upload is complete.
fn check(sim: &mut Sim, size: usize) -> bool {
    let (files, whole) = (sim.files(), noise(size));
    for name in files.names(PARTIALS) {
        let partial = files.content(format!("{PARTIALS}/{name}")).expect("a file");
        assert!(!partial.is_empty() && whole.starts_with(partial), "{} bytes", partial.len());
    }
    assert_eq!(files.temporary(), 0, "temporary files are left");
    let content = files.content("/www/a");
    assert!(content.is_none_or(|content| content == whole), "the file is not exact");
    content.is_some()
}

/// Sends the rest of a file, at most all but one byte of the request if the connection is lost.
fn send(sim: &mut Sim, size: usize, offset: usize, complete: bool) -> Client {
    let mut request = request(size, offset);
    if !complete {
        request.truncate(sim.below(request.len()));
    }
    let at = sim.below(ADDRESSES.len());
    let client = sim.client(ADDRESSES[at]).sends(request);
    match sim.below(2) {
        _ if complete => client,
        0 => client.resets(),
        _ => client.finishes(),
    }
}

fn run(faults: Faults, is_reliable: bool) {
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let size = SIZES[sim.below(SIZES.len())];
        let mut offset = 0;
        for number in 1..=TRIES {
            let complete = number == TRIES;
            let client = send(sim, size, offset, complete);
            // Another client, or the same one once more.
            let rival = (!complete && sim.below(3) == 0).then(|| send(sim, size, offset, true));
            sim.run();
            let is_there = check(sim, size);
            let is_said = is_saved(&client) || rival.is_some_and(|rival| is_saved(&rival));
            assert!(is_there || !is_said, "it was said to be saved");
            if is_there {
                return;
            }
            let question = sim.client(ADDRESSES[number % 2]).sends(request(size, size));
            sim.run();
            offset = told(&question).unwrap_or(offset);
        }
        assert!(!is_reliable, "the upload was never completed");
    });
}

#[test]
pub(crate) fn an_upload_that_is_interrupted_again_and_again_comes_out_whole() {
    run(Faults::none(), true);
}

#[test]
pub(crate) fn an_upload_that_is_interrupted_while_everything_goes_wrong_leaves_no_gaps() {
    run(Faults::default(), false);
}
