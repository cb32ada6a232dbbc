//! Lines, blocks and raw bytes in any pieces: what the adapter delivers is what a naive reading of
//! the whole input says.
//!
//! The first three bytes of an input choose the delimiter, the longest line and the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::line::{Delimiter, LineEof, LineHandler, Lines, Next, Splitter};
use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Context, Input, Limits, Listen, Payload};

/// What was delivered, pieces of the same block or run of raw bytes joined.
#[derive(PartialEq, Eq, Debug)]
enum Event {
    Line(Vec<u8>),
    TooLong(Vec<u8>),
    Block(Vec<u8>),
    Raw(Vec<u8>),
    End(LineEof),
}

/// What a line asks for: a block, raw bytes up to a full stop, or nothing.
fn next(line: &[u8]) -> Next {
    match line {
        [b'b', size, ..] => Next::Block(u64::from(size % 32)),
        [b'w', size, ..] => Next::Whole(usize::from(size % 32)),
        [b'r', ..] => Next::Raw,
        _ => Next::Line,
    }
}

/// How many raw bytes come before lines do again, if that is to be seen.
fn end_of_raw(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'.').map(|at| at + 1)
}

#[derive(Default)]
struct Recorder {
    events: Vec<Event>,
    in_block: bool,
    in_raw: bool,
}

impl Recorder {
    fn raw(&mut self, bytes: &[u8]) {
        match self.events.last_mut() {
            Some(Event::Raw(all)) if self.in_raw => all.extend(bytes),
            _ => self.events.push(Event::Raw(bytes.to_vec())),
        }
    }
}

impl LineHandler for Recorder {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
        // The queue is full again and again.
        cx.send(line);
        self.events.push(Event::Line(line.to_vec()));
        next(line)
    }

    fn on_block(&mut self, _: &mut Context<'_>, (): &mut (), piece: &[u8], left: u64) {
        match self.events.last_mut() {
            Some(Event::Block(all)) if self.in_block => all.extend(piece),
            _ => self.events.push(Event::Block(piece.to_vec())),
        }
        self.in_block = left > 0;
    }

    fn on_whole(&mut self, _: &mut Context<'_>, (): &mut (), block: Payload<'_>) {
        self.events.push(Event::Block(block.to_vec()));
    }

    fn on_raw(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) -> Next {
        let end = end_of_raw(input);
        let bytes = &input.bytes()[..end.unwrap_or(input.len())];
        input.consume(bytes.len());
        self.raw(bytes);
        self.in_raw = end.is_none();
        if self.in_raw { Next::Raw } else { Next::Line }
    }

    fn on_too_long(&mut self, _: &mut Context<'_>, (): &mut (), start: &[u8]) {
        self.events.push(Event::TooLong(start.to_vec()));
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut (), eof: LineEof) {
        self.events.push(Event::End(eof));
        cx.close();
    }
}

/// The length of a last line without its delimiter, which may have begun.
fn unfinished_len(bytes: &[u8], delimiter: &[u8], optional_return: bool) -> usize {
    let begins = |len: &usize| bytes.ends_with(&delimiter[..*len]);
    let begun = (0..delimiter.len()).rev().find(begins).unwrap_or(0);
    bytes.len() - begun.max(usize::from(optional_return && bytes.ends_with(b"\r")))
}

/// The naive reading.
fn read(mut bytes: &[u8], delimiter: &[u8], optional_return: bool, most: usize) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let found = (1..=bytes.len()).find(|end| bytes[..*end].ends_with(delimiter));
        let Some(end) = found else {
            if unfinished_len(bytes, delimiter, optional_return) > most {
                events.push(Event::TooLong(bytes[..most].to_vec()));
            }
            let eof = if bytes.is_empty() { LineEof::Clean } else { LineEof::InLine };
            events.push(Event::End(eof));
            return events;
        };
        let mut line = &bytes[..end - delimiter.len()];
        if optional_return {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        bytes = &bytes[end..];
        if line.len() > most {
            events.push(Event::TooLong(line[..most].to_vec()));
            continue;
        }
        events.push(Event::Line(line.to_vec()));
        match next(line) {
            Next::Line => {}
            Next::Block(len) => {
                let piece = &bytes[..bytes.len().min(len as usize)];
                bytes = &bytes[piece.len()..];
                let left = len - piece.len() as u64;
                if !piece.is_empty() || len == 0 {
                    events.push(Event::Block(piece.to_vec()));
                }
                if left > 0 {
                    events.push(Event::End(LineEof::InBlock { left }));
                    return events;
                }
            }
            Next::Whole(len) => {
                let Some((block, rest)) = bytes.split_at_checked(len) else {
                    let left = (len - bytes.len()) as u64;
                    events.push(Event::End(LineEof::InBlock { left }));
                    return events;
                };
                events.push(Event::Block(block.to_vec()));
                bytes = rest;
            }
            Next::Raw => {
                let end = end_of_raw(bytes);
                let (raw, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                if !raw.is_empty() {
                    events.push(Event::Raw(raw.to_vec()));
                }
                if end.is_none() {
                    events.push(Event::End(LineEof::Clean));
                    return events;
                }
                bytes = rest;
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [delimiter, most, size, bytes @ ..] = input else { return };
    let (most, size) = (usize::from(most % 24), 1 + usize::from(*size));
    let delimiters: [&[u8]; 5] = [b"\n", b"\r\n", b"--", b"aab", b"."];
    let which = usize::from(*delimiter) % (delimiters.len() + 1);
    // The last of them is the one with an optional return.
    let (ends, optional_return) = delimiters.get(which).map_or((&b"\n"[..], true), |d| (*d, false));
    let delimiter = if optional_return { Delimiter::newline() } else { Delimiter::new(ends) };

    let limits = Limits { send_high: 16, send_low: 4, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let lines = Lines::with(Recorder::default(), Splitter::new(delimiter, most)).per_turn(3);
    let mut h = Harness::with(lines, &listen);
    let client = h.open();
    h.set_room(client, size);
    for piece in bytes.chunks(size) {
        h.feed(client, piece);
    }
    let mut sent = h.sent(client).to_vec();
    h.finish(client);
    sent.extend(h.sent(client));
    assert_eq!(h.ledger().panics, 0);

    let expected = read(bytes, ends, optional_return, most);
    assert_eq!(h.handler().handler().events, expected);
    let echoes = expected.iter().filter_map(|event| match event {
        Event::Line(line) => Some(&line[..]),
        _ => None,
    });
    assert_eq!(sent, echoes.collect::<Vec<_>>().concat());
});
