//! Files by HTTP: every answer whole, exact and in order.

use sluicegate_protocols::http::Http;
use sluicegate_protocols::http::files::{Files, FilesOptions};
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{FileTransfer, Limits, Listen};

use crate::noise;

const ADDRESS: &str = "10.0.0.1:80";
/// Read, sent by sendfile in one call, and in several; and one that is empty.
const SIZES: [usize; 5] = [0, 13, 9000, 30_000, 150_000];

fn serve(sim: &mut Sim) {
    for size in SIZES {
        sim.files().put_file(format!("/www/{size}"), &noise(size), 0);
    }
    let files = [FileTransfer::Sendfile, FileTransfer::Copy][sim.below(2)];
    let limits = Limits { files, ..Limits::default() };
    sim.reactor(|reactor| {
        let files = Files::new(reactor.fs(), "/www", FilesOptions::default());
        let http = reactor.register(Http::new(files.expect("the root is there")));
        reactor.listen(ADDRESS, &Listen { limits, ..Listen::default() }, http).expect("free");
    });
}

fn get(size: usize) -> String {
    format!("GET /{size} HTTP/1.1\r\nHost: example.org\r\n\r\n")
}

/// Asserts that a client was sent answers with these bodies; all of them, or its connection was cut
/// and looks it.
fn check(client: &Client, sizes: &[usize]) {
    let received = client.received();
    let mut rest = &received[..];
    for size in sizes {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else { return check_cut(client, rest) };
        let (head, body) = rest.split_at(end + 4);
        let head = std::str::from_utf8(head).expect("characters");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {size}\r\n")), "{head}");
        let (whole, there) = (noise(*size), body.len().min(*size));
        assert!(body[..there] == whole[..there], "the file of {size} bytes is not exact");
        if there < *size {
            return check_cut(client, &[]);
        }
        rest = &body[*size..];
    }
    assert!(rest.is_empty(), "{} bytes that nobody has asked for", rest.len());
}

fn check_cut(client: &Client, head: &[u8]) {
    let start = b"HTTP/1.1 200 OK\r\n";
    let there = head.len().min(start.len());
    assert_eq!(head[..there].escape_ascii().to_string(), start[..there].escape_ascii().to_string());
    assert_eq!(client.end(), End::Reset, "{client:?}");
}

#[test]
fn pipelined_requests_are_answered_exactly_and_in_order() {
    // What is answered when no descriptor is left is not a file.
    let faults = Faults { open: 0.0, ..Faults::default() };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let mut all = Vec::new();
        for _ in 0..1 + sim.below(5) {
            let sizes: Vec<_> = (0..sim.below(6)).map(|_| SIZES[sim.below(5)]).collect();
            let requests: String = sizes.iter().map(|size| get(*size)).collect();
            let client = sim.client(ADDRESS).sends(&requests);
            let client = if sim.below(2) == 0 { client.finishes() } else { client };
            all.push((client, sizes));
        }
        sim.run();
        for (client, sizes) in all {
            assert!(client.end() != End::Reset || client.is_spoilt(), "{client:?}");
            check(&client, &sizes);
        }
    });
}
