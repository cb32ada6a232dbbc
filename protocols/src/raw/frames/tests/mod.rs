mod formats;

use proptest::prelude::*;
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Bytes, Limits, Listen};

use super::*;
use crate::testing::same_at_every_split;

const PREFIXES: [Prefix; 8] = [
    Prefix::U8,
    Prefix::U16Be,
    Prefix::U16Le,
    Prefix::U24Be,
    Prefix::U24Le,
    Prefix::U32Be,
    Prefix::U32Le,
    Prefix::Varint,
];

/// A type precedes the length.
const MQTT: Framing = Framing::prefixed(Prefix::Varint, 300).length_offset(1);
/// A type precedes the length, which counts itself.
const POSTGRESQL: Framing =
    Framing::prefixed(Prefix::U32Be, 300).length_offset(1).length_adjustment(-4);
/// The length does not count the six bytes of the header that follow it.
const HTTP2: Framing = Framing::prefixed(Prefix::U24Be, 300).length_adjustment(6);

/// Sends the length and the start of each frame.
#[derive(Default)]
struct Teller {
    frames: usize,
    /// Pauses at frames that ask for it, until the queue has drained.
    paused: bool,
}

impl FrameHandler for Teller {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_frame(&mut self, cx: &mut Context<'_>, (): &mut (), frame: Payload<'_>) {
        self.frames += 1;
        cx.send(format!("({} {})", frame.len(), frame[..frame.len().min(8)].escape_ascii()));
        match &*frame {
            b"pause" => {
                self.paused = true;
                cx.pause();
                cx.request_drain();
            }
            b"close" => cx.close(),
            b"discard" => cx.discard(3),
            _ => {}
        }
    }

