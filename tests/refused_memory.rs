//! What there is no memory for costs the connection that it was for.
//!
//! The limit is that of the whole process, so there is one test here.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::param::page_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Limits, Listen, Payload, Reactor, Reason, Turn,
};

const MIB: usize = 1 << 20;

/// Asks for a long message, answers it with a byte, and notes why connections end.
#[derive(Default)]
struct Receiver(Vec<Reason>);

impl Handler for Receiver {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.receive_exact(64 * MIB).expect("less than the limit");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {
        cx.abort();
    }

    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), bytes: Payload<'_>) {
        cx.send([bytes[0]].as_slice());
        cx.receive_exact(1).expect("less than the limit");
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), why: Reason) {
        self.0.push(why);
    }
}

/// Lets the process have so much more address space than it has.
fn allow(more: u64) {
    let pages: u64 = fs::read_to_string("/proc/self/statm")
        .expect("the size of this process")
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .expect("a number of pages");
    let limit =
        Rlimit { current: Some(pages * page_size() as u64 + more), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).expect("a lower limit");
}

#[test]
fn a_message_that_there_is_no_memory_for_costs_its_connection_alone() {
    let mut reactor = Reactor::new().expect("a reactor");
    let receiver = reactor.register(Receiver::default());
    let limits = Limits { max_exact: 64 * MIB, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let listener = reactor.listen("127.0.0.1:0", &listen, receiver).expect("a free port");
    let address =
        reactor.listener_address(listener).expect("it listens").ip_and_port().expect("an address");
    let mut greedy = TcpStream::connect(address).expect("a connection");
    let mut modest = TcpStream::connect(address).expect("a connection");
    for client in [&greedy, &modest] {
        client.set_nonblocking(true).expect("an option");
    }
    let message = vec![b'm'; MIB];
    while reactor.connections() < 2 {
        reactor.turn(None).expect("a turn that accepts");
    }

    allow((MIB / 2) as u64);
    while reactor.handler(receiver).0.is_empty() {
        let _ = greedy.write(&message);
        reactor.turn(None).expect("a turn that receives");
    }
    assert_eq!(reactor.handler(receiver).0, [Reason::Failed]);
    assert!(matches!(greedy.read(&mut [0]), Ok(0) | Err(_)));
    allow(256 * MIB as u64);

    let (mut left, mut answer) = (64 * MIB, [0]);
    while modest.read(&mut answer).is_err() {
        left -= modest.write(&message[..left.min(MIB)]).unwrap_or(0);
        reactor.turn(None).expect("a turn that receives");
    }
    assert_eq!(answer, *b"m");
}
