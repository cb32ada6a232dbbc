//! A connection that changes its handler on the way.

use sluicegate_reactor::Listen;
use sluicegate_reactor::testing::Simulation;

use crate::noise;
use crate::watched::Watched;

#[path = "../handlers/hand_over.rs"]
mod handlers;
use handlers::{Greeter, Login};

const ADDRESS: &str = "10.0.0.1:23";

#[test]
pub(crate) fn what_follows_the_name_goes_to_the_next_handler_and_nothing_is_lost_between() {
    Simulation::new().run(|sim| {
        sim.reactor(|reactor| {
            let then = reactor.register(Watched::new(Greeter));
            let login = reactor.register(Watched::new(Login { then }));
            reactor.listen(ADDRESS, &Listen::default(), login).expect("the address is free");
        });
        for number in 0..1 + sim.below(8) {
            let bytes = noise([0, 1, 500, 30_000][sim.below(4)]);
            let greeting = format!("name?\nhello guest {number}\n");
            let client = sim.client(ADDRESS).sends(format!("guest {number}\n")).sends(&bytes);
            let client = client.expects([greeting.as_bytes(), &bytes].concat());
            match sim.below(4) {
                0 => client.awaits(greeting.len()).resets(),
                1 => client,
                _ => client.finishes(),
            };
        }
    });
}
