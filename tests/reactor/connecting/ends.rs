//! Where connecting ends: at its limits, with the reactor, and when it is misused.

use std::net::SocketAddr;
use std::time::Duration;

use sluicegate_reactor::testing::{Harness, Remote, State, Step};
use sluicegate_reactor::{Address, Connect, Limits, Listen, Sent};

use super::{harness, passive, upstream};
use crate::probe::{Call, Probe, log};

const SECOND: Duration = Duration::from_secs(1);
/// Two ticks, which is how late a deadline may be.
const LATE: Duration = Duration::from_nanos(2 << 24);

#[test]
fn more_than_the_most_connections_fail() {
    let connect = Connect { max_connections: 2, ..Connect::default() };
    let (mut h, connector) = passive(&connect);
    h.set_remote(&upstream(), Remote::Listens);
    for session in 10..14 {
        h.connect(connector, upstream(), session);
    }
    let refused = |session| format!("{session} close Unconnected(QuotaExceeded)");
    assert_eq!(log(&mut h), ["10 ready", "11 ready", &refused(12), &refused(13)]);
    let far = h.accept(&upstream());
    h.reset(far);
    h.at_once(|h| {
        h.connect(connector, upstream(), 14);
        let refused = h.connect(connector, upstream(), 15);
        assert_eq!(h.reactor().peer(refused).send("lost"), Sent::Gone);
    });
    let mut seen = log(&mut h);
    seen.sort();
    assert_eq!(seen, ["10 close Reset", "14 ready", &refused(15)]);
}

#[test]
fn a_shortage_of_descriptors_or_registrations_is_a_failure() {
    for descriptors in [true, false] {
        let (mut h, connector) = passive(&Connect::default());
        h.set_remote(&upstream(), Remote::Listens);
        match descriptors {
            true => h.set_descriptor_limit(1),
            false => h.set_watch_limit(1),
        }
        h.connect(connector, upstream(), 7);
        assert_eq!(log(&mut h), ["7 close Unconnected(QuotaExceeded)"]);
        assert_eq!(h.open_descriptors().streams, 0);
    }
}

#[test]
fn a_reactor_that_stops_gives_sessions_back_at_every_stage() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(_) => cx.stop(),
        Call::Stop => {}
        call => call.by_default(cx),
    }));
    h.reactor().set_drain(Duration::ZERO);
    let connector = h.connector(&Connect::default());
    let client = h.open();
    h.set_remote(&upstream(), Remote::Silent);
    let in_the_making = h.connect(connector, upstream(), 10);
    h.reactor().peer(in_the_making).send("lost");
    h.set_remote(&Address::from(SocketAddr::from(([10, 0, 0, 2], 80))), Remote::Listens);
    h.connect(connector, SocketAddr::from(([10, 0, 0, 2], 80)), 11);
    log(&mut h);
    h.at_once(|h| {
        h.feed(client, b"x");
        h.turn();
        h.connect(connector, upstream(), 12);
    });
    let mut seen = log(&mut h);
    seen.sort();
    let stopped = [
        "0 close Stopped",
        "0 data x",
        "0 stop",
        "10 close Stopped",
        "11 close Stopped",
        "11 stop",
    ];
    assert_eq!(seen, [&stopped[..], &["12 close Stopped"]].concat());
}

#[test]
fn a_reactor_that_has_stopped_connects_no_more() {
    let mut h = harness(&Connect::default(), |connector| {
        Probe::new(|cx, call, _| match call {
            Call::Data(_) => cx.stop(),
            Call::Stop => {}
            call => call.by_default(cx),
        })
        .on_close(move |cx, _, _| {
            let id = cx.connect(connector, upstream(), 20);
            assert!(!cx.peer(id).is_open());
            assert_eq!(cx.peer(id).send("x"), Sent::Gone);
        })
    });
    h.reactor().set_drain(Duration::ZERO);
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 stop", "0 close Stopped"]);
}

#[test]
fn what_its_handler_closes_because_time_is_up_has_timed_out_at_every_stage() {
    let limits = Limits { idle: Some(3 * SECOND), ..Limits::default() };
    let (mut h, connector) = passive(&Connect { limits, ..Connect::default() });
    h.set_remote(&upstream(), Remote::Silent);
    let waiting = h.connect(connector, upstream(), 7);
    h.reactor().peer(waiting).set_deadline(Some(SECOND));
    h.advance(2 * SECOND);
    assert_eq!(log(&mut h), ["7 timeout Own", "7 close TimedOut"]);

    // With something to send it is closed behind that.
    let waiting = h.connect(connector, upstream(), 8);
    h.reactor().peer(waiting).send("early");
    h.reactor().peer(waiting).set_deadline(Some(SECOND));
    h.advance(2 * SECOND);
    assert_eq!(log(&mut h), ["8 timeout Own"]);
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), ["8 close TimedOut"]);
    let far = h.accept(&upstream());
    assert_eq!(h.sent(far), b"early");

    h.connect(connector, upstream(), 9);
    h.advance(4 * SECOND);
    assert_eq!(log(&mut h), ["9 ready", "9 timeout Idle", "9 close TimedOut"]);
    let far = h.accept(&upstream());
    assert_eq!(h.state(far), State::Shut);
}

