//! What it costs to call a handler. Run with `cargo bench --bench dispatch`.
//!
//! 64 connections ask for `on_drain` each time they are called for it, with nothing to send: each
//! turn calls every one of them as often as its quantum allows, and makes no system call but the
//! wait. So the time per callback is that of finding the connection, its handler and its session,
//! and of one virtual call. The connections belong to one handler, or to sixteen of different types
//! in turn, whose code the processor has to find anew for each connection.

use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate_reactor::{Address, Context, Handler, Input, Listen, Reactor};

const CONNECTIONS: usize = 64;

/// How often handlers were called.
type Calls = Rc<Cell<u64>>;

/// Counts its calls; each `N` is a type of its own.
struct Busy<const N: u64>(Calls);

impl<const N: u64> Handler for Busy<N> {
    type Session = u64;

    fn on_open(&mut self, cx: &mut Context<'_>) -> u64 {
        cx.request_drain();
        N
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut u64, input: &mut Input<'_>) {
        input.take();
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, count: &mut u64) {
        *count += N;
        self.0.set(self.0.get() + 1);
        cx.request_drain();
    }
}

/// Listens for a handler; says where.
fn listen<const N: u64>(reactor: &mut Reactor, calls: &Calls) -> Address {
    let handler = reactor.register(Busy::<N>(calls.clone()));
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), handler).unwrap();
    reactor.listener_address(listener).expect("it listens").clone()
}

/// What so many calls take.
fn call(reactor: &mut Reactor, calls: &Calls, times: u64) -> Duration {
    calls.set(0);
    let start = Instant::now();
    while calls.get() < times {
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    // The last turn had more than were asked for.
    start.elapsed().mul_f64(times as f64 / calls.get() as f64)
}

fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch/callback");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let listeners: [fn(&mut Reactor, &Calls) -> Address; 16] = [
        listen::<1>,
        listen::<2>,
        listen::<3>,
        listen::<4>,
        listen::<5>,
        listen::<6>,
        listen::<7>,
        listen::<8>,
        listen::<9>,
        listen::<10>,
        listen::<11>,
        listen::<12>,
        listen::<13>,
        listen::<14>,
        listen::<15>,
        listen::<16>,
    ];
    for types in [1, listeners.len()] {
        let (mut reactor, calls) = (Reactor::new().unwrap(), Calls::default());
        let addresses: Vec<_> =
            listeners[..types].iter().map(|listen| listen(&mut reactor, &calls)).collect();
        let mut clients = Vec::new();
        for address in addresses.iter().cycle().take(CONNECTIONS) {
            clients.push(TcpStream::connect(address).unwrap());
            while reactor.connections() < clients.len() {
                reactor.turn(Some(Duration::ZERO)).unwrap();
            }
        }
        let name = format!("{types} types of handlers");
        group.bench_function(name, |b| b.iter_custom(|times| call(&mut reactor, &calls, times)));
    }
    group.finish();
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
