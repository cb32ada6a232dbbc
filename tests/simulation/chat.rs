//! What one says all hear.

use std::collections::BTreeMap;

use sluicegate_protocols::line::{Lines, Next, Protocol};
use sluicegate_reactor::testing::simulation::Client;
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Bytes, ConnId, Context, Limits, Listen, Reason, Sent, Turn};

const ADDRESS: &str = "10.0.0.1:7000";

/// Sends each line to everybody. Who does not keep up is thrown out.
#[derive(Default)]
struct Room(Vec<ConnId>);

impl Protocol for Room {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.0.push(cx.id());
    }

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut (), line: &[u8]) -> Next {
        let line = Bytes::from([line, b"\n"].concat());
        for &member in &self.0 {
            if cx.peer(member).send(line.clone()) == Sent::Full && member != cx.id() {
                cx.peer(member).abort();
            }
        }
        Next::Line
    }

    fn on_close(&mut self, _: &mut Turn<'_>, id: ConnId, (): (), _: Reason) {
        self.0.retain(|member| *member != id);
    }
}

/// Asserts that a client has heard of each speaker what that one has said from some point on,
/// without a gap.
fn check(client: &Client) {
    let received = String::from_utf8(client.received()).expect("characters");
    let mut next = BTreeMap::new();
    // The last line may be cut.
    for line in received.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let mut words = line.split_whitespace();
        let speaker = words.next().expect("a speaker");
        let number: usize = words.next().and_then(|word| word.parse().ok()).expect("a number");
        let expected = next.entry(speaker.to_owned()).or_insert(number);
        assert_eq!(number, *expected, "{client:?} has missed something of {speaker}");
        *expected += 1;
    }
}

fn members(sim: &mut Sim, limits: Limits) -> Vec<Client> {
    sim.reactor(|reactor| {
        let room = reactor.register(Lines::new(Room::default()));
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(ADDRESS, &listen, room).expect("the address is free");
    });
    let speakers = 2 + sim.below(6);
    let mut members = Vec::new();
    for speaker in 0..speakers {
        let words = "x".repeat(sim.below(100));
        let lines = (0..sim.below(30)).map(|line| format!("{speaker} {line} {words}\n"));
        let lines = lines.collect::<String>();
        members.push(sim.client(ADDRESS).sends(lines));
    }
    members
}

#[test]
fn who_is_in_the_room_misses_nothing() {
    Simulation::new().run(|sim| {
        let members = members(sim, Limits::default());
        sim.run();
        members.iter().for_each(check);
    });
}

#[test]
fn who_does_not_keep_up_is_thrown_out_and_the_others_miss_nothing() {
    let limits = Limits { send_high: 600, send_low: 300, ..Limits::default() };
    Simulation::new().run(|sim| {
        let members = members(sim, limits.clone());
        let slow = sim.client(ADDRESS).reads_slowly();
        let leaving = sim.client(ADDRESS).sends("guest 0 hello\n").awaits(20).resets();
        sim.run();
        members.iter().chain([&slow, &leaving]).for_each(check);
    });
}
