//! How connections end: what was sent arrives, what was aborted does not, and each session ends
//! once.

use std::time::Duration;

use sluicegate_reactor::Limits;
use sluicegate_reactor::testing::{Harness, State, Step};

use crate::probe::{Call, Probe, log, pattern, with_limits};

/// Answers the first input with `answer` and closes.
fn answer_and_close(answer: Vec<u8>) -> Probe {
    Probe::new(move |cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send(answer.clone());
            cx.close();
        }
        call => call.by_default(cx),
    })
}

#[test]
fn a_close_waits_for_the_queue() {
    let answer = pattern(100_000);
    let mut h = Harness::new(answer_and_close(answer.clone()));
    let client = h.open();
    h.set_room(client, 1000);
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "0 data x"]);
    assert_eq!(h.state(client), State::Open);
    assert_eq!(h.sent(client), answer);
    assert_eq!(log(&mut h), ["0 close Closed"]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn after_a_close_no_input_is_delivered() {
    let mut h = Harness::new(answer_and_close(pattern(100)));
    let client = h.open();
    h.set_room(client, 10);
    h.feed(client, b"x");
    h.feed(client, b"y");
    h.finish(client);
    assert_eq!(h.sent(client), pattern(100));
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 close Closed"]);
}

#[test]
fn late_input_does_not_destroy_the_answer() {
    let mut h = Harness::new(answer_and_close(b"bye".to_vec()));
    let client = h.open();
    h.feed(client, b"x");
    h.feed(client, b"late");
    assert_eq!(h.state(client), State::Shut, "not reset by the late input");
    assert_eq!(h.sent(client), "bye");
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_close_with_input_that_nobody_has_read_does_not_reset() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Open => {
            cx.send("full");
            cx.close();
        }
        call => call.by_default(cx),
    }));
    let client = h.at_once(|h| {
        let client = h.open();
        h.feed(client, b"never read by the handler");
        client
    });
    assert_eq!(h.state(client), State::Shut);
    assert_eq!(h.sent(client), "full");
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(log(&mut h), ["0 open", "0 close Closed"]);
}

#[test]
fn lingering_is_bounded_in_time() {
    let mut h = Harness::new(answer_and_close(b"bye".to_vec()));
    let client = h.open();
    h.feed(client, b"x");
    // The peer sends on and on.
    for _ in 0..29 {
        h.advance(Duration::from_secs(1));
        h.feed(client, pattern(1 << 20));
        assert_eq!((h.state(client), h.unread(client)), (State::Shut, 0));
    }
    h.advance(Duration::from_secs(2));
    assert_eq!(h.open_descriptors().streams, 0);
}

#[test]
fn a_connection_lingers_for_a_peer_only_as_long_as_it_sends() {
    let limits = Limits { linger_idle: Duration::from_secs(2), ..Limits::default() };
    let mut h = with_limits(answer_and_close(b"bye".to_vec()), limits);
    let client = h.open();
    h.feed(client, b"x");
    for _ in 0..3 {
        h.advance(Duration::from_millis(1999));
        assert_eq!(h.state(client), State::Shut);
        h.feed(client, b"more");
    }
    h.advance(Duration::from_millis(1999));
    assert_eq!(h.state(client), State::Shut);
    h.advance(Duration::from_millis(100));
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(h.open_descriptors().streams, 0);
}

#[test]
fn an_abort_resets_and_sends_nothing_more() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.send("never mind");
            cx.abort();
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!(h.state(client), State::Reset);
    assert_eq!(h.sent(client), "");
    assert_eq!(h.ledger().dropped, "never mind".len() as u64);
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 close Aborted"]);
}

#[test]
fn an_abort_drops_what_was_still_queued() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => match input.take() {
            b"go" => {
                cx.send(pattern(1000));
            }
            _ => cx.abort(),
        },
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"go");
    h.feed(client, b"stop");
    assert_eq!(h.sent(client), pattern(100));
    assert_eq!((h.ledger().sent, h.ledger().dropped), (100, 900));
}

#[test]
fn a_reset_by_the_client_ends_a_close_that_waits_for_its_queue() {
    let mut h = Harness::new(answer_and_close(pattern(1000)));
    let client = h.open();
    h.set_room(client, 100);
    h.feed(client, b"x");
    h.reset(client);
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 close Reset"]);
    assert_eq!((h.ledger().sent, h.ledger().dropped), (100, 900));
}

