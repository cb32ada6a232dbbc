//! A balancer before upstreams that die and come back.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_protocols::upstreams::{Balance, Balancer, BalancerOptions, UpstreamsOptions};
use sluicegate_reactor::testing::simulation::{Client, End};
use sluicegate_reactor::testing::{Faults, Sim, Simulation};
use sluicegate_reactor::{
    Connect, Context, Handler, HandlerId, Input, Limits, Listen, ListenerId, Receive, Sessions,
};

use crate::noise_from;
use crate::watched::Watched;

const FRONT: &str = "10.0.0.1:80";

/// The upstreams. The last one never dies.
const BACKS: [&str; 3] = ["10.0.1.1:80", "10.0.1.2:80", "10.0.1.3:80"];

/// Some bytes of a client. The first of all is its number.
fn bytes_of(client: u8, which: Range<usize>) -> Vec<u8> {
    let mut bytes = noise_from(which.start + 7919 * usize::from(client), which.len());
    if let (0, Some(first)) = (which.start, bytes.first_mut()) {
        *first = client;
    }
    bytes
}

/// An upstream: sends back what it receives, and asserts that it receives it once, from one client
/// for each connection.
struct Back {
    me: HandlerId<Watched<Back>>,
    at: SocketAddr,
    listener: Option<ListenerId>,
    /// The clients that any upstream has received something of.
    seen: Rc<RefCell<HashSet<u8>>>,
}

/// What has arrived on a connection.
#[derive(Default)]
struct Arrived {
    client: Option<u8>,
    count: usize,
}

impl Handler for Back {
    type Session = Arrived;

    fn on_open(&mut self, _: &mut Context<'_>) -> Arrived {
        Arrived::default()
    }

