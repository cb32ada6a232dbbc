//! What the origin gets.

use std::io::ErrorKind;

use sluicegate_reactor::Reactor;
use sluicegate_reactor::testing::{Records, through};

use super::{World, get, origin, same_at_every_split};
use crate::forward::{Forward, ForwardOptions, HostField, Provenance};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What the origin gets of a request, without the fields that every one has.
fn forwarded(request: &str) -> String {
    let outcome = same_at_every_split(request, OK);
    assert!(outcome.response.starts_with("HTTP/1.1 200 OK\n"), "{}", outcome.response);
    outcome
        .request
        .replace("Via: 1.1 sluicegate\n", "")
        .replace("X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: h\n", "")
}

#[test]
fn row_49_a_request_is_passed_on_with_via_and_where_it_comes_from() {
    let outcome = same_at_every_split(&get("A: b\r\nA:  c \r\nCookie: d\r\n"), OK);
    let expected = "GET / HTTP/1.1\nHost: h\nA: b\nA: c\nCookie: d\nVia: 1.1 sluicegate\n\
                    X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: h\n\n";
    assert_eq!(outcome.request, expected);
    assert_eq!(outcome.response, "HTTP/1.1 200 OK\nContent-Length: 0\n\n");
    assert_eq!(outcome.is_open, (true, true));
}

#[test]
fn row_49_fields_of_one_hop_are_removed() {
    for fields in [
        "Connection: close",
        "Connection: keep-alive, X-Secret, ,x-other\r\nX-Secret: a\r\nX-Other: b",
        "X-Secret: a\r\nConnection: x-secret",
        "Connection: A\r\nConnection: B\r\nA: 1\r\nB: 2",
        "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive",
        "TE: trailers\r\nConnection: TE",
        "Proxy-Authorization: Basic YTpi",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
        "Upgrade: websocket",
        "Expect: 100-continue",
    ] {
        let expected = "GET / HTTP/1.1\nHost: h\n\n";
        assert_eq!(forwarded(&get(&format!("{fields}\r\n"))), expected, "{fields:?}");
    }
}

#[test]
fn row_49_framing_is_written_anew() {
    for (request, expected) in [
        (
            "POST / HTTP/1.1\r\nHost: h\r\ncontent-length:  003\r\n\r\nabc",
            "Content-Length: 3\n\nabc",
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", "Content-Length: 0\n\n"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0\n\n"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTRANSFER-encoding: , chunked\r\n\r\n\
             02;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\n\n[abc]\n",
        ),
    ] {
        let expected = format!("POST / HTTP/1.1\nHost: h\n{expected}");
        assert_eq!(forwarded(request), expected, "{request:?}");
    }
}

#[test]
fn row_49_trailers_that_were_announced_arrive() {
    let body = "\r\n1\r\na\r\n0\r\nSum: 1\r\nContent-Length: 9\r\nTE: x\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n";
    let announced = forwarded(&format!("{chunked}Trailer: Sum\r\n{body}"));
    assert!(announced.ends_with("Trailer: Sum\nTransfer-Encoding: chunked\n\n[a]Sum: 1\n\n"));
    let of_one_hop = format!("{chunked}Connection: Trailer\r\nTrailer: Sum\r\n{body}");
    assert!(forwarded(&of_one_hop).ends_with("h\nTransfer-Encoding: chunked\n\n[a]\n"));
    let silent = forwarded(&format!("{chunked}{body}"));
    assert!(silent.ends_with("Transfer-Encoding: chunked\n\n[a]\n"), "{silent}");
}

#[test]
fn row_49_the_target_is_a_path() {
    for (line, expected) in [
        ("GET /a%20b?c=/d HTTP/1.1", "GET /a%20b?c=/d"),
        ("GET http://other/a?b HTTP/1.1", "GET /a?b"),
        ("GET http://other HTTP/1.1", "GET /"),
        ("OPTIONS * HTTP/1.1", "OPTIONS *"),
        ("OPTIONS http://other HTTP/1.1", "OPTIONS *"),
        ("OPTIONS http://other/ HTTP/1.1", "OPTIONS /"),
        ("PURGE /x HTTP/1.1", "PURGE /x"),
    ] {
        let request = same_at_every_split(&format!("{line}\r\nHost: h\r\n\r\n"), OK).request;
        let host = if line.contains("other") { "other" } else { "h" };
        assert!(request.starts_with(&format!("{expected} HTTP/1.1\nHost: {host}\n")), "{request}");
    }
}

#[test]
fn row_49_max_forwards_is_counted_down_and_the_last_proxy_answers() {
    let options =
        |left: &str| format!("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: {left}\r\n\r\n");
    assert!(forwarded(&options("1")).contains("Max-Forwards: 0\n"));
    assert!(forwarded(&options("10")).contains("Max-Forwards: 9\n"));
    let last = same_at_every_split(&options("0"), OK);
    assert_eq!(
        (last.request.as_str(), last.response.as_str()),
        ("", "HTTP/1.1 204 No Content\n\n")
    );
}

#[test]
fn row_49_what_the_parser_refuses_does_not_reach_the_origin() {
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent_Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let outcome = same_at_every_split(request, OK);
        assert_eq!(outcome.request, "", "{request:?}");
        assert!(!outcome.is_open.0, "{request:?}");
    }
}

