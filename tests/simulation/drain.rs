//! Reactors that are asked to stop while they are busy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::testing::Simulation;
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::{Context, Handler, Input, Listen, Sent};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:7";

/// What each connection was offered, and how much of it was promised, by the first byte of what its
/// client sends.
type Promises = Rc<RefCell<BTreeMap<u8, Promised>>>;

#[derive(Default)]
struct Promised {
    offered: Vec<u8>,
    len: usize,
}

struct Echo(Promises);

impl Handler for Echo {
    type Session = Option<u8>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Option<u8> {
        None
    }

    fn on_data(&mut self, cx: &mut Context<'_>, number: &mut Option<u8>, input: &mut Input<'_>) {
        let bytes = input.take();
        let mut promises = self.0.borrow_mut();
        let promised = promises.entry(*number.get_or_insert(bytes[0])).or_default();
        promised.offered.extend(bytes);
        if cx.send(bytes) != Sent::Gone {
            promised.len = promised.offered.len();
        }
    }
}

/// Asserts whenever something arrives that it is what was offered. (Of a send that fails a part may
/// have left, and nothing of it was promised.)
fn listen(number: u8, client: &Client, promises: &Promises) {
    let (promises, mut at) = (promises.clone(), 0);
    client.clone().hears(move |bytes| {
        let offered = &promises.borrow()[&number].offered;
        assert!(offered[at..].starts_with(bytes), "something else from byte {at} on");
        at += bytes.len();
    });
}

#[test]
pub(crate) fn what_was_promised_before_the_end_arrives_or_its_connection_is_reset() {
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
            let client = sim.client(ADDRESS).sends(&bytes);
            listen(number as u8, &client, &promises);
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
            let promised = promises.get(&(number as u8)).map_or(0, |promised| promised.len);
            let whole = client.received().len() == promised;
            assert!(whole || client.end() == End::Reset, "{client:?}, {promised} promised");
        }
    });
}
