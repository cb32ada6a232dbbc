//! A handler learns of a connection when the handshake is over.

use std::sync::Arc;

use sluicegate_reactor::Turn;
use sluicegate_reactor::testing::Remote;
use sluicegate_reactor::{Connect, Reason};

use super::*;

#[test]
fn a_connection_opens_after_the_handshake_however_it_arrives() {
    for size in [1, 2, 5] {
        let mut h = sealed(Probe::echo(), Limits::default());
        let client = h.open();
        let wire = [greeting(), record(b'd', b"hello")].concat();
        for piece in wire.chunks(size) {
            h.feed(client, piece);
        }
        assert_eq!(sent(&mut h, client), ["d hello"]);
        assert_eq!(log(&mut h), ["0 open", "0 data hello"]);
        let ledger = h.ledger();
        assert_eq!((ledger.handshakes, ledger.handshake_failures), (1, 0));
        assert_eq!((ledger.received, ledger.wire_received), (5, wire.len() as u64));
        assert_eq!((ledger.sent, ledger.sealed_bytes), (5, 5));
    }
}

#[test]
fn a_handler_does_not_learn_of_a_handshake_that_fails() {
    for (wire, alert) in [(record(b'd', b"early"), "a "), (vec![0; 3], "a "), (vec![], "")] {
        let mut h = sealed(Probe::echo(), Limits::default());
        let client = h.open();
        h.feed(client, &wire);
        h.finish(client);
        assert_eq!(sent(&mut h, client).concat(), alert);
        assert_eq!(h.state(client), State::Closed);
        assert!(log(&mut h).is_empty());
        assert_eq!(h.ledger().handshakes, 0);
    }
}

#[test]
fn a_handshake_has_its_deadline_however_busy_the_client_is() {
    let handshake = Duration::from_secs(3);
    let mut h = sealed(Probe::echo(), Limits { handshake, ..Limits::default() });
    let (silent, busy) = (h.open(), h.open());
    for byte in &greeting()[..4] {
        h.advance(Duration::from_millis(700));
        h.feed(busy, [*byte]);
    }
    assert_eq!((h.state(silent), h.state(busy)), (State::Open, State::Open));
    h.advance(Duration::from_millis(300));
    assert_eq!((h.state(silent), h.state(busy)), (State::Reset, State::Reset));
    assert!(log(&mut h).is_empty());
    assert_eq!(h.ledger().handshake_failures, 2);
}

#[test]
fn the_idle_deadline_begins_after_the_handshake() {
    let limits = Limits { idle: Some(Duration::from_secs(5)), ..Limits::default() };
    let mut h = sealed(Probe::echo(), limits);
    let client = h.open();
    h.advance(Duration::from_secs(8));
    h.feed(client, greeting());
    h.advance(Duration::from_secs(4));
    assert_eq!(h.state(client), State::Open);
    h.advance(Duration::from_secs(2));
    assert_eq!(log(&mut h), ["0 open", "0 timeout Idle", "0 close TimedOut"]);
    assert_eq!(sent(&mut h, client), ["e "]);
}

#[test]
fn more_handshakes_than_allowed_are_refused_until_one_is_over() {
    let listen =
        Listen { transport: Some(Records::factory()), max_handshakes: 2, ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    let (first, second, third) = (h.open(), h.open(), h.open());
    assert_eq!(h.state(third), State::Reset);
    assert_eq!(h.ledger().refused_handshakes, 1);
    h.feed(first, greeting());
    h.reset(second);
    let (fourth, fifth, sixth) = (h.open(), h.open(), h.open());
    assert_eq!(h.state(sixth), State::Reset);
    h.feed(fourth, greeting());
    h.feed(fifth, greeting());
    assert_eq!(log(&mut h), ["0 open", "1 open", "2 open"]);
}

#[test]
fn a_connection_without_a_transport_or_a_refused_one_is_the_factorys_choice() {
    let transport = Some(Factory::new(|address: &Address| match address.ip() {
        Some(ip) if ip.is_ipv6() => Err("no IPv6 here".into()),
        Some(ip) if ip.is_multicast() => panic!("a factory with a mistake"),
        _ => Ok(None),
    }));
    let mut h = Harness::with(Probe::echo(), &Listen { transport, ..Listen::default() });
    for address in ["::1", "224.0.0.1"] {
        let refused = h.open_from(address.parse().unwrap());
        assert_eq!(h.state(refused), State::Reset, "{address}");
    }
    let plain = h.open();
    h.feed(plain, b"hello");
    assert_eq!(h.sent(plain), "hello");
    assert_eq!(log(&mut h), ["0 open", "0 data hello"]);
}

/// Records that panic where they are told to.
struct Panics(&'static str);

impl Transport for Panics {
    fn start(&mut self, _: &mut Output<'_>) -> Result<(), Error> {
        assert_ne!(self.0, "start");
        Ok(())
    }
    fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
        assert_ne!(self.0, "open");
        let out_of_range = usize::from(self.0 == "range");
        Ok(Opened::Bytes { consumed: wire.len(), plain: 0..wire.len() + out_of_range })
    }
    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        assert_ne!(self.0, "seal");
        out.put(plain);
        Ok(())
    }
    fn close(&mut self, _: &mut Output<'_>) {
        assert_ne!(self.0, "close");
    }
    fn state(&self) -> Phase {
        Phase::Open
    }
}

