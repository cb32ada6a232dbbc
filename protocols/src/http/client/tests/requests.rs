//! The ways to send a body.

use std::time::Duration;

use sluicegate_reactor::Sent;
use sluicegate_reactor::testing::Received;

use super::*;
use crate::http::Method;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const EARLY: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";

fn post() -> Request {
    Request::new(Method::Post, "/")
}

/// The body of what an origin has received.
fn body(received: &Received) -> &[u8] {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    &received[end + 4..]
}

/// Starts a request with a streamed body.
fn streaming(request: Request) -> (World, FarEnd, RequestStream) {
    let mut world = World::new();
    world.send(request, WHOLE);
    let far = world.accept();
    assert_eq!(world.told(), ["stream"]);
    let stream = world.streams.borrow_mut().pop().expect("a stream");
    (world, far, stream)
}

#[test]
fn bytes_of_any_length_arrive() {
    for length in [0, 5, 5000, 500_000] {
        let bytes = vec![b'x'; length];
        let mut world = World::new();
        world.send(post().body(bytes.clone()), WHOLE);
        let far = world.accept();
        let received = world.h.sent(far);
        assert_eq!(body(&received), bytes);
        world.h.feed(far, OK);
        assert_eq!(world.told(), ["200", "body "]);
        assert_eq!(world.h.state(far), State::Open, "{length}");
    }
}

#[test]
fn a_region_of_a_file_arrives() {
    let mut world = World::new();
    world.h.files().put_file("/saved/file", b"0123456789", 0);
    let root = world.h.reactor().open_dir("/saved").expect("a directory");
    let region = root.open("file").expect("a file").region(2, 5);
    drop(root);
    world.send(post().body(region), WHOLE);
    let far = world.accept();
    assert_eq!(body(&world.h.sent(far)), b"23456");
}

#[test]
fn a_chunked_body_ends_with_its_last_chunk_and_the_trailers_that_were_announced() {
    for (announced, end) in [(true, "0\r\nSum: 1\r\n\r\n"), (false, "0\r\n\r\n")] {
        let request = if announced { post().header("Trailer", "Sum") } else { post() };
        let (mut world, far, mut stream) = streaming(request.stream(None));
        let cx = world.h.reactor();
        for part in ["one", "", "twelve bytes"] {
            assert_eq!(stream.send(cx, part), Sent::Accepted);
        }
        stream.finish_with(cx, &[("Sum", "1"), ("Content-Length", "5"), ("bad name", "x")]);
        world.h.run();
        let expected = format!("3\r\none\r\nc\r\ntwelve bytes\r\n{end}");
        assert_eq!(text(body(&world.h.sent(far))), text(expected.as_bytes()));
        world.h.feed(far, OK);
        assert_eq!(world.told(), ["200", "body "]);
        assert_eq!(world.h.state(far), State::Open);
    }
}

#[test]
fn a_body_of_known_length_keeps_to_it() {
    let (mut world, far, mut stream) = streaming(post().stream(Some(10)));
    assert_eq!(stream.send(world.h.reactor(), "01234"), Sent::Accepted);
    world.h.run();
    assert_eq!(stream.send(world.h.reactor(), "56789"), Sent::Accepted);
    assert_eq!(stream.finish(world.h.reactor()), Sent::Accepted);
    world.h.run();
    assert_eq!(body(&world.h.sent(far)), b"0123456789");
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["200", "body "]);
    assert_eq!(world.h.state(far), State::Open);
}

#[test]
fn a_body_that_does_not_keep_to_its_length_is_cut_off() {
    for rest in ["567890", "5678", ""] {
        let (mut world, far, mut stream) = streaming(post().stream(Some(10)));
        let cx = world.h.reactor();
        stream.send(cx, "01234");
        if stream.send(cx, rest) != Sent::Gone {
            assert_eq!(stream.finish(cx), Sent::Gone);
        }
        world.h.run();
        assert_eq!(world.told(), ["failed the request body was not finished"]);
        assert_eq!(world.h.state(far), State::Reset, "{rest:?}");
    }
}

