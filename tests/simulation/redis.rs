//! Commands to the example `redis`, each answered once and in order.

use std::collections::HashMap;
use std::process::ExitCode;

use sluicegate_protocols::resp::{Encoder, Version};
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Limits, Listen};

use crate::noise;
use crate::watched::Watched;

#[path = "../../examples/redis.rs"]
mod example;
use example::server::Redis;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

const ADDRESS: &str = "10.0.0.1:6379";

fn serve(sim: &mut Sim) {
    let limits = Limits { idle: Limits::default().idle, ..Redis::limits(256 << 20) };
    let listen = Listen { limits, ..Listen::default() };
    sim.reactor(|reactor| {
        let redis = reactor.register(Watched::new(Redis::create()));
        reactor.listen(ADDRESS, &listen, redis).expect("the address is free");
    });
}

fn command(to: &mut Vec<u8>, arguments: &[&[u8]]) {
    let mut encoder = Encoder::new(to, Version::Resp2);
    encoder.array(arguments.len());
    arguments.iter().for_each(|argument| _ = encoder.bulk(argument));
}

/// A random dialogue about keys of one client: what it says, and what it has to hear.
fn dialogue(sim: &mut Sim, client: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    let mut values = HashMap::new();
    let mut count = 0;
    for _ in 0..sim.below(20) {
        let key = format!("{client}-{}", sim.below(3)).into_bytes();
        let mut reply = Encoder::new(&mut heard, Version::Resp2);
        match sim.below(5) {
            0 | 1 => {
                let most = [1, 20, 2000, 100_000][sim.below(4)];
                let value = noise(sim.below(most));
                command(&mut said, &[b"SET", &key, &value]);
                values.insert(key, value);
                reply.simple("OK");
            }
            2 => {
                command(&mut said, &[b"GET", &key]);
                let value = values.get(&key).cloned().map(Into::into);
                reply.bulk_or_null(value.as_ref());
            }
            3 => {
                said.extend(format!("INCR {client}\r\n").bytes());
                count += 1;
                reply.integer(count);
            }
            _ => {
                command(&mut said, &[b"DEL", &key]);
                reply.integer(values.remove(&key).is_some().into());
            }
        }
    }
    (said, heard)
}

#[test]
pub(crate) fn row_23_each_command_is_answered_once_and_in_order() {
    Simulation::new().run(|sim| {
        serve(sim);
        for client in 0..1 + sim.below(6) {
            let (said, heard) = dialogue(sim, client);
            let client = sim.client(ADDRESS).sends(said).expects(&heard);
            match sim.below(4) {
                0 => client.awaits(heard.len() / 2).resets(),
                1 => client,
                _ => client.finishes(),
            };
        }
        sim.run();
        assert_eq!(sim.reactors()[0].connections(), 0, "the idle ones were closed");
    });
}

#[test]
pub(crate) fn messages_reach_a_subscriber_whole_and_in_order() {
    Simulation::new().run(|sim| {
        serve(sim);
        let mut confirmed = Vec::new();
        let mut encoder = Encoder::new(&mut confirmed, Version::Resp2);
        encoder.push(3).bulk(b"subscribe").bulk(b"a").integer(1);
        let subscriber = sim.client(ADDRESS).sends("SUBSCRIBE a\r\n");
        let (mut said, mut messages) = (Vec::new(), Vec::new());
        for _ in 0..sim.below(10) {
            let message = noise(sim.below(5000));
            command(&mut said, &[b"PUBLISH", b"a", &message]);
            let mut bytes = Vec::new();
            command(&mut bytes, &[b"message", b"a", &message]);
            messages.push(bytes);
        }
        let publisher = sim.client(ADDRESS).sends(&said).finishes();
        sim.run();
        if !publisher.is_spoilt() {
            assert_eq!(publisher.received().len(), ":1\r\n".len() * messages.len());
        }
        // The subscription may have come late, and the subscriber may have been cut off.
        let received = subscriber.received();
        let heard = received.strip_prefix(&confirmed[..]).unwrap_or_default();
        let mut starts = (0..=messages.len()).map(|first| messages[first..].concat());
        assert!(starts.any(|expected| expected.starts_with(heard)), "{received:?}");
        if !subscriber.is_spoilt() && !publisher.is_spoilt() {
            let told = publisher.received().chunks(4).filter(|reply| *reply == b":1\r\n").count();
            assert!(messages[messages.len() - told..].concat() == heard, "{told} were told");
        }
    });
}
