//! Who gets in: connections of a listener, connections of a client, connections in a second.

use std::net::IpAddr;
use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Address, Limits, Listen};

use crate::probe::{Call, Probe, log};

fn open_from(h: &mut Harness<Probe>, address: &str) -> Client {
    h.open_from(address.parse::<IpAddr>().unwrap())
}

/// A harness in which one client may have so many connections.
fn per_address(most: u32) -> Harness<Probe> {
    let limits = Limits { linger_time: Duration::ZERO, ..Limits::default() };
    let listen = Listen { max_per_address: Some(most), limits, ..Listen::default() };
    Harness::with(Probe::echo(), &listen)
}

#[test]
fn a_client_at_its_limit_is_reset_and_others_get_in() {
    let mut h = per_address(2);
    let mine = ["192.0.2.1"; 3].map(|address| open_from(&mut h, address));
    let other = open_from(&mut h, "192.0.2.2");
    assert_eq!(mine.map(|client| h.state(client)), [State::Open, State::Open, State::Reset]);
    assert_eq!(log(&mut h), ["0 open", "1 open", "2 open"]);
    assert_eq!((h.ledger().refused_per_address, h.ledger().accepted), (1, 4));
    for client in [mine[0], mine[1], other] {
        h.feed(client, b"x");
        assert_eq!(h.sent(client), "x");
    }
}

#[test]
fn a_client_that_closes_one_connection_may_open_another() {
    let mut h = per_address(1);
    for round in 0..3 {
        let client = open_from(&mut h, "192.0.2.1");
        assert_eq!(h.state(client), State::Open);
        // However it ends: in order, reset by the client.
        if round == 1 { h.reset(client) } else { h.finish(client) }
    }
    assert_eq!((h.ledger().refused_per_address, h.ledger().accepted), (0, 3));
}

#[test]
fn addresses_of_one_ipv6_network_are_one_client() {
    let mut h = per_address(1);
    let clients = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1"];
    let clients = clients.map(|address| open_from(&mut h, address));
    let expected = [State::Open, State::Reset, State::Open, State::Open];
    assert_eq!(clients.map(|client| h.state(client)), expected);
    let mapped = open_from(&mut h, "192.0.2.1");
    assert_eq!(h.state(mapped), State::Reset);
}

#[test]
fn a_client_that_is_gone_before_it_is_accepted_is_not_counted() {
    let mut h = per_address(1);
    h.at_once(|h| {
        let gone = open_from(h, "192.0.2.1");
        h.reset(gone);
    });
    let client = open_from(&mut h, "192.0.2.1");
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn clients_of_unix_sockets_are_not_counted() {
    let mut h = Harness::new(Probe::echo());
    let listen = Listen { max_per_address: Some(1), ..Listen::default() };
    let other = h.reactor().register(Probe::echo());
    let address = Address::from_path("/run/echo.sock").unwrap();
    let listener = h.reactor().listen(&address, &listen, other).unwrap();
    let clients = [h.open_at(listener), h.open_at(listener)];
    assert_eq!(clients.map(|client| h.state(client)), [State::Open, State::Open]);
}

#[test]
fn after_a_burst_connections_are_accepted_at_the_rate() {
    let listen = Listen { accept_rate: Some(10), accept_burst: 3, ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    h.at_once(|h| {
        for _ in 0..10 {
            h.open();
        }
    });
    assert_eq!((h.ledger().accepted, h.ledger().rate_pauses), (3, 1));
    let turns = h.ledger().turns;
    for (time, accepted) in [(99, 3), (1, 4), (199, 5), (1, 6), (400, 10)] {
        h.advance(Duration::from_millis(time));
        assert_eq!(h.ledger().accepted, accepted);
    }
    assert!(h.ledger().turns < turns + 30, "it sleeps meanwhile");
    // A rest of a second gives the burst back, and no more than that.
    h.advance(Duration::from_secs(1));
    h.at_once(|h| {
        for _ in 0..10 {
            h.open();
        }
    });
    assert_eq!(h.ledger().accepted, 13);
}

#[test]
fn a_rate_does_not_slow_connections() {
    let listen = Listen { accept_rate: Some(1), accept_burst: 1, ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    let client = h.open();
    h.open();
    h.feed(client, b"x");
    assert_eq!(h.sent(client), "x");
    assert_eq!(h.ledger().accepted, 1);
}

#[test]
fn each_limit_that_was_reached_is_counted() {
    let limits = Limits { send_high: 100, send_low: 50, max_unread: 10, ..Limits::default() };
    let listen = Listen { max_connections: 2, limits, ..Listen::default() };
    let probe = Probe::new(|cx, call, _| match call {
        // Nothing is consumed, and for the first byte it answers a lot.
        Call::Data(input) if input.len() == 1 => {
            cx.send(&[7; 200]);
        }
        Call::Data(_) => {}
        call => call.by_default(cx),
    });
    let mut h = Harness::with(probe, &listen);
    let clients = [h.open(), h.open(), h.open()];
    assert_eq!((h.ledger().full_pauses, h.ledger().accepted), (1, 2));
    h.set_room(clients[0], 0);
    h.feed(clients[0], b"x");
    assert_eq!((h.ledger().full_queues, h.ledger().overruns), (1, 0));
    h.feed(clients[1], b"a long message");
    assert_eq!((h.ledger().full_queues, h.ledger().overruns), (1, 1));
}
