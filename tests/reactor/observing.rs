//! An observer sees every connection and every byte, once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use log::Level;
use sluicegate_reactor::testing::{Harness, Records, Remote, State};
use sluicegate_reactor::{
    Address, ConnId, Connect, Handler, Limits, Listen, Observed, Observer, Reason,
};

use crate::logged::logged_in;
use crate::probe::{Call, Probe, pattern, with_limits};

/// An observer that adds up the bytes of each connection. A clone reads the same notes.
#[derive(Clone, Default)]
pub(crate) struct Witness(Rc<RefCell<Seen>>);

#[derive(Default)]
struct Seen {
    /// What has happened, without the bytes.
    log: Vec<String>,
    /// Bytes received and sent by the connections that are open.
    open: BTreeMap<ConnId, [u64; 2]>,
    /// Bytes received and sent by all connections.
    total: [u64; 2],
    turns: u64,
}

impl Witness {
    /// The observer of a new harness.
    pub(crate) fn of<H: Handler>(h: &mut Harness<H>) -> Witness {
        let witness = Witness::default();
        h.reactor().observe(witness.clone());
        witness
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }

    /// Whether no connection is open, and nothing was wrong: the reactor drops an observer that
    /// panics.
    pub(crate) fn is_content(&self) -> bool {
        Rc::strong_count(&self.0) == 2 && self.0.borrow().open.is_empty()
    }

    fn add(&self, connection: &Observed<'_>, direction: usize, bytes: u64) {
        let seen = &mut *self.0.borrow_mut();
        let sums = seen.open.get_mut(&connection.id()).expect("bytes of an open connection");
        assert!(bytes > 0);
        sums[direction] += bytes;
        seen.total[direction] += bytes;
    }

    fn note(&self, connection: &Observed<'_>, what: &str) {
        let id = format!("{:?}", connection.id());
        let listener = connection.listener().map_or("no listener".into(), Address::to_string);
        self.0.borrow_mut().log.push(format!("{id} of {listener} {what}"));
    }
}

impl Observer for Witness {
    fn opened(&mut self, connection: &Observed<'_>) {
        self.note(connection, "opened");
        let before = self.0.borrow_mut().open.insert(connection.id(), [0, 0]);
        assert!(before.is_none() && (connection.received(), connection.sent()) == (0, 0));
    }

    fn received(&mut self, connection: &Observed<'_>, bytes: u64) {
        self.add(connection, 0, bytes);
    }

    fn sent(&mut self, connection: &Observed<'_>, bytes: u64) {
        self.add(connection, 1, bytes);
    }

    fn closed(&mut self, connection: &Observed<'_>, why: Reason) {
        self.note(connection, &format!("closed: {why:?}"));
        let sums = self.0.borrow_mut().open.remove(&connection.id());
        assert_eq!(sums, Some([connection.received(), connection.sent()]));
    }

    fn failed(&mut self, connection: &Observed<'_>, why: Reason) {
        self.note(connection, &format!("failed: {why:?}"));
        assert!(!self.0.borrow().open.contains_key(&connection.id()));
    }

    fn turn(&mut self, _: Duration) {
        self.0.borrow_mut().turns += 1;
    }
}

fn upstream() -> Address {
    SocketAddr::from(([10, 0, 0, 1], 80)).into()
}

#[test]
fn an_accepted_connection_is_opened_and_closed_once_with_its_bytes_in_between() {
    let mut h = Harness::new(Probe::echo());
    let witness = Witness::of(&mut h);
    let client = h.open();
    for size in [1, 5000, 70_000] {
        h.feed(client, pattern(size));
        assert_eq!(h.sent(client), pattern(size));
    }
    assert_eq!(witness.log(), ["ConnId(0.1) of 127.0.0.1:80 opened"]);
    assert_eq!(witness.0.borrow().total, [75_001, 75_001]);
    h.finish(client);
    assert_eq!(witness.log(), ["ConnId(0.1) of 127.0.0.1:80 closed: Closed"]);
    assert!(witness.is_content());
    assert_eq!(witness.0.borrow().turns, h.ledger().turns);
}

#[test]
fn what_a_full_socket_takes_in_pieces_adds_up() {
    let mut h = Harness::new(Probe::echo());
    let witness = Witness::of(&mut h);
    let client = h.open();
    h.set_room(client, 1000);
    h.feed(client, pattern(200_000));
    assert_eq!(witness.0.borrow().total, [h.ledger().received, 1000]);
    assert_eq!(h.sent(client), pattern(200_000));
    assert_eq!(witness.0.borrow().total, [200_000, 200_000]);
}

