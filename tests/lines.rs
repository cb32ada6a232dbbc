//! The protocols of lines and frames over real sockets.

#[path = "handlers/sockets.rs"]
mod sockets;

use std::thread;

use allocation_counter::measure;
use sluicegate_protocols::line::{Delimiter, LineEof, LineHandler, Lines, Next, Splitter};
use sluicegate_protocols::raw::frames::{FrameHandler, Frames, Framing, Prefix};
use sluicegate_reactor::{Context, Limits, Listen, Payload, Reactor};

use sockets::{StopAtEnd, exchange, serve};

/// Answers a line with its length, `put N` with the sum of N bytes, and the end with what it was.
struct Measure;

impl LineHandler for Measure {
    type Session = u64;

    fn on_open(&mut self, _: &mut Context<'_>) -> u64 {
        0
    }

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut u64, line: &[u8]) -> Next {
        cx.send(format!("{}\n", line.len()));
        let size = line.strip_prefix(b"put ").map(|size| String::from_utf8_lossy(size).parse());
        match size {
            Some(Ok(size)) => Next::Block(size),
            _ => Next::Line,
        }
    }

    fn on_block(&mut self, cx: &mut Context<'_>, sum: &mut u64, piece: &[u8], left: u64) {
        *sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        if left == 0 {
            cx.send(format!("sum {}\n", std::mem::take(sum)));
        }
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, _: &mut u64, eof: LineEof) {
        cx.send(format!("{eof:?}\n"));
        cx.close();
    }
}

#[test]
fn row_03_lines_and_blocks_over_a_socket_arrive_as_they_were_sent() {
    serve(
        |reactor| reactor.register(Lines::new(Measure)),
        |address| {
            let mut request = b"one\r\n\nput 3000000\n".to_vec();
            request.resize(request.len() + 3_000_000, 1);
            request.extend_from_slice(b"after\nput 2\n\xff");
            let expected = "3\n0\n11\nsum 3000000\n5\n5\nInBlock { left: 1 }\n";
            for piece in [request.len(), 65_537, 1000] {
                let answer = exchange(address, &request, piece);
                assert_eq!(String::from_utf8_lossy(&answer), expected, "in pieces of {piece}");
            }
            let answer = exchange(address, b"a\nbc\nput 2\nxy\nd", 1);
            assert_eq!(String::from_utf8_lossy(&answer), "1\n2\n5\nsum 241\n0\nInLine\n");
        },
    );
}

#[test]
fn row_05_a_million_lines_over_a_socket_are_all_answered() {
    serve(
        |reactor| reactor.register(Lines::new(Measure)),
        |address| {
            let answer = exchange(address, &b"x\n".repeat(1_000_000), 1 << 20);
            assert!(answer == [&b"1\n".repeat(1_000_000)[..], b"Clean\n"].concat());
        },
    );
}

#[test]
fn row_02_a_line_of_16_mib_over_a_socket_is_moved_a_bounded_number_of_times() {
    const LEN: usize = 16 << 20;
    let splitter = Splitter::new(Delimiter::newline(), LEN);
    let limits = Limits { max_unread: splitter.keep(), ..Limits::default() };
    let mut reactor = Reactor::new().expect("a reactor");
    let handler = reactor.register(Lines::with(Measure, splitter));
    let listen = Listen { limits, ..Listen::default() };
    let listener = reactor.listen("127.0.0.1:0", &listen, handler).expect("a free port");
    let address = reactor.listener_address(listener).expect("it listens");
    let address = address.ip_and_port().expect("an address of IP");
    let stop = StopAtEnd(reactor.stopper());
    thread::scope(|scope| {
        let client = scope.spawn(move || {
            let _stop = stop;
            exchange(address, &[&vec![b'x'; LEN][..], b"\n"].concat(), 1 << 20)
        });
        let cost = measure(|| reactor.run().expect("no error"));
        let answer = client.join().expect("no panic");
        assert_eq!(String::from_utf8_lossy(&answer), "16777216\nClean\n");
        // Whatever is moved is moved to a new buffer, at least twice as large as the last one.
        assert!(cost.bytes_total < 5 * LEN as u64, "{cost:?}");
    });
}

const FRAMING: Framing = Framing::prefixed(Prefix::Varint, 4 << 20);

/// Sends frames back.
struct Echo;

impl FrameHandler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_frame(&mut self, cx: &mut Context<'_>, _: &mut (), frame: Payload<'_>) {
        FRAMING.send(cx, frame).expect("one that was received can be sent");
    }
}

#[test]
fn row_07_frames_over_a_socket_come_back_as_they_were_sent() {
    serve(
        |reactor| reactor.register(Frames::new(Echo, FRAMING)),
        |address| {
            let mut request = Vec::new();
            for len in (0..400).chain([1 << 16, 1, 4 << 20, 0, 1 << 20]) {
                request.extend_from_slice(&FRAMING.header(len).expect("a length that is allowed"));
                request.extend((0..len).map(|at| (at % 251) as u8));
            }
            for piece in [request.len(), 65_537, 1000] {
                assert!(exchange(address, &request, piece) == request, "in pieces of {piece}");
            }
        },
    );
}
