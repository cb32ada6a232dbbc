//! On a real socket a slow sender of a large message wakes the reactor for many bytes only.
#![cfg(all(target_os = "linux", not(sluicegate_libkqueue)))]

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use sluicegate_reactor::{Context, Handler, Input, Ledger, Limits, Listen, Payload, Reactor};

const KIB: usize = 1 << 10;
const COUNT: usize = 512 * KIB;

/// Notes how many bytes came in one piece.
#[derive(Default)]
struct Receiver(Option<usize>);

impl Handler for Receiver {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.receive_exact(COUNT).expect("less than the limit");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {
        cx.abort();
    }

    fn on_received(&mut self, _: &mut Context<'_>, (): &mut (), bytes: Payload<'_>) {
        self.0 = Some(bytes.len());
    }
}

/// Sends a message in pieces of 1 KiB, and gives the reactor a turn after each. Without a mark each
/// piece wakes it, which is waited for.
fn receive_slowly(receive_low_water: usize) -> Ledger {
    let mut reactor = Reactor::new().expect("a reactor");
    let receiver = reactor.register(Receiver::default());
    let limits = Limits { receive_low_water, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let listener = reactor.listen("127.0.0.1:0", &listen, receiver).expect("a free port");
    let address =
        reactor.listener_address(listener).expect("it listens").ip_and_port().expect("an address");
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_nodelay(true).expect("an option");
    reactor.turn(None).expect("a turn that accepts");
    for piece in 1..=COUNT / KIB {
        client.write_all(&[b'a'; KIB]).expect("room");
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
        while receive_low_water == 0 && reactor.ledger().received < (piece * KIB) as u64 {
            reactor.turn(None).expect("a turn that receives");
        }
    }
    while reactor.handler(receiver).0.is_none() {
        reactor.turn(None).expect("a turn that receives");
    }
    assert_eq!(reactor.handler(receiver).0, Some(COUNT));
    reactor.ledger()
}

#[test]
fn a_slow_sender_of_a_large_message_costs_few_receives() {
    let without = receive_slowly(0);
    let with = receive_slowly(32 * KIB);
    assert_eq!((without.low_waters, with.low_waters), (0, 1));
    // Less than two marks at the end come as without.
    let most = COUNT / (32 * KIB) + 64 + 10;
    assert!(with.recv_calls <= most as u64, "{} receives", with.recv_calls);
    assert!(without.recv_calls > 2 * with.recv_calls, "{} receives", without.recv_calls);
}
