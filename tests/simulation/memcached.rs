//! Two reactors that share the keys, against a model of each key.

use std::collections::{BTreeMap, BTreeSet};

use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::simulation::Client;
use sluicegate_reactor::testing::{Sim, Simulation};

use crate::watched::Watched;

#[path = "../../examples/memcached.rs"]
mod example;
use example::mailbox;
use example::server::{Memcached, Settings, TICK, Tick};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> std::process::ExitCode = example::main;

/// Of the reactors; each stands for one thread of the example.
const ADDRESSES: [&str; 2] = ["10.0.0.1:11211", "10.0.0.2:11211"];

const SETTINGS: Settings = Settings {
    memory: 64 << 20,
    max_value: 100_000,
    max_connections: 100,
    threads: ADDRESSES.len(),
    pid: 1,
    seed: 1,
};

/// A cache that two reactors share.
fn serve(sim: &mut Sim) {
    let (handles, mailboxes): (Vec<_>, Vec<_>) = ADDRESSES.map(|_| mailbox()).into_iter().unzip();
    for (number, mailbox) in mailboxes.into_iter().enumerate() {
        let listen = Listen { limits: Memcached::limits(&SETTINGS), ..Listen::default() };
        let handles = handles.clone();
        sim.reactor(|reactor| {
            let server = reactor.register(Watched::new(Memcached::new(SETTINGS, number, handles)));
            reactor.attach(mailbox, server);
            reactor.every(TICK, server, Tick);
            reactor.listen(ADDRESSES[number], &listen, server).expect("the address is free");
        });
    }
}

fn someone(sim: &mut Sim) -> Client {
    let address = ADDRESSES[sim.below(ADDRESSES.len())];
    sim.client(address)
}

/// A dialogue about keys of its own, and what it has to hear: a model with one owner.
fn dialogue(sim: &mut Sim, client: usize) -> (String, String) {
    let (mut said, mut heard) = (String::new(), String::new());
    let mut model = BTreeMap::<String, String>::new();
    for number in 0..sim.below(40) {
        let key = format!("{client}.{}", sim.below(6));
        let most = [2, 50, 5000, 70_000][sim.below(4)];
        match sim.below(8) {
            0..=2 => {
                let value = format!("{number}:{}", "x".repeat(sim.below(most)));
                said += &format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
                heard += "STORED\r\n";
                model.insert(key, value);
            }
            3 => {
                said += &format!("delete {key}\r\n");
                let found = model.remove(&key).is_some();
                heard += if found { "DELETED\r\n" } else { "NOT_FOUND\r\n" };
            }
            4 => {
                said += &format!("set {key} 0 0 1 noreply\r\n7\r\nincr {key} {number}\r\n");
                heard += &format!("{}\r\n", 7 + number);
                model.insert(key, (7 + number).to_string());
            }
            5 => {
                said += "mn\r\n";
                heard += "MN\r\n";
            }
            _ => {
                let keys: Vec<_> = (0..6).map(|key| format!("{client}.{key}")).collect();
                let keys = &keys[..1 + sim.below(6)];
                said += &format!("get {}\r\n", keys.join(" "));
                for (key, value) in keys.iter().filter_map(|key| model.get_key_value(key)) {
                    heard += &format!("VALUE {key} 0 {}\r\n{value}\r\n", value.len());
                }
                heard += "END\r\n";
            }
        }
    }
    (said, heard)
}

#[test]
pub(crate) fn row_08_each_client_hears_the_answers_to_its_pipeline_in_order() {
    Simulation::new().run(|sim| {
        serve(sim);
        for number in 0..1 + sim.below(6) {
            let (said, heard) = dialogue(sim, number);
            let client = someone(sim).sends(said);
            let client = if sim.below(3) == 0 { client.reads_slowly() } else { client };
            let client = client.expects(&heard);
            match sim.below(4) {
                0 => client.awaits(heard.len() / 2).resets(),
                1 => client.sends("quit\r\n"),
                _ => client.finishes(),
            };
        }
    });
}

