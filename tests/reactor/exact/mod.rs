//! What is asked for by its number of bytes comes in one piece, however it arrives.

mod ends;
mod low_water;
mod sizes;

use std::io::ErrorKind;
use std::time::Duration;

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Harness, State, Step};
use sluicegate_reactor::{Context, Handler, Input, Limits, Listen, Payload, Reason};

use crate::probe::{Call, Probe, log, pattern, with_limits};

const SECOND: Duration = Duration::from_secs(1);

/// Messages of up to four bytes are few, longer ones many.
fn small_scale() -> Limits {
    Limits { receive_direct: 4, ..Limits::default() }
}

/// Asks for one byte that is the length of a message, and for the message, which it sends back.
/// What nobody has asked for it sends back in upper case.
struct Messages {
    /// Whether the length is read in `on_data`.
    streams_length: bool,
}

#[derive(PartialEq)]
enum Next {
    Length,
    Message,
}

impl Messages {
    fn expect_length(&self, cx: &mut Context<'_>) -> Next {
        if !self.streams_length {
            cx.receive_exact(1).unwrap();
        }
        Next::Length
    }

    fn expect_message(&self, cx: &mut Context<'_>, length: u8) -> Next {
        cx.receive_exact(length.into()).unwrap();
        Next::Message
    }
}

impl Handler for Messages {
    type Session = Next;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Next {
        self.expect_length(cx)
    }

    fn on_data(&mut self, cx: &mut Context<'_>, next: &mut Next, input: &mut Input<'_>) {
        assert!(self.streams_length && *next == Next::Length);
        let length = input[0];
        input.consume(1);
        *next = self.expect_message(cx, length);
    }

    fn on_received(&mut self, cx: &mut Context<'_>, next: &mut Next, bytes: Payload<'_>) {
        *next = match next {
            Next::Length => self.expect_message(cx, bytes[0]),
            Next::Message => {
                cx.send(format!("{}:", bytes.len()));
                cx.send(bytes);
                self.expect_length(cx)
            }
        };
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, next: &mut Next) {
        cx.send(format!("{} left", cx.unread() + usize::from(*next == Next::Message)));
        cx.close();
    }
}

#[test]
fn messages_are_whole_at_every_split_whatever_is_few_and_many() {
    let mut input = Vec::new();
    let mut answer = Vec::new();
    for length in [0_u8, 1, 2, 0, 0, 3, 4, 5, 17, 1, 6, 90, 2, 200, 4, 5] {
        input.push(length);
        input.extend(pattern(length.into()));
        answer.extend(format!("{length}:").bytes());
        answer.extend(pattern(length.into()));
    }
    input.extend(b"\x0aabcde");
    for (receive_direct, receive_low_water) in [(0, 0), (0, 2), (4, 30), (100, 2), (usize::MAX, 0)]
    {
        let limits = Limits { receive_direct, receive_low_water, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        for streams_length in [false, true] {
            let outcome =
                same_at_every_split(|| Harness::with(Messages { streams_length }, &listen), &input);
            assert!(outcome.sent == answer);
            assert_eq!(outcome.sent_at_end, b"6 left");
            assert_eq!(outcome.state_at_end, State::Closed);
        }
    }
}

/// Asks for `first` bytes when it is opened, then does what the test says.
fn asking(
    first: usize,
    mut act: impl FnMut(&mut Context<'_>, Call<'_, '_>) + 'static,
) -> Harness<Probe> {
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => cx.receive_exact(first).unwrap(),
        call => act(cx, call),
    });
    with_limits(probe, small_scale())
}

#[test]
fn a_request_over_the_limit_is_refused_and_changes_nothing() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Open => cx.receive_exact(6).unwrap(),
        Call::Received(_) => {
            let refused = cx.receive_exact(7).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            notes.add(refused);
            cx.receive_exact(2).unwrap();
            assert!(cx.receive_exact(usize::MAX).is_err());
        }
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, Limits { max_exact: 6, ..small_scale() });
    let client = h.open();
    h.feed(client, b"123456");
    h.feed(client, b"78");
    h.feed(client, b"9");
    let refusal = "0 cannot receive 7 bytes in one piece: the limit is 6";
    let expected = ["0 open", "0 received 123456", refusal, "0 received 78", refusal];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn no_bytes_are_answered_without_input_and_do_not_keep_others_waiting() {
    let mut left = 10_000;
    let mut h = asking(0, move |cx, call| match call {
        Call::Received(bytes) if left > 0 => {
            assert!(bytes.is_empty());
            left -= 1;
            cx.receive_exact(0).unwrap();
        }
        call => call.by_default(cx),
    });
    h.at_once(|h| {
        h.open();
        h.turn();
        let first = log(h).len();
        assert!(first > 100 && first < 5000, "{first} callbacks in a turn");
        h.open();
        h.turn();
        assert!(log(h).contains(&"1 received ".into()));
    });
    assert!(log(&mut h).len() > 5000, "it goes on without an event");
}