#[test]
fn a_session_ends_once_however_often_it_is_ended() {
    let mut h = Harness::new(Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.close();
            cx.close();
            cx.shutdown();
            cx.abort();
            cx.abort();
            cx.close();
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"x");
        h.finish(client);
        h.reset(client);
    });
    h.advance(Duration::from_secs(100));
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 close Aborted"]);
}

#[test]
fn a_close_during_a_close_callback_reaches_nobody() {
    let probe = Probe::echo().on_close(|cx, id, notes| {
        let mut peer = cx.peer(id);
        peer.close();
        peer.abort();
        peer.resume();
        peer.set_deadline(Some(Duration::from_secs(1)));
        let (open, sent) = (peer.is_open(), peer.send("x"));
        notes.add(format_args!("open {open}, {sent:?}"));
    });
    let mut h = Harness::new(probe);
    let client = h.open();
    h.feed(client, b"x");
    h.finish(client);
    h.advance(Duration::from_secs(2));
    let expected = ["0 open", "0 data x", "0 eof", "0 close Closed", "0 open false, Gone"];
    assert_eq!(log(&mut h), expected);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn the_close_callback_knows_what_was_really_sent() {
    let probe = answer_and_close(pattern(1000)).on_close(|cx, id, notes| {
        let peer = cx.peer(id);
        let (received, sent, pending) = (peer.received(), peer.sent(), peer.pending());
        notes.add(format_args!("received {received}, sent {sent}, pending {pending}"));
    });
    let mut h = Harness::new(probe);
    let (whole, cut) = (h.open(), h.open());
    h.feed(whole, b"x");
    assert_eq!(log(&mut h).last().unwrap(), "0 received 1, sent 1000, pending 0");
    h.set_room(cut, 100);
    h.feed(cut, b"yy");
    h.reset(cut);
    assert_eq!(log(&mut h).last().unwrap(), "1 received 2, sent 100, pending 0");
}

#[test]
fn a_handler_can_end_its_own_connection_in_every_callback() {
    for (abort, reason, state) in [(true, "Aborted", State::Reset), (false, "Closed", State::Shut)]
    {
        for callback in ["open", "data x", "drain", "eof", "timeout Own"] {
            let probe = Probe::new(move |cx, call, notes| {
                if notes.log.last().unwrap() == &format!("0 {callback}") {
                    return if abort { cx.abort() } else { cx.close() };
                }
                match call {
                    Call::Open => cx.set_deadline(Some(Duration::from_secs(1))),
                    Call::Data(input) => {
                        input.take();
                        cx.send("x");
                        cx.request_drain();
                    }
                    _ => {}
                }
            });
            let mut h = Harness::new(probe);
            let client = h.at_once(|h| {
                let client = h.open();
                h.feed(client, b"x");
                client
            });
            h.advance(Duration::from_millis(500));
            if callback == "eof" {
                h.finish(client);
            }
            h.advance(Duration::from_secs(1));
            let log = log(&mut h);
            let reason = if callback == "timeout Own" { "TimedOut" } else { reason };
            let end = [format!("0 {callback}"), format!("0 close {reason}")];
            assert_eq!(log[log.len() - 2..], end);
            let state = if callback == "eof" && !abort { State::Closed } else { state };
            assert_eq!(h.state(client), state, "ended in {callback}");
        }
    }
}

#[test]
fn a_client_that_can_no_longer_be_reached_is_lost_like_one_that_reset() {
    for errno in [
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::ENETDOWN,
        libc::ETIMEDOUT,
        libc::ECONNREFUSED,
        libc::EACCES,
        libc::EHOSTDOWN,
        libc::ENOPROTOOPT,
        libc::EPROTO,
        #[cfg(target_os = "linux")]
        libc::ENONET,
    ] {
        let mut h = Harness::new(Probe::echo());
        let client = h.open();
        h.script_recv(client, [Step::Errno(errno)]);
        h.feed(client, b"x");
        assert_eq!(log(&mut h), ["0 open", "0 close Reset"], "errno {errno}");
    }
}

#[test]
fn a_close_behind_the_end_of_the_client_asks_for_no_more_input() {
    let mut h = Harness::new(Probe::echo());
    let client = h.open();
    h.feed(client, b"x");
    let before = h.calls().recv;
    h.finish(client);
    assert_eq!(h.calls().recv - before, 1, "the receive that brings the end");
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_refused_receive_does_not_end_lingering() {
    let mut h = Harness::new(answer_and_close(b"bye".to_vec()));
    let client = h.open();
    h.feed(client, b"x");
    assert_eq!(h.state(client), State::Shut);
    h.script_recv(client, [Step::WouldBlock]);
    h.feed(client, b"more");
    assert_eq!((h.state(client), h.unread(client)), (State::Shut, 0));
    assert_eq!(h.ledger().received, 5);
}

#[test]
fn an_interrupted_receive_does_not_end_lingering_and_a_failed_one_does() {
    for (step, streams, state) in
        [(Step::Interrupted, 1, State::Shut), (Step::Errno(libc::ECONNRESET), 0, State::Reset)]
    {
        let mut h = Harness::new(answer_and_close(b"bye".to_vec()));
        let client = h.open();
        h.feed(client, b"x");
        h.script_recv(client, [step]);
        h.feed(client, pattern(100));
        assert_eq!((h.open_descriptors().streams, h.state(client)), (streams, state), "{step:?}");
    }
}

#[test]
fn what_arrives_while_it_lingers_is_one_receive() {
    let mut h = Harness::new(answer_and_close(b"bye".to_vec()));
    let client = h.open();
    h.feed(client, b"x");
    let before = h.calls().recv;
    h.feed(client, b"more");
    assert_eq!(h.calls().recv - before, 1);
    assert_eq!((h.state(client), h.unread(client)), (State::Shut, 0));
}

#[test]
fn a_send_without_buffers_ends_its_connection_and_what_left_before_is_counted() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            notes.add(format_args!("{:?}", cx.send(&pattern(10_000)[..])));
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    // It is no EAGAIN: no edge is promised after it, so nobody would try again.
    h.script_send(client, [Step::Short(4000), Step::Errno(libc::ENOBUFS)]);
    h.feed(client, b"x");
    assert_eq!(log(&mut h), ["0 open", "0 data x", "0 Gone", "0 close Failed"]);
    assert_eq!(h.state(client), State::Reset);
    assert_eq!((h.ledger().sent, h.ledger().dropped), (4000, 6000));
    assert_eq!(h.sent(client), pattern(4000));
}

/// Sends something in response to `more`.
fn answer_more(what: &'static str) -> Probe {
    Probe::new(move |cx, call, notes| match call {
        Call::Data(input) => {
            if input.take() != b"more" {
                return;
            }
            let sent = match what {
                "written through" => cx.send(&pattern(10_000)[..]),
                "queued" => cx.send("short"),
                _ => cx.send(pattern(100_000)),
            };
            cx.request_drain();
            notes.add(format_args!("{sent:?}"));
        }
        call => call.by_default(cx),
    })
}

#[test]
fn input_that_arrived_before_a_failed_send_is_delivered() {
    for (what, sent) in [("written through", "Gone"), ("queued", "Accepted"), ("full", "Full")] {
        let limits = Limits { receive_most: 4, ..Limits::default() };
        let mut h = with_limits(answer_more(what), limits);
        let client = h.open();
        if what == "full" {
            h.set_room(client, 1000);
            h.at_once(|h| {
                h.feed(client, b"more");
                h.feed(client, b" andmore of it");
            });
            h.reset(client);
        } else {
            h.script_send(client, [Step::Errno(libc::ECONNRESET)]);
            h.feed(client, b"more andmore of it");
        }
        let sent = format!("0 {sent}");
        let before = ["0 open", "0 data more", &sent];
        let behind = ["0 data  and", "0 data more", "0 Gone", "0 data  of ", "0 data it"];
        let expected = [&before[..], &behind[..], &["0 close Reset"]].concat();
        assert_eq!(log(&mut h), expected, "{what}");
        assert_eq!(h.open_descriptors().streams, 0);
        assert_eq!(h.ledger().queued, h.ledger().sent + h.ledger().dropped);
    }
}

#[test]
fn a_failed_send_ends_a_connection_that_wants_no_input() {
    for paused in [true, false] {
        let mut h = Harness::new(Probe::new(move |cx, call, _| match call {
            Call::Data(input) => {
                input.take();
                cx.send("x");
                if paused { cx.pause() } else { cx.close() }
            }
            call => call.by_default(cx),
        }));
        let client = h.open();
        h.script_send(client, [Step::Errno(libc::EPIPE)]);
        h.feed(client, b"a");
        assert_eq!(log(&mut h), ["0 open", "0 data a", "0 close Reset"]);
        assert_eq!(h.open_descriptors().streams, 0);
    }
}
