//! Connecting to others: it is ready once, or its session comes back once.

mod ends;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, Remote, State, Step};
use sluicegate_reactor::{
    Address, ConnId, Connect, Connector, Context, Limits, Listen, Peer, Sent, Target,
};

use crate::probe::{Call, Notes, Probe, log, pattern};

/// Where the far end is.
fn upstream() -> Address {
    SocketAddr::from(([10, 0, 0, 1], 80)).into()
}

/// A harness of a handler that connects.
fn harness(connect: &Connect, make: impl FnOnce(Connector<Probe>) -> Probe) -> Harness<Probe> {
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let handler = reactor.reserve();
            let connector = reactor.connector(handler, connect).expect("room for a connector");
            reactor.install(handler, make(connector));
            handler
        },
    )
}

/// One whose handler does nothing by itself, and its connector.
fn passive(connect: &Connect) -> (Harness<Probe>, Connector<Probe>) {
    let mut h = Harness::new(Probe::new(|cx, call, _| call.by_default(cx)));
    let connector = h.connector(connect);
    (h, connector)
}

/// One whose handler connects, as its session 7, when a client sends something, and then does what
/// `act` says with the name of the connection.
fn on_data(mut act: impl FnMut(&mut Context<'_>, ConnId) + 'static) -> (Harness<Probe>, Client) {
    on_data_noting(move |cx, id, _| act(cx, id))
}

/// The same with notes.
fn on_data_noting(
    mut act: impl FnMut(&mut Context<'_>, ConnId, &mut Notes) + 'static,
) -> (Harness<Probe>, Client) {
    let mut h = harness(&Connect::default(), |connector| {
        Probe::new(move |cx, call, notes| match call {
            Call::Data(input) if notes.current == 0 => {
                input.take();
                let id = cx.connect(connector, upstream(), 7);
                act(cx, id, notes);
            }
            call => call.by_default(cx),
        })
    });
    let client = h.open();
    log(&mut h);
    (h, client)
}

#[test]
fn what_is_sent_before_a_connection_is_made_leaves_first() {
    let (mut h, client) = on_data(|cx, id| {
        assert!(cx.peer(id).is_open());
        assert_eq!(cx.peer(id).send("early "), Sent::Accepted);
        // Longer than what is written through: there is no socket yet.
        assert_eq!(cx.peer(id).send(&pattern(5000)[..]), Sent::Accepted);
        assert_eq!(cx.peer(id).pending(), 5006);
    });
    h.set_remote(&upstream(), Remote::Silent);
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 data x"]);
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), ["7 ready"]);
    let far = h.accept(&upstream());
    assert_eq!(h.sent(far), [&b"early "[..], &pattern(5000)].concat());
    h.feed(far, b"answer");
    h.finish(far);
    assert_eq!(log(&mut h), ["7 data answer", "7 eof", "7 close Closed"]);
    assert_eq!(h.state(far), State::Closed);
    assert_eq!((h.ledger().connects, h.ledger().connect_failures), (1, 0));
}

#[test]
fn a_failure_in_the_call_is_never_reported_from_inside_connect() {
    for (errno, kind) in [
        (libc::ENETUNREACH, ErrorKind::NetworkUnreachable),
        (libc::ECONNREFUSED, ErrorKind::ConnectionRefused),
        (libc::EADDRNOTAVAIL, ErrorKind::AddrNotAvailable),
        (libc::EAGAIN, ErrorKind::WouldBlock),
        (libc::ENOENT, ErrorKind::NotFound),
        (libc::EMFILE, ErrorKind::QuotaExceeded),
        (libc::ENOBUFS, ErrorKind::QuotaExceeded),
    ] {
        let (mut h, client) = on_data_noting(|cx, id, notes| {
            cx.peer(id).send("lost");
            notes.add("asked");
        });
        h.script_connect([Step::Errno(errno)]);
        h.feed(client, b"x");
        let closed = format!("7 close Unconnected({kind:?})");
        assert_eq!(log(&mut h), ["0 data x", "0 asked", &closed]);
        assert_eq!((h.ledger().connect_failures, h.ledger().dropped), (1, 4));
    }
}

