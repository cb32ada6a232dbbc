//! Files by HTTP: every answer whole, exact and in order.

use std::process::ExitCode;
use std::time::Duration;

use sluicegate_protocols::http::Http;
use sluicegate_protocols::http::files::{Files, FilesOptions};
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{FileTransfer, Limits, Listen};

use crate::noise;
use crate::watched::Watched;

#[path = "../../examples/http.rs"]
mod example;
use example::Site;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

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
        let http = reactor.register(Watched::new(Http::new(Site {
            files: files.expect("the root is there"),
            log: None,
        })));
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

#[test]
fn the_last_answer_arrives_whole_though_its_client_goes_on_sending() {
    let faults = Faults { open: 0.0, no_buffers: 0.0, aborted: 0.0, ..Faults::default() };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let mut all = Vec::new();
        for _ in 0..1 + sim.below(4) {
            let size = SIZES[sim.below(5)];
            let last = get(size).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
            let client = sim.client(ADDRESS).sends(last);
            let much = noise(sim.below(20_000));
            all.push((client.sends(much).finishes(), size));
        }
        sim.run();
        for (client, size) in all {
            check(&client, &[size]);
            assert_eq!(client.end(), End::Finished, "{client:?}");
        }
    });
}

#[test]
fn files_that_change_while_they_are_sent_are_exact_or_cut() {
    Simulation::new().run(|sim| {
        serve(sim);
        let all = (0..1 + sim.below(5)).map(|_| {
            let sizes: Vec<_> = (0..sim.below(6)).map(|_| SIZES[sim.below(5)]).collect();
            let requests: String = sizes.iter().map(|size| get(*size)).collect();
            sim.client(ADDRESS).sends(requests).finishes()
        });
        let all: Vec<_> = all.collect();
        for size in SIZES {
            let how = sim.below(4);
            let when = Duration::from_micros(sim.below(30_000) as u64);
            sim.after(when, move |sim| change(sim, size, how));
        }
        sim.run();
        for client in all {
            check_what_came(&client);
        }
    });
}

/// Cuts a file, lets it grow, replaces it, or does nothing.
fn change(sim: &mut Sim, size: usize, how: usize) {
    let (path, longer) = (format!("/www/{size}"), noise(size + 1000));
    match how {
        0 => sim.files().truncate(path, size / 3, 1),
        1 => sim.files().append(path, &longer[size..], 1),
        2 => sim.files().put_file(path, &longer, 1),
        _ => {}
    }
}

/// Asserts that the answers are whole and of the right bytes, except for the last one of a
/// connection that was cut and looks it.
fn check_what_came(client: &Client) {
    let received = client.received();
    let mut rest = &received[..];
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let (head, body) = rest.split_at(end + 4);
        let head = std::str::from_utf8(head).expect("characters");
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
        let there = body.len().min(len);
        if head.starts_with("HTTP/1.1 200 OK\r\n") {
            assert!(body[..there] == noise(len)[..there], "an answer of {len} bytes is not exact");
        }
        rest = &body[there..];
        if there < len {
            assert_eq!(client.end(), End::Reset, "{client:?}");
        }
    }
    if !rest.is_empty() {
        check_cut(client, rest);
    }
}