    fn on_malformed(&mut self, cx: &mut Context<'_>, (): &mut (), error: FrameError) {
        cx.send(error.to_string());
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        if std::mem::take(&mut self.paused) {
            cx.resume();
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        cx.send("(stopping)");
        cx.close();
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut (), eof: FrameEof) {
        cx.send(format!("{eof:?}"));
        cx.close();
    }
}

/// Frames, in a reactor that keeps few bytes.
fn tell(framing: Framing, keep: usize) -> Harness<Frames<Teller>> {
    let listen =
        Listen { limits: Limits { max_unread: keep, ..Limits::default() }, ..Listen::default() };
    Harness::with(Frames::new(Teller::default(), framing), &listen)
}

/// What a client receives for an input and for its end: the same at every split and whatever the
/// reactor keeps.
#[track_caller]
fn told(framing: Framing, input: impl AsRef<[u8]>) -> [String; 2] {
    let [few, many] = [12, 1 << 16].map(|keep| {
        let outcome = same_at_every_split(|| tell(framing, keep), &input);
        [outcome.sent, outcome.sent_at_end]
            .map(|told| String::from_utf8(told.into()).expect("text"))
    });
    assert_eq!(few, many);
    many
}

/// Payloads of every kind.
fn encode(framing: Framing, payloads: &[&[u8]]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for payload in payloads {
        encoded.extend_from_slice(&framing.header(payload.len() as u64).expect("a length"));
        encoded.extend_from_slice(payload);
    }
    encoded
}

#[test]
fn row_07_frames_of_each_kind_are_the_same_at_every_split() {
    let long = [b'x'; 200];
    for prefix in PREFIXES {
        let framing = Framing::prefixed(prefix, 200);
        let input = encode(framing, &[b"", b"a", &long, b"pause", b"\0\xff", b""]);
        let expected = r"(0 )(1 a)(200 xxxxxxxx)(5 pause)(2 \x00\xff)(0 )";
        assert_eq!(told(framing, &input), [expected, "Clean"], "{prefix:?}");
        let cut = &input[..input.len() - encode(framing, &[b"", b""]).len()];
        assert_eq!(told(framing, cut)[1], "InFrame", "{prefix:?}");
    }
}

#[test]
fn row_07_frames_of_one_size_need_no_header() {
    assert_eq!(told(Framing::fixed(3), "abcdef"), ["(3 abc)(3 def)", "Clean"]);
    assert_eq!(told(Framing::fixed(3), "abcde"), ["(3 abc)", "InFrame"]);
    for (end, eof) in [(30, "Clean"), (31, "InFrame")] {
        let expected = ["(30 aaaaaaaa)(30 bbbbbbbb)", eof];
        assert_eq!(told(Framing::fixed(30), ["a".repeat(30), "b".repeat(end)].concat()), expected);
    }
}

#[test]
fn row_07_a_frame_of_the_cap_passes_and_one_byte_more_is_an_error_before_any_of_it_comes() {
    let refused = "a frame of 101 bytes exceeds the maximum of 100";
    for prefix in PREFIXES {
        let (framing, wider) = (Framing::prefixed(prefix, 100), Framing::prefixed(prefix, 101));
        let input =
            [encode(framing, &[&[b'a'; 100]]), wider.header(101).unwrap().to_vec()].concat();
        let expected = format!("(100 aaaaaaaa){refused}");
        assert_eq!(told(framing, input), [&expected, ""], "{prefix:?}");
    }
}

#[test]
fn row_07_frames_whose_length_follows_their_type_are_delivered_with_both() {
    for framing in [MQTT, POSTGRESQL] {
        let frames = [("Q", 0), ("D", 200), ("X", 3)].map(|(packet, len)| {
            let header = framing.header(len).expect("a length that is allowed");
            [packet.as_bytes(), &header, &vec![b'x'; len as usize]].concat()
        });
        let told_of = |frame: &Vec<u8>| {
            format!("({} {})", frame.len(), frame[..frame.len().min(8)].escape_ascii())
        };
        let (expected, input) = (frames.each_ref().map(told_of).concat(), frames.concat());
        assert_eq!(told(framing, &input), [&expected, "Clean"]);
        for cut in 1..frames[2].len() {
            assert_eq!(told(framing, &input[..input.len() - cut])[1], "InFrame", "{cut}");
        }
    }
}

#[test]
fn nothing_behind_a_malformed_frame_is_delivered() {
    let mut h = tell(Framing::prefixed(Prefix::U8, 3), 12);
    let client = h.open();
    h.feed(client, b"\x01a\x04bbbb\x01c");
    assert_eq!(h.sent(client), "(1 a)a frame of 4 bytes exceeds the maximum of 3");
    assert_eq!((h.state(client), h.handler().handler().frames), (State::Shut, 1));
}

#[test]
fn a_frame_larger_than_what_is_kept_arrives_whole() {
    let framing = Framing::prefixed(Prefix::U32Be, 10 << 20);
    let mut h = tell(framing, 64 << 10);
    let client = h.open();
    h.feed(client, framing.header(10 << 20).unwrap().to_vec());
    for _ in 0..10 {
        h.feed(client, vec![b'y'; 1 << 20]);
    }
    h.feed(client, encode(framing, &[b"next"]));
    assert_eq!(h.sent(client), "(10485760 yyyyyyyy)(4 next)");
}

#[test]
fn a_frame_larger_than_a_receive_may_be_is_refused_as_soon_as_it_is_announced() {
    let limits = Limits { max_unread: 11, max_exact: 50, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let framing = Framing::prefixed(Prefix::U32Be, 100);
    let mut h = Harness::with(Frames::new(Teller::default(), framing), &listen);
    let client = h.open();
    h.feed(client, encode(framing, &[&[b'y'; 50]]));
    h.feed(client, framing.header(51).unwrap().to_vec());
    assert_eq!(h.sent(client), "(50 yyyyyyyy)a frame of 51 bytes exceeds the maximum of 50");
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
    // With its header, if that is delivered.
    let framing = framing.length_offset(1);
    let mut h = Harness::with(Frames::new(Teller::default(), framing), &listen);
    let client = h.open();
    h.feed(client, [b"Q", &*framing.header(45).unwrap(), &[b'y'; 45]].concat());
    h.feed(client, [b"Q", &*framing.header(46).unwrap()].concat());
    let sent = "(50 Q\\x00\\x00\\x00-yyy)a frame of 51 bytes exceeds the maximum of 50";
    assert_eq!(h.sent(client), sent);
}

#[test]
fn a_close_inside_a_frame_delivers_nothing_behind_it() {
    let framing = Framing::prefixed(Prefix::U8, 100);
    let input = encode(framing, &[b"a", b"close", b"b"]);
    assert_eq!(told(framing, input), ["(1 a)(5 close)", ""]);
}

#[test]
fn a_reactor_that_stops_delivers_the_frames_that_are_there_and_tells_the_handler() {
    let mut h = tell(Framing::prefixed(Prefix::U8, 100), 64);
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"\x01a\x05part");
        h.stop();
    });
    assert_eq!(h.sent(client), "(1 a)(stopping)");
}

