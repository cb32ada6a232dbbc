//! A relay: a handler that connects to another reactor for each of its clients.

use std::net::SocketAddr;

use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{
    ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Limits, Listen, Reason, Sent,
    Turn,
};

use crate::noise;
use crate::watched::{Session, Watched};

const FRONT: &str = "10.0.0.1:80";
const BACK: &str = "10.0.0.2:8080";

/// Both ends of a relay are connections of this handler; a session is the other end, which the
/// accepted one knows at once and the connected one is given.
struct Relay {
    connector: Option<Connector<Watched<Relay>>>,
    back: SocketAddr,
}

impl Handler for Relay {
    type Session = ConnId;

    fn on_open(&mut self, cx: &mut Context<'_>) -> ConnId {
        let connector = self.connector.expect("set before anything runs");
        let front = cx.id();
        cx.connect(connector, self.back, Session::from(front))
    }

    fn on_data(&mut self, cx: &mut Context<'_>, other: &mut ConnId, input: &mut Input<'_>) {
        if cx.peer(*other).send(input.take()) == Sent::Full {
            cx.pause();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, other: &mut ConnId) {
        cx.peer(*other).resume();
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, other: &mut ConnId) {
        cx.peer(*other).shutdown();
    }

    fn on_close(&mut self, cx: &mut Turn<'_>, _: ConnId, other: ConnId, why: Reason) {
        match why {
            Reason::Finished | Reason::Closed => cx.peer(other).close(),
            _ => cx.peer(other).abort(),
        }
    }
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

fn serve(sim: &mut Sim) -> HandlerId<Watched<Relay>> {
    let back = BACK.parse().expect("an address");
    let limits = Limits { send_high: 5000, send_low: 1000, ..Limits::default() };
    let listen = Listen { limits: limits.clone(), ..Listen::default() };
    sim.reactor(|reactor| {
        let echo = reactor.register(Watched::new(Echo));
        reactor.listen(BACK, &listen, echo).expect("the address is free");
    });
    sim.reactor(|reactor| {
        let relay = reactor.reserve();
        let connect = Connect { limits, ..Connect::default() };
        let connector = Some(reactor.connector(relay, &connect));
        reactor.install(relay, Watched::new(Relay { connector, back }));
        reactor.listen(FRONT, &listen, relay).expect("the address is free");
        relay
    })
}

#[test]
fn a_relay_loses_nothing_and_carries_the_end_across() {
    // Those that end one connection of the two, of which the other cannot know.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        for _ in 0..1 + sim.below(4) {
            let bytes = noise([1, 700, 30_000][sim.below(3)]);
            sim.client(FRONT).sends(&bytes).finishes().expects(&bytes);
        }
    });
}

#[test]
fn when_one_end_breaks_the_other_is_cut_and_what_it_got_is_right() {
    Simulation::new().run(|sim| {
        serve(sim);
        for _ in 0..1 + sim.below(4) {
            let bytes = noise([1, 700, 30_000][sim.below(3)]);
            let client = sim.client(FRONT).sends(&bytes).expects(&bytes).may_be_cut();
            match sim.below(3) {
                0 => client.awaits(bytes.len() / 2).resets(),
                1 => client,
                _ => client.finishes(),
            };
        }
    });
}