#[test]
fn a_transport_that_panics_costs_its_own_connection_only() {
    for place in ["start", "open", "seal", "close", "range"] {
        let transport = Some(Factory::new(move |address: &Address| {
            let is_v6 = address.ip().is_some_and(|ip| ip.is_ipv6());
            Ok(Some(Box::new(Panics(if is_v6 { place } else { "" })) as Box<dyn Transport>))
        }));
        let mut h = Harness::with(Probe::echo(), &Listen { transport, ..Listen::default() });
        let (good, bad) = (h.open(), h.open_from("::1".parse().unwrap()));
        h.feed(bad, b"hello");
        h.finish(bad);
        assert!(matches!(h.state(bad), State::Closed | State::Reset), "after {place}");
        h.feed(good, b"hello");
        assert_eq!(h.sent(good), "hello", "after {place}");
    }
}

#[test]
fn an_outgoing_connection_is_ready_after_the_handshake_and_then_sends() {
    let mut h = Harness::new(Probe::echo());
    let target: Address = "10.0.0.1:443".parse().unwrap();
    h.set_remote(&target, Remote::Listens);
    let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
    let connector = h.connector(&connect);
    let id = h.connect(connector, &target, 7);
    h.reactor().peer(id).send("queued");
    let far = h.accept(&target);
    assert_eq!(records(&h.sent(far)), [""; 0], "nothing before the handshake is over");
    assert!(log(&mut h).is_empty());
    h.feed(far, greeting());
    assert_eq!(sent(&mut h, far), ["d queued"]);
    h.feed(far, record(b'd', b"hello"));
    assert_eq!(sent(&mut h, far), ["d hello"]);
    assert_eq!(log(&mut h), ["7 ready", "7 data hello"]);
}

#[test]
fn an_outgoing_connection_whose_handshake_fails_gives_its_session_back() {
    for (answer, why) in [(&b"???"[..], "Transport"), (b"", "Reset")] {
        let mut h = Harness::new(Probe::echo());
        let target: Address = "10.0.0.1:443".parse().unwrap();
        h.set_remote(&target, Remote::Listens);
        let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
        let connector = h.connector(&connect);
        h.connect(connector, &target, 7);
        let far = h.accept(&target);
        h.feed(far, answer);
        h.finish(far);
        assert_eq!(log(&mut h), [format!("7 close {why}")]);
    }
}

#[test]
fn a_connection_that_is_closed_in_its_handshake_sends_what_is_queued_first() {
    let mut h = Harness::new(Probe::echo().on_close(|_: &mut Turn, _, _| {}));
    let target: Address = "10.0.0.1:443".parse().unwrap();
    h.set_remote(&target, Remote::Listens);
    let connect = Connect { transport: Some(Records::factory()), ..Connect::default() };
    let connector = h.connector(&connect);
    let (queued, empty) = (h.connect(connector, &target, 0), h.connect(connector, &target, 1));
    let (far, other) = (h.accept(&target), h.accept(&target));
    h.reactor().peer(queued).send("queued");
    for id in [queued, empty] {
        h.reactor().peer(id).close();
    }
    h.run();
    assert_eq!(log(&mut h), [format!("1 close {:?}", Reason::Closed)]);
    assert_eq!(h.state(other), State::Reset);
    h.feed(far, greeting());
    assert_eq!(sent(&mut h, far), ["d queued", "e "]);
    h.finish(far);
    assert_eq!(log(&mut h), [format!("0 close {:?}", Reason::Closed)]);
}

/// A preamble of one line, after which the bytes pass as they are.
pub(super) struct Preamble {
    pub(super) peer: Arc<Address>,
    pub(super) done: bool,
}