#[test]
fn a_failure_after_the_call_gives_the_session_back() {
    for (errno, kind) in [
        (libc::ECONNREFUSED, ErrorKind::ConnectionRefused),
        (libc::EHOSTUNREACH, ErrorKind::HostUnreachable),
        (libc::ETIMEDOUT, ErrorKind::TimedOut),
    ] {
        let (mut h, connector) = passive(&Connect::default());
        h.set_remote(&upstream(), Remote::Silent);
        h.connect(connector, upstream(), 7);
        assert_eq!(h.open_descriptors().streams, 1);
        h.set_remote(&upstream(), Remote::Fails(errno));
        assert_eq!(log(&mut h), [format!("7 close Unconnected({kind:?})")]);
        assert_eq!(h.open_descriptors().streams, 0);
    }
}

#[test]
fn where_nobody_listens_a_connection_is_refused() {
    let (mut h, connector) = passive(&Connect::default());
    h.connect(connector, upstream(), 7);
    assert_eq!(log(&mut h), ["7 close Unconnected(ConnectionRefused)"]);
}

#[test]
fn a_signal_in_the_call_does_not_stop_it() {
    let (mut h, connector) = passive(&Connect::default());
    h.set_remote(&upstream(), Remote::Listens);
    h.script_connect([Step::Interrupted]);
    h.connect(connector, upstream(), 7);
    assert_eq!(log(&mut h), ["7 ready"]);
}

#[test]
fn a_connection_to_itself_is_refused() {
    let (mut h, connector) = passive(&Connect::default());
    h.set_remote(&upstream(), Remote::Itself);
    h.connect(connector, upstream(), 7);
    assert_eq!(log(&mut h), ["7 close Unconnected(ConnectionRefused)"]);
}

#[test]
fn what_is_not_made_in_time_is_given_up() {
    let connect = Connect { timeout: Duration::from_secs(3), ..Connect::default() };
    let (mut h, connector) = passive(&connect);
    h.set_remote(&upstream(), Remote::Silent);
    let id = h.connect(connector, upstream(), 7);
    h.reactor().peer(id).send("lost");
    h.advance(Duration::from_secs(3));
    assert_eq!(log(&mut h), [""; 0], "a deadline is never early");
    h.advance(Duration::from_millis(40));
    assert_eq!(log(&mut h), ["7 close Unconnected(TimedOut)"]);
    assert_eq!(h.open_descriptors().streams, 0);
    // What answers now finds nobody.
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), [""; 0]);
}

#[test]
fn the_time_to_connect_does_not_bind_the_connection() {
    let limits = Limits { idle: Some(Duration::from_secs(60)), ..Limits::default() };
    let connect = Connect { timeout: Duration::from_secs(3), limits, ..Connect::default() };
    let (mut h, connector) = passive(&connect);
    h.set_remote(&upstream(), Remote::Listens);
    h.connect(connector, upstream(), 7);
    h.advance(Duration::from_secs(60));
    assert_eq!(log(&mut h), ["7 ready"]);
    h.advance(Duration::from_secs(1));
    assert_eq!(log(&mut h), ["7 timeout Idle", "7 close TimedOut"]);
}

#[test]
fn an_event_that_means_nothing_does_not_make_a_connection() {
    let (mut h, connector) = passive(&Connect::default());
    // It says that it is writable once it is watched.
    h.set_remote(&upstream(), Remote::Silent);
    let before = h.ledger().events;
    h.connect(connector, upstream(), 7);
    assert_eq!((log(&mut h).len(), h.ledger().events), (0, before + 1));
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), ["7 ready"]);
}

#[test]
fn data_and_the_end_right_behind_the_connection_are_one_event() {
    let (mut h, connector) = passive(&Connect::default());
    h.set_remote(&upstream(), Remote::Listens);
    h.at_once(|h| {
        h.connect(connector, upstream(), 7);
        // The call is made, and what became of it not yet seen.
        h.turn();
        let far = h.accept(&upstream());
        h.feed(far, b"bye");
        h.finish(far);
    });
    assert_eq!(log(&mut h), ["7 ready", "7 data bye", "7 eof", "7 close Closed"]);
}

