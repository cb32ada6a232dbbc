//! The example `memcached`. What is sent and expected is written with `\n` for `\r\n`.

use std::process::ExitCode;

use sluicegate_protocols::line::Lines;
use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::{Client, Harness, State};

#[path = "../../../examples/memcached.rs"]
mod example;
use example::server::{Memcached, Settings, TICK, Tick};

mod expiry;
mod malformed;
mod memory;
mod meta;
mod peers;
mod text;
mod upstream;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

type Cache = Harness<Lines<Memcached>>;

const SETTINGS: Settings = Settings {
    memory: 64 << 20,
    max_value: 1 << 20,
    max_connections: 1024,
    threads: 1,
    pid: 1,
    seed: 1,
};

fn cache_with(settings: Settings) -> Cache {
    let limits = Memcached::limits(&settings);
    let listen = Listen { limits, ..Listen::default() };
    Harness::build(
        &listen,
        |_| {},
        |reactor| {
            let server = reactor.register(Memcached::new(settings, 0, Vec::new()));
            reactor.every(TICK, server, Tick);
            server
        },
    )
}

fn cache() -> Cache {
    cache_with(SETTINGS)
}

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn plain(bytes: impl Into<Vec<u8>>) -> String {
    String::from_utf8(bytes.into()).expect("text").replace("\r\n", "\n")
}

/// Sends something, and returns what comes back.
#[track_caller]
fn ask(h: &mut Cache, client: Client, request: &str) -> String {
    h.feed(client, crlf(request));
    plain(h.sent(client))
}

/// Checks a dialogue, at every split, and that the connection is in step afterwards.
#[track_caller]
fn talk(dialogue: &[(&str, &str)]) {
    let said: String = dialogue.iter().map(|(said, _)| *said).collect();
    let heard: String = dialogue.iter().map(|(_, heard)| *heard).collect();
    let mut h = cache();
    let client = h.open();
    for (said, heard) in dialogue {
        assert_eq!(ask(&mut h, client, said), *heard, "after {said:?}");
    }
    let outcome = same_at_every_split(cache, crlf(&(said + "mn\n")));
    assert_eq!(plain(outcome.sent), heard + "MN\n");
    assert_eq!((outcome.state, outcome.state_at_end), (State::Open, State::Closed));
}