#[test]
fn what_a_request_waits_for_is_no_overrun() {
    for receive_direct in [4, 1 << 20] {
        let limits = Limits { max_unread: 2, receive_direct, ..Limits::default() };
        let probe = Probe::new(|cx, call, _| match call {
            Call::Open => cx.receive_exact(100).unwrap(),
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits);
        let client = h.open();
        h.feed(client, pattern(60));
        h.feed(client, pattern(40));
        assert_eq!(log(&mut h), ["0 open", "0 received of 100"]);
    }
}

#[test]
fn each_byte_that_arrives_puts_off_the_idle_deadline() {
    let limits = Limits { idle: Some(2 * SECOND), ..small_scale() };
    let probe = Probe::new(|cx, call, _| match call {
        Call::Open => cx.receive_exact(10).unwrap(),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits);
    let client = h.open();
    for byte in 0..9 {
        h.feed(client, [byte]);
        h.advance(SECOND);
    }
    assert_eq!(h.state(client), State::Open);
    h.advance(3 * SECOND);
    assert_eq!(log(&mut h)[1..], ["0 timeout Idle", "0 close TimedOut"]);
}

#[test]
fn a_pause_holds_back_what_was_asked_for() {
    for (first, rest) in [("ab", "cdef"), ("abcdef", "")] {
        let mut h = asking(1, |cx, call| match call {
            Call::Received(bytes) if bytes.len() == 1 => {
                cx.receive_exact(5).unwrap();
                cx.pause();
                cx.set_deadline(Some(SECOND));
            }
            Call::Timeout(_) => cx.resume(),
            call => call.by_default(cx),
        });
        let client = h.open();
        h.feed(client, first);
        h.feed(client, rest);
        assert_eq!(log(&mut h), ["0 open", "0 received a"]);
        h.advance(2 * SECOND);
        assert_eq!(log(&mut h), ["0 timeout Own", "0 received bcdef"]);
    }
}

#[test]
fn a_full_queue_holds_back_what_was_asked_for() {
    for length in [3, 9] {
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => cx.receive_exact(length).unwrap(),
            Call::Received(bytes) => {
                cx.send(&bytes.repeat(20)[..]);
                cx.receive_exact(length).unwrap();
            }
            call => call.by_default(cx),
        });
        let limits = Limits { send_high: 50, send_low: 20, ..small_scale() };
        let mut h = with_limits(probe, limits);
        let client = h.open();
        h.set_room(client, 0);
        let input = pattern(10 * length);
        h.feed(client, &input);
        assert_eq!(log(&mut h).len(), 2, "one message fills the queue");
        h.set_room(client, 10);
        let expected: Vec<u8> = input.chunks(length).flat_map(|part| part.repeat(20)).collect();
        assert_eq!(h.sent(client), expected);
        assert_eq!(log(&mut h).len(), 9 + 10, "each of the others, and a drain after each");
    }
}

#[test]
fn any_callback_can_ask() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Open => {
            cx.send("hello");
            cx.request_drain();
        }
        Call::Drain => cx.receive_exact(2).unwrap(),
        Call::Received(bytes) if bytes.len() == 2 => cx.set_deadline(Some(SECOND)),
        Call::Timeout(_) => cx.receive_exact(5).unwrap(),
        Call::Received(bytes) if bytes.len() == 5 => {}
        Call::Data(input) => {
            if input.starts_with(b"eight") {
                input.consume(5);
                cx.receive_exact(8).unwrap();
            }
        }
        Call::Eof => cx.receive_exact(cx.unread()).unwrap(),
        Call::Received(_) => cx.close(),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, small_scale());
    let client = h.open();
    h.feed(client, "12");
    h.feed(client, "abc");
    h.advance(2 * SECOND);
    h.feed(client, "de");
    h.feed(client, "eight12");
    h.feed(client, "3");
    h.finish(client);
    let expected = [
        "0 open",
        "0 drain",
        "0 received 12",
        "0 data abc",
        "0 timeout Own",
        "0 received abcde",
        "0 data eight12",
        "0 eof",
        "0 received 123",
        "0 close Closed",
    ];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn no_bytes_are_answered_behind_a_piece_that_came_alone() {
    let mut h = asking(3, |cx, call| match call {
        Call::Received(bytes) if !bytes.is_empty() => cx.receive_exact(0).unwrap(),
        call => call.by_default(cx),
    });
    let client = h.open();
    h.feed(client, "abc");
    assert_eq!(log(&mut h), ["0 open", "0 received abc", "0 received "]);
    assert_eq!(h.ledger().exact_receives, 2);
}

