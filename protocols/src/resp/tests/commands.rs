//! What arrives as a command.

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Bytes, ConnId, Context, Limits, Listen};

use crate::resp::{
    Command, CommandEof, CommandHandler, CommandLimits, Commands, Encoder, RespError, Version,
};
use crate::testing::same_at_every_split;

/// Sends the arguments of each command.
#[derive(Default)]
pub(super) struct Teller {
    pub(super) commands: usize,
    /// The last argument of the last command, and whether it was not copied to be kept.
    pub(super) last: Option<(Bytes, bool)>,
    /// The last connection.
    pub(super) opened: Option<ConnId>,
    /// Pauses at commands that ask for it, until the queue has drained.
    paused: bool,
}

impl CommandHandler for Teller {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.opened = Some(cx.id());
    }

    fn on_command(&mut self, cx: &mut Context<'_>, (): &mut (), command: Command<'_>) {
        self.commands += 1;
        let last = command.len() - 1;
        let kept = command.to_bytes(last).expect("an argument");
        let is_shared = command.get(last).is_some_and(|last| last.as_ptr() == kept.as_ptr());
        self.last = Some((kept, is_shared));
        let mut told = String::new();
        for argument in (0..command.len()).filter_map(|index| command.get(index)) {
            told += &format!("[{}]", argument[..argument.len().min(20)].escape_ascii());
        }
        cx.send(told + "\n");
        if command.is("pause") {
            self.paused = true;
            cx.pause();
            cx.request_drain();
        } else if command.is("close") {
            cx.close();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        if std::mem::take(&mut self.paused) {
            cx.resume();
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        cx.send("stopping\n");
        cx.close();
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut (), eof: CommandEof) {
        cx.send(format!("{eof:?}"));
        cx.close();
    }
}

/// Commands in a reactor that lends arguments of up to 40 bytes, and keeps few.
pub(super) fn tell(limits: CommandLimits) -> Harness<Commands<Teller>> {
    let (max_unread, receive_direct) = (limits.inline + 2, 40);
    let limits_of_connection = Limits { max_unread, receive_direct, ..Limits::default() };
    let listen = Listen { limits: limits_of_connection, ..Listen::default() };
    Harness::with(Commands::with(Teller::default(), limits), &listen)
}

pub(super) fn few() -> CommandLimits {
    CommandLimits { arguments: 6, bytes: 200, inline: 40, ..CommandLimits::default() }
}

/// What a client receives for an input and for its end: the same at every split.
#[track_caller]
pub(super) fn told(input: impl AsRef<[u8]>) -> [String; 2] {
    let outcome = same_at_every_split(|| tell(few()), input);
    let closed = if outcome.state == State::Open { "" } else { "closed" };
    [outcome.sent, outcome.sent_at_end]
        .map(|told| String::from_utf8(told.into()).expect("text"))
        .map(|told| told + closed)
}

/// The command with these arguments.
pub(super) fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, Version::Resp2);
    encoder.array(arguments.len());
    arguments.iter().for_each(|argument| _ = encoder.bulk(argument));
    bytes
}

#[test]
fn row_23_commands_are_the_same_at_every_split() {
    let long = [b'x'; 90];
    let input = [
        command(&[b"GET", b"key"]),
        command(&[b"pause"]),
        command(&[b"set", &long, b"", &long]),
        command(&[b"PING"]),
    ];
    let x = "x".repeat(20);
    let expected = format!("[GET][key]\n[pause]\n[set][{x}][][{x}]\n[PING]\n");
    assert_eq!(told(input.concat()), [&expected, "Clean"]);
}

#[test]
fn row_23_inline_commands_are_words_and_may_stand_among_others() {
    let input = b"PING\r\n\r\n   \nset  a\tb\r\n*1\r\n$4\r\nTIME\r\nquit\n";
    assert_eq!(told(input), ["[PING]\n[set][a][b]\n[TIME]\n[quit]\n", "Clean"]);
}