#[test]
fn bytes_that_a_relay_moves_are_seen_on_both_sides() {
    for splice_after in [usize::MAX, 0] {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Open if let [left, right] = notes.ids[..] => cx.peer(left).relay_to(right),
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, Limits { splice_after, ..Limits::default() });
        let witness = Witness::of(&mut h);
        let (left, right) = (h.open(), h.open());
        h.feed(left, pattern(300_000));
        assert_eq!(h.sent(right), pattern(300_000));
        assert_eq!(witness.0.borrow().total, [300_000, 300_000]);
    }
}

#[test]
fn a_requested_connection_is_opened_when_it_is_established_or_fails() {
    let mut h = Harness::new(Probe::new(|cx, call, _| call.by_default(cx)));
    let witness = Witness::of(&mut h);
    let connector = h.connector(&Connect::default());
    h.set_remote(&upstream(), Remote::Silent);
    let id = h.connect(connector, upstream(), 7);
    assert_eq!(witness.log(), [""; 0]);
    h.reactor().peer(id).send("hello");
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(witness.log(), ["ConnId(0.1) of no listener opened"]);
    let far = h.accept(&upstream());
    h.reset(far);
    assert_eq!(witness.log(), ["ConnId(0.1) of no listener closed: Reset"]);
    assert_eq!(witness.0.borrow().total, [0, 5]);

    h.set_remote(&upstream(), Remote::Fails(libc::ECONNREFUSED));
    h.connect(connector, upstream(), 8);
    let failed = "ConnId(0.2) of no listener failed: Unconnected(ConnectionRefused)";
    assert_eq!(witness.log(), [failed]);
    h.set_remote(&upstream(), Remote::Silent);
    let id = h.connect(connector, upstream(), 9);
    h.reactor().peer(id).abort();
    h.run();
    assert_eq!(witness.log(), ["ConnId(0.3) of no listener failed: Aborted"]);
    assert!(witness.is_content());
}

#[test]
fn a_connection_with_a_transport_is_opened_after_the_handshake_or_fails() {
    let listen = Listen { transport: Some(Records::factory()), ..Listen::default() };
    let mut h = Harness::with(Probe::echo(), &listen);
    let witness = Witness::of(&mut h);
    let (client, stranger) = (h.open(), h.open());
    h.feed(stranger, b"what?");
    assert_eq!(witness.log(), ["ConnId(1.2) of 127.0.0.1:80 failed: Transport"]);
    h.feed(client, [b"g\0\x02".as_slice(), &[!b'h', !b'i']].concat());
    assert_eq!(witness.log(), ["ConnId(0.1) of 127.0.0.1:80 opened"]);
    h.feed(client, [b"d\0\x01".as_slice(), &[!b'x']].concat());
    // As the handler sees them, not with their records.
    assert_eq!(witness.0.borrow().total, [1, 1]);
    h.reset(client);
    assert_eq!(witness.log(), ["ConnId(0.1) of 127.0.0.1:80 closed: Reset"]);
    assert!(witness.is_content());
}

#[test]
fn connections_that_the_end_of_a_reactor_closes_are_closed() {
    let mut h = Harness::new(Probe::echo());
    let witness = Witness::of(&mut h);
    h.open();
    drop(h);
    let events = ["opened", "closed: Stopped"];
    assert_eq!(witness.log(), events.map(|it| format!("ConnId(0.1) of 127.0.0.1:80 {it}")));
}

#[test]
fn an_observer_that_panics_is_dropped_and_its_reactor_goes_on() {
    struct Panics(#[expect(dead_code, reason = "it is dropped")] Rc<()>);

    impl Observer for Panics {
        fn received(&mut self, _: &Observed<'_>, _: u64) {
            panic!("as the test wants it");
        }
    }

    let logged = logged_in(Level::Error, || {
        let (mut h, held) = (Harness::new(Probe::echo()), Rc::new(()));
        h.reactor().observe(Panics(held.clone()));
        let client = h.open();
        assert_eq!(Rc::strong_count(&held), 2);
        h.feed(client, b"x");
        assert_eq!(Rc::strong_count(&held), 1);
        assert_eq!((h.sent(client), h.state(client)), ("x".into(), State::Open));
        assert_eq!(h.ledger().panics, 0, "no handler has panicked");
    });
    assert_eq!(logged, ["the observer panicked, and is dropped"]);
}
