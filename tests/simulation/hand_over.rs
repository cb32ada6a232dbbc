//! A connection that changes its handler on the way.

use sluicegate_reactor::testing::Simulation;
use sluicegate_reactor::{Context, Handler, HandlerId, Input, Listen};

use crate::noise;
use crate::watched::{Session, Watched};

const ADDRESS: &str = "10.0.0.1:23";

/// Takes a name and hands the connection over.
struct Login {
    then: HandlerId<Watched<Echo>>,
}

impl Handler for Login {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send("name?\n");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        if let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let name = String::from_utf8_lossy(&input[..end]).into_owned();
            input.consume(end + 1);
            cx.hand_over(self.then, Session::from(name));
        }
    }
}

struct Echo;

impl Handler for Echo {
    type Session = String;

    fn on_open(&mut self, _: &mut Context<'_>) -> String {
        unreachable!("nobody listens for it")
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, name: &mut String) {
        cx.send(format!("hello {name}\n"));
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut String, input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

#[test]
fn what_follows_the_name_goes_to_the_next_handler_and_nothing_is_lost_between() {
    Simulation::new().run(|sim| {
        sim.reactor(|reactor| {
            let then = reactor.register(Watched::new(Echo));
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