#[test]
fn a_deadline_of_an_attempt_that_was_closed_does_not_come() {
    let (mut h, connector) = passive(&Connect::default());
    h.set_remote(&upstream(), Remote::Silent);
    let id = h.connect(connector, upstream(), 7);
    h.reactor().peer(id).set_deadline(Some(SECOND));
    h.reactor().peer(id).send("early");
    h.reactor().peer(id).close();
    h.advance(2 * SECOND);
    assert_eq!((log(&mut h), h.ledger().timeouts), (vec![], 0));
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), ["7 close Closed"]);
    let far = h.accept(&upstream());
    assert_eq!(h.sent(far), b"early");
}

#[test]
fn an_established_connection_has_its_whole_time_however_long_that_took() {
    for queued in [false, true] {
        let limits = Limits {
            idle: (!queued).then_some(3 * SECOND),
            write_stall: queued.then_some(3 * SECOND),
            ..Limits::default()
        };
        let connect = Connect { limits, timeout: 100 * SECOND, ..Connect::default() };
        let (mut h, connector) = passive(&connect);
        h.set_remote(&upstream(), Remote::Silent);
        let id = h.connect(connector, upstream(), 7);
        if queued {
            h.reactor().peer(id).send("the far end takes none of this");
        }
        h.advance(10 * SECOND);
        h.at_once(|h| {
            h.set_remote(&upstream(), Remote::Listens);
            let far = h.accept(&upstream());
            h.script_send(far, [Step::WouldBlock]);
            h.turn();
            h.set_room(far, 0);
        });
        assert_eq!(log(&mut h), ["7 ready"]);
        h.advance(3 * SECOND - Duration::from_nanos(1));
        assert_eq!(log(&mut h), [""; 0], "early");
        h.advance(LATE);
        let which = if queued { "WriteStall" } else { "Idle" };
        assert_eq!(log(&mut h), [&format!("7 timeout {which}"), "7 close TimedOut"]);
    }
}

#[test]
#[should_panic(expected = "Connector belongs to another reactor")]
fn a_connector_of_another_reactor_is_noticed() {
    let mut other = sluicegate_reactor::Reactor::new().unwrap();
    let handler = other.register(Probe::echo());
    let connector = other.connector(handler, &Connect::default()).expect("room for a connector");
    let mut h = Harness::new(Probe::echo());
    h.connect(connector, upstream(), 7);
}

#[test]
fn a_connector_of_another_reactor_costs_only_the_connection_that_used_it() {
    let mut other = sluicegate_reactor::Reactor::new().unwrap();
    other.register(Probe::echo());
    let handler = other.register(Probe::echo());
    // It has the number of the harness's own one, but is for another handler of that type.
    let connector = other.connector(handler, &Connect::default()).expect("room for a connector");
    let mut h = harness(&Connect::default(), |_| {
        Probe::new(move |cx, call, _| match call {
            Call::Data(_) => drop(cx.connect(connector, upstream(), 7)),
            call => call.by_default(cx),
        })
    });
    h.expect_panics();
    let (client, bystander) = (h.open(), h.open());
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "1 open", "0 data x", "0 close Panicked"]);
    assert_eq!(h.state(bystander), State::Open);
}

#[test]
fn what_is_in_the_making_hears_of_the_end_when_it_is_ready() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(_) => cx.stop(),
        call => call.by_default(cx),
    }));
    let connector = h.connector(&Connect::default());
    h.set_remote(&upstream(), Remote::Silent);
    h.connect(connector, upstream(), 7);
    let client = h.open();
    h.feed(client, b"x");
    log(&mut h);
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), ["7 ready", "7 stop", "7 close Closed"]);
}

#[test]
fn a_listener_after_too_many_connectors_is_an_error() {
    let mut reactor = sluicegate_reactor::Reactor::new().unwrap();
    let handler = reactor.register(Probe::echo());
    for _ in 0..65_536 {
        reactor.connector(handler, &Connect::default()).expect("room for a connector");
    }
    let error = reactor.listen("127.0.0.1:0", &Listen::default(), handler).unwrap_err();
    assert!(error.to_string().contains("at most 65,536"), "{error}");
    let error = reactor.connector(handler, &Connect::default()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
}
