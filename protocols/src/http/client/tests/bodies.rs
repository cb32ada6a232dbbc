//! The ways to receive a body.

use super::*;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_arrives_in_pieces_with_its_trailers_behind_it() {
    let response = format!("{CHUNKED}2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\nSum:\t1 2 \r\n\r\n");
    let (told, state) = same_at_every_split(Way::Pieces, &response, false);
    assert_eq!(told, ["200", "end hello A=b Sum=1 2"]);
    assert_eq!(state, State::Open);
}

#[test]
fn row_7_trailers_are_not_part_of_the_header() {
    let response = format!("{CHUNKED}0\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    let (told, state) = same_at_every_split(Way::Pieces, &response, false);
    assert_eq!(told, ["200", "end  Content-Length=5 Connection=close"]);
    assert_eq!(state, State::Open);
}

#[test]
fn a_body_is_saved_in_a_file() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        let (told, state) = same_at_every_split(Way::File, response, false);
        assert_eq!(told, ["200", "saved Created"]);
        assert_eq!(state, State::Open);
        let mut world = World::new();
        world.get(Way::File);
        let far = world.accept();
        world.h.feed(far, response);
        assert_eq!(world.saved(), "hello");
    }
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (told, state) = same_at_every_split(Way::File, empty, false);
    assert_eq!((told, state), (vec!["200".to_owned(), "saved Created".to_owned()], State::Open));
}

#[test]
fn a_body_of_any_length_arrives_whole() {
    for length in [1, 4096, 65_536, 65_537, 300_000, 1_000_000] {
        let body: Vec<u8> = (0..length).map(|i: u32| (i * 7 / 3) as u8).collect();
        for piece in [1000, 70_000, usize::MAX] {
            let mut world = World::new();
            world.get(WHOLE);
            let far = world.accept();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let response = [head.as_bytes(), &body].concat();
            response.chunks(piece.min(response.len())).for_each(|part| world.h.feed(far, part));
            assert_eq!(world.told(), ["200".to_owned(), format!("body {}", text(&body))]);
            assert_eq!(world.h.state(far), State::Open, "{length} by {piece}");
        }
    }
}

#[test]
fn a_body_beyond_its_limit_is_refused() {
    let too_long = "failed the response is invalid: the body is too long";
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        format!("{CHUNKED}2\r\nhe\r\n3\r\nllo\r\n"),
        "HTTP/1.1 200 OK\r\n\r\nhello".to_owned(),
    ] {
        let (told, state) = same_at_every_split(Way::Whole(4), &response, false);
        assert_eq!(told, ["200", too_long], "{response:?}");
        assert_eq!(state, State::Reset);
        let (told, _) = same_at_every_split(Way::Whole(5), &response, false);
        assert!(!told.contains(&too_long.to_owned()), "{response:?}");
    }
}

#[test]
fn the_limit_of_the_connection_applies_to_whole_bodies_too() {
    let mut options = ClientOptions::default();
    options.connect.limits.max_exact = 4;
    for framing in ["Content-Length: 5\r\n\r\nhello", "\r\nhello"] {
        let mut world = World::with(&options);
        world.get(WHOLE);
        let far = world.accept();
        world.h.feed(far, format!("HTTP/1.1 200 OK\r\n{framing}"));
        assert_eq!(world.told()[1], "failed the response is invalid: the body is too long");
    }
}

#[test]
fn a_body_that_nobody_wants_is_skipped_if_it_is_short() {
    for (response, state) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", State::Open),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", State::Open),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
            State::Open,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng", State::Open),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n", State::Reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n", State::Open),
        ("HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", State::Reset),
        ("HTTP/1.1 200 OK\r\n\r\n", State::Reset),
    ] {
        let outcome = same_at_every_split(Way::Nothing, response, false);
        assert_eq!(outcome, (vec!["200".to_owned(), "end ".to_owned()], state), "{response:?}");
    }
    let mut world = World::new();
    world.get(Way::Nothing);
    let far = world.accept();
    world.h.feed(far, format!("{CHUNKED}10001\r\n"));
    world.h.feed(far, vec![0; 65_537]);
    assert_eq!(world.h.state(far), State::Reset, "more than may be skipped");
    assert_eq!(world.h.ledger().panics, 0);
}

#[test]
fn a_body_that_nobody_wants_is_skipped_even_if_the_exchange_has_paused() {
    let mut world = World::new();
    world.get(Way::Paused);
    let far = world.accept();
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    world.h.feed(far, "llo");
    world.h.sent(far);
    world.get(WHOLE);
    assert_eq!(world.h.sent(far), "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
}
