//! A reactor that is asked to stop lets its connections end in order, and is over after its time.

use std::time::Duration;

use sluicegate_reactor::testing::{Files, Harness, State, Step};
use sluicegate_reactor::{Limits, Listen, Sent};

use crate::probe::{Call, Probe, log, pattern};

const TIME: Duration = Duration::from_secs(10);

fn harness(probe: Probe, listen: &Listen) -> Harness<Probe> {
    let mut h = Harness::with(probe, listen);
    h.reactor().set_drain(TIME);
    h
}

/// Goes on when it is told that the reactor stops, and ends when the client says so.
fn stubborn() -> Probe {
    Probe::new(|cx, call, notes| match call {
        Call::Data(input) => match input.take() {
            b"end" => cx.close(),
            bytes => {
                cx.send(bytes);
            }
        },
        Call::Stop => {
            assert!(cx.is_stopping());
            notes.add("goes on");
        }
        call => call.by_default(cx),
    })
}

#[test]
fn each_session_is_told_once_and_closed_by_default() {
    let mut h = harness(Probe::echo(), &Listen::default());
    let clients = [h.open(), h.open()];
    log(&mut h);
    h.stop();
    assert_eq!(log(&mut h), ["0 stop", "0 close Closed", "1 stop", "1 close Closed"]);
    assert_eq!(clients.map(|client| h.state(client)), [State::Shut; 2]);
    assert_eq!(h.open_descriptors().listeners, 0);
    h.finish(clients[0]);
    assert!(!h.reactor().has_stopped(), "a client may still be reading what was sent last");
    h.finish(clients[1]);
    assert!(h.reactor().has_stopped());
}

#[test]
fn a_reactor_without_connections_is_over_at_once() {
    let mut h = harness(Probe::echo(), &Listen::default());
    h.stop();
    assert!(h.reactor().has_stopped());
    let turns = h.ledger().turns;
    h.turn();
    assert_eq!(h.ledger().turns, turns, "a turn of a stopped reactor does nothing");
}

#[test]
fn a_session_that_goes_on_is_served_until_it_ends() {
    let mut h = harness(stubborn(), &Listen::default());
    let client = h.open();
    h.stop();
    h.feed(client, b"more");
    h.advance(TIME / 2);
    assert_eq!(h.sent(client), "more");
    assert!(h.reactor().is_stopping() && !h.reactor().has_stopped());
    h.feed(client, b"end");
    h.finish(client);
    let told = ["0 open", "0 stop", "0 goes on", "0 data more", "0 data end", "0 close Closed"];
    assert_eq!(log(&mut h), told);
    assert!(h.reactor().has_stopped());
}

#[test]
fn what_goes_on_for_too_long_is_cut_when_the_time_is_over() {
    let mut h = harness(stubborn(), &Listen::default());
    let (idle, busy) = (h.open(), h.open());
    h.set_room(busy, 1000);
    h.feed(busy, pattern(5000));
    log(&mut h);
    h.stop();
    log(&mut h);
    h.advance(TIME - Duration::from_millis(1));
    assert_eq!(log(&mut h), [""; 0]);
    h.advance(Duration::from_millis(1));
    assert_eq!(log(&mut h), ["0 close Stopped", "1 close Stopped"]);
    assert_eq!(h.state(idle), State::Closed);
    assert_eq!(h.state(busy), State::Reset, "what it got must not look complete");
    assert!(h.reactor().has_stopped());
}

#[test]
fn without_any_time_everything_is_told_and_closed_at_once() {
    let mut h = harness(stubborn(), &Listen::default());
    h.reactor().set_drain(Duration::ZERO);
    let clients = [h.open(), h.open()];
    log(&mut h);
    h.stop();
    assert!(h.reactor().has_stopped());
    let (told, closed): (Vec<_>, Vec<_>) =
        log(&mut h).into_iter().partition(|line| !line.contains("close"));
    assert_eq!(told, ["0 stop", "0 goes on", "1 stop", "1 goes on"]);
    assert_eq!(closed, ["0 close Stopped", "1 close Stopped"]);
    assert_eq!(clients.map(|client| h.state(client)), [State::Closed; 2]);
}