impl Transport for Preamble {
    fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
        let Some(end) = wire.iter().position(|byte| *byte == b'\n') else {
            return Ok(Opened::Incomplete);
        };
        self.peer = Arc::new(std::str::from_utf8(&wire[..end])?.parse()?);
        self.done = true;
        Ok(Opened::nothing(end + 1))
    }
    fn seal(&mut self, _: &[u8], _: &mut Output<'_>) -> Result<(), Error> {
        unreachable!("it is transparent before anything is sent")
    }
    fn state(&self) -> Phase {
        if self.done { Phase::Transparent } else { Phase::Handshake }
    }
    fn peer_address(&self) -> Option<&Arc<Address>> {
        Some(&self.peer)
    }
}

/// A handshake that never ends.
struct Endless;

impl Transport for Endless {
    fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
        Ok(Opened::nothing(wire.len()))
    }
    fn seal(&mut self, _: &[u8], _: &mut Output<'_>) -> Result<(), Error> {
        unreachable!("it is never open")
    }
    fn state(&self) -> Phase {
        Phase::Handshake
    }
}

#[test]
fn a_handshake_has_one_quantum_a_turn_however_much_the_client_sends() {
    let transport = Some(Factory::new(|_| Ok(Some(Box::new(Endless) as Box<dyn Transport>))));
    let limits = Limits { quantum_calls: 2, ..Limits::default() };
    let mut h = Harness::with(Probe::echo(), &Listen { transport, limits, ..Listen::default() });
    let client = h.open();
    h.at_once(|h| {
        for turn in 1..=5 {
            h.feed(client, vec![0; 1 << 20]);
            let before = h.ledger().recv_calls;
            h.turn();
            assert_eq!(h.ledger().recv_calls - before, 2, "turn {turn}");
        }
    });
    h.run();
    assert_eq!(h.unread(client), 0, "it goes on without an event");
}

#[test]
fn a_preamble_leaves_what_follows_it_and_stays_out_of_the_way() {
    for size in [1, 7, 100] {
        let transport = Some(Factory::new(|address: &Address| {
            let preamble = Preamble { peer: Arc::new(address.clone()), done: false };
            Ok(Some(Box::new(preamble) as Box<dyn Transport>))
        }));
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Open => {
                notes.add(cx.peer_address().unwrap());
                cx.receive_exact(10).unwrap();
            }
            Call::Received(bytes) => {
                assert_eq!(&bytes[..], b"0123456789");
                cx.send(&bytes[..]);
            }
            call => call.by_default(cx),
        });
        let mut h = Harness::with(probe, &Listen { transport, ..Listen::default() });
        let client = h.open();
        for piece in b"192.0.2.7:99\n0123456789".chunks(size) {
            h.feed(client, piece);
        }
        h.finish(client);
        assert_eq!(h.sent(client), "0123456789");
        assert_eq!(h.state(client), State::Closed);
        let log = log(&mut h);
        assert_eq!(log[1], "0 192.0.2.7:99");
        assert_eq!(log[2..], ["0 received 0123456789", "0 eof", "0 close Closed"]);
        assert_eq!(h.ledger().sealed_bytes, 0, "what follows is sent as it is");
    }
}

#[test]
fn a_draining_reactor_tells_a_connection_in_its_handshake_once_it_is_open() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let (handshaking, silent) = (h.open(), h.open());
    h.stop();
    h.feed(handshaking, greeting());
    assert_eq!(log(&mut h), ["0 open", "0 stop", "0 close Closed"]);
    h.finish(handshaking);
    h.advance(Duration::from_secs(31));
    assert_eq!(h.state(silent), State::Reset);
}

#[test]
fn through_runs_the_client_of_a_harness_through_a_transport() {
    through(Records::factory(), Records::factory(), || {
        let mut h = Harness::new(Probe::echo());
        let client = h.open();
        h.feed(client, b"hello");
        assert_eq!(h.sent(client), "hello");
        h.finish(client);
        assert_eq!(log(&mut h), ["0 open", "0 data hello", "0 eof", "0 close Closed"]);
    });
}

#[test]
fn a_handshake_that_the_end_of_the_grace_period_cuts_is_reset() {
    let limits = Limits { handshake: Duration::from_secs(60), ..Limits::default() };
    let mut h = sealed(Probe::echo(), limits);
    let client = h.open();
    h.stop();
    h.advance(Duration::from_secs(31));
    assert_eq!(h.state(client), State::Reset, "it must not look orderly");
}
