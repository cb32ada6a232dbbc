//! Reactors that are asked to stop while they are busy.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::testing::Simulation;
use sluicegate_reactor::testing::simulation::End;
use sluicegate_reactor::{ConnId, Context, Handler, Input, Listen, Reason, Sent, Turn};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:7";

/// What each connection was offered, and how much of it was promised. The first byte of what a
/// client sends is its number.
type Promises = Rc<RefCell<Vec<Promised>>>;

#[derive(Default)]
struct Promised {
    offered: Vec<u8>,
    len: usize,
}

struct Echo(Promises);

impl Handler for Echo {
    type Session = Promised;

    fn on_open(&mut self, _: &mut Context<'_>) -> Promised {
        Promised::default()
    }

    fn on_data(&mut self, cx: &mut Context<'_>, promised: &mut Promised, input: &mut Input<'_>) {
        let bytes = input.take();
        promised.offered.extend(bytes);
        if cx.send(bytes) != Sent::Gone {
            promised.len = promised.offered.len();
        }
    }

    fn on_close(&mut self, _: &mut Turn<'_>, _: ConnId, promised: Promised, _: Reason) {
        self.0.borrow_mut().push(promised);
    }
}

#[test]
fn what_was_promised_before_the_end_arrives_or_its_connection_is_reset() {
    Simulation::new().run(|sim| {
        let promises = Promises::default();
        let drain = Duration::from_millis([0, 5, 100, 30_000][sim.below(4)]);
        sim.reactor(|reactor| {
            reactor.set_drain(drain);
            let echo = reactor.register(Watched::new(Echo(promises.clone())));
            reactor.listen(ADDRESS, &Listen::default(), echo).expect("the address is free");
        });
        let mut clients = Vec::new();
        for number in 0..1 + sim.below(6) {
            let bytes = [&[number as u8][..], &noise([10, 3000, 60_000][sim.below(3)])].concat();
            let client = sim.client(ADDRESS).sends(&bytes).expects(&bytes).may_be_cut();
            clients.push(match sim.below(3) {
                0 => client.reads_slowly(),
                1 => client.finishes(),
                _ => client,
            });
        }
        let when = Duration::from_micros(sim.below(40_000) as u64);
        sim.after(when, |sim| sim.stop());
        sim.run();
        for (number, client) in clients.iter().enumerate() {
            let promises = promises.borrow();
            let mine = |promised: &&Promised| promised.offered.first() == Some(&(number as u8));
            let Some(promised) = promises.iter().find(mine) else { continue };
            let received = client.received();
            assert!(promised.offered.starts_with(&received));
            let whole = received.len() == promised.len;
            assert!(whole || client.end() == End::Reset, "{client:?}, {} promised", promised.len);
        }
    });
}