#[test]
fn what_is_being_sent_arrives_whole() {
    const LEN: usize = 3 << 20;
    let fill = |files: &mut Files| {
        files.put_file("/www/file", &pattern(LEN), 0);
    };
    let mut h = Harness::build(&Listen::default(), fill, |reactor| {
        let root = reactor.open_dir("/www").unwrap();
        reactor.register(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                cx.send(root.open("file").unwrap().region(0, LEN as u64));
                cx.send("the end");
            }
            call => call.by_default(cx),
        }))
    });
    let client = h.open();
    h.feed(client, b"x");
    let mut received = h.take(client).to_vec();
    assert!(received.len() < LEN);
    h.stop();
    received.extend(h.sent(client));
    assert!(received == [&pattern(LEN)[..], b"the end"].concat());
    h.finish(client);
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 stop", "0 close Closed"]);
    assert!(h.reactor().has_stopped());
}

#[test]
fn what_has_arrived_is_delivered_before_the_stop_is_told() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) if input.bytes() == b"pause" => {
            input.take();
            cx.pause();
        }
        Call::Data(input) => {
            cx.send(input.take());
        }
        call => call.by_default(cx),
    });
    let mut h = harness(probe, &Listen::default());
    let (old, paused) = (h.open(), h.open());
    h.feed(paused, b"pause");
    log(&mut h);
    let new = h.at_once(|h| {
        h.feed(old, b"old");
        h.feed(paused, b"not wanted");
        let new = h.open();
        h.feed(new, b"new");
        h.stop();
        new
    });
    let mut seen = log(&mut h);
    seen.sort_by_key(|line| line.as_bytes()[0]);
    let expected = [
        &["0 data old", "0 stop", "0 close Closed"][..],
        &["1 stop", "1 close Closed"],
        &["2 open", "2 data new", "2 stop", "2 close Closed"],
    ];
    assert_eq!(seen, expected.concat());
    assert_eq!((h.sent(old), h.sent(new)), ("old".into(), "new".into()));
}

#[test]
fn input_without_end_does_not_keep_the_stop_from_being_told() {
    let limits = Limits { quantum_calls: 2, receive_quantum: 100, ..Limits::default() };
    let mut h = harness(Probe::echo(), &Listen { limits, ..Listen::default() });
    let client = h.open();
    h.script_recv(client, (0..20).map(|_| Step::Short(100)));
    log(&mut h);
    h.at_once(|h| {
        h.feed(client, pattern(2000));
        h.stop();
    });
    assert_eq!(log(&mut h), ["0 data of 100", "0 stop", "0 close Closed"]);
}

#[test]
fn everything_that_waits_to_be_accepted_is_and_what_comes_later_is_refused() {
    let listen = Listen { accept_budget: 3, ..Listen::default() };
    let mut h = harness(Probe::echo(), &listen);
    let clients = h.at_once(|h| {
        let clients: Vec<_> = (0..20).map(|_| h.open()).collect();
        clients.iter().for_each(|&client| h.feed(client, b"hello"));
        h.stop();
        clients
    });
    for client in clients {
        assert_eq!((h.sent(client), h.state(client)), ("hello".into(), State::Shut));
    }
    assert_eq!(h.open_descriptors().listeners, 0);
}

#[test]
fn a_reactor_that_was_stopped_listens_no_more() {
    let mut h = harness(stubborn(), &Listen::default());
    let client = h.open();
    h.stop();
    for end in [true, false] {
        let id = h.handler_id();
        assert!(h.reactor().listen("127.0.0.1:81", &Listen::default(), id).is_err());
        assert_eq!(h.open_descriptors().listeners, 0);
        if end {
            h.feed(client, b"end");
            h.finish(client);
            assert!(h.reactor().has_stopped());
        }
    }
}

