//! What a handler leaves is offered again with what follows, up to a limit.

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Limits, Reason};

use crate::probe::{Call, Probe, log, pattern, with_limits};

/// Answers each line with the line.
fn lines() -> Probe {
    Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
                cx.send(&input.bytes()[..=end]);
                input.consume(end + 1);
            }
        }
        call => call.by_default(cx),
    })
}

#[test]
fn input_is_delivered_whole_however_it_is_cut() {
    let outcome = same_at_every_split(|| Harness::new(lines()), "one\n\ntwo and\nthree\nrest");
    assert_eq!(outcome.sent, b"one\n\ntwo and\nthree\n");
    assert!(outcome.sent_at_end.is_empty());
}

#[test]
fn long_input_keeps_its_order_while_it_is_kept_and_consumed_in_parts() {
    let mut input = String::new();
    for length in (0..60_u32).map(|n| n * 131 % 700) {
        input.extend((0..length).map(|at| char::from(b'a' + (at % 26) as u8)));
        input.push('\n');
    }
    for piece in [1, 97, 300, 1024, 1500, 5000] {
        let mut h = Harness::new(lines());
        let client = h.open();
        for part in input.as_bytes().chunks(piece) {
            h.feed(client, part);
        }
        assert_eq!(h.sent(client), input.as_bytes(), "in pieces of {piece}");
    }
}

#[test]
fn a_message_longer_than_any_receive_is_kept_until_it_is_whole() {
    let mut h = with_limits(lines(), Limits { max_unread: 4 << 20, ..Limits::default() });
    let client = h.open();
    let mut line = pattern(2 << 20);
    line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = 0);
    line.push(b'\n');
    for part in line.chunks(100_000) {
        h.feed(client, part);
    }
    assert!(h.sent(client) == line, "all of it");
}

#[test]
fn messages_cut_at_random_are_received_in_large_pieces() {
    const INPUT: usize = 10 << 20;
    for line in [100, 3000] {
        let probe = Probe::new(|cx, call, _| match call {
            Call::Data(input) => {
                let end = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                input.consume(end);
            }
            call => call.by_default(cx),
        });
        let mut h = Harness::new(probe);
        let client = h.open();
        let lines = format!("{}\n", "x".repeat(line)).repeat(INPUT / line);
        let before = h.calls().recv;
        h.feed(client, lines);
        let calls = h.calls().recv - before;
        assert!(calls < 2 * (INPUT as u64 >> 19), "{calls} calls for lines of {line}");
    }
}

#[test]
fn bytes_left_at_the_end_of_the_stream_are_counted() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(_) => {}
        Call::Eof => {
            notes.add(format_args!("unread {}", cx.unread()));
            cx.close();
        }
        call => call.by_default(cx),
    }));
    let client = h.open();
    h.feed(client, b"abc");
    h.feed(client, b"de");
    h.finish(client);
    let expected =
        ["0 open", "0 data abc", "0 data abcde", "0 eof", "0 unread 5", "0 close Closed"];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn leaving_as_much_as_the_limit_is_an_overrun() {
    let mut h = with_limits(lines(), Limits { max_unread: 10, ..Limits::default() });
    let (good, bad) = (h.open(), h.open());
    h.feed(good, b"123456789");
    h.feed(good, b"\n");
    assert_eq!(h.sent(good), "123456789\n");
    log(&mut h);
    h.feed(bad, b"12345");
    h.feed(bad, b"67890");
    let close = format!("1 close {:?}", Reason::Overrun);
    assert_eq!(log(&mut h), ["1 data 12345", "1 data 1234567890", close.as_str()]);
}

#[test]
fn input_left_because_of_a_pause_is_no_overrun() {
    let mut first = true;
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Data(_) if std::mem::take(&mut first) => {
            cx.pause();
            cx.set_deadline(Some(std::time::Duration::from_secs(1)));
        }
        Call::Timeout(_) => cx.resume(),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, Limits { max_unread: 10, ..Limits::default() });
    let client = h.open();
    h.feed(client, b"more than ten");
    h.advance(std::time::Duration::from_secs(2));
    let expected = ["0 open", "0 data more than ten", "0 timeout Own", "0 data more than ten"];
    assert_eq!(log(&mut h), expected);
}