#[test]
fn a_reset_right_behind_the_connection_is_a_failure_to_connect() {
    let (mut h, connector) = passive(&Connect::default());
    h.set_remote(&upstream(), Remote::Listens);
    h.at_once(|h| {
        h.connect(connector, upstream(), 7);
        h.turn();
        let far = h.accept(&upstream());
        h.reset(far);
    });
    assert_eq!(log(&mut h), ["7 close Unconnected(ConnectionReset)"]);
}

#[test]
fn a_connection_may_be_ended_in_the_callback_that_asks_for_it() {
    type Act = fn(&mut Context<'_>, ConnId);
    let close: Act = |cx, id| {
        cx.peer(id).close();
        assert!(!cx.peer(id).is_open());
        assert_eq!(cx.peer(id).send("late"), Sent::Gone);
    };
    let abort: Act = |cx, id| cx.peer(id).abort();
    let twice: Act = |cx, id| {
        cx.peer(id).close();
        cx.peer(id).abort();
        cx.peer(id).close();
    };
    for (act, why) in [(close, "Closed"), (abort, "Aborted"), (twice, "Closed")] {
        let (mut h, client) = on_data(act);
        h.set_remote(&upstream(), Remote::Listens);
        h.feed(client, b"x");
        assert_eq!(log(&mut h), ["0 data x".into(), format!("7 close {why}")]);
        assert_eq!(h.calls().connect, 0);
    }
}

#[test]
fn a_connection_may_be_ended_while_it_is_in_the_making() {
    type End = fn(&mut Peer<'_>);
    let (close, abort): (End, End) = (|peer| peer.close(), |peer| peer.abort());
    for (end, why) in [(close, "Closed"), (abort, "Aborted")] {
        let (mut h, connector) = passive(&Connect::default());
        h.set_remote(&upstream(), Remote::Silent);
        let id = h.connect(connector, upstream(), 7);
        h.at_once(|h| end(&mut h.reactor().peer(id)));
        assert_eq!(log(&mut h), [format!("7 close {why}")]);
        assert_eq!(h.open_descriptors().streams, 0);
        h.set_remote(&upstream(), Remote::Listens);
        assert_eq!(log(&mut h), [""; 0]);
    }
}

#[test]
fn what_was_sent_before_a_close_is_delivered_first() {
    let (mut h, client) = on_data(|cx, id| {
        cx.peer(id).send("last words");
        cx.peer(id).close();
        assert!(!cx.peer(id).is_open());
        assert_eq!(cx.peer(id).send("more"), Sent::Gone);
    });
    h.set_remote(&upstream(), Remote::Silent);
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 data x"]);
    h.set_remote(&upstream(), Remote::Listens);
    assert_eq!(log(&mut h), ["7 close Closed"], "ready for nothing");
    let far = h.accept(&upstream());
    assert_eq!(h.sent(far), "last words");
    assert_eq!(h.state(far), State::Shut);
    h.finish(far);
}

#[test]
fn a_shutdown_follows_when_the_connection_is_made() {
    let (mut h, client) = on_data(|cx, id| {
        cx.peer(id).send("request");
        cx.peer(id).shutdown();
        assert_eq!(cx.peer(id).send("more"), Sent::Gone);
    });
    h.set_remote(&upstream(), Remote::Listens);
    h.feed(client, b"x");
    let far = h.accept(&upstream());
    assert_eq!((h.sent(far), h.state(far)), ("request".into(), State::Shut));
    h.feed(far, b"answer");
    h.finish(far);
    let seen = ["0 data x", "7 ready", "7 data answer", "7 eof", "7 close Closed"];
    assert_eq!(log(&mut h), seen);
}

#[test]
fn a_pause_holds_from_the_start_but_not_back_that_it_is_ready() {
    let (mut h, client) = on_data(|cx, id| cx.peer(id).pause());
    h.set_remote(&upstream(), Remote::Listens);
    h.feed(client, b"x");
    let far = h.accept(&upstream());
    h.feed(far, b"unread");
    assert_eq!(log(&mut h), ["0 data x", "7 ready"]);
}

#[test]
fn a_deadline_of_its_own_runs_while_it_is_in_the_making() {
    let (mut h, client) = on_data(|cx, id| {
        cx.peer(id).set_deadline(Some(Duration::from_secs(1)));
    });
    h.set_remote(&upstream(), Remote::Silent);
    h.feed(client, b"x");
    h.advance(Duration::from_millis(1100));
    assert_eq!(log(&mut h), ["0 data x", "7 timeout Own", "7 close TimedOut"]);
}

#[test]
fn a_deadline_of_its_own_goes_on_when_it_is_ready() {
    let (mut h, client) = on_data(|cx, id| {
        cx.peer(id).set_deadline(Some(Duration::from_secs(20)));
    });
    h.set_remote(&upstream(), Remote::Listens);
    h.feed(client, b"x");
    h.advance(Duration::from_secs(20));
    assert_eq!(log(&mut h), ["0 data x", "7 ready"]);
    h.advance(Duration::from_millis(40));
    assert_eq!(log(&mut h), ["7 timeout Own", "7 close TimedOut"]);
}

#[test]
fn a_deadline_of_its_own_that_passes_as_it_is_made_comes_after_that_it_is_ready() {
    // Sending what was sent before uses up its quantum, so it hears in the next turn that it is
    // ready.
    let limits = Limits { send_quantum: 1000, gather_pieces: 1, ..Limits::default() };
    let (mut h, connector) = passive(&Connect { limits, ..Connect::default() });
    h.set_remote(&upstream(), Remote::Silent);
    let id = h.connect(connector, upstream(), 7);
    let mut peer = h.reactor().peer(id);
    peer.send(pattern(5000));
    peer.send(pattern(5000));
    peer.set_deadline(Some(Duration::from_secs(1)));
    h.at_once(|h| {
        h.set_remote(&upstream(), Remote::Listens);
        h.stall(Duration::from_millis(1100));
    });
    h.advance(Duration::from_millis(40));
    assert_eq!(log(&mut h), ["7 ready", "7 timeout Own", "7 close TimedOut"]);
}

#[test]
fn a_connection_can_be_asked_for_wherever_a_handler_is_called() {
    let mut h = harness(&Connect::default(), |connector| {
        let mut next = 10;
        let probe = Probe::new(move |cx, call, notes: &mut Notes| {
            if notes.current < 10 {
                cx.connect(connector, upstream(), next);
                next += 1;
            }
            call.by_default(cx);
        });
        let mut again = true;
        probe.on_close(move |cx, _, _| {
            if std::mem::take(&mut again) {
                cx.connect(connector, upstream(), 20);
            }
        })
    });
    h.set_remote(&upstream(), Remote::Listens);
    let client = h.open();
    h.feed(client, b"x");
    h.finish(client);
    let mut seen = log(&mut h);
    seen.sort();
    let expected = [
        "0 close Closed",
        "0 data x",
        "0 eof",
        "0 open",
        "10 ready",
        "11 ready",
        "12 ready",
        "20 ready",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_listener_of_the_same_machine_can_be_connected_to() {
    let mut h = harness(&Connect::default(), |_| Probe::echo());
    let connector = h.connector(&Connect::default());
    let here = SocketAddr::from(([127, 0, 0, 1], 80));
    let id = h.connect(connector, here, 7);
    let mut seen = log(&mut h);
    seen.sort();
    assert_eq!(seen, ["0 open", "7 ready"]);
    h.at_once(|h| {
        h.reactor().peer(id).send("x");
        h.reactor().peer(id).shutdown();
    });
    // The echo of the echo finds a direction that has ended.
    assert_eq!(
        log(&mut h),
        ["0 data x", "0 eof", "0 close Closed", "7 data x", "7 eof", "7 close Closed"]
    );
}

#[test]
fn unix_sockets_are_connected_to_as_well() {
    let (mut h, connector) = passive(&Connect::default());
    let path = Address::from_path("/run/upstream.sock").unwrap();
    h.set_remote(&path, Remote::Listens);
    h.connect(connector, "unix:/run/upstream.sock".parse::<Target>().unwrap(), 7);
    let far = h.accept(&path);
    h.feed(far, b"x");
    h.reset(far);
    assert_eq!(log(&mut h), ["7 ready", "7 data x", "7 close Reset"]);
}
