//! Files by HTTP: every answer whole, exact and in order.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::testing::simulation::End;
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{Limits, Listen};

use crate::answers::Answers;
use crate::noise;
use crate::watched::Watched;

#[path = "../../examples/http.rs"]
pub(crate) mod example;
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
    let small_file = [16 << 10, u64::MAX][sim.below(2)];
    let limits = Limits { small_file, ..Limits::default() };
    sim.reactor(|reactor| {
        let files = Files::new(reactor, "/www", FilesOptions::default());
        let http = reactor.register(Watched::new(Http::new(Site {
            files: files.expect("the root is there"),
            auth: None,
            log: None,
        })));
        reactor.listen(ADDRESS, &Listen { limits, ..Listen::default() }, http).expect("free");
    });
}

pub(crate) fn get(name: impl Display) -> String {
    format!("GET /{name} HTTP/1.1\r\nHost: example.org\r\n\r\n")
}

#[test]
pub(crate) fn pipelined_requests_are_answered_exactly_and_in_order() {
    // What is answered when no descriptor is left is not a file.
    let faults = Faults { open: 0.0, ..Faults::default() };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let mut all = Vec::new();
        for _ in 0..1 + sim.below(5) {
            let sizes: Vec<_> = (0..sim.below(6)).map(|_| SIZES[sim.below(5)]).collect();
            let requests: String = sizes.iter().map(get).collect();
            let client = sim.client(ADDRESS).sends(&requests);
            let client = if sim.below(2) == 0 { client.finishes() } else { client };
            all.push((Answers::to(&client, Some(sizes)), client));
        }
        sim.run();
        for (answers, client) in all {
            assert!(client.end() != End::Reset || client.is_spoilt(), "{client:?}");
            answers.borrow().check(&client);
        }
    });
}

#[test]
pub(crate) fn the_last_answer_arrives_whole_though_its_client_goes_on_sending() {
    let faults = Faults { open: 0.0, no_buffers: 0.0, aborted: 0.0, ..Faults::default() };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        let mut all = Vec::new();
        for _ in 0..1 + sim.below(4) {
            let size = SIZES[sim.below(5)];
            let last = get(size).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
            let client = sim.client(ADDRESS).sends(last);
            let much = noise(sim.below(20_000));
            let client = client.sends(much).finishes();
            all.push((Answers::to(&client, Some(vec![size])), client));
        }
        sim.run();
        for (answers, client) in all {
            answers.borrow().check(&client);
            assert_eq!(client.end(), End::Finished, "{client:?}");
        }
    });
}

#[test]
pub(crate) fn files_that_change_while_they_are_sent_are_exact_or_cut() {
    Simulation::new().run(|sim| {
        serve(sim);
        let all = (0..1 + sim.below(5)).map(|_| {
            let sizes: Vec<_> = (0..sim.below(6)).map(|_| SIZES[sim.below(5)]).collect();
            let requests: String = sizes.iter().map(get).collect();
            let client = sim.client(ADDRESS).sends(requests).finishes();
            (Answers::to(&client, None), client)
        });
        let all: Vec<_> = all.collect();
        for size in SIZES {
            let how = sim.below(4);
            let when = Duration::from_micros(sim.below(30_000) as u64);
            sim.after(when, move |sim| change(sim, size, how));
        }
        sim.run();
        for (answers, client) in all {
            answers.borrow().check(&client);
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
