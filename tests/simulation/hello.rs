//! Requests of which each is answered with the same words.

use std::process::ExitCode;

use sluicegate_protocols::http::Http;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::Simulation;

use crate::watched::Watched;

#[path = "../../examples/hello.rs"]
mod example;
use example::Hello;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

const ADDRESS: &str = "10.0.0.1:80";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
const START: &str = "HTTP/1.1 200 OK\r\nDate: ";
/// What follows the date.
const REST: &str = "\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
const DATE_LEN: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

const ANSWER_LEN: usize = START.len() + DATE_LEN + REST.len();

/// Asserts that these are the bytes of answers from `at` on, any date aside.
fn compare(bytes: &[u8], at: usize) {
    for (i, byte) in bytes.iter().enumerate() {
        let place = (at + i) % ANSWER_LEN;
        let wanted = match place.checked_sub(START.len()) {
            None => Some(START.as_bytes()[place]),
            Some(in_date) => in_date.checked_sub(DATE_LEN).map(|place| REST.as_bytes()[place]),
        };
        assert!(wanted.is_none_or(|wanted| wanted == *byte), "at byte {}", at + i);
    }
}

#[test]
pub(crate) fn each_request_is_answered_once_and_in_full() {
    Simulation::new().run(|sim| {
        sim.reactor(|reactor| {
            let hello = reactor.register(Watched::new(Http::new(Hello)));
            reactor.listen(ADDRESS, &Listen::default(), hello).expect("the address is free");
        });
        let mut all = Vec::new();
        for _ in 0..1 + sim.below(8) {
            let requests = sim.below(40);
            let client = sim.client(ADDRESS).sends(REQUEST.repeat(requests));
            let how = sim.below(4);
            let client = match how {
                0 => client.awaits(1 + sim.below(5000)).resets(),
                1 => client.reads_slowly(),
                2 => client,
                _ => client.finishes(),
            };
            let mut at = 0;
            let client = client.hears(move |bytes| {
                compare(bytes, at);
                at += bytes.len();
                assert!(at <= requests * ANSWER_LEN, "an answer that nobody has asked for");
            });
            all.push((client, requests, how == 0));
        }
        sim.run();
        for (client, requests, resets) in all {
            let whole = client.received().len() == requests * ANSWER_LEN;
            assert!(whole || resets || client.is_spoilt(), "{client:?} to {requests} requests");
        }
    });
}
