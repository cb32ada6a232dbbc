//! The example `redis`: what its commands do, as written on a line each.

use std::process::ExitCode;

use sluicegate_protocols::resp::Commands;
use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::{Client, Harness};

#[path = "../../../examples/redis.rs"]
mod example;
mod expire;
mod glob;
mod keys;
mod pubsub;
mod server;

use example::server::{Redis, TICK, Tick};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

/// The maximum number of bytes of replies that wait for a client.
const OUTPUT_BUFFER: usize = 16 << 20;

type Server = Harness<Commands<Redis>>;

fn serve() -> Server {
    let listen = Listen { limits: Redis::limits(OUTPUT_BUFFER), ..Listen::default() };
    Harness::build(
        &listen,
        |_| {},
        |reactor| {
            let redis = reactor.register(Redis::create());
            reactor.every(TICK, redis, Tick);
            redis
        },
    )
}

/// What a client gets, with `|` in place of CRLF.
fn got(h: &mut Server, client: Client) -> String {
    String::from_utf8_lossy(&h.sent(client)).replace("\r\n", "|")
}

fn ask(h: &mut Server, client: Client, command: &str) -> String {
    h.feed(client, format!("{command}\r\n"));
    got(h, client)
}

/// Sends commands one after the other, and compares the replies.
#[track_caller]
fn dialogue(h: &mut Server, client: Client, lines: &[(&str, &str)]) {
    for (command, reply) in lines {
        assert_eq!(ask(h, client, command), *reply, "{command}");
    }
}

#[track_caller]
fn says(lines: &[(&str, &str)]) {
    let mut h = serve();
    let client = h.open();
    dialogue(&mut h, client, lines);
}