#[test]
fn row_23_quotes_in_inline_commands_are_those_of_redis() {
    for (line, arguments) in [
        (&b"a \"b c\" d"[..], "[a][b c][d]"),
        (b"\"\" ''", "[][]"),
        (br#""\x00\xfF\n\r\t\b\a\"\\\q\xg""#, r#"[\x00\xff\n\r\t\x08\x07\"\\qxg]"#),
        (br"'a\'b\n'", r"[a\'b\\n]"),
        (b"a\"b c\"", "[ab c]"),
    ] {
        let input = [line, b"\r\n"].concat();
        assert_eq!(told(&input)[0], format!("{arguments}\n"), "{}", line.escape_ascii());
    }
    for line in ["\"a", "'a", "\"a\"b", "a 'b\\'", "\"a\\"] {
        let input = format!("{line}\r\nPING\r\n");
        let error = "-ERR Protocol error: unbalanced quotes in request\r\nclosed";
        assert_eq!(told(&input)[0], error, "{line}");
    }
}

#[test]
fn row_23_bulk_strings_are_binary_safe() {
    let every: Vec<u8> = (0..=255).collect();
    for part in every.chunks(20) {
        let input = command(&[b"\r\n$3\r\n", part]);
        let expected = format!("[\\r\\n$3\\r\\n][{}]\n", part.escape_ascii());
        assert_eq!(told(&input)[0], expected);
    }
}

#[test]
fn a_command_without_arguments_is_ignored() {
    assert_eq!(told("*0\r\n*-1\r\n*-5\r\nPING\r\n"), ["[PING]\n", "Clean"]);
}

#[test]
fn row_23_a_wrong_protocol_byte_is_answered_and_the_connection_closed() {
    for (input, error) in [
        ("*1\r\n+OK\r\n", RespError::NotBulk(b'+')),
        ("*2\r\n$1\r\na\r\n:1\r\n", RespError::NotBulk(b':')),
        ("*1\r\n\0", RespError::NotBulk(0)),
        ("*x\r\n", RespError::Count),
        ("*1\n", RespError::Count),
        ("*\r\n", RespError::Count),
        ("*1\r\n$x\r\n", RespError::Length),
        ("*1\r\n$\r\n", RespError::Length),
        ("*1\r\n$-1\r\n", RespError::Length),
        ("*1\r\n$4\r\nPINGxx", RespError::Unterminated),
        ("*1\r\n$4\r\nPING\n\n", RespError::Unterminated),
    ] {
        let input = format!("PING\r\n{input}*1\r\n$4\r\nPING\r\n");
        let expected = format!("[PING]\n-ERR Protocol error: {error}\r\nclosed");
        assert_eq!(told(&input), [&expected, "closed"], "{input:?}");
    }
}

#[test]
fn the_end_tells_whether_a_command_is_incomplete() {
    let whole = command(&[b"SET", b"k", &[b'v'; 60]]);
    for end in 1..whole.len() {
        assert_eq!(told(&whole[..end]), ["", "InCommand"], "to {end}");
    }
    assert_eq!(told("PIN"), ["", "InCommand"]);
    assert_eq!(told("PING\r\n"), ["[PING]\n", "Clean"]);
}

#[test]
fn nothing_is_delivered_behind_a_close() {
    assert_eq!(told("PING\r\nclose\r\nPING\r\n"), ["[PING]\n[close]\nclosed", "closed"]);
    let input = [command(&[b"close", &[b'x'; 60]]), command(&[b"PING"])].concat();
    assert_eq!(told(input)[1], "closed");
}

#[test]
fn a_long_argument_stays_in_the_buffer_that_received_it() {
    let mut h = tell(CommandLimits::default());
    let client = h.open();
    let value: Vec<u8> = (0..300_000).map(|i| (i % 251) as u8).collect();
    let input = command(&[b"SET", b"key", &value]);
    let (first, second) = input.split_at(100);
    h.feed(client, first);
    h.feed(client, second);
    let (kept, is_shared) = h.handler().handler().last.clone().expect("a command");
    assert!(kept == value);
    assert!(is_shared, "not copied");
    assert_eq!(h.ledger().direct_receives, 1);
    h.feed(client, "PING\r\n");
    assert!(h.sent(client).ends_with(b"]\n[PING]\n"));
}

#[test]
fn the_handler_hears_that_the_reactor_stops() {
    let mut h = tell(few());
    let client = h.open();
    h.feed(client, "PING\r\nPI");
    h.stop();
    assert_eq!(h.sent(client), "[PING]\nstopping\n");
}
