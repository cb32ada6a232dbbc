//! How much a client can make the server do, keep and wait for.

use std::time::Duration;

use sluicegate_reactor::testing::State;

use super::commands::{command, few, tell, told};
use crate::resp::{CommandLimits, RespError};

fn refused(error: RespError) -> String {
    format!("-ERR Protocol error: {error}\r\nclosed")
}

#[test]
fn row_23_lengths_are_checked_when_they_are_announced() {
    for (input, error) in [
        ("*7\r\n", RespError::Count),
        ("*1000000000\r\n", RespError::Count),
        ("*9223372036854775807\r\n", RespError::Count),
        ("*99999999999999999999\r\n", RespError::Count),
        ("*1\r\n$201\r\n", RespError::Length),
        ("*1\r\n$536870912\r\n", RespError::Length),
        ("*1\r\n$9223372036854775807\r\n", RespError::Length),
        ("*1\r\n$99999999999999999999\r\n", RespError::Length),
        ("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$197\r\n", RespError::Length),
    ] {
        assert_eq!(told(input)[0], refused(error), "{input:?}");
    }
}

#[test]
fn row_23_exactly_the_limit_passes() {
    let value = [b'v'; 196];
    assert_eq!(told(command(&[b"SET", b"k", &value]))[1], "Clean");
    assert_eq!(told(command(&[b"a", b"b", b"c", b"d", b"e", b"f"]))[1], "Clean");
    let line = "x".repeat(40);
    assert_eq!(told(format!("{line}\r\n"))[1], "Clean");
    assert_eq!(told(format!("{line}y"))[0], refused(RespError::InlineTooLong));
    assert_eq!(told(format!("{line}y\r\n"))[0], refused(RespError::InlineTooLong));
}

#[test]
fn row_23_a_pipeline_of_any_depth_needs_bounded_memory() {
    let mut h = tell(CommandLimits::default());
    let client = h.open();
    h.set_room(client, 0);
    let ping = command(&[b"PING", &[b'x'; 20]]);
    let pipeline = ping.repeat(10_000);
    for _ in 0..20 {
        h.feed(client, &pipeline);
    }
    // The client reads nothing: the server stops at the mark of its queue.
    let answered = h.handler().handler().commands;
    let reply = "[PING][xxxxxxxxxxxxxxxxxxxx]\n".len();
    assert!(answered * reply <= (64 << 10) + reply, "{answered} replies are queued");
    h.set_room(client, usize::MAX);
    assert_eq!(h.handler().handler().commands, 200_000);
    assert_eq!(h.sent(client).len(), 200_000 * reply);
}

#[test]
fn a_burst_of_commands_lets_others_in_between() {
    let mut h = tell(CommandLimits::default());
    let (busy, other) = (h.open(), h.open());
    h.at_once(|h| {
        h.feed(busy, "P\r\n".repeat(20_000));
        h.feed(other, "P\r\n");
        let mut turns = 0;
        while h.sent(other).is_empty() {
            h.turn();
            turns += 1;
        }
        assert!(turns <= 2, "{turns} turns");
        assert!(h.handler().handler().commands <= 2048, "{}", h.handler().handler().commands);
    });
    assert_eq!(h.sent(busy).len(), 20_000 * "[P]\n".len());
}

#[test]
fn a_command_has_its_time_from_its_first_byte() {
    let time = Duration::from_secs(10);
    for start in ["*", "*2\r\n$4\r\nPING\r\n", "*1\r\n$100\r\nPING", "PIN"] {
        let mut h = tell(CommandLimits { time: Some(time), ..few() });
        let client = h.open();
        h.feed(client, "PING\r\n");
        h.advance(Duration::from_secs(60));
        h.feed(client, start);
        h.advance(time - Duration::from_secs(1));
        assert_eq!(h.state(client), State::Open, "{start:?}");
        h.advance(Duration::from_secs(2));
        assert_ne!(h.state(client), State::Open, "{start:?}");
    }
}

#[test]
fn a_complete_command_needs_no_time() {
    let time = Duration::from_secs(10);
    for (start, rest) in
        [("*1\r\n$4\r\nPI", "NG\r\n"), ("*1\r", "\n$4\r\nPING\r\n"), ("PI", "NG\n")]
    {
        let mut h = tell(CommandLimits { time: Some(time), ..few() });
        let client = h.open();
        h.feed(client, start);
        h.advance(time - Duration::from_secs(1));
        h.feed(client, rest);
        assert_eq!(h.sent(client), "[PING]\n");
        h.advance(Duration::from_secs(30));
        assert_eq!(h.state(client), State::Open, "{start:?}");
        // The next one has its own time.
        h.feed(client, start);
        h.advance(time - Duration::from_secs(1));
        assert_eq!(h.state(client), State::Open, "{start:?}");
    }
}

#[test]
fn the_time_does_not_end_while_the_connection_does_not_read() {
    let time = Duration::from_secs(10);
    let mut h = tell(CommandLimits { time: Some(time), ..few() });
    let client = h.open();
    h.feed(client, "*1\r\n$4\r\nPI");
    let id = h.handler().handler().opened.expect("a connection");
    h.reactor().peer(id).pause();
    h.advance(3 * time);
    assert_eq!(h.state(client), State::Open);
    h.reactor().peer(id).resume();
    h.feed(client, "NG\r\n");
    assert_eq!(h.sent(client), "[PING]\n");
}

#[test]
fn a_client_that_is_silent_within_a_command_is_idle() {
    for start in ["", "*", "*2\r\n$4\r\nPING\r\n", "*1\r\n$100\r\nPING", "PIN"] {
        let mut h = tell(few());
        let client = h.open();
        h.feed(client, start);
        h.advance(Duration::from_secs(74));
        assert_eq!(h.state(client), State::Open, "{start:?}");
        h.advance(Duration::from_secs(2));
        assert_ne!(h.state(client), State::Open, "{start:?}");
    }
}

#[test]
fn a_deadline_of_the_handler_passes_however_the_input_is_split() {
    for inputs in [["", "PING\r\n"], ["PI", "NG\r\n"], ["*1\r\n", "$4\r\nPING\r\n"]] {
        for count in 0..=2 {
            let mut h = tell(few());
            let client = h.open();
            let id = h.handler().handler().opened.expect("a connection");
            h.reactor().peer(id).set_deadline(Some(Duration::from_secs(10)));
            inputs[..count].iter().for_each(|input| h.feed(client, input));
            h.advance(Duration::from_secs(9));
            assert_eq!(h.state(client), State::Open, "{:?}", &inputs[..count]);
            h.advance(Duration::from_secs(2));
            assert_ne!(h.state(client), State::Open, "{:?}", &inputs[..count]);
        }
    }
}
