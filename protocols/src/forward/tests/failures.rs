//! Origins that fail, and clients that leave.

use std::time::Duration;

use sluicegate_reactor::Connect;
use sluicegate_reactor::testing::{Remote, State};

use super::{World, get, origin};
use crate::forward::ForwardOptions;
use crate::http::HttpLimits;
use crate::http::client::ClientOptions;

const SECOND: Duration = Duration::from_secs(1);

/// The response to a request for which the origin does this.
fn answer(origin_sends: &str, ends: bool) -> (String, State) {
    let mut world = World::new();
    let (client, far) = world.ask(get(""));
    world.h.feed(far, origin_sends);
    if ends {
        world.h.finish(far);
    }
    (world.response(client), world.h.state(client))
}

fn page(status: &str) -> String {
    let page = format!("{status}\n");
    let length = page.len();
    format!(
        "HTTP/1.1 {status}\nContent-Type: text/plain; charset=utf-8\nContent-Length: {length}\n\n{page}"
    )
}

#[test]
fn row_49_what_breaks_a_rule_upstream_is_a_bad_gateway() {
    for (sent, ends) in [
        ("", true),
        ("HTTP/1.1 200", true),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        ("SSH-2.0-OpenSSH\r\n", true),
    ] {
        assert_eq!(answer(sent, ends), (page("502 Bad Gateway"), State::Open), "{sent:?}");
    }
}

#[test]
fn an_origin_that_refuses_connections_is_a_bad_gateway() {
    let mut world = World::without_origin(ForwardOptions::default(), HttpLimits::default());
    let client = world.h.open();
    world.h.feed(client, get("") + &get(""));
    assert_eq!(world.response(client), page("502 Bad Gateway") + &page("502 Bad Gateway"));
    assert_eq!(world.h.state(client), State::Open);
}

#[test]
fn a_proxy_without_room_for_a_connection_is_unavailable() {
    let connect = Connect { max_connections: 1, ..Connect::default() };
    let client = ClientOptions { connect, ..ClientOptions::default() };
    let mut world = World::with(ForwardOptions { client, ..ForwardOptions::default() });
    world.ask(get(""));
    let second = world.h.open();
    world.h.feed(second, get(""));
    assert_eq!(world.response(second), page("503 Service Unavailable"));
}

#[test]
fn a_body_that_is_cut_off_never_looks_complete() {
    for (sent, resets) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhelX", false),
        ("HTTP/1.1 200 OK\r\n\r\nhel", true),
    ] {
        for version in ["1.0", "1.1"] {
            let mut world = World::new();
            let (client, far) = world.ask(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
            world.h.feed(far, sent);
            if resets {
                world.h.reset(far);
            } else if world.h.state(far) == State::Open {
                world.h.finish(far);
            }
            assert_eq!(world.h.state(client), State::Reset, "{sent:?} to HTTP/{version}");
        }
    }
}

