//! What the client gets.

use log::Level;

use super::{Outcome, World, get, pass, same_at_every_split};
use crate::logged::logged_in;

/// What the client gets of a response to GET.
fn passed(response: &str) -> Outcome {
    same_at_every_split(&get(""), response)
}

#[test]
fn row_49_a_response_is_passed_on_with_its_date_and_via() {
    let date = "Date: Mon, 01 Jan 2024 00:00:00 GMT";
    let response = format!(
        "HTTP/1.0 404 Gone fishing\r\nA: b\r\n{date}\r\nA: c\r\nContent-Length: 2\r\n\r\nhi"
    );
    let mut world = World::new();
    let (client, far) = world.ask(get(""));
    world.h.feed(far, response);
    let expected = format!(
        "HTTP/1.1 404 Not Found\n{date}\nA: b\nA: c\nVia: 1.0 sluicegate\nContent-Length: 2\n\nhi"
    );
    assert_eq!(world.take(client), expected);
}

#[test]
fn row_49_fields_of_one_hop_are_removed_from_responses() {
    for fields in [
        "Connection: close",
        "Connection: keep-alive, X-Secret\r\nX-Secret: a",
        "Keep-Alive: timeout=5",
        "Upgrade: h2c\r\nConnection: Upgrade",
        "Proxy-Authenticate: Basic",
    ] {
        let outcome =
            passed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 2\r\n\r\nhi"));
        assert_eq!(outcome.response, "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "{fields:?}");
        let closes = fields == "Connection: close";
        assert_eq!(outcome.is_open, (true, !closes), "{fields:?}");
    }
}

#[test]
fn rows_46_and_47_each_framing_of_a_response_arrives_as_it_should() {
    let known = passed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(known.response, "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello");
    let chunked = passed(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
    );
    let expected = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n[hello]\n";
    assert_eq!(chunked.response, expected);
    for status in ["204 No Content", "304 Not Modified"] {
        let outcome = passed(&format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\n\r\n"));
        assert_eq!(outcome.response, format!("HTTP/1.1 {status}\nETag: \"a\"\n\n"));
        assert_eq!(outcome.is_open, (true, true), "{status}");
    }
}

#[test]
fn row_46_the_response_to_head_has_the_fields_of_the_origin() {
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    let known = same_at_every_split(head, "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n");
    assert_eq!(known.response, "HTTP/1.1 200 OK\nContent-Length: 500000\n\n");
    let chunked =
        same_at_every_split(head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(chunked.response, "HTTP/1.1 200 OK\n\n");
    assert_eq!(chunked.is_open, (true, true));
}

#[test]
fn row_49_trailers_of_responses_arrive_if_they_were_announced() {
    let body = "\r\n1\r\na\r\n0\r\nSum: 1\r\nUpgrade: x\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    let announced = passed(&format!("{chunked}Trailer: Sum\r\n{body}"));
    assert!(announced.response.ends_with("[a]Sum: 1\n\n"), "{}", announced.response);
    let silent = passed(&format!("{chunked}{body}"));
    assert!(silent.response.ends_with("[a]\n"), "{}", silent.response);
}

#[test]
fn row_49_interim_responses_arrive_but_not_100() {
    let outcome = passed(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X\r\nX: y\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let expected =
        "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nhi";
    assert_eq!(outcome.response, expected);
    let old = "GET / HTTP/1.0\r\n\r\n";
    let outcome =
        same_at_every_split(old, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(outcome.response, "HTTP/1.1 204 No Content\nConnection: close\n\n");
}

#[test]
fn row_47_the_end_of_the_connection_ends_a_body_without_a_length() {
    for version in ["1.0", "1.1"] {
        let mut world = World::new();
        let (client, far) =
            world.ask(format!("GET / HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"));
        world.h.feed(far, "HTTP/1.0 200 OK\r\n\r\nhel");
        world.h.feed(far, "lo");
        world.h.finish(far);
        let response = world.response(client).replace("Via: 1.0 sluicegate\n", "");
        let expected = match version {
            "1.0" => "HTTP/1.1 200 OK\nConnection: close\n\nhello",
            _ => "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\n\n",
        };
        assert_eq!(response, expected);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection_to_the_origin() {
    let request = |n: u8| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut world = World::new();
    let (client, far) = world.ask(request(1) + &request(2));
    assert!(world.take(far).starts_with("GET /1 "));
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    assert!(world.take(far).starts_with("GET /2 "));
    world.h.feed(far, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    let one = |n: u8| format!("HTTP/1.1 200 OK\nContent-Length: 1\n\n{n}");
    assert_eq!(world.response(client), one(1) + &one(2));
    assert!(world.h.try_accept(&super::origin()).is_none());
}

#[test]
fn peers_cannot_fill_the_log_with_fields_that_are_not_passed_on() {
    let warnings = logged_in(Level::Warn, || {
        for announced in ["", "Trailer: Date, Host\r\n"] {
            let body = format!(
                "Transfer-Encoding: chunked\r\n{announced}\r\n1\r\na\r\n0\r\nDate: x\r\nHost: y\r\n\r\n"
            );
            let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{body}");
            let response =
                format!("HTTP/1.1 103 Early Hints\r\nDate: x\r\n\r\nHTTP/1.1 200 OK\r\n{body}");
            let outcome = pass([request.as_bytes()], [response.as_bytes()]);
            assert!(outcome.response.contains("[a]"), "{}", outcome.response);
        }
    });
    let omitted: Vec<_> = warnings.iter().filter(|text| text.contains("omitted")).collect();
    assert!(omitted.is_empty(), "{omitted:?}");
}
