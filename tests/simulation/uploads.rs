//! Files that are put: what was said to be there is, and nothing is there in part.

use std::collections::HashMap;
use std::time::Duration;

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::Listen;
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:80";
const SIZES: [usize; 5] = [0, 13, 3000, 30_000, 150_000];

fn serve(sim: &mut Sim) {
    sim.files().make_dir("/www");
    let options =
        FilesOptions { upload: Some(CreateOptions::default()), ..FilesOptions::default() };
    sim.reactor(|reactor| {
        let files = Files::new(reactor, "/www", options).expect("the root is there");
        let http = reactor.register(Watched::new(Http::new(files)));
        reactor.listen(ADDRESS, &Listen::default(), http).expect("the address is free");
    });
}

/// Puts a file under a path, or sends it in a form; with its length or in chunks.
fn put(sim: &mut Sim, path: &str, size: usize) -> Vec<u8> {
    const BOUNDARY: &str = "----a-boundary-that-is-in-no-noise";

    let mut body = noise(size);
    let mut start = format!("PUT {path} HTTP/1.1\r\nHost: h\r\n");
    if sim.below(3) == 0 {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        start = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n");
        let disposition = format!("form-data; name=\"file\"; filename=\"{path}\"");
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n");
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        body = [head.as_bytes(), &body, end.as_bytes()].concat();
    }
    if sim.below(2) == 0 {
        let size = body.len();
        let head = format!("{start}Content-Length: {size}\r\n\r\n");
        return [head.as_bytes(), &body].concat();
    }
    let mut request = format!("{start}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let longest = [1000, 65_536][sim.below(2)];
    for chunk in body.chunks(longest) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// The statuses of the answers whose heads a client got whole.
fn statuses(received: &[u8]) -> Vec<u16> {
    let (mut rest, mut all) = (received, Vec::new());
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = std::str::from_utf8(&rest[..end]).expect("characters");
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let len: usize = len.map_or(0, |len| len.parse().expect("a length"));
        all.push(head["HTTP/1.1 ".len()..][..3].parse().expect("a status"));
        rest = &rest[(end + 4 + len).min(rest.len())..];
    }
    all
}

/// Whether an answer says that a file was saved.
fn is_saved(status: u16) -> bool {
    matches!(status, 201 | 204 | 303)
}

/// Asserts whenever something arrives that it is what can be said of so many files.
fn listen(client: &Client, files: usize) {
    let mut received = Vec::new();
    client.clone().hears(move |bytes| {
        received.extend(bytes);
        let statuses = statuses(&received);
        assert!(statuses.len() <= files, "{statuses:?} for {files} files");
        for status in statuses {
            // Disks are full or fail, descriptors run out, clients and a slow machine take their
            // time.
            let is_possible = is_saved(status) || matches!(status, 408 | 500 | 503 | 507);
            assert!(is_possible, "{}", received.escape_ascii());
        }
    });
}

/// Asserts that what is under a path is what the last answer says, or whole at least. `forms` says
/// which requests are forms.
fn check(sim: &mut Sim, path: &str, client: &Client, sizes: &[usize], forms: &[bool]) {
    let answers = statuses(&client.received());
    let content = sim.files().content(format!("/www{path}")).map(<[u8]>::len);
    let last = answers.iter().rposition(|status| is_saved(*status));
    // Those without an answer may have been stored or not. So may the file of a form that was
    // refused because its end is missing: it is stored when it is complete.
    let stored =
        answers.iter().zip(forms).take_while(|(status, form)| is_saved(**status) || !**form);
    let unanswered = &sizes[stored.count()..];
    let known = last.map(|last| sizes[last]);
    let possible = content == known || content.is_some_and(|len| unanswered.contains(&len));
    assert!(possible, "{content:?} bytes under {path} after {answers:?} for {sizes:?}");
    if let Some(len) = content {
        let files = sim.files();
        assert!(files.content(format!("/www{path}")) == Some(&noise(len)), "{path} is not exact");
    }
}

fn run(faults: Faults, complete: bool) {
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let mut all = HashMap::new();
        for number in 0..1 + sim.below(4) {
            let path = format!("/{number}");
            let sizes: Vec<_> = (0..1 + sim.below(4)).map(|_| SIZES[sim.below(5)]).collect();
            let requests: Vec<_> = sizes.iter().map(|size| put(sim, &path, *size)).collect();
            let forms: Vec<_> =
                requests.iter().map(|request| request.starts_with(b"POST")).collect();
            let mut requests = requests.concat();
            if !complete {
                requests.truncate(sim.below(requests.len()));
            }
            let client = sim.client(ADDRESS).sends(requests);
            listen(&client, sizes.len());
            let client = match sim.below(3) {
                _ if complete => client,
                0 => client.resets(),
                1 => client.waits(Duration::from_secs(1)),
                _ => client.finishes(),
            };
            all.insert(path, (client, sizes, forms));
        }
        sim.run();
        assert_eq!(sim.files().temporary(), 0, "temporary files are left");
        for (path, (client, sizes, forms)) in all {
            check(sim, &path, &client, &sizes, &forms);
            let answered = statuses(&client.received()).len() == sizes.len();
            let excused = client.is_spoilt() || client.end() == End::Reset;
            // One whose rest could not be told apart from the next request was closed.
            let closed = client.received().windows(17).any(|part| part == b"Connection: close");
            assert!(!complete || answered || excused || closed, "{client:?}");
        }
    });
}

#[test]
pub(crate) fn files_that_are_put_are_there_when_it_is_said() {
    run(Faults::default(), true);
}

#[test]
pub(crate) fn files_that_are_cut_off_are_not_there() {
    run(Faults::default(), false);
}