#[test]
fn limits_of_a_listener_hold_while_its_queue_is_emptied() {
    let mut h = harness(stubborn(), &Listen { max_connections: 2, ..Listen::default() });
    let clients = h.at_once(|h| {
        let clients = [h.open(), h.open(), h.open()];
        h.stop();
        clients
    });
    assert_eq!(clients.map(|client| h.state(client)), [State::Open, State::Open, State::Reset]);
}

#[test]
fn a_handler_can_send_when_it_is_told_and_stop_from_anywhere() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.stop();
            notes.add(format_args!("{:?}", cx.send("stopping. ")));
        }
        Call::Stop => {
            let others: Vec<_> = notes.ids.iter().copied().filter(|&id| id != cx.id()).collect();
            for id in others {
                notes.add(format_args!("{:?}", cx.peer(id).send("I leave. ")));
            }
            cx.send("Goodbye.");
            cx.close();
        }
        call => call.by_default(cx),
    });
    let mut h = harness(probe, &Listen::default());
    let clients = [h.open(), h.open()];
    log(&mut h);
    h.feed(clients[0], b"x");
    let stopping = format!("0 {:?}", Sent::Accepted);
    let (first, second) = (stopping.as_str(), format!("1 {:?}", Sent::Gone));
    let told = ["0 data x", first, "0 stop", first, "0 close Closed", "1 stop", &second];
    assert_eq!(log(&mut h), [&told[..], &["1 close Closed"]].concat());
    assert_eq!(h.sent(clients[0]), "stopping. Goodbye.");
    assert_eq!(h.sent(clients[1]), "I leave. Goodbye.");
}

#[test]
fn a_panic_on_being_told_costs_only_its_connection() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Stop if notes.current == 0 => panic!("on purpose"),
        call => call.by_default(cx),
    });
    let mut h = harness(probe, &Listen::default());
    h.expect_panics();
    let clients = [h.open(), h.open()];
    log(&mut h);
    h.stop();
    assert_eq!(log(&mut h), ["0 stop", "0 close Panicked", "1 stop", "1 close Closed"]);
    assert_eq!(clients.map(|client| h.state(client)), [State::Reset, State::Shut]);
}

#[test]
fn a_session_that_is_closing_already_is_not_told() {
    let mut h = harness(stubborn(), &Listen::default());
    let client = h.open();
    h.set_room(client, 2);
    h.at_once(|h| {
        h.feed(client, b"farewell");
        h.turn();
        h.feed(client, b"end");
    });
    log(&mut h);
    h.stop();
    assert_eq!(h.sent(client), "farewell");
    assert_eq!(log(&mut h), ["0 close Closed"]);
}

#[test]
fn deadlines_pass_while_a_reactor_stops() {
    let limits = Limits { idle: Some(TIME / 2), ..Limits::default() };
    let mut h = harness(stubborn(), &Listen { limits, ..Listen::default() });
    let client = h.open();
    h.stop();
    log(&mut h);
    h.advance(TIME / 2 + Duration::from_millis(50));
    assert_eq!(log(&mut h), ["0 timeout Idle", "0 close TimedOut"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn farewells_sent_at_the_end_turn_no_close_into_a_reset() {
    let probe = stubborn().on_close(|cx, id, notes| {
        for other in notes.ids.clone().into_iter().filter(|other| *other != id) {
            let answer = cx.peer(other).send("somebody has left");
            notes.add(format_args!("{answer:?}"));
        }
    });
    let mut h = harness(probe, &Listen::default());
    let clients = [h.open(), h.open()];
    h.stop();
    h.advance(TIME);
    assert_eq!(clients.map(|client| h.state(client)), [State::Closed; 2]);
    let answers: Vec<_> = log(&mut h).into_iter().filter(|line| line.contains("Gone")).collect();
    assert_eq!(answers.len(), 2, "nothing is taken that would not be sent: {answers:?}");
}