#[test]
fn row_07_half_a_million_frames_in_one_read_keep_nobody_waiting() {
    const FRAMES: usize = 500_000;
    let framing = Framing::prefixed(Prefix::U8, 100);
    let mut h = tell(framing, 64 << 10);
    let (greedy, modest) = (h.open(), h.open());
    h.set_room(greedy, usize::MAX);
    h.at_once(|h| {
        h.feed(greedy, vec![0; FRAMES]);
        h.feed(modest, b"\x01x");
        h.turn();
        assert_eq!(h.handler().handler().frames, MESSAGES_PER_TURN as usize + 1);
        assert_eq!(h.sent(modest), "(1 x)");
    });
    assert_eq!(h.handler().handler().frames, FRAMES + 1);
    assert_eq!(h.sent(greedy), "(0 )".repeat(FRAMES));
}

#[test]
fn a_long_frame_is_the_buffer_that_it_was_received_into() {
    struct Keeper;
    impl FrameHandler for Keeper {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_frame(&mut self, cx: &mut Context<'_>, (): &mut (), frame: Payload<'_>) {
            let owned = matches!(frame, Payload::Owned(_));
            cx.send(format!("({} {owned})", frame.len()));
        }
    }
    let framing = Framing::prefixed(Prefix::U32Be, 1 << 20);
    let mut h = Harness::new(Frames::new(Keeper, framing));
    let client = h.open();
    for length in [100, 1_000_000] {
        h.feed(client, &*framing.header(length).expect("a length that is allowed"));
        h.feed(client, vec![b'x'; length as usize]);
    }
    assert_eq!(h.sent(client), "(100 false)(1000000 true)");
}

#[test]
fn bytes_that_a_handler_discards_are_not_taken_for_frames() {
    let framing = Framing::prefixed(Prefix::U8, 100);
    let input = b"\x07discard\x01a\x01\x01b";
    let outcome = same_at_every_split(|| tell(framing, 11), input);
    assert_eq!(outcome.sent, "(7 discard)(1 b)");
}

/// Echoes frames.
struct Echo(Framing);

impl FrameHandler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_frame(&mut self, cx: &mut Context<'_>, (): &mut (), frame: Payload<'_>) {
        self.0.send(cx, frame.into_bytes()).expect("one that was received can be sent");
    }
}

#[test]
fn a_frame_leaves_with_its_header_and_a_large_one_is_not_copied() {
    struct Large(Option<Bytes>);
    impl FrameHandler for Large {
        type Session = ();
        fn on_open(&mut self, cx: &mut Context<'_>) {
            let error = Framing::fixed(3).send(cx, "four");
            assert_eq!(error, Err(FrameError::TooLong { len: 4, max: 3 }));
            let framing = Framing::prefixed(Prefix::U32Be, 1 << 20);
            let large = self.0.take().expect("one client");
            framing.send(cx, large).expect("a length that is allowed");
        }
        fn on_frame(&mut self, _: &mut Context<'_>, (): &mut (), _: Payload<'_>) {}
    }
    let large = Bytes::from(vec![b'z'; 20_000]);
    let mut h = Harness::new(Frames::new(Large(Some(large.clone())), Framing::fixed(1)));
    let client = h.at_once(|h| {
        let client = h.open();
        h.set_room(client, 0);
        client
    });
    assert!(!large.is_unique(), "it waits as it is");
    let before = h.calls();
    h.set_room(client, 1 << 20);
    let calls = h.calls();
    assert_eq!((calls.send - before.send, calls.send_gather - before.send_gather), (0, 1));
    assert!(large.is_unique());
    assert_eq!(h.sent(client), [&20_000_u32.to_be_bytes()[..], &large].concat());
}

proptest! {
    #[test]
    fn row_07_any_frames_in_any_pieces_come_back_the_same(
        prefix in prop::sample::select(&PREFIXES[..]),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        pieces in prop::collection::vec(1_usize..50, 1..20),
        keep in 11_usize..300,
    ) {
        let framing = Framing::prefixed(prefix, 200);
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        let input = encode(framing, &payloads);
        let listen = Listen { limits: Limits { max_unread: keep, ..Limits::default() }, ..Listen::default() };
        let mut h = Harness::with(Frames::new(Echo(framing), framing), &listen);
        let client = h.open();
        let (mut rest, mut sizes) = (&input[..], pieces.iter().cycle());
        while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            h.feed(client, piece);
            rest = after;
        }
        prop_assert_eq!(h.sent(client), input);
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(
        prefix in prop::sample::select(&PREFIXES[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut h = tell(Framing::prefixed(prefix, 50), 11);
        let client = h.open();
        h.feed(client, &bytes);
        h.finish(client);
        prop_assert_eq!(h.state(client), State::Closed);
        prop_assert_eq!(h.ledger().panics, 0);
    }
}
