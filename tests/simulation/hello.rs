//! Requests of which each is answered with the same words.

use std::process::ExitCode;

use sluicegate_protocols::http::Http;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::Simulation;
use sluicegate_reactor::testing::simulation::Client;

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

/// Counts the whole answers that a client has received, and asserts that they are right and what
/// follows them is the beginning of another one.
fn count(client: &Client) -> usize {
    let received = String::from_utf8(client.received()).expect("characters");
    let len = START.len() + DATE_LEN + REST.len();
    for start in (0..received.len()).step_by(len) {
        let answer = &received[start..received.len().min(start + len)];
        let (head, rest) = answer.split_at(answer.len().min(START.len()));
        let (date, rest) = rest.split_at(rest.len().min(DATE_LEN));
        assert!(START.starts_with(head) && REST.starts_with(rest), "{answer}");
        assert!(rest.is_empty() || date.ends_with(" GMT"), "{answer}");
    }
    received.len() / len
}

#[test]
fn each_request_is_answered_once_and_in_full() {
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
            all.push((client, requests, how == 0));
        }
        sim.run();
        for (client, requests, resets) in all {
            let answers = count(&client);
            assert!(answers <= requests, "{client:?} was sent {answers} answers to {requests}");
            let in_full = answers == requests && client.received().len() % answers.max(1) == 0;
            assert!(in_full || resets || client.is_spoilt(), "{client:?}, {answers} of {requests}");
        }
    });
}