/// The numbers in a client's answers, one in each line. Of a number that a reset has cut, nobody
/// knows which it was.
fn numbers(client: &Client) -> Vec<u64> {
    let received = client.received().text().to_owned();
    let lines = received.split_inclusive("\r\n").filter_map(|line| line.strip_suffix("\r\n"));
    lines.filter_map(|line| line.parse().ok()).collect()
}

#[test]
pub(crate) fn row_08_a_key_that_clients_of_both_reactors_count_is_linearizable() {
    Simulation::new().run(|sim| {
        serve(sim);
        let first = someone(sim).sends("set n 0 0 1\r\n0\r\n").awaits(8);
        sim.run();
        let mut all = Vec::new();
        for _ in 0..2 + sim.below(5) {
            let count = sim.below(30);
            all.push((someone(sim).sends("incr n 1\r\n".repeat(count)), count));
        }
        sim.run();
        let last = someone(sim).sends("get n\r\n");
        sim.run();
        if first.is_spoilt() {
            return;
        }
        // Each number is given once, and each client hears them rise.
        let mut heard = BTreeSet::new();
        for (client, count) in &all {
            let numbers = numbers(client);
            assert!(numbers.is_sorted(), "{client:?}: {numbers:?}");
            assert!(numbers.len() == *count || client.is_spoilt(), "{client:?}: {numbers:?}");
            for number in numbers {
                assert!(heard.insert(number), "{number} was given twice");
            }
        }
        let most: u64 = all.iter().map(|(_, count)| *count as u64).sum();
        let Some(total) = numbers(&last).pop() else {
            assert!(last.is_spoilt(), "{last:?}");
            return;
        };
        assert!(total <= most && heard.last().is_none_or(|number| *number <= total));
        if all.iter().all(|(client, _)| !client.is_spoilt()) {
            assert_eq!((total, heard.len() as u64), (most, most));
        }
    });
}

#[test]
pub(crate) fn row_08_a_flush_and_statistics_reach_both_reactors() {
    Simulation::new().run(|sim| {
        serve(sim);
        let sets: String = (0..20).map(|key| format!("set {key} 0 0 1\r\nx\r\n")).collect();
        let keys: Vec<_> = (0..20).map(|key| key.to_string()).collect();
        let get = format!("get {}\r\n", keys.join(" "));
        let values: String =
            keys.iter().map(|key| format!("VALUE {key} 0 1\r\nx\r\nEND\r\n")).collect();
        let values = values.replace("END\r\n", "") + "END\r\n";
        let expected = "STORED\r\n".repeat(20) + &values + "OK\r\nEND\r\n";
        let asks = someone(sim).sends(format!("{sets}{get}flush_all\r\n{get}")).expects(expected);
        sim.run();
        let counts = someone(sim).sends("stats\r\n");
        sim.run();
        let stats = counts.received().text().to_owned();
        if !asks.is_spoilt() && !counts.is_spoilt() {
            for line in ["cmd_set 20", "cmd_get 40", "get_hits 20", "curr_items 0", "threads 2"] {
                assert!(stats.contains(&format!("STAT {line}\r\n")), "{line} in {stats}");
            }
            assert!(stats.contains("STAT limit_maxbytes 67108864\r\n"), "{stats}");
        }
    });
}

#[test]
pub(crate) fn row_12_a_client_that_does_not_read_holds_up_nobody() {
    Simulation::new().run(|sim| {
        serve(sim);
        let value = "v".repeat(50_000);
        let set = format!("set a 0 0 50000\r\n{value}\r\nset b 0 0 50000\r\n{value}\r\n");
        someone(sim).sends(set).awaits(16);
        sim.run();
        // As many values as may wait for the other reactor, and a queue that is full.
        sim.limit_queues(65 * 50_100 + (64 << 10));
        let deaf = someone(sim).sends("get a b\r\n".repeat(100)).reads_at_most(1000);
        let busy = someone(sim).sends("mn\r\nget c d\r\n".repeat(50));
        busy.expects("MN\r\nEND\r\n".repeat(50)).finishes();
        sim.run();
        assert!(deaf.received().len() <= 1000);
    });
}
