//! Request bodies that are streamed, and back-pressure.

use sluicegate_reactor::testing::State;

use super::{ForwardOptions, World, get};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

fn sized(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

/// The status line of the response.
fn status(response: &str) -> &str {
    response.lines().next().unwrap_or("")
}

#[test]
fn a_long_body_is_passed_on_before_it_is_complete() {
    for head in [CHUNKED.to_owned() + "3\r\n", sized(20_000)] {
        let mut world = World::new();
        let (_, far) = world.ask(head + "abc");
        assert!(world.take(far).trim_end().ends_with("abc"));
    }
}

#[test]
fn a_short_body_is_passed_on_when_it_is_complete() {
    let mut world = World::new();
    let client = world.h.open();
    world.h.feed(client, sized(6) + "abc");
    assert!(world.h.try_accept(&super::origin()).is_none());
    world.h.feed(client, "def");
    let far = world.accept();
    assert!(world.take(far).ends_with("Content-Length: 6\n\nabcdef"));
}

#[test]
fn a_client_that_expects_100_gets_it_from_the_proxy() {
    for (head, body) in [
        (sized(3), "abc".to_owned()),
        (sized(20_000), "x".repeat(20_000)),
        (sized(200_000), "x".repeat(200_000)),
        (CHUNKED.to_owned(), "1\r\na\r\n0\r\n\r\n".to_owned()),
    ] {
        let mut world = World::new();
        let client = world.h.open();
        world.h.feed(client, head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
        assert_eq!(world.take(client), "HTTP/1.1 100 Continue\n\n");
        world.h.feed(client, &body);
        let far = world.accept();
        let request = world.take(far);
        assert!(!request.contains("Expect"), "{request}");
        world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(world.response(client), "HTTP/1.1 204 No Content\n\n");
        assert_eq!(world.h.state(client), State::Open);
    }
}

#[test]
fn row_50_a_full_origin_stops_the_reading_of_a_request() {
    for head in [CHUNKED.to_owned() + "f4240\r\n", sized(1_000_000)] {
        let mut world = World::new();
        let (client, far) = world.ask(head.as_str());
        world.take(far);
        world.h.set_room(far, 10_000);
        world.h.feed(client, vec![b'x'; 1_000_000]);
        assert!(world.h.unread(client) > 100_000, "{}", world.h.unread(client));
        world.h.set_room(far, 2_000_000);
        if head.contains("chunked") {
            world.h.feed(client, "\r\n0\r\n\r\n");
        }
        let arrived = world.take(far);
        assert_eq!(arrived.matches('x').count(), 1_000_000);
        world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(status(&world.response(client)), "HTTP/1.1 204 No Content");
        assert_eq!(world.h.state(client), State::Open);
    }
}

#[test]
fn row_50_a_full_client_stops_the_reading_of_a_response() {
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut world = World::new();
        let (client, far) = world.ask(get(""));
        world.h.set_room(client, 10_000);
        world.h.feed(far, format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        if framing.starts_with('T') {
            world.h.feed(far, "f4240\r\n");
        }
        world.h.feed(far, vec![b'x'; 1_000_000]);
        assert!(world.h.unread(far) > 100_000, "{framing}: {}", world.h.unread(far));
        world.h.set_room(client, 2_000_000);
        if framing.starts_with('T') {
            world.h.feed(far, "\r\n0\r\n\r\n");
        }
        assert_eq!(world.take(client).matches('x').count(), 1_000_000, "{framing}");
        assert_eq!((world.h.state(client), world.h.state(far)), (State::Open, State::Open));
    }
}

#[test]
fn an_answer_before_the_end_of_the_body_is_delivered_and_ends_the_connections() {
    for (head, body) in [
        (CHUNKED.to_owned() + "f4240\r\n", 1_000),
        (sized(1_000_000), 1_000),
        (sized(100_000), 1_000),
        (sized(1_000_000), 0),
    ] {
        let mut world = World::new();
        let (client, far) = world.ask(head.as_str());
        world.h.feed(client, vec![b'x'; body]);
        world.h.feed(far, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
        let expected = "HTTP/1.1 413 Content Too Large\nConnection: close\nContent-Length: 2\n\nno";
        assert_eq!(world.response(client), expected);
        assert_eq!((world.h.state(client), world.h.state(far)), (State::Shut, State::Reset));
    }
}

#[test]
fn the_rest_of_a_body_that_the_origin_does_not_want_is_skipped_if_it_is_short() {
    let mut world = World::new();
    let (client, far) = world.ask(sized(20_000));
    world.h.feed(far, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(world.response(client), "HTTP/1.1 413 Content Too Large\nContent-Length: 2\n\nno");
    world.h.feed(client, vec![b'x'; 20_000]);
    world.h.feed(client, get(""));
    let far = world.accept();
    world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(world.response(client), "HTTP/1.1 204 No Content\n\n");
}

#[test]
fn an_origin_may_answer_while_it_reads() {
    let mut world = World::new();
    let (client, far) = world.ask(CHUNKED);
    world.take(far);
    world.h.feed(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in ["1\r\na\r\n", "2\r\nbc\r\n"] {
        world.h.feed(client, part);
        assert_eq!(world.take(far), part.replace("\r\n", "\n"));
        world.h.feed(far, part);
    }
    world.h.feed(client, "0\r\n\r\n");
    assert_eq!(world.take(far), "0\n\n");
    world.h.feed(far, "0\r\n\r\n");
    let expected = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: close\n\n\
                    1\na\n2\nbc\n0\n\n";
    assert_eq!(world.response(client), expected);
    assert_eq!((world.h.state(client), world.h.state(far)), (State::Shut, State::Open));
}

#[test]
fn interim_responses_arrive_while_the_body_is_sent() {
    let mut world = World::new();
    let (client, far) = world.ask(CHUNKED);
    world.h.feed(far, "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n");
    assert_eq!(world.take(client), "HTTP/1.1 103 Early Hints\nA: b\n\n");
}

#[test]
fn a_body_that_breaks_off_never_looks_complete_to_the_origin() {
    for (head, bad) in [
        (CHUNKED, Some("3\r\nabcX")),
        (CHUNKED, None),
        (&*sized(20_000), None),
        (&*sized(200_000), None),
    ] {
        let mut world = World::new();
        let (client, far) = world.ask(head);
        match bad {
            Some(bad) => {
                world.h.feed(client, bad);
                assert_eq!(status(&world.response(client)), "HTTP/1.1 400 Bad Request");
            }
            None => {
                world.h.feed(client, "1\r\na\r\n");
                world.h.finish(client);
            }
        }
        assert_eq!(world.h.state(far), State::Reset, "{head:?} {bad:?}");
        assert!(!world.take(far).ends_with("\n0\n\n"), "{head:?}");
    }
}

#[test]
fn a_body_that_is_malformed_within_the_response_resets_both_connections() {
    let mut world = World::new();
    let (client, far) = world.ask(CHUNKED);
    world.h.feed(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    world.h.feed(client, "1\r\nbX");
    assert!(world.take(client).ends_with("1\na\n"), "nothing follows within the response");
    assert_eq!((world.h.state(client), world.h.state(far)), (State::Reset, State::Reset));
}

#[test]
fn a_body_that_the_reactor_does_not_receive_into_memory_is_streamed_whatever_the_options_say() {
    let mut world =
        World::with(ForwardOptions { whole_body: 64 << 20, ..ForwardOptions::default() });
    let (_, far) = world.ask(sized(20 << 20));
    assert!(world.take(far).starts_with("POST / HTTP/1.1\n"));
}

#[test]
fn an_answer_arrives_although_the_origin_then_resets_the_connection() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n";
    for fields in ["", "Connection: close\r\n"] {
        for head in [CHUNKED.to_owned() + "f4240\r\n", sized(1_000_000), sized(100_000)] {
            let mut world = World::new();
            let (client, far) = world.ask(head.as_str());
            world.h.set_room(far, 10_000);
            world.h.feed(client, vec![b'x'; 50_000]);
            world.h.at_once(|h| {
                h.feed(far, format!("{refusal}{fields}\r\nno\n"));
                h.reset(far);
            });
            let response = world.response(client);
            assert_eq!(status(&response), "HTTP/1.1 413 Content Too Large", "{head}");
            assert!(response.ends_with("\n\nno\n"), "{response}");
            // No other request is sent on that connection.
            assert_eq!(world.h.state(far), State::Reset, "{head}");
        }
    }
}
