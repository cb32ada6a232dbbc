//! Relays: two proxies between the clients and what they talk to, each moving bytes in its way. One
//! is that of the example, and of the other it is watched how it is called.

use std::net::SocketAddr;
use std::rc::Rc;

use sluicegate_protocols::raw::relay::{Relay, join};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{
    Connect, Connector, Context, Handler, HandlerId, Input, Limits, Listen, Reactor, Target,
};

use crate::echo::Echo;
use crate::noise;
use crate::watched::{Session, Watched};

const FRONT: &str = "10.0.0.1:80";
const MIDDLE: &str = "10.0.0.2:80";
const BACK: &str = "10.0.0.3:80";

struct Proxy {
    connector: Connector<Watched<Proxy>>,
    to: SocketAddr,
}

impl Handler for Proxy {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let upstream = cx.connect(self.connector, self.to, Session::from(()));
        join(cx, upstream);
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {
        unreachable!("all input is relayed");
    }

    fn on_eof(&mut self, _: &mut Context<'_>, _: &mut ()) {
        unreachable!("ends are passed on");
    }

    fn on_drain(&mut self, _: &mut Context<'_>, _: &mut ()) {
        unreachable!("nothing is sent but by relays");
    }

    fn on_stop(&mut self, _: &mut Context<'_>, _: &mut ()) {}
}

/// Copying, by pipes from the start, or going over in the course of it.
fn some_way(sim: &mut Sim) -> Limits {
    let splice_after = [usize::MAX, 0, 1, 40_000][sim.below(4)];
    let receive_quantum = [10_000, 256 << 10][sim.below(2)];
    Limits { splice_after, receive_quantum, ..Limits::default() }
}

fn serve(sim: &mut Sim) {
    sim.reactor(|reactor| {
        let echo = reactor.register(Watched::new(Echo));
        let limits = Limits { send_high: 5000, send_low: 1000, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(BACK, &listen, echo).expect("the address is free");
    });
    let to: SocketAddr = BACK.parse().expect("an address");
    proxy_at(MIDDLE, sim, |reactor, connect| {
        let proxy = reactor.reserve();
        let connector = reactor.connector(proxy, connect).expect("room for a connector");
        reactor.install(proxy, Watched::new(Proxy { connector, to }));
        proxy
    });
    let to: SocketAddr = MIDDLE.parse().expect("an address");
    proxy_at(FRONT, sim, |reactor, connect| {
        let to = Rc::new(Target::from(to));
        Relay::register(reactor, to, connect, None).expect("a new reactor has room")
    });
}

fn proxy_at<H: Handler>(
    at: &str,
    sim: &mut Sim,
    make: impl FnOnce(&mut Reactor, &Connect) -> HandlerId<H>,
) {
    let limits = some_way(sim);
    sim.reactor(|reactor| {
        let proxy = make(reactor, &Connect { limits: limits.clone(), ..Connect::default() });
        let listen = Listen { limits, ..Listen::default() };
        reactor.listen(at, &listen, proxy).expect("the address is free");
    });
}

#[test]
pub(crate) fn proxies_lose_nothing_and_carry_ends_across_whichever_way_bytes_move() {
    // Those that end one connection of the two, of which the other cannot know.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        serve(sim);
        for _ in 0..1 + sim.below(4) {
            let bytes = noise([1, 700, 30_000, 100_000][sim.below(4)]);
            let client = sim.client(FRONT).sends(&bytes).finishes().expects(&bytes);
            if bytes.len() < 1000 && sim.below(2) == 0 {
                client.reads_slowly();
            }
        }
    });
}

#[test]
pub(crate) fn when_anything_breaks_what_arrives_is_right_and_nothing_is_left() {
    Simulation::new().run(|sim| {
        serve(sim);
        for _ in 0..1 + sim.below(4) {
            let bytes = noise([1, 700, 30_000, 100_000][sim.below(4)]);
            let client = sim.client(FRONT).sends(&bytes).expects(&bytes).may_be_cut();
            match sim.below(5) {
                0 => client.awaits(bytes.len() / 2).resets(),
                1 => client,
                2 => client.reads_at_most(bytes.len() / 2),
                3 => client.resets(),
                _ => client.finishes(),
            };
        }
        if sim.below(4) == 0 {
            sim.after(std::time::Duration::from_millis(10), Sim::stop);
        }
    });
}
