//! A connection that begins in the clear gets its transport later, and nothing that was said in the
//! clear passes for something that was said through it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use sluicegate_reactor::fs::{CreateOptions, Dir};
use sluicegate_reactor::testing::{Files, Remote};
use sluicegate_reactor::{Connect, Timeout};

use super::handshake::Preamble;
use super::*;
use crate::observing::Witness;
use crate::probe::{pattern, with_limits};

fn start(cx: &mut Context<'_>) {
    cx.start_transport(Records::factory().make(&()).unwrap().unwrap());
}

/// Echoes, and starts the transport at a line `start`, to which it answers `go`.
fn starter() -> Probe {
    Probe::new(|cx, call, _| match call {
        Call::Data(input) if input.starts_with(b"start\n") => {
            input.consume(6);
            cx.send("go\n");
            start(cx);
            assert!(!cx.wants_input() && !cx.is_secure());
        }
        Call::Data(input) => {
            cx.send(input.take());
        }
        Call::Ready => assert!(cx.is_secure()),
        call => call.by_default(cx),
    })
    .on_close(|turn, id, notes| {
        if let Some(error) = turn.transport_error(id) {
            notes.add(error);
        }
    })
}

#[test]
fn what_is_sent_before_a_transport_starts_is_clear_and_what_follows_is_sealed() {
    for size in [1, 2, 5] {
        let mut h = Harness::new(starter());
        let witness = Witness::of(&mut h);
        let client = h.open();
        h.feed(client, "clear");
        h.feed(client, "start\n");
        for piece in [greeting(), record(b'd', b"hello")].concat().chunks(size) {
            h.feed(client, piece);
        }
        h.feed(client, record(b'e', b""));
        let sent = h.sent(client);
        let wire = sent.strip_prefix(b"cleargo\n").expect("what was sent in the clear");
        assert_eq!(records(&wire.to_vec().into()), ["d hello", "e "]);
        let expected = ["open", "data clear", "data start\\n", "ready", "data hello", "eof"];
        let expected = expected.map(|call| format!("0 {call}"));
        assert_eq!(log(&mut h), [&expected[..], &["0 close Closed".into()]].concat());
        let ledger = h.ledger();
        assert_eq!((ledger.handshakes, ledger.sent, ledger.sealed_bytes), (1, 13, 5));
        assert!(witness.is_content());
    }
}

#[test]
fn what_is_queued_when_a_transport_starts_waits_for_the_socket_and_precedes_the_handshake() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send(vec![b'x'; 300_000]);
            cx.request_drain();
            start(cx);
            cx.send("sealed");
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.set_room(client, 0);
    h.feed(client, "start");
    assert_eq!(h.sent(client), "");
    h.set_room(client, 60_000);
    h.feed(client, greeting());
    assert_eq!(h.ledger().sent, 60_000);
    h.set_room(client, 1 << 20);
    let sent = h.sent(client);
    let wire = sent.strip_prefix(&[b'x'; 300_000]).expect("what was queued");
    assert_eq!(records(&wire.to_vec().into()), ["d sealed"]);
    assert_eq!(log(&mut h), ["0 open", "0 data start", "0 ready", "0 drain"]);
}

#[test]
fn what_is_queued_when_a_transport_starts_keeps_to_the_rate() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send(vec![b'x'; 60_000]);
            start(cx);
            cx.send("sealed");
        }
        call => call.by_default(cx),
    });
    let handshake = Duration::from_secs(3);
    let limits = Limits { send_rate: Some(2000), handshake, ..Limits::default() };
    let mut h = with_limits(probe, limits);
    let client = h.open();
    h.feed(client, "start");
    h.feed(client, greeting());
    h.advance(Duration::from_secs(10));
    assert!((18_000..=22_000).contains(&h.ledger().sent), "{}", h.ledger().sent);
    assert_eq!(log(&mut h), ["0 open", "0 data start"]);
    h.advance(Duration::from_secs(25));
    assert_eq!(h.ledger().sent, 60_006);
    assert_eq!(log(&mut h), ["0 ready"]);
}

