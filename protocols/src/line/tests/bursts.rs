//! What much input costs, as counts of what is done with it, and who is served in between.

use super::*;

/// What one receive brings at most, except behind what is kept.
const RECEIVE: usize = 512 << 10;
/// How many lines of a connection are delivered in one turn at most.
const PER_TURN: usize = 1024;

/// Answers each line with its length, and a line that is too long with a mark.
#[derive(Default)]
struct Measure {
    lines: usize,
}

impl LineHandler for Measure {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
        self.lines += 1;
        cx.send(format!("{} ", line.len()));
        Next::Line
    }

    fn on_too_long(&mut self, cx: &mut Context<'_>, (): &mut (), start: &[u8]) {
        cx.send(format!("over {} ", start.len()));
    }
}

fn measure(delimiter: &Delimiter, most: usize) -> Harness<Lines<Measure>> {
    let splitter = Splitter::new(delimiter.clone(), most);
    let limits = Limits { max_unread: splitter.keep(), ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    Harness::with(Lines::with(Measure::default(), splitter), &listen)
}

#[test]
fn row_05_a_million_lines_in_one_read_keep_nobody_waiting() {
    const LINES: usize = 1_000_000;
    let mut h = tell(Delimiter::newline(), 20);
    let (greedy, modest) = (h.open(), h.open());
    h.set_room(greedy, usize::MAX);
    let before = h.ledger();
    SCANNED.set(0);
    h.at_once(|h| {
        h.feed(greedy, vec![b'\n'; LINES]);
        for turns in 1..=3 {
            h.feed(modest, "x\n");
            let before = h.calls().send;
            h.turn();
            assert_eq!(h.handler().handler().calls, turns * (PER_TURN + 1));
            assert_eq!(h.sent(modest), "<x>", "served in between");
            assert_eq!(h.calls().send - before, 2, "all answers of a turn leave together");
        }
    });
    assert_eq!(h.handler().handler().calls, LINES + 3);
    assert_eq!(h.sent(greedy), "<>".repeat(LINES).as_bytes());
    let ledger = h.ledger();
    assert!(ledger.yields as usize > LINES / PER_TURN - 10);
    assert_eq!(SCANNED.get(), LINES + 3 * "x\n".len(), "each byte is searched once");
    assert!(ledger.kept as usize <= LINES, "each byte is kept at most once: {}", ledger.kept);
    let receives = (ledger.recv_calls - before.recv_calls) as usize;
    assert!(receives <= 2 * LINES / RECEIVE + 10, "{receives} receives");
}

#[test]
fn row_02_a_line_of_64_kib_or_16_mib_is_searched_once_and_others_are_served_before_its_end() {
    for most in [64 << 10, 16 << 20] {
        let input = [&vec![b'x'; most][..], b"\n"].concat();
        for piece in [most / 256 + 1, input.len()] {
            let mut h = measure(&Delimiter::newline(), most);
            let (greedy, modest) = (h.open(), h.open());
            let before = h.ledger();
            SCANNED.set(0);
            let (mut pieces, mut turns) = (input.chunks(piece), 0);
            h.at_once(|h| {
                while h.arrived(greedy) == 0 {
                    turns += 1;
                    if let Some(piece) = pieces.next() {
                        h.feed(greedy, piece);
                    }
                    h.feed(modest, "\n");
                    h.turn();
                    assert_eq!(h.sent(modest), "0 ", "turn {turns}");
                }
            });
            assert_eq!(h.sent(greedy), format!("{most} "));
            // What is kept has a large buffer in the end, into which one receive brings much.
            assert!(turns >= if piece < most || most > RECEIVE { 5 } else { 1 }, "{turns} turns");
            let ledger = h.ledger();
            assert_eq!(SCANNED.get(), input.len() + turns, "each byte is searched once");
            assert!(ledger.kept as usize <= RECEIVE, "{} bytes were kept", ledger.kept);
            // One more finds the socket empty.
            let receives = (ledger.recv_calls - before.recv_calls) as usize;
            let arrivals = input.len() / piece.min(RECEIVE) + turns;
            assert!(receives <= 2 * arrivals + 10, "{receives} receives of {arrivals}");
        }
    }
}

#[test]
fn row_02_a_line_over_64_kib_or_16_mib_is_reported_once_and_its_rest_is_not_kept() {
    for most in [64 << 10, 16 << 20] {
        let input = [&vec![b'x'; 2 * most + 1][..], b"\nafter\n"].concat();
        for piece in [most / 256 + 1, input.len()] {
            let mut h = measure(&Delimiter::newline(), most);
            let client = h.open();
            SCANNED.set(0);
            input.chunks(piece).for_each(|piece| h.feed(client, piece));
            assert_eq!(h.sent(client), format!("over {most} 5 "));
            assert_eq!(SCANNED.get(), input.len(), "in pieces of {piece}");
            assert!(h.ledger().kept as usize <= 2 * RECEIVE, "{} were kept", h.ledger().kept);
        }
    }
}

#[test]
fn row_01_storms_of_delimiters_and_of_their_parts_cost_one_search_of_each_byte() {
    const BYTES: usize = 1 << 17;
    for (delimiter, unit, lines) in [
        (&b"\0"[..], &b"\0"[..], BYTES),
        (b"\r\n", b"\r\n", BYTES / 2),
        (b"\r\n", b"\n", 0),
        (b"\r\n", b"\r", 0),
        (b"\r\n\r\n", b"\n\r\n\n", 0),
        (b"aaa", b"a", BYTES / 3),
        (b"abab", b"ab", BYTES / 4),
        (b"aab", b"aaaaaaab", BYTES / 8),
        (b"baaaaaaa", b"a", 0),
    ] {
        let input = unit.repeat(BYTES / unit.len());
        for piece in [1000, BYTES] {
            let mut h = measure(&Delimiter::new(delimiter), BYTES);
            let (greedy, modest) = (h.open(), h.open());
            h.set_room(greedy, usize::MAX);
            SCANNED.set(0);
            for (number, piece) in input.chunks(piece).enumerate() {
                h.at_once(|h| {
                    h.feed(greedy, piece);
                    if number == 0 {
                        h.feed(modest, delimiter);
                        h.turn();
                        assert_eq!(h.sent(modest), "0 ", "served in between");
                        assert!(h.handler().handler().lines <= PER_TURN + 1);
                    }
                });
            }
            let what = format!("{} times {}", delimiter.escape_ascii(), unit.escape_ascii());
            assert_eq!(h.handler().handler().lines, lines + 1, "{what}");
            assert_eq!(SCANNED.get(), BYTES + delimiter.len(), "{what} in pieces of {piece}");
        }
    }
}
