//! Bytes that come back.

use std::process::ExitCode;

use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{Address, Limits, Listen};

use crate::noise;
use crate::watched::Watched;

#[path = "../../examples/echo.rs"]
mod example;
pub(crate) use example::Echo;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

const ADDRESS: &str = "10.0.0.1:7";
const PATH: &str = "/run/echo.sock";

/// A receive into an empty queue is as large as the buffer of the reactor.
const ONE_RECEIVE: usize = 512 << 10;

fn serve(sim: &mut Sim, listen: &Listen) {
    sim.reactor(|reactor| {
        let echo = reactor.register(Watched::new(Echo));
        reactor.listen(ADDRESS, listen, echo).expect("the address is free");
        reactor.listen(unix(), listen, echo).expect("the path is free");
    });
}

fn unix() -> Address {
    Address::from_path(PATH).expect("a path that is not too long")
}

#[test]
pub(crate) fn everybody_gets_back_what_they_have_sent_and_nothing_else() {
    Simulation::new().run(|sim| {
        serve(sim, &Listen::default());
        sim.limit_queues(Limits::default().send_high + ONE_RECEIVE);
        for _ in 0..1 + sim.below(8) {
            let bytes = noise([10, 3000, 60_000][sim.below(3)]);
            let client = match sim.below(4) {
                0 => sim.client_at(&unix()),
                _ => sim.client(ADDRESS),
            };
            let client = client.sends(&bytes).expects(&bytes);
            match sim.below(5) {
                0 => client.awaits(bytes.len()).resets(),
                1 => client.awaits(bytes.len() / 2).resets(),
                2 if bytes.len() < 10_000 => client.finishes().reads_slowly(),
                3 => client,
                _ => client.finishes(),
            };
        }
        sim.run();
        assert_eq!(sim.reactors()[0].connections(), 0, "the idle ones were closed");
    });
}

#[test]
pub(crate) fn one_who_does_not_read_holds_back_little_and_nobody_else() {
    let limits = Limits { send_high: 3000, send_low: 1000, ..Limits::default() };
    let listen = Listen { limits, max_connections: 3, accept_budget: 1, ..Listen::default() };
    Simulation::new().run(|sim| {
        serve(sim, &listen);
        sim.limit_queues(3000 + ONE_RECEIVE);
        let bytes = noise(20_000);
        let deaf = sim.client(ADDRESS).sends(&bytes).expects(&bytes).reads_at_most(100);
        for _ in 0..5 {
            sim.client(ADDRESS).sends(&bytes).finishes().expects(&bytes);
        }
        sim.run();
        assert!(deaf.received().len() <= 100);
    });
}