#[test]
fn a_file_that_is_queued_when_a_transport_starts_is_sent_in_the_clear() {
    let content = pattern(200_000);
    let fill = |files: &mut Files| files.put_file("/d/page", &content, 0);
    let mut h = Harness::build(&Listen::default(), fill, |reactor| {
        let page = reactor.open_dir("/d").unwrap().open("page").unwrap();
        reactor.register(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                cx.send(page.region(0, 200_000));
                start(cx);
                cx.send("sealed");
            }
            call => call.by_default(cx),
        }))
    });
    let client = h.open();
    h.feed(client, "start");
    h.feed(client, greeting());
    let sent = h.sent(client);
    let wire = sent.strip_prefix(&content[..]).expect("the file");
    assert_eq!(records(&wire.to_vec().into()), ["d sealed"]);
    assert_eq!(h.ledger().sendfile_bytes, 200_000);
}

#[test]
fn what_preceded_a_transport_that_the_kernel_takes_over_is_sent_once() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) if cx.is_secure() => {
            cx.send(input.take());
        }
        Call::Data(input) => {
            input.take();
            cx.send("go\n");
            cx.start_transport(Records::offloaded().make(&()).unwrap().unwrap());
            cx.send("first ");
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, "start");
    h.feed(client, greeting());
    h.feed(client, record(b'd', b"hello"));
    let sent = h.sent(client);
    let wire = sent.strip_prefix(b"go\n").expect("what was sent in the clear");
    assert_eq!(records(&wire.to_vec().into()).concat(), "d first d hello");
    assert_eq!(h.ledger().offloaded, 1);
}

#[test]
fn a_transport_that_the_last_callback_of_a_turn_starts_gets_what_has_arrived() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => cx.pause(),
        Call::Stop => start(cx),
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, greeting());
    h.stop();
    assert_eq!(log(&mut h), ["0 open", "0 stop", "0 ready"]);
}

#[test]
fn bytes_behind_the_request_to_start_a_transport_are_never_delivered() {
    let refused = "0 bytes arrived behind the request to start the transport";
    let mut h = Harness::new(starter());
    let client = h.open();
    h.feed(client, "start\nevil");
    assert_eq!(log(&mut h), ["0 open", "0 data start\\nevil", "0 close Transport", refused]);
    assert_eq!(h.state(client), State::Shut);
    // Later ones are taken for a part of the handshake.
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, "start\n");
        h.turn();
        h.feed(client, "evil");
    });
    assert_eq!(log(&mut h)[..3], ["1 open", "1 data start\\n", "1 close Transport"]);
    assert_eq!(h.ledger().handshake_failures, 2);
}

#[test]
fn input_that_a_paused_handler_has_not_seen_is_not_delivered_behind_a_transport() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(_) => {
            cx.pause();
            cx.set_deadline(Some(Duration::from_secs(1)));
        }
        Call::Timeout(Timeout::Own) => {
            start(cx);
            cx.resume();
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, "evil");
    h.advance(Duration::from_secs(2));
    assert_eq!(log(&mut h), ["0 open", "0 data evil", "0 timeout Own", "0 close Transport"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn bytes_behind_the_request_to_start_a_transport_do_not_go_into_a_file() {
    let dir: Rc<RefCell<Option<Dir>>> = Rc::default();
    let inbox = Rc::clone(&dir);
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Data(input) => {
            input.consume(6);
            start(cx);
            let inbox = inbox.borrow();
            let inbox = inbox.as_ref().expect("a directory");
            let file = inbox.create("message", &CreateOptions::default()).expect("a file");
            cx.receive_file(file, Some(5));
        }
        call => call.by_default(cx),
    });
    let make_dir = |files: &mut Files| files.make_dir("/inbox");
    let mut h = Harness::build(&Listen::default(), make_dir, |reactor| {
        *dir.borrow_mut() = Some(reactor.open_dir("/inbox").expect("a directory"));
        reactor.register(probe)
    });
    let attacked = h.open();
    h.feed(attacked, "start\nevil");
    assert_eq!(log(&mut h)[2..], ["0 close Transport"]);
    let client = h.open();
    h.feed(client, "start\n");
    h.feed(client, [greeting(), record(b'd', b"hello")].concat());
    assert_eq!(h.files().content("/inbox/message"), Some(&b"hello"[..]));
    h.reset(client);
    dir.take();
}