#[test]
fn a_request_in_a_drain_takes_the_place_of_one_and_what_has_arrived_counts() {
    for first in [4, 6] {
        let mut h = asking(first, |cx, call| match call {
            Call::Drain => cx.receive_exact(2).unwrap(),
            call => call.by_default(cx),
        });
        let client = h.open();
        let id = h.handler().notes.ids[0];
        h.feed(client, "abc");
        h.reactor().peer(id).send("x");
        h.reactor().peer(id).request_drain();
        h.run();
        assert_eq!(log(&mut h)[..3], ["0 open", "0 drain", "0 received ab"]);
    }
}

#[test]
fn what_was_left_answers_a_request_without_more_input() {
    let mut h = asking(1, |cx, call| match call {
        Call::Received(_) => cx.set_deadline(Some(SECOND)),
        Call::Data(_) => {}
        Call::Timeout(_) => cx.receive_exact(2).unwrap(),
        call => call.by_default(cx),
    });
    let client = h.open();
    h.feed(client, "1");
    h.feed(client, "23");
    h.advance(2 * SECOND);
    let expected = ["0 open", "0 received 1", "0 data 23", "0 timeout Own", "0 received 23"];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn another_request_takes_the_place_of_one_and_what_has_arrived_counts() {
    for (first, second) in [(100, 8), (3, 100), (100, 200), (2, 3)] {
        let mut h = asking(first, move |cx, call| match call {
            Call::Timeout(_) => cx.receive_exact(second).unwrap(),
            Call::Received(_) => cx.receive_exact(1).unwrap(),
            call => call.by_default(cx),
        });
        let client = h.open();
        h.feed(client, "1");
        let limits = Limits::default();
        h.advance(limits.idle.unwrap() + SECOND);
        let input = [b"1", &pattern(second)[1..]].concat();
        h.feed(client, &input[1..]);
        let whole = match input.len() {
            len @ 0..=32 => input[..len].escape_ascii().to_string(),
            len => format!("of {len}"),
        };
        let received = format!("0 received {whole}");
        assert_eq!(log(&mut h), ["0 open", "0 timeout Idle", &received]);
        assert_eq!(h.calls().receive_mark, 0, "it was not up");
    }
}

#[test]
fn calls_that_fail_or_move_little_only_take_longer() {
    let script = [
        Step::Interrupted,
        Step::Short(1),
        Step::WouldBlock,
        Step::Short(7),
        Step::Interrupted,
        Step::Short(90_000),
        Step::WouldBlock,
    ];
    for length in [20, 50_000, 200_000] {
        let mut h = asking(length, |cx, call| match call {
            Call::Received(bytes) => {
                assert!(bytes[..] == pattern(bytes.len())[..]);
                cx.receive_exact(bytes.len()).unwrap();
            }
            call => call.by_default(cx),
        });
        let client = h.open();
        h.script_recv(client, script);
        let input = [pattern(length), pattern(length)].concat();
        h.feed(client, &input);
        assert_eq!(log(&mut h).len(), 3, "{length}");
    }
}

#[test]
fn nothing_is_called_after_the_end_in_a_callback() {
    for (act, why) in [(0, Reason::Closed), (1, Reason::Aborted), (2, Reason::Panicked)] {
        for length in [3, 5] {
            let mut h = asking(length, move |cx, call| match call {
                Call::Received(_) => {
                    cx.receive_exact(1).unwrap();
                    match act {
                        0 => cx.close(),
                        1 => cx.abort(),
                        _ => panic!("as the test wants it"),
                    }
                }
                call => call.by_default(cx),
            });
            h.expect_panics();
            let client = h.open();
            h.feed(client, &pattern(3 * length)[..length + 1]);
            let close = format!("0 close {why:?}");
            let expected = format!("0 received {}", pattern(length).escape_ascii());
            assert_eq!(log(&mut h), ["0 open", &expected, &close]);
        }
    }
}