#[test]
fn row_49_an_origin_that_is_late_is_a_gateway_timeout() {
    let quick = ClientOptions {
        response_timeout: SECOND,
        body_timeout: SECOND,
        ..ClientOptions::default()
    };
    for sent in ["", "HTTP/1.1 200"] {
        let mut world =
            World::with(ForwardOptions { client: quick.clone(), ..ForwardOptions::default() });
        let (client, far) = world.ask(get(""));
        world.h.feed(far, sent);
        world.h.advance(2 * SECOND);
        assert_eq!(world.response(client), page("504 Gateway Timeout"), "{sent:?}");
        assert_eq!((world.h.state(client), world.h.state(far)), (State::Open, State::Reset));
    }
    for length in [5, 500_000] {
        let mut world =
            World::with(ForwardOptions { client: quick.clone(), ..ForwardOptions::default() });
        let (client, far) = world.ask(get(""));
        world.h.feed(far, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhel"));
        world.h.advance(2 * SECOND);
        assert_eq!((world.h.state(client), world.h.state(far)), (State::Reset, State::Reset));
    }
}

#[test]
fn a_limit_of_the_server_on_the_response_is_a_gateway_timeout_too() {
    let limits = HttpLimits { response_timeout: SECOND, ..HttpLimits::default() };
    let mut world = World::without_origin(ForwardOptions::default(), limits);
    world.h.set_remote(&origin(), Remote::Listens);
    let (client, far) = world.ask(get(""));
    world.h.advance(2 * SECOND);
    let response = world.response(client);
    assert!(response.starts_with("HTTP/1.1 504 Gateway Timeout\n"), "{response}");
    assert_eq!(world.h.state(far), State::Reset);
}

#[test]
fn requests_for_which_there_is_no_connection_wait_or_are_refused() {
    let client = ClientOptions { connections: 1, waiting: 1, ..ClientOptions::default() };
    let mut world = World::with(ForwardOptions { client, ..ForwardOptions::default() });
    let (first, far) = world.ask(get(""));
    world.h.set_room(far, 1_000_000);
    let (second, third) = (world.h.open(), world.h.open());
    world.h.feed(second, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
    world.h.feed(second, vec![b'z'; 300_000]);
    world.h.feed(third, get(""));
    world.h.advance(SECOND);
    assert_eq!(world.response(third), page("503 Service Unavailable"));
    world.take(far);
    world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(world.response(first), "HTTP/1.1 204 No Content\n\n");
    assert_eq!(world.take(far).matches('z').count(), 300_000);
    world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(world.response(second), "HTTP/1.1 204 No Content\n\n");
}

#[test]
fn a_client_that_leaves_cancels_its_exchange() {
    let upload = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\nz";
    let chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n";
    for request in [&*get(""), upload, chunked] {
        for response in [
            "",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\na",
        ] {
            let mut world = World::new();
            let (client, far) = world.ask(request);
            world.h.feed(far, response);
            world.h.reset(client);
            assert_eq!(world.h.state(far), State::Reset, "{request:?} {response:?}");
        }
    }
}

#[test]
fn a_client_that_leaves_while_its_request_waits_is_forgotten() {
    let options = ClientOptions { connections: 1, ..ClientOptions::default() };
    let mut world = World::with(ForwardOptions { client: options, ..ForwardOptions::default() });
    let (_, far) = world.ask(get(""));
    world.take(far);
    let second = world.h.open();
    world.h.feed(second, get(""));
    world.h.reset(second);
    world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(world.take(far), "");
}

#[test]
fn row_50_a_client_that_does_not_read_does_not_hold_an_upstream_connection_forever() {
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut world = World::new();
        let (client, far) = world.ask(get(""));
        world.h.set_room(client, 0);
        world.h.feed(far, format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        if framing.starts_with('T') {
            world.h.feed(far, "f4240\r\n");
        }
        world.h.feed(far, vec![b'x'; 1_000_000]);
        world.h.advance(61 * SECOND);
        assert_eq!((world.h.state(client), world.h.state(far)), (State::Reset, State::Reset));
    }
}

#[test]
fn a_slow_upload_is_refused_unless_the_origin_is_the_slow_one() {
    let upload = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n";
    let chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n";
    for request in [upload, chunked] {
        let mut world = World::new();
        let (client, far) = world.ask(request);
        world.h.advance(11 * SECOND);
        let response = world.response(client);
        assert!(response.starts_with("HTTP/1.1 408 Request Timeout\n"), "{response}");
        assert_eq!(world.h.state(far), State::Reset);

        let mut world = World::new();
        let (client, far) = world.ask(request);
        world.take(far);
        world.h.set_room(far, 1_000);
        world.h.feed(client, vec![b'z'; 300_000]);
        world.h.advance(11 * SECOND);
        world.h.advance(11 * SECOND);
        assert_eq!((world.response(client).as_str(), world.h.state(client)), ("", State::Open));
        world.h.advance(61 * SECOND);
        let response = world.response(client);
        assert!(response.starts_with("HTTP/1.1 504 Gateway Timeout\n"), "{response}");
    }
}

#[test]
fn a_client_that_has_shut_down_its_sending_side_still_gets_its_response() {
    let mut world = World::new();
    let (client, far) = world.ask(get(""));
    world.h.finish(client);
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(world.response(client), "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi");
    assert_eq!((world.h.state(client), world.h.state(far)), (State::Closed, State::Open));
}

#[test]
fn an_upload_that_has_waited_for_a_connection_has_its_whole_time_afterwards() {
    let client = ClientOptions { connections: 1, ..ClientOptions::default() };
    let mut world = World::with(ForwardOptions { client, ..ForwardOptions::default() });
    let (_, far) = world.ask(get(""));
    let client = world.h.open();
    world.h.feed(client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
    world.h.advance(SECOND * 9);
    world.h.feed(far, "HTTP/1.1 204 No Content\r\n\r\n");
    world.h.advance(SECOND * 2);
    assert_eq!(world.response(client), "", "it is not too slow yet");
    world.h.advance(SECOND * 10);
    assert!(world.response(client).starts_with("HTTP/1.1 408 Request Timeout\n"));
}

#[test]
fn a_request_of_a_client_whose_address_is_gone_is_not_forwarded_and_counts_as_4xx() {
    for body in ["", "Content-Length: 1\r\n\r\nx", "Content-Length: 20000\r\n\r\nx"] {
        let mut world = World::new();
        world.h.at_once(|h| {
            let client = h.open();
            h.feed(client, format!("POST / HTTP/1.1\r\nHost: h\r\n{body}\r\n"));
            h.reset(client);
        });
        assert!(world.h.try_accept(&origin()).is_none(), "{body:?}");
        assert_eq!(world.metrics.counters().responses, [0, 0, 0, 1, 0], "{body:?}");
    }
}
