//! Relays that choose their targets, and targets behind a transport.

use std::net::SocketAddr;
use std::time::Duration;

use log::Level;
use sluicegate_reactor::testing::{Client, Harness, Records, Remote, State};
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Limits, Listen};

use super::*;
use crate::logged::logged_in;

pub(super) fn address(last: u8) -> Address {
    SocketAddr::from(([10, 0, 0, last], 80)).into()
}

/// How long a choice may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// A relay with this choice, and two targets that listen.
pub(super) fn choosing<C: Choose>(choose: C, version: Option<Version>) -> Harness<Relay<C>> {
    let listen =
        Listen { limits: Limits { handshake: DEADLINE, ..Limits::default() }, ..Listen::default() };
    let make = |reactor: &mut Reactor| {
        Relay::register(reactor, choose, &Connect::default(), version).expect("room")
    };
    let mut h = Harness::build(&listen, |_| {}, make);
    h.set_remote(&address(1), Remote::Listens);
    h.set_remote(&address(2), Remote::Listens);
    h
}

/// `1` or `2` at the end of a line chooses the target.
struct ByLine;

impl Choose for ByLine {
    fn choose(&mut self, cx: &Context<'_>, first: &[u8]) -> Choice {
        assert!(cx.peer_address().is_ok());
        match first.iter().position(|byte| *byte == b'\n').map(|at| first[at - 1]) {
            None => Choice::Wait,
            Some(b'1') => Choice::to(&Rc::new(address(1).into())),
            Some(b'2') => Choice::to(&Rc::new(address(2).into())),
            Some(_) => Choice::Refuse { reason: "no such number".into(), reply: b"no\n" },
        }
    }
}

#[test]
fn the_target_gets_all_bytes_from_the_first_one_on_at_every_cut() {
    let line = b"I want 2\nand more";
    for at in 0..line.len() {
        let mut h = choosing(ByLine, None);
        let client = h.open();
        h.feed(client, &line[..at]);
        h.feed(client, &line[at..]);
        let target = h.accept(&address(2));
        assert_eq!(h.sent(target), line);
        h.feed(target, "answer");
        assert_eq!(h.sent(client), "answer");
        h.finish(client);
        assert_eq!(h.state(target), State::Shut);
        h.finish(target);
        assert_eq!(h.state(client), State::Closed);
        assert!(h.try_accept(&address(1)).is_none());
    }
}

#[test]
fn a_client_that_is_refused_gets_a_reply_and_the_end() {
    let mut h = choosing(ByLine, None);
    let client = h.open();
    h.feed(client, "I want 3\nand more");
    assert_eq!(h.sent(client), "no\n");
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn a_client_that_keeps_the_choice_waiting_is_closed_and_a_later_one_has_no_deadline() {
    let mut h = choosing(ByLine, None);
    let (silent, slow, chosen) = (h.open(), h.open(), h.open());
    h.feed(chosen, "1\n");
    for _ in 0..4 {
        h.feed(slow, ".");
        h.advance(Duration::from_secs(1));
    }
    assert_ne!(h.state(silent), State::Open);
    assert_ne!(h.state(slow), State::Open);
    assert_eq!(h.state(chosen), State::Open);
    h.advance(10 * DEADLINE);
    assert_eq!(h.state(chosen), State::Open);
}

#[test]
fn a_stop_closes_clients_whose_target_is_not_chosen_and_lets_others_finish() {
    let mut h = choosing(ByLine, None);
    let (undecided, chosen) = (h.open(), h.open());
    h.feed(chosen, "1\n");
    let target = h.accept(&address(1));
    h.stop();
    assert_eq!(h.state(undecided), State::Shut);
    h.feed(target, "answer");
    assert_eq!(h.sent(chosen), "answer");
}

/// A relay to a target behind a transport, its client, and the target's end.
fn sealed(transport: Factory<Target>) -> (Harness<Relay>, Client, Option<Client>) {
    let connect = Connect { transport: Some(transport), ..Connect::default() };
    let make = |reactor: &mut Reactor| {
        Relay::register(reactor, Rc::new(address(1).into()), &connect, None).expect("room")
    };
    let mut h = Harness::build(&Listen::default(), |_| {}, make);
    h.set_remote(&address(1), Remote::Listens);
    let client = h.open();
    let target = h.try_accept(&address(1));
    (h, client, target)
}

#[test]
fn a_target_whose_handshake_fails_is_named_with_the_reason() {
    let end = |act: fn(&mut Harness<Relay>, Client)| {
        logged_in(Level::Warn, || {
            let (mut h, client, target) = sealed(Records::factory());
            h.feed(client, "hello");
            act(&mut h, target.expect("a connection"));
            assert_eq!(h.sent(client), "");
            assert_eq!(h.state(client), State::Reset);
        })
    };
    let why = |why| [format!("cannot connect to 10.0.0.1:80: {why}")];
    let failed = end(|h, target| h.feed(target, b"?\0\0"));
    assert_eq!(failed, why("a record of kind 63 and 0 bytes"));
    let lost = "the connection was lost in the handshake";
    assert_eq!(end(Harness::reset), why(lost));
    assert_eq!(end(Harness::finish), why(lost));
    let late = end(|h, _| h.advance(Duration::from_secs(20)));
    assert_eq!(late, why("the handshake timed out"));
}

#[test]
fn a_target_that_breaks_its_protocol_later_is_named_and_a_client_that_does_is_not() {
    let greeting = b"g\0\0";
    let logged = logged_in(Level::Warn, || {
        let (mut h, client, target) = sealed(Records::factory());
        let target = target.expect("a connection");
        h.feed(target, greeting);
        h.feed(client, "hello");
        h.feed(target, b"?\0\0");
        assert_eq!(h.state(client), State::Reset);
    });
    assert_eq!(logged, ["connection to 10.0.0.1:80: a record of kind 63 and 0 bytes"]);
    let logged = logged_in(Level::Warn, || {
        let listen = Listen { transport: Some(Records::factory()), ..Listen::default() };
        let make = |reactor: &mut Reactor| {
            Relay::register(reactor, Rc::new(address(1).into()), &Connect::default(), None)
                .expect("room")
        };
        let mut h = Harness::build(&listen, |_| {}, make);
        h.set_remote(&address(1), Remote::Listens);
        let client = h.open();
        h.feed(client, greeting);
        h.accept(&address(1));
        h.feed(client, b"?\0\0");
        assert_ne!(h.state(client), State::Open);
    });
    assert_eq!(logged, [""; 0]);
}

#[test]
fn a_target_that_gets_no_transport_is_named_with_the_reason() {
    let factory = || Factory::new(|_: &Target| Err("there is no name".into()));
    let logged = logged_in(Level::Warn, || {
        let (h, client, target) = sealed(factory());
        assert!(target.is_none());
        assert_ne!(h.state(client), State::Open);
    });
    assert_eq!(logged, ["cannot connect to 10.0.0.1:80: there is no name"]);
}
