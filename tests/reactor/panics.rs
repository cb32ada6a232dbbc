//! A panic costs the connection it happened on, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sluicegate_reactor::testing::{Client, Harness, State};

use crate::probe::{Call, Probe, log};

/// Panics in `callback` of the first connection; echoes otherwise.
fn panicking(callback: &'static str) -> Harness<Probe> {
    let probe = Probe::new(move |cx, call, notes| {
        if notes.log.last().unwrap() == &format!("0 {callback}") {
            cx.send("half an answer");
            panic!("as the test wants it");
        }
        match call {
            Call::Data(input) => {
                cx.send(input.take());
                cx.request_drain();
            }
            Call::Open => cx.set_deadline(Some(Duration::from_secs(1))),
            Call::Timeout(_) => {}
            call => call.by_default(cx),
        }
    });
    Harness::new(probe.on_close(move |_, _, notes| {
        let close = notes.log.last().unwrap().starts_with("0 close");
        assert!(!(close && callback == "close"), "as the test wants it");
    }))
}

fn echoes(h: &mut Harness<Probe>, client: Client) {
    h.sent(client);
    h.feed(client, b"ping");
    assert_eq!(h.sent(client), "ping");
}

#[test]
fn a_panic_in_any_callback_resets_its_connection_and_serves_the_others() {
    for callback in ["open", "data x", "drain", "eof", "timeout Own"] {
        let mut h = panicking(callback);
        h.expect_panics();
        let clients = h.at_once(|h| {
            let clients = [h.open(), h.open(), h.open()];
            for client in clients {
                h.feed(client, b"x");
            }
            if callback == "eof" {
                h.finish(clients[0]);
            }
            clients
        });
        h.advance(Duration::from_secs(2));
        assert_eq!(h.ledger().panics, 1, "{callback}");
        assert_eq!(h.state(clients[0]), State::Reset, "{callback}");
        assert!(!h.sent(clients[0]).ends_with(b"half an answer"), "{callback}");
        let closes: Vec<_> =
            log(&mut h).into_iter().filter(|line| line.contains("close")).collect();
        let expected: &[&str] = if callback == "open" { &[] } else { &["0 close Panicked"] };
        assert_eq!(closes, expected, "no session, no close: {callback}");
        echoes(&mut h, clients[1]);
        echoes(&mut h, clients[2]);
        let new = h.open();
        echoes(&mut h, new);
    }
}

#[test]
fn a_panic_while_closing_still_closes() {
    let mut h = panicking("close");
    h.expect_panics();
    let clients = [h.open(), h.open()];
    h.at_once(|h| {
        h.finish(clients[0]);
        h.feed(clients[1], b"x");
    });
    assert_eq!(h.ledger().panics, 1);
    assert_eq!(h.state(clients[0]), State::Closed);
    echoes(&mut h, clients[1]);
    assert_eq!(h.reactor().connections(), 1);
}

/// Otherwise an assertion in a handler could not fail a test.
#[test]
fn a_panic_that_a_test_does_not_expect_fails_it_at_once() {
    let mut h = panicking("data x");
    let client = h.open();
    let fed = catch_unwind(AssertUnwindSafe(|| h.feed(client, b"x")));
    let message = fed.expect_err("the action fails");
    assert_eq!(message.downcast_ref(), Some(&"a handler has panicked"));
    h.expect_panics();
}

#[test]
#[should_panic(expected = "a handler has panicked")]
fn a_panic_at_the_end_of_a_test_fails_it() {
    let mut h = panicking("close");
    h.open();
}