#[test]
fn a_connection_that_cannot_get_a_transport_ends_and_says_why() {
    type Before = fn(&mut Context<'_>);
    let cases: [(Before, &str); 4] = [
        (|cx| start(cx), "the connection is not open"),
        (|cx| cx.shutdown(), "one of its directions has ended"),
        (|cx| cx.discard(1), "its bytes do not pass through its handler"),
        (|cx| cx.receive_exact(1).unwrap(), "its bytes do not pass through its handler"),
    ];
    for (before, reason) in cases {
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => {
                before(cx);
                start(cx);
                cx.send("not in the clear");
            }
            call => call.by_default(cx),
        });
        let mut h = Harness::new(probe.on_close(|turn, id, notes| {
            notes.add(turn.transport_error(id).expect("an error"));
        }));
        let client = h.open();
        let error = format!("0 no transport was started: {reason}");
        assert_eq!(log(&mut h), ["0 open", "0 close Transport", &error]);
        assert!(!h.sent(client).ends_with(b"not in the clear"));
    }
}

#[test]
fn a_transport_is_not_started_twice_or_on_a_connection_that_closes() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) if input.starts_with(b"close") => {
            input.take();
            cx.send("bye");
            cx.close();
            start(cx);
        }
        Call::Data(input) => {
            input.take();
            start(cx);
        }
        Call::Ready => start(cx),
        call => call.by_default(cx),
    }));
    let (client, closed) = (h.open(), h.open());
    h.feed(client, "start");
    h.feed(client, greeting());
    assert_eq!(log(&mut h)[2..], ["0 data start", "0 ready", "0 close Transport"]);
    h.feed(closed, "close");
    assert_eq!(h.sent(closed), "bye");
    h.finish(closed);
    assert_eq!(log(&mut h), ["1 data close", "1 close Closed"]);
}

#[test]
fn a_client_that_does_not_begin_its_handshake_in_time_is_reset() {
    let handshake = Duration::from_secs(3);
    let mut h = with_limits(starter(), Limits { handshake, ..Limits::default() });
    let witness = Witness::of(&mut h);
    let (silent, ended) = (h.open(), h.open());
    for client in [silent, ended] {
        h.feed(client, "start\n");
    }
    h.finish(ended);
    assert_eq!(h.state(ended), State::Closed);
    h.advance(Duration::from_secs(2));
    assert_eq!(h.state(silent), State::Open);
    h.advance(Duration::from_secs(2));
    assert_eq!(h.state(silent), State::Reset);
    let log = log(&mut h);
    assert_eq!(log[4..], ["1 close Reset", "0 close TimedOut"]);
    let ledger = h.ledger();
    assert_eq!((ledger.handshake_failures, ledger.sent, ledger.dropped), (2, 6, 0));
    assert!(witness.is_content());
}

#[test]
fn an_outgoing_connection_starts_its_transport_when_the_server_is_ready() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            assert_eq!(input.take(), b"go\n");
            start(cx);
        }
        Call::Ready => {
            let greeting = if cx.is_secure() { "hello" } else { "start\n" };
            cx.send(greeting);
        }
        call => call.by_default(cx),
    }));
    let target: Address = "10.0.0.1:25".parse().unwrap();
    h.set_remote(&target, Remote::Listens);
    let connector = h.connector(&Connect::default());
    h.connect(connector, &target, 7);
    let far = h.accept(&target);
    assert_eq!(h.take(far), "start\n");
    h.feed(far, "go\n");
    h.feed(far, greeting());
    assert_eq!(sent(&mut h, far), ["d hello"]);
    assert_eq!(log(&mut h), ["7 ready", "7 data go\\n", "7 ready"]);
}

#[test]
fn the_address_in_a_preamble_outlives_the_start_of_a_transport() {
    let transport = Some(Factory::new(|address: &Address| {
        let preamble = Preamble { peer: Arc::new(address.clone()), done: false };
        Ok(Some(Box::new(preamble) as Box<dyn Transport>))
    }));
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            start(cx);
        }
        Call::Ready => {
            notes.add(cx.peer_address().unwrap());
            assert!(cx.transport::<Records>().is_some());
        }
        call => call.by_default(cx),
    });
    let mut h = Harness::with(probe, &Listen { transport, ..Listen::default() });
    let client = h.open();
    h.feed(client, "192.0.2.7:99\nstart");
    h.feed(client, greeting());
    assert_eq!(log(&mut h), ["0 open", "0 data start", "0 ready", "0 192.0.2.7:99"]);
}