#[test]
fn a_stream_that_is_dropped_when_it_comes_fails_at_once() {
    let mut world = World::new();
    world.send(post().stream(None), Way::Deaf);
    let far = world.accept();
    assert_eq!(world.told(), ["failed the request body was not finished"]);
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn a_stream_that_is_dropped_fails_at_the_next_deadline() {
    let (mut world, far, mut stream) = streaming(post().stream(None));
    stream.send(world.h.reactor(), "half");
    drop(stream);
    world.h.advance(Duration::from_secs(61));
    assert_eq!(world.told(), ["failed the request body was not finished"]);
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn a_stream_that_has_not_been_given_yet_was_not_dropped() {
    let mut options = ClientOptions::default();
    options.connect.limits.write_stall = None;
    options.idle_timeout = Duration::from_secs(100);
    let mut world = World::with(&options);
    world.send(post(), WHOLE);
    let far = world.accept();
    world.h.sent(far);
    world.h.feed(far, OK);
    world.told();
    world.h.set_room(far, 10);
    world.send(post().stream(None), WHOLE);
    world.h.advance(Duration::from_secs(61));
    assert_eq!(world.told(), [""; 0]);
    world.h.sent(far);
    assert_eq!(world.told(), ["stream"]);
}

#[test]
fn a_stream_may_be_silent_as_long_as_it_likes() {
    let (mut world, far, mut stream) = streaming(post().stream(None));
    world.h.advance(Duration::from_secs(1000));
    stream.send(world.h.reactor(), "late");
    stream.finish(world.h.reactor());
    world.h.run();
    world.h.feed(far, OK);
    assert_eq!(world.told(), ["200", "body "]);
}

#[test]
fn the_origin_has_its_whole_time_from_the_end_of_the_request() {
    let late = ["failed timed out while waiting for the head of the response"];
    let (mut world, _, stream) = streaming(post().stream(None));
    world.h.advance(Duration::from_secs(59));
    stream.finish(world.h.reactor());
    world.h.advance(Duration::from_secs(59));
    assert_eq!(world.told(), [""; 0]);
    world.h.advance(Duration::from_secs(2));
    assert_eq!(world.told(), late);

    let mut options = ClientOptions::default();
    options.connect.limits.write_stall = None;
    let mut world = World::with(&options);
    world.send(post(), WHOLE);
    let far = world.accept();
    world.h.sent(far);
    world.h.feed(far, OK);
    world.told();
    world.h.set_room(far, 10);
    world.send(post().body(vec![b'x'; 100_000]), WHOLE);
    world.h.advance(Duration::from_secs(59));
    world.h.set_room(far, 1_000_000);
    world.h.advance(Duration::from_secs(59));
    assert_eq!(world.told(), [""; 0]);
    world.h.advance(Duration::from_secs(2));
    assert_eq!(world.told(), late);
}

#[test]
fn row_50_a_stream_says_when_it_is_full_and_when_there_is_room() {
    let (mut world, far, mut stream) = streaming(post().stream(None));
    world.h.set_room(far, 1000);
    world.h.take(far);
    let part = vec![b'x'; 10_000];
    let mut count = 0;
    while stream.send(world.h.reactor(), &part) == Sent::Accepted {
        count += 1;
    }
    assert_eq!(count, 6, "about 64 KiB");
    world.h.run();
    assert_eq!(world.told(), [""; 0]);
    world.h.sent(far);
    assert_eq!(world.told(), ["room"]);
    assert_eq!(stream.send(world.h.reactor(), &part), Sent::Accepted);
    drop(stream);
}

#[test]
fn a_response_is_read_while_the_request_is_stuck() {
    let mut world = World::new();
    world.send(post().body(vec![b'x'; 1 << 20]), Way::Pieces);
    let far = world.accept();
    world.h.set_room(far, 1000);
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(world.told(), ["200", "end hello"]);
    assert_eq!(world.h.state(far), State::Reset, "the rest of the request is not wanted");
}

#[test]
fn a_response_before_the_end_of_the_request_ends_the_connection() {
    let (mut world, far, mut stream) = streaming(post().stream(None));
    world.h.feed(far, EARLY);
    assert_eq!(world.told(), ["413", "body "]);
    assert_eq!(world.h.state(far), State::Reset);
    assert_eq!(stream.send(world.h.reactor(), "more"), Sent::Gone);
    assert_eq!(stream.finish(world.h.reactor()), Sent::Gone);
}

#[test]
fn a_response_can_begin_before_the_end_of_the_request() {
    let (mut world, far, mut stream) = streaming(post().stream(None));
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
    stream.send(world.h.reactor(), "more");
    stream.finish(world.h.reactor());
    world.h.run();
    assert!(world.h.sent(far).ends_with(b"more\r\n0\r\n\r\n"));
    world.h.feed(far, "b");
    assert_eq!(world.told(), ["200", "body ab"]);
    assert_eq!(world.h.state(far), State::Open);
}

#[test]
fn an_origin_that_reads_nothing_is_given_up() {
    let mut world = World::new();
    world.send(post().body(vec![b'x'; 1 << 20]), WHOLE);
    let far = world.accept();
    world.h.set_room(far, 1000);
    world.h.advance(Duration::from_secs(61));
    assert_eq!(
        world.told(),
        ["failed timed out while waiting for the origin to accept the request"]
    );
}

#[test]
fn an_invalid_request_fails_without_a_connection() {
    let mut world = World::new();
    world.send(Request::get("no path"), WHOLE);
    world.h.advance(Duration::from_millis(40));
    assert_eq!(world.told(), ["failed the request is invalid: the target is not an encoded path"]);
    assert_eq!(world.h.try_accept(&origin()), None);
}
