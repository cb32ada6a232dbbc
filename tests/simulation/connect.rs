//! A relay: a handler that connects to another reactor for each of its clients.

use std::net::SocketAddr;

use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{Connect, Context, Limits, Listen};

use crate::echo::Echo;
use crate::noise;
use crate::watched::{Session, Watched};

#[path = "../handlers/connect.rs"]
mod handlers;
use handlers::Relay;

const FRONT: &str = "10.0.0.1:80";
const BACK: &str = "10.0.0.2:8080";

fn serve(sim: &mut Sim) {
    let back: SocketAddr = BACK.parse().expect("an address");
    let limits = Limits { send_high: 5000, send_low: 1000, ..Limits::default() };
    let listen = Listen { limits: limits.clone(), ..Listen::default() };
    sim.reactor(|reactor| {
        let echo = reactor.register(Watched::new(Echo));
        reactor.listen(BACK, &listen, echo).expect("the address is free");
    });
    sim.reactor(|reactor| {
        let relay = reactor.reserve();
        let connect = Connect { limits, ..Connect::default() };
        let connector = reactor.connector(relay, &connect).expect("room for a connector");
        let connect = Box::new(move |cx: &mut Context<'_>| {
            let front = Session::from(cx.id());
            cx.connect(connector, back, front)
        });
        reactor.install(relay, Watched::new(Relay { connect }));
        reactor.listen(FRONT, &listen, relay).expect("the address is free");
    });
}

#[test]
pub(crate) fn a_relay_loses_nothing_and_carries_the_end_across() {
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
pub(crate) fn when_one_end_breaks_the_other_is_cut_and_what_it_got_is_right() {
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
