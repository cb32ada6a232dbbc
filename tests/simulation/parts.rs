//! Parts of streams: a proxy that passes on messages of known length, and outlives its targets.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use sluicegate_reactor::testing::simulation::End as Outcome;
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{Connect, Context, Limits, Listen};

use crate::noise;
use crate::watched::{Session, Watched};

#[path = "../handlers/parts.rs"]
mod handlers;
use handlers::{End, LOST, Proxy, Target, answer, framed};

const FRONT: &str = "10.0.0.1:80";
const BACK: &str = "10.0.0.2:80";

/// A target that fails at times, and a proxy to it, which moves bytes in some way.
fn serve(sim: &mut Sim, fails: Option<u64>) {
    sim.reactor(|reactor| {
        let target = reactor.register(Watched::new(Target { fails }));
        reactor.listen(BACK, &Listen::default(), target).expect("the address is free");
    });
    let splice_after = [usize::MAX, 0, 1, 40_000][sim.below(4)];
    let receive_quantum = [10_000, 256 << 10][sim.below(2)];
    let send_high = [1_000, 100_000][sim.below(2)];
    let limits = Limits {
        splice_after,
        receive_quantum,
        send_high,
        send_low: send_high / 4,
        ..Limits::default()
    };
    let back: SocketAddr = BACK.parse().expect("an address");
    sim.reactor(|reactor| {
        let proxy = reactor.reserve();
        let connect = Connect { limits: limits.clone(), ..Connect::default() };
        let connector = reactor.connector(proxy, &connect).expect("room for a connector");
        let connect = Box::new(move |cx: &mut Context<'_>| {
            let target = Session::from(End::Target(cx.id()));
            cx.connect(connector, back, target)
        });
        reactor.install(proxy, Watched::new(Proxy::new(connect)));
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(FRONT, &listen, proxy).expect("the address is free");
    });
}

/// Random messages: what a client says, and the right answers.
fn messages(sim: &mut Sim) -> (Vec<u8>, Vec<u8>) {
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..sim.below(6) {
        let most = [1, 10, 5_000, 100_000][sim.below(4)];
        let message = noise(sim.below(most));
        said.extend(framed(&message));
        heard.extend(answer(&message));
    }
    (said, heard)
}

#[test]
pub(crate) fn each_message_is_passed_on_whole_and_answered_in_order() {
    // Those that end one connection of the two, of which the other cannot know.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim, None);
        for _ in 0..1 + sim.below(4) {
            let (said, heard) = messages(sim);
            sim.client(FRONT).sends(said).finishes().expects(heard);
        }
    });
}

#[test]
pub(crate) fn when_targets_are_lost_each_message_is_answered_all_the_same() {
    Simulation::new().run(|sim| {
        serve(sim, Some(3));
        let mut clients = Vec::new();
        for _ in 0..1 + sim.below(4) {
            let (said, right) = messages(sim);
            let heard = Rc::new(RefCell::new(Vec::<u8>::new()));
            let (count, so_far) = (right.len(), Rc::clone(&heard));
            let client = sim.client(FRONT).sends(&said).finishes().hears(move |bytes| {
                let mut heard = so_far.borrow_mut();
                heard.extend(bytes);
                for (answer, right) in heard.chunks_exact(LOST.len()).zip(right.chunks(LOST.len()))
                {
                    assert!(answer == right || answer == LOST, "a wrong answer");
                }
            });
            let client = client.may_be_cut();
            clients.push((client, count, heard));
        }
        sim.run();
        for (client, count, heard) in clients {
            let is_answered = heard.borrow().len() == count;
            assert!(is_answered || client.end() == Outcome::Reset, "{client:?} of {count}");
        }
    });
}
