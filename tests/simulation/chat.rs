//! What one says all hear, those of the other thread too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::ExitCode;

use sluicegate_protocols::line::Lines;
use sluicegate_reactor::testing::simulation::Client;
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Limits, Listen, mailbox};

use crate::watched::Watched;

#[path = "../../examples/chat.rs"]
mod example;
use example::{Chat, HELP, Said};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

/// Of the reactors; each stands for one thread of the example.
const ADDRESSES: [&str; 2] = ["10.0.0.1:7000", "10.0.0.2:7000"];
/// What a gap is announced with.
const MISSED: &str = "* you have missed something\n";

/// Two rooms that are one.
fn serve(sim: &mut Sim, limits: &Limits) {
    let (handles, mailboxes): (Vec<_>, Vec<_>) =
        ADDRESSES.map(|_| mailbox::<Said>()).into_iter().unzip();
    for (thread, mailbox) in mailboxes.into_iter().enumerate() {
        let others = vec![handles[1 - thread].clone()];
        let listen = Listen { limits: limits.clone(), ..Listen::default() };
        sim.reactor(|reactor| {
            let chat = reactor.register(Watched::new(Lines::new(Chat::new(thread, others))));
            reactor.attach(mailbox, chat);
            reactor.listen(ADDRESSES[thread], &listen, chat).expect("the address is free");
        });
    }
}

fn someone(sim: &mut Sim) -> Client {
    let thread = sim.below(ADDRESSES.len());
    sim.client(ADDRESSES[thread])
}

/// Some who say `NAME NUMBER ...`, counting up, each with how often.
fn speakers(sim: &mut Sim) -> Vec<(Client, usize)> {
    let mut all = Vec::new();
    for speaker in 0..2 + sim.below(6) {
        let words = "x".repeat(sim.below(100));
        let lines = sim.below(30);
        let said = (0..lines).map(|line| format!("{speaker} {line} {words}\n"));
        let said = said.collect::<String>();
        all.push((someone(sim).sends(said), lines));
    }
    all
}

/// Asserts that a client has heard of each speaker what that one has said from some point on,
/// without a gap that was not announced. Says how many lines it heard of each.
fn check(client: &Client) -> BTreeMap<String, usize> {
    let received = String::from_utf8(client.received()).expect("characters");
    assert!(received.starts_with(HELP) || HELP.starts_with(&received), "{received:?}");
    let (mut last, mut heard) = (BTreeMap::new(), BTreeMap::new());
    let mut gap = BTreeMap::<String, bool>::new();
    // The last line may be cut.
    for line in received.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        if line == MISSED {
            gap.values_mut().for_each(|gap| *gap = true);
        }
        if line.starts_with('*') {
            continue;
        }
        let mut words = line.split_whitespace();
        let guest = words.next().expect("a name");
        assert!(guest.starts_with("guest#") && guest.ends_with(':'), "{line:?}");
        let speaker = words.next().expect("a speaker").to_owned();
        let number: usize = words.next().and_then(|word| word.parse().ok()).expect("a number");
        if let Some((who, before)) = last.insert(speaker.clone(), (guest.to_owned(), number)) {
            assert_eq!(who, guest, "{client:?} hears {speaker} from somebody else");
            let follows = number == before + 1 || gap[&speaker] && number > before;
            assert!(follows, "{client:?} hears of {speaker} {number} after {before}");
        }
        gap.insert(speaker.clone(), false);
        *heard.entry(speaker).or_default() += 1;
    }
    heard
}

#[test]
fn who_is_in_the_room_misses_nothing() {
    Simulation::new().run(|sim| {
        serve(sim, &Limits { idle: None, ..Limits::default() });
        let speakers = speakers(sim);
        sim.run();
        for (speaker, (client, lines)) in speakers.iter().enumerate() {
            let heard = check(client);
            let itself = heard.get(&speaker.to_string()).copied().unwrap_or_default();
            assert!(itself == *lines || client.is_spoilt(), "{client:?}: {itself}");
            assert!(!String::from_utf8_lossy(&client.received()).contains(MISSED));
        }
    });
}

#[test]
fn who_does_not_keep_up_is_told_so_and_what_is_said_elsewhere_is_not_heard() {
    let limits = Limits { send_high: 600, send_low: 300, idle: None, ..Limits::default() };
    let missed = RefCell::new(0);
    Simulation::new().run(|sim| {
        serve(sim, &limits);
        let speakers = speakers(sim);
        let slow = someone(sim).reads_slowly();
        let deaf = someone(sim).reads_at_most(100);
        let leaving = someone(sim).sends("guest 0 hello\n").awaits(80).resets();
        let elsewhere = someone(sim).sends("/nick Ada\n/join den\nsecret\n");
        sim.run();
        for client in speakers.iter().map(|(client, _)| client).chain([&slow, &deaf, &leaving]) {
            check(client);
            let received = String::from_utf8(client.received()).expect("characters");
            assert!(!received.contains("secret"), "{client:?} has heard what was said elsewhere");
            *missed.borrow_mut() += received.matches(MISSED).count();
        }
        let received = String::from_utf8(elsewhere.received()).expect("characters");
        let hears_itself = received.contains(": secret\n") || received.contains(MISSED);
        assert!(hears_itself || elsewhere.is_spoilt(), "{elsewhere:?}: {received}");
    });
    // A single seed, when one is repeated, may have nothing of it.
    assert!(missed.into_inner() > 0 || std::env::var_os("SLUICEGATE_SEED").is_some());
}

#[test]
fn the_same_seeds_are_the_same_conversations_again() {
    let conversations = || {
        let all = RefCell::new(Vec::new());
        Simulation::new().run(|sim| {
            serve(sim, &Limits { send_high: 600, send_low: 300, ..Limits::default() });
            let speakers = speakers(sim);
            sim.run();
            let heard = speakers.iter().map(|(client, _)| client.received());
            all.borrow_mut().push((sim.now(), heard.collect::<Vec<_>>()));
        });
        all.into_inner()
    };
    assert!(conversations() == conversations(), "something in them does not come from the seed");
}
