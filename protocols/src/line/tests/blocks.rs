//! Blocks and raw bytes between lines.

use sluicegate_reactor::Payload;
use sluicegate_reactor::testing::State;

use super::*;

fn lines() -> Harness<Lines<Teller>> {
    tell(Delimiter::newline(), 20)
}

#[test]
fn row_03_a_block_takes_the_rest_of_the_same_receive_and_lines_follow_it() {
    let told = told(lines, "a\nblock 4\n\n\r\n\nb\nblock 2\r\nxyblock 1\nzc\n");
    let expected = r"<a><block 4>[\n\r\n\n]<b><block 2>[xy]<block 1>[z]<c>";
    assert_eq!(told, [expected, "Clean"]);
}

#[test]
fn row_03_an_empty_block_completes_at_once() {
    assert_eq!(told(lines, "block 0\n"), ["<block 0>[]", "Clean"]);
    assert_eq!(told(lines, "block 0\na\n"), ["<block 0>[]<a>", "Clean"]);
    assert_eq!(told(lines, "pause block 0\n"), ["<pause block 0>[](resumed)", "Clean"]);
    assert_eq!(told(lines, "close block 0\n"), ["<close block 0>", ""]);
}

#[test]
fn row_03_a_whole_block_is_delivered_once_however_it_arrives() {
    let input = "a\nwhole 4\n\n\r\n\nwhole 0\nb\nwhole 2\r\nxypause whole 1\nzc\n";
    let expected =
        r"<a><whole 4>(\n\r\n\n)<whole 0>()<b><whole 2>(xy)<pause whole 1>(resumed)(z)<c>";
    assert_eq!(told(lines, input), [expected, "Clean"]);
    assert_eq!(told(lines, "close whole 0\n"), ["<close whole 0>", ""]);
}

#[test]
fn a_long_whole_block_is_the_buffer_that_it_was_received_into() {
    struct Keeper;
    impl LineHandler for Keeper {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_line(&mut self, _: &mut Context<'_>, (): &mut (), _: &[u8]) -> Next {
            Next::Whole(1_000_000)
        }
        fn on_whole(&mut self, cx: &mut Context<'_>, (): &mut (), block: Payload<'_>) {
            let owned = matches!(block, Payload::Owned(_));
            cx.send(format!("{} {owned}\n", block.len()));
        }
    }
    let mut h = Harness::new(Lines::new(Keeper));
    let client = h.open();
    h.feed(client, "line\n");
    h.feed(client, vec![b'x'; 1_000_000]);
    assert_eq!(h.sent(client), "1000000 true\n");
    assert_eq!(h.ledger().kept, 0);
}

#[test]
fn a_whole_block_beyond_the_limit_resets_its_connection() {
    let limits = Limits { max_exact: 10, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Lines::new(Teller::new()), &listen);
    let client = h.open();
    h.feed(client, "whole 10\n0123456789whole 11\n");
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn row_03_raw_bytes_go_on_until_they_are_told_otherwise() {
    let told = told(lines, "a\nraw\n1\n2!b\nraw\n!!\nraw\nrest");
    assert_eq!(told, [r"<a><raw>1\n2!<b><raw>!<!><raw>rest", "Clean"]);
}

#[test]
fn row_03_what_raw_leaves_is_offered_again_with_what_follows() {
    /// Takes three raw bytes at a time, then a line.
    struct Threes;
    impl LineHandler for Threes {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
            cx.send(format!("<{}>", line.escape_ascii()));
            Next::Raw
        }
        fn on_raw(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) -> Next {
            if input.len() < 3 {
                return Next::Raw;
            }
            cx.send(&input.bytes()[..3]);
            input.consume(3);
            Next::Line
        }
    }
    let make = || Harness::new(Lines::new(Threes));
    let outcome = crate::testing::same_at_every_split(make, "a\n123b\n4\n6c\nd");
    assert_eq!(outcome.sent, b"<a>123<b>4\n6<c>");
}

#[test]
fn a_block_is_delivered_as_it_comes_whatever_may_be_kept() {
    let mut h = lines();
    let client = h.open();
    h.feed(client, "block 3000000\n");
    for sent in 1..=30 {
        h.feed(client, vec![b'x'; 100_000]);
        assert_eq!(h.handler().handler().calls - 1, sent, "one piece for each receive");
    }
    h.feed(client, b"after\n");
    let told = h.sent(client);
    assert_eq!(told.len(), "<block 3000000>[]<after>".len() + 3_000_000);
    assert!(told.ends_with(b"x]<after>"));
}

#[test]
fn blocks_and_raw_bytes_are_discarded_by_default() {
    struct Deaf;
    impl LineHandler for Deaf {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
            cx.send(line);
            if line == b"raw" { Next::Raw } else { Next::Block(3) }
        }
    }
    let make = || Harness::new(Lines::new(Deaf));
    let outcome = crate::testing::same_at_every_split(make, "a\n\n\n\nb\n123raw\nc\nd");
    assert_eq!(outcome.sent, b"abraw");
    assert_eq!(outcome.state_at_end, State::Closed);
}

#[test]
fn row_06_an_end_in_the_middle_says_in_the_middle_of_what() {
    for (input, eof) in [
        ("", "Clean"),
        ("a\n", "Clean"),
        ("a\nb", "InLine"),
        ("a\r", "InLine"),
        ("this line is much too long", "InLine"),
        ("this line is much too long\n", "Clean"),
        ("block 3\n", "InBlock { left: 3 }"),
        ("block 3\nab", "InBlock { left: 1 }"),
        ("block 3\nabc", "Clean"),
        ("whole 3\n", "InBlock { left: 3 }"),
        ("whole 3\nab", "InBlock { left: 1 }"),
        ("whole 3\nabc", "Clean"),
        ("raw\nab", "Clean"),
    ] {
        let told = told(lines, input);
        assert_eq!(told[1], eof, "{input:?}");
    }
}

#[test]
fn row_06_the_part_of_a_line_that_came_can_be_counted_at_the_end() {
    struct Counter;
    impl LineHandler for Counter {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_line(&mut self, _: &mut Context<'_>, (): &mut (), _: &[u8]) -> Next {
            Next::Line
        }
        fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut (), eof: LineEof) {
            cx.send(format!("{eof:?} of {}", cx.unread()));
            cx.close();
        }
    }
    let make = || Harness::new(Lines::new(Counter));
    let outcome = crate::testing::same_at_every_split(make, "whole\npart");
    assert_eq!(outcome.sent_at_end, b"InLine of 4");
}

#[test]
fn a_reactor_that_stops_delivers_the_lines_that_are_there_and_tells_the_handler() {
    struct Farewell;
    impl LineHandler for Farewell {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_line(&mut self, cx: &mut Context<'_>, (): &mut (), line: &[u8]) -> Next {
            cx.send(line);
            Next::Line
        }
        fn on_stop(&mut self, cx: &mut Context<'_>, (): &mut ()) {
            cx.send(". Goodbye.");
            cx.close();
        }
    }
    let mut h = Harness::new(Lines::new(Farewell));
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"hello\nwor");
        h.stop();
    });
    assert_eq!(h.sent(client), "hello. Goodbye.");
}
