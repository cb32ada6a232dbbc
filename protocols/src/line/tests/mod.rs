//! The promises of lines, in a simulated kernel.

use std::cell::Cell;

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{Context, Input, Limits, Listen, Payload};

use super::{Delimiter, LineEof, LineHandler, Lines, Next, Splitter};

mod blocks;
mod bursts;
mod delimiters;
mod directed;
mod lengths;
mod model;
mod stopping;

thread_local! {
    #[allow(
        clippy::missing_const_for_thread_local,
        reason = "clippy 1.96 overlooks the const on OpenBSD"
    )]
    static SCANNED: Cell<usize> = const { Cell::new(0) };
}

/// Called for each search with the number of bytes that it has searched.
pub(super) fn note_scanned(bytes: usize) {
    SCANNED.set(SCANNED.get() + bytes);
}

/// Sends its client a description of every call.
///
/// The words of a line can be commands: `pause` until the queue has drained, `close`, `raw` until
/// an exclamation mark, `block N`, `whole N`.
struct Teller {
    /// Whether the connection stays open after a line that is too long.
    forgives: bool,
    /// Whether it has paused its client.
    paused: bool,
    /// Lines and pieces delivered.
    calls: usize,
}

impl Teller {
    fn new() -> Teller {
        Teller { forgives: true, paused: false, calls: 0 }
    }

    /// Pauses until the queue has drained.
    fn pause(&mut self, cx: &mut Context<'_>) {
        self.paused = true;
        cx.pause();
        cx.request_drain();
    }

    fn obey(&mut self, cx: &mut Context<'_>, line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ');
        loop {
            match words.next() {
                Some("pause") => self.pause(cx),
                Some("close") => cx.close(),
                Some("raw") => return Next::Raw,
                Some("block") => {
                    let size = words.next().and_then(|size| size.parse().ok());
                    return Next::Block(size.expect("a size"));
                }
                Some("whole") => {
                    let size = words.next().and_then(|size| size.parse().ok());
                    return Next::Whole(size.expect("a size"));
                }
                _ => return Next::Line,
            }
        }
    }
}

impl LineHandler for Teller {
    /// The block or the raw bytes so far.
    type Session = Vec<u8>;

    fn on_open(&mut self, _: &mut Context<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut Vec<u8>, line: &[u8]) -> Next {
        self.calls += 1;
        cx.send(format!("<{}>", line.escape_ascii()));
        self.obey(cx, line)
    }

    fn on_block(&mut self, cx: &mut Context<'_>, block: &mut Vec<u8>, piece: &[u8], left: u64) {
        self.calls += 1;
        block.extend_from_slice(piece);
        if left == 0 {
            cx.send(format!("[{}]", block.escape_ascii()));
            block.clear();
        }
    }

    fn on_whole(&mut self, cx: &mut Context<'_>, _: &mut Vec<u8>, block: Payload<'_>) {
        self.calls += 1;
        cx.send(format!("({})", block.escape_ascii()));
    }

    fn on_raw(&mut self, cx: &mut Context<'_>, _: &mut Vec<u8>, input: &mut Input<'_>) -> Next {
        match input.iter().position(|byte| *byte == b'!') {
            Some(end) => {
                cx.send(format!("{}!", input[..end].escape_ascii()));
                input.consume(end + 1);
                Next::Line
            }
            None => {
                cx.send(input.take().escape_ascii().to_string());
                Next::Raw
            }
        }
    }

    fn on_too_long(&mut self, cx: &mut Context<'_>, _: &mut Vec<u8>, start: &[u8]) {
        cx.send(format!("<{}...>", start.escape_ascii()));
        if !self.forgives {
            cx.close();
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, _: &mut Vec<u8>) {
        // It is also called when a full queue has drained.
        if std::mem::take(&mut self.paused) {
            cx.send("(resumed)");
            cx.resume();
        }
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, _: &mut Vec<u8>, eof: LineEof) {
        cx.send(format!("{eof:?}"));
        cx.close();
    }
}

/// Lines of at most `most` bytes, in a reactor that keeps no more bytes than they need.
fn tell(delimiter: Delimiter, most: usize) -> Harness<Lines<Teller>> {
    let splitter = Splitter::new(delimiter, most);
    let limits = Limits { max_unread: splitter.keep(), ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    Harness::with(Lines::with(Teller::new(), splitter), &listen)
}

/// What a client receives for an input, and then for its end: the same at every split.
#[track_caller]
fn told(make: impl Fn() -> Harness<Lines<Teller>>, input: impl AsRef<[u8]>) -> [String; 2] {
    let outcome = crate::testing::same_at_every_split(make, input);
    [outcome.sent, outcome.sent_at_end]
        .map(|told| String::from_utf8(told.into()).expect("escaped bytes"))
}