    fn on_data(&mut self, cx: &mut Context<'_>, arrived: &mut Arrived, input: &mut Input<'_>) {
        let bytes = input.take();
        let client = *arrived.client.get_or_insert_with(|| {
            let is_new = self.seen.borrow_mut().insert(bytes[0]);
            assert!(is_new, "client {} was sent to two upstreams", bytes[0]);
            bytes[0]
        });
        let before = arrived.count;
        arrived.count += bytes.len();
        let expected = bytes_of(client, before..arrived.count);
        assert!(bytes == expected, "client {client} has not sent this");
        cx.send(bytes);
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Die,
    ComeBack,
}

impl Receive<Fate, Arrived> for Back {
    fn on_message(&mut self, cx: &mut Sessions<'_, Arrived>, fate: Fate) {
        match fate {
            Fate::Die => {
                self.listener.take().map(|listener| cx.close_listener(listener));
                cx.for_each(|cx, _| cx.abort());
            }
            Fate::ComeBack if cx.is_stopping() => {}
            Fate::ComeBack => {
                let listening = cx.listen(self.at, &Listen::default(), self.me);
                self.listener = Some(listening.expect("the address is free"));
            }
        }
    }
}

fn serve(sim: &mut Sim) -> HandlerId<Balancer> {
    let seen = Rc::default();
    for at in BACKS {
        let dies = Duration::from_millis(50 + sim.below(200) as u64);
        let comes_back = dies + Duration::from_millis(1 + sim.below(2000) as u64);
        let seen = Rc::clone(&seen);
        sim.reactor(|reactor| {
            let me = reactor.reserve();
            let back = Back { me, at: at.parse().expect("an address"), listener: None, seen };
            reactor.install(me, Watched::new(back));
            reactor.after(Duration::ZERO, me, Fate::ComeBack);
            if at != BACKS[BACKS.len() - 1] {
                reactor.after(dies, me, Fate::Die);
                reactor.after(comes_back, me, Fate::ComeBack);
            }
        });
    }
    let options = options(sim);
    sim.reactor(|reactor| {
        let backs = BACKS.map(|at| at.parse::<SocketAddr>().expect("an address"));
        let balancer = Balancer::register(reactor, backs, &options).expect("room for connectors");
        reactor.listen(FRONT, &Listen::default(), balancer).expect("the address is free");
        balancer
    })
}

/// Any kind of balancer whose clients wait as long as they must.
fn options(sim: &mut Sim) -> BalancerOptions {
    let balances = [Balance::RoundRobin, Balance::LeastConnections, Balance::SourceHash];
    let upstreams = UpstreamsOptions {
        balance: balances[sim.below(3)],
        max_connections: [None, Some(1), Some(2)][sim.below(3)],
        max_failures: [None, Some(1), Some(3)][sim.below(3)],
        slow_start: [Duration::ZERO, Duration::from_secs(3)][sim.below(2)],
        ..UpstreamsOptions::default()
    };
    let splice_after = [usize::MAX, 0, 40_000][sim.below(3)];
    let limits = Limits { splice_after, ..Limits::default() };
    BalancerOptions {
        upstreams,
        connect: Connect { limits, ..Connect::default() },
        waiting_timeout: Duration::from_secs(1000),
        check_interval: [None, Some(Duration::from_secs(10))][sim.below(2)],
        ..BalancerOptions::default()
    }
}

/// A client that has its bytes sent back.
fn client(sim: &mut Sim, number: u8, start: Duration) -> Client {
    let bytes = bytes_of(number, 0..[1, 700, 30_000, 100_000][sim.below(4)]);
    let client = sim.client(FRONT).waits(start).sends(&bytes).expects(&bytes);
    if bytes.len() < 1000 && sim.below(3) == 0 { client.reads_slowly() } else { client }
}

/// When everything must be over. A client may lose one upstream after the other, each after an idle
/// timeout, and then be idle itself.
const END: Duration = Duration::from_secs(1000);

/// After this time, no upstream dies any more, even if a reactor gets no time for a while.
const LATER: Duration = Duration::from_secs(20);

#[test]
pub(crate) fn row_20_upstreams_that_die_lose_only_what_was_in_flight_on_them() {
    // Those that end a connection beside the deaths.
    let faults = Faults { no_buffers: 0.0, aborted: 0.0, refused: 0.0, ..Faults::default() };
    let faults = Faults { exhausted: 0.0, ..faults };
    Simulation::new().faults(faults).run(|sim| {
        let balancer = serve(sim);
        let early: Vec<_> = (0..1 + sim.below(6) as u8)
            .map(|number| {
                let start = Duration::from_millis(sim.below(500) as u64);
                client(sim, number, start).finishes().may_be_cut()
            })
            .collect();
        for number in 0..1 + sim.below(3) as u8 {
            client(sim, 100 + number, LATER).finishes();
        }
        sim.run_for(END);
        let status = sim.reactors()[BACKS.len()].handler(balancer).upstreams().snapshot(LATER);
        let cut = early.iter().filter(|client| client.end() != End::Finished).count();
        let in_flight: u64 = status[..BACKS.len() - 1].iter().map(|status| status.connected).sum();
        assert!(
            cut as u64 <= in_flight,
            "{cut} clients are cut, of {in_flight} on those that died"
        );
        assert!(status.iter().all(|status| status.connecting + status.open == 0), "{status:?}");
    });
}

#[test]
pub(crate) fn row_18_whatever_breaks_no_byte_of_a_pair_reaches_another_and_nothing_is_left() {
    Simulation::new().run(|sim| {
        let balancer = serve(sim);
        for number in 0..1 + sim.below(8) as u8 {
            let start = Duration::from_millis(sim.below(3000) as u64);
            let client = client(sim, number, start).may_be_cut();
            match sim.below(4) {
                0 => client.resets(),
                1 => client,
                2 => client.awaits(300).resets(),
                _ => client.finishes(),
            };
        }
        if sim.below(4) == 0 {
            sim.after(Duration::from_millis(100), Sim::stop);
        }
        sim.run_for(END);
        let balancer = sim.reactors()[BACKS.len()].handler(balancer);
        let status = balancer.upstreams().snapshot(LATER);
        assert!(status.iter().all(|status| status.connecting + status.open == 0), "{status:?}");
        assert_eq!(balancer.waiting(), 0);
    });
}
