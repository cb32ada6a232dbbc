//! Commands and replies in any pieces: what the adapter delivers is what a naive reading of the
//! whole input says, and a decoder finds the same replies however they arrive.
//!
//! The first two bytes of an input choose which of the two it is, and the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::resp::{
    Command, CommandEof, CommandHandler, CommandLimits, Commands, Decoder, DecoderLimits,
    RespError, Value,
};
use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Context, Limits, Listen};

const MOST_ARGUMENTS: usize = 8;
const MOST_BYTES: usize = 100;
const MOST_INLINE: usize = 50;

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Command(Vec<Vec<u8>>),
    Malformed(RespError),
    End(CommandEof),
}

#[derive(Default)]
struct Recorder(Vec<Event>);

impl CommandHandler for Recorder {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_command(&mut self, cx: &mut Context<'_>, (): &mut (), command: Command<'_>) {
        // The queue is full again and again.
        cx.send(command.name());
        let arguments = (0..command.len()).filter_map(|index| command.to_bytes(index));
        let arguments: Vec<Vec<u8>> = arguments.map(|argument| argument.to_vec()).collect();
        assert!(command.arguments().eq(arguments.iter().skip(1).map(|argument| &argument[..])));
        self.0.push(Event::Command(arguments));
    }

    fn on_malformed(&mut self, _: &mut Context<'_>, (): &mut (), error: RespError) {
        self.0.push(Event::Malformed(error));
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut (), eof: CommandEof) {
        self.0.push(Event::End(eof));
        cx.close();
    }
}

/// How the naive reading ends.
enum Stop {
    /// The input ends in a command.
    Incomplete,
    Malformed(RespError),
}

/// A number up to CRLF.
fn number(bytes: &mut &[u8], error: RespError) -> Result<i64, Stop> {
    let text = bytes.iter().position(|byte| *byte == b'\r').map_or(*bytes, |at| &bytes[..at]);
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_whole = text.len() < bytes.len();
    let is_number = digits.iter().all(u8::is_ascii_digit)
        && !(is_whole && digits.is_empty())
        && text.len() <= 20;
    // A number that is incomplete may already be too large.
    let value = str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    if !is_number || (value.is_none() && !digits.is_empty()) {
        return Err(Stop::Malformed(error));
    }
    match &bytes[text.len()..] {
        [] | [b'\r'] => Err(Stop::Incomplete),
        [b'\r', b'\n', rest @ ..] => {
            *bytes = rest;
            Ok(value.unwrap_or_default())
        }
        _ => Err(Stop::Malformed(error)),
    }
}

fn array(bytes: &mut &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
    let count = number(bytes, RespError::Count)?;
    if count > MOST_ARGUMENTS as i64 {
        return Err(Stop::Malformed(RespError::Count));
    }
    let (mut arguments, mut total) = (Vec::new(), 0);
    for _ in 0..count {
        match bytes.first() {
            None => return Err(Stop::Incomplete),
            Some(b'$') => *bytes = &bytes[1..],
            Some(byte) => return Err(Stop::Malformed(RespError::NotBulk(*byte))),
        }
        let len = number(bytes, RespError::Length)?;
        if len < 0 || len > (MOST_BYTES - total) as i64 {
            return Err(Stop::Malformed(RespError::Length));
        }
        total += len as usize;
        if bytes.len() < len as usize + 2 {
            return Err(Stop::Incomplete);
        }
        let (argument, rest) = bytes.split_at(len as usize);
        let Some(rest) = rest.strip_prefix(b"\r\n") else {
            return Err(Stop::Malformed(RespError::Unterminated));
        };
        arguments.push(argument.to_vec());
        *bytes = rest;
    }
    Ok(arguments)
}

/// The arguments of a line without quotes, or `None` if it has any.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    if line.contains(&b'"') || line.contains(&b'\'') {
        return None;
    }
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Some(words.map(<[u8]>::to_vec).collect())
}

/// The naive reading. Returns whether it understands the whole input: it knows no quotes.
fn read(mut bytes: &[u8], events: &mut Vec<Event>) -> bool {
    loop {
        let stop = match bytes.first() {
            None => {
                events.push(Event::End(CommandEof::Clean));
                return true;
            }
            Some(b'*') => {
                bytes = &bytes[1..];
                match array(&mut bytes) {
                    Ok(arguments) if arguments.is_empty() => continue,
                    Ok(arguments) => {
                        events.push(Event::Command(arguments));
                        continue;
                    }
                    Err(stop) => stop,
                }
            }
            Some(_) => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let line = &bytes[..end.unwrap_or(bytes.len())];
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if line.len() > MOST_INLINE {
                    Stop::Malformed(RespError::InlineTooLong)
                } else if let Some(end) = end {
                    bytes = &bytes[end + 1..];
                    match words(line) {
                        None => return false,
                        Some(words) if words.is_empty() => {}
                        Some(words) => events.push(Event::Command(words)),
                    }
                    continue;
                } else {
                    Stop::Incomplete
                }
            }
        };
        events.push(match stop {
            Stop::Incomplete => Event::End(CommandEof::InCommand),
            Stop::Malformed(error) => Event::Malformed(error),
        });
        return true;
    }
}

fn deliver(bytes: &[u8], size: usize) -> Vec<Event> {
    let limits = Limits {
        send_high: 16,
        send_low: 4,
        max_unread: MOST_INLINE + 2,
        receive_direct: 20,
        max_exact: MOST_BYTES + 2,
        ..Limits::default()
    };
    let commands = CommandLimits {
        arguments: MOST_ARGUMENTS,
        bytes: MOST_BYTES,
        inline: MOST_INLINE,
        ..CommandLimits::default()
    };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Commands::with(Recorder::default(), commands), &listen);
    let client = h.open();
    h.set_room(client, size);
    for piece in bytes.chunks(size) {
        h.feed(client, piece);
    }
    let mut sent = h.sent(client).to_vec();
    h.finish(client);
    sent.extend(h.sent(client));
    assert_eq!(h.ledger().panics, 0);
    let events = std::mem::take(&mut h.handler().handler().0);
    let names = events.iter().filter_map(|event| match event {
        Event::Command(arguments) => Some(&arguments[0][..]),
        _ => None,
    });
    assert_eq!(sent, names.collect::<Vec<_>>().concat());
    events
}

/// The replies in an input that arrives in pieces, and the error that follows them.
fn decode(bytes: &[u8], size: usize) -> (Vec<Value>, Option<RespError>) {
    let limits = DecoderLimits { depth: 4, values: 20, bytes: 100, line: 30 };
    let mut decoder = Decoder::new(limits);
    let (mut unread, mut values) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        unread.extend_from_slice(piece);
        let mut rest = &unread[..];
        loop {
            match decoder.decode(&mut rest) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => return (values, Some(error)),
            }
        }
        unread = rest.to_vec();
        assert!(unread.len() <= 33, "no more than a line is left");
    }
    (values, None)
}

fuzz_target!(|input: &[u8]| {
    let [which, size, bytes @ ..] = input else { return };
    let size = 1 + usize::from(*size);
    if which % 2 == 1 {
        let whole = format!("{:?}", decode(bytes, bytes.len().max(1)));
        assert_eq!(format!("{:?}", decode(bytes, size)), whole);
        return;
    }
    let events = deliver(bytes, size);
    let mut expected = Vec::new();
    if read(bytes, &mut expected) {
        assert_eq!(events, expected);
    } else {
        assert_eq!(events[..expected.len()], expected);
        assert_eq!(events, deliver(bytes, bytes.len()));
    }
});