/// What the origin gets of a GET request with these fields.
fn with(options: ForwardOptions, fields: &str) -> String {
    let mut world = World::with(options);
    let (_, far) = world.ask(get(fields));
    world.take(far).replace("Via: 1.1 sluicegate\n", "")
}

#[test]
fn what_a_client_says_about_its_own_origin_is_appended_to_replaced_or_passed_on() {
    let said = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4\r\n\
                X-Forwarded-For: 5.6.7.8\r\n";
    let of = |x_forwarded, forwarded| {
        with(ForwardOptions { x_forwarded, forwarded, ..ForwardOptions::default() }, said)
    };
    let appended = of(Provenance::Append, Provenance::Append);
    let expected = "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1\nX-Forwarded-Proto: https\n\
                    X-Forwarded-Host: h\nForwarded: for=1.2.3.4, for=127.0.0.1;host=\"h\";proto=http\n\n";
    assert_eq!(appended, format!("GET / HTTP/1.1\nHost: h\n{expected}"));
    let replaced = of(Provenance::Replace, Provenance::Replace);
    let expected = "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: h\n\
                    Forwarded: for=127.0.0.1;host=\"h\";proto=http\n\n";
    assert_eq!(replaced, format!("GET / HTTP/1.1\nHost: h\n{expected}"));
    let by_default = with(ForwardOptions::default(), said);
    assert_eq!(by_default, of(Provenance::Replace, Provenance::Pass));
    let passed = of(Provenance::Pass, Provenance::Pass);
    let said = said.replace("\r\n", "\n");
    assert_eq!(passed, format!("GET / HTTP/1.1\nHost: h\n{said}\n"));
}

#[test]
fn the_origin_is_told_that_the_client_is_secure() {
    let ask = || {
        let forwarded = Provenance::Append;
        let options = ForwardOptions { forwarded, ..ForwardOptions::default() };
        with(options, "")
    };
    let request = through(Records::factory(), Records::factory(), ask);
    assert!(request.contains("\nX-Forwarded-Proto: https\n"), "{request}");
    assert!(request.ends_with(";proto=https\n\n"), "{request}");
}

#[test]
fn a_client_cannot_remove_what_proxies_add() {
    let fields = "Connection: X-Forwarded-For, Via, Host\r\nX-Forwarded-For: 1.2.3.4\r\n";
    let x_forwarded = Provenance::Append;
    let request = with(ForwardOptions { x_forwarded, ..ForwardOptions::default() }, fields);
    let expected = "GET / HTTP/1.1\nHost: h\nX-Forwarded-For: 1.2.3.4, 127.0.0.1\n";
    assert!(request.starts_with(expected), "{request}");
}

#[test]
fn the_origin_gets_its_own_host_if_that_is_wanted() {
    let options = ForwardOptions { host: HostField::Origin, ..ForwardOptions::default() };
    assert!(with(options, "").starts_with("GET / HTTP/1.1\nHost: 10.0.0.1\n"));
}

#[test]
fn requests_of_old_clients_are_passed_on_as_1_1() {
    let outcome = same_at_every_split("GET / HTTP/1.0\r\n\r\n", OK);
    let expected = "GET / HTTP/1.1\nHost: 10.0.0.1\nVia: 1.0 sluicegate\n\
                    X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n";
    assert_eq!(outcome.request, expected);
    assert_eq!(outcome.is_open, (false, true));
}

#[test]
fn a_name_that_cannot_be_in_via_is_refused() {
    let mut reactor = Reactor::new().expect("a reactor");
    let mut new = |name: &str| {
        let options = ForwardOptions { name: name.to_owned(), ..ForwardOptions::default() };
        Forward::new(&mut reactor, origin(), &options).err().map(|error| error.kind())
    };
    for name in ["a", "proxy.example", "proxy.example:8080"] {
        assert_eq!(new(name), None, "{name:?}");
    }
    for name in ["", ":80", "a b", "a,b", "a\r\nB: c", "a:b", "a(b)", "\u{e9}"] {
        assert_eq!(new(name), Some(ErrorKind::InvalidInput), "{name:?}");
    }
}

#[test]
fn a_client_on_a_socket_for_both_ip_versions_has_its_own_address() {
    let mut world = World::new();
    let client = world.h.open_from("::ffff:10.0.0.9".parse().expect("an address"));
    world.h.feed(client, get(""));
    let far = world.accept();
    let request = world.take(far);
    assert!(request.contains("X-Forwarded-For: 10.0.0.9\n"), "{request}");
}

#[test]
fn an_origin_can_be_text_and_an_error_says_what_is_wrong_with_it() {
    let mut reactor = Reactor::new().expect("a reactor");
    let mut new = |text: &str| {
        let made = Forward::new(&mut reactor, text, &ForwardOptions::default());
        made.map(|forward| format!("{forward:?}")).map_err(|error| error.to_string())
    };
    assert_eq!(new("localhost:8080").as_deref(), Ok("Forward(localhost:8080)"));
    for (text, why) in [
        ("localhost", "a port is missing; write host:port"),
        ("http://localhost:8080/", "a target is written host:port, not as a URL"),
    ] {
        assert_eq!(new(text), Err(format!("origin {text}: {why}")));
    }
}
