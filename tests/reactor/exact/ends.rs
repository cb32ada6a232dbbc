//! The end of the stream, or of a handler's time, before all is there.

use super::*;
use sluicegate_reactor::{ConnId, HandlerId, Payload, Reactor, Timeout, Turn};

#[test]
fn an_end_in_the_middle_is_told_instead_and_what_was_there_can_be_asked_for() {
    for length in [4, 6] {
        let mut h = asking(length, |cx, call| match call {
            Call::Eof if cx.unread() > 0 => cx.receive_exact(cx.unread()).unwrap(),
            Call::Received(_) => cx.receive_exact(1).unwrap(),
            call => call.by_default(cx),
        });
        let client = h.open();
        h.feed(client, "abc");
        h.finish(client);
        let expected = ["0 open", "0 eof", "0 received abc", "0 eof", "0 close Closed"];
        assert_eq!(log(&mut h), expected);
    }
}

#[test]
fn a_handler_that_asks_again_at_the_end_for_what_cannot_come_is_closed() {
    for length in [4, 6] {
        for left in ["", "abc"] {
            let mut h = asking(length, move |cx, call| match call {
                Call::Eof => {
                    cx.send("incomplete");
                    cx.receive_exact(length).unwrap();
                }
                call => call.by_default(cx),
            });
            let client = h.open();
            h.feed(client, left);
            h.finish(client);
            assert_eq!(log(&mut h), ["0 open", "0 eof", "0 close Closed"], "{length}, {left}");
            assert_eq!((h.sent(client), h.state(client)), ("incomplete".into(), State::Closed));
        }
    }
}

#[test]
fn a_request_for_nothing_at_the_end_is_answered() {
    let mut h = asking(4, |cx, call| match call {
        Call::Eof => cx.receive_exact(0).unwrap(),
        Call::Received(_) => cx.close(),
        call => call.by_default(cx),
    });
    let client = h.open();
    h.finish(client);
    assert_eq!(log(&mut h), ["0 open", "0 eof", "0 received ", "0 close Closed"]);
}

#[test]
fn an_end_behind_the_last_byte_comes_after_it() {
    for length in [4, 6] {
        let mut h = asking(length, |cx, call| call.by_default(cx));
        h.at_once(|h| {
            let client = h.open();
            h.feed(client, pattern(length));
            h.finish(client);
        });
        let received = format!("0 received {}", pattern(length).escape_ascii());
        assert_eq!(log(&mut h), ["0 open", &received, "0 eof", "0 close Closed"]);
    }
}

#[test]
fn a_reset_in_the_middle_is_only_the_end() {
    for length in [4, 6] {
        let mut h = asking(length, |cx, call| call.by_default(cx));
        let client = h.open();
        h.feed(client, "abc");
        h.reset(client);
        assert_eq!(log(&mut h), ["0 open", "0 close Reset"]);
    }
}

#[test]
fn what_has_arrived_is_known_before_all_is_there() {
    for length in [4, 6] {
        let probe = Probe::new(move |cx, call, notes| match call {
            Call::Open => {
                cx.receive_exact(length).unwrap();
                cx.set_deadline(Some(SECOND));
            }
            Call::Timeout(_) => notes.add(format_args!("{} unread", cx.unread())),
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, small_scale());
        let client = h.open();
        h.feed(client, "abc");
        h.advance(2 * SECOND);
        assert_eq!(log(&mut h), ["0 open", "0 timeout Own", "0 3 unread"], "of {length}");
    }
}

/// Asks for so many bytes, and hands over what has come of them after a second.
pub(super) struct Gives {
    pub(super) to: HandlerId<Takes>,
    pub(super) count: usize,
}

impl Handler for Gives {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.receive_exact(self.count).unwrap();
        cx.set_deadline(Some(SECOND));
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {
        panic!("something is asked for");
    }

    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), _: Payload<'_>) {
        cx.receive_exact(self.count).unwrap();
        cx.hand_over(self.to, Vec::new());
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, (): &mut (), _: Timeout) {
        cx.hand_over(self.to, Vec::new());
    }
}

/// Takes bytes as they come.
#[derive(Default)]
pub(super) struct Takes(pub(super) Vec<Vec<u8>>);

impl Handler for Takes {
    type Session = Vec<u8>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn on_data(&mut self, _: &mut Context<'_>, all: &mut Vec<u8>, input: &mut Input<'_>) {
        all.extend(input.take());
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, all: Vec<u8>, _: Reason) {
        self.0.push(all);
    }
}

#[test]
fn what_has_arrived_goes_along_to_another_handler_and_the_request_does_not() {
    for count in [4, 6, 300_000] {
        for part in [1, 3, 5, 250_000] {
            let listen = Listen { limits: small_scale(), ..Listen::default() };
            let mut takes = None;
            let make = |reactor: &mut Reactor| {
                let to = *takes.insert(reactor.register(Takes::default()));
                reactor.register(Gives { to, count })
            };
            let mut h = Harness::build(&listen, |_| {}, make);
            let client = h.open();
            let input = pattern(count + part);
            h.feed(client, &input[..part]);
            h.advance(2 * SECOND);
            h.feed(client, &input[part..]);
            h.finish(client);
            let taken = &h.reactor().handler(takes.unwrap()).0;
            // The one piece that was whole went to the first handler.
            let start = if part < count { 0 } else { count };
            assert!(taken.len() == 1 && taken[0] == input[start..], "{part} of {count}");
        }
    }
}
