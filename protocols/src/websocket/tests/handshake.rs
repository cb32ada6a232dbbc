//! The opening handshake of a server.

use super::*;
use crate::testing::same_at_every_split;

/// The response to a request: its head.
fn head(request: &str) -> String {
    let mut h = site(&WebSocketLimits::default(), false, &Log::default());
    let client = h.open();
    h.feed(client, request);
    let sent = h.sent(client).escape_ascii().to_string();
    let (head, _) = sent.split_once(r"\r\n\r\n").expect("a head");
    head.replace(r"\r\n", "\n")
}

/// A valid request, with one part replaced.
fn request(from: &str, to: &str) -> String {
    assert!(OPEN.contains(from), "{from:?}");
    OPEN.replace(from, to)
}

#[test]
fn row_21_a_valid_request_is_accepted_with_the_hash_of_its_key() {
    for request in [
        OPEN.to_owned(),
        request("Connection: Upgrade", "connection: keep-alive, upgrade"),
        request("Upgrade: websocket", "Upgrade: h2c, WebSocket"),
        request("Sec-WebSocket-", "sec-websocket-"),
        request("Host: h", "Host: h\r\nOrigin: http://h"),
        request("Host: h", "Host: h\r\nOrigin: http://other\r\nSec-Fetch-Site: same-origin"),
        request("HTTP/1.1", "HTTP/1.2"),
    ] {
        let head = head(&request);
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\n"), "{request}\n{head}");
        assert!(head.contains("\nConnection: Upgrade"), "{head}");
        assert!(head.contains("\nUpgrade: websocket"), "{head}");
        assert!(head.contains("\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(!head.contains("Sec-WebSocket-Protocol") && !head.contains("Extensions"), "{head}");
    }
}

#[test]
fn row_21_a_request_that_is_not_valid_is_refused_with_the_status_that_fits() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for (request, status) in [
        (request("GET", "POST"), 405),
        (request("GET", "HEAD"), 405),
        (request("HTTP/1.1", "HTTP/1.0"), 426),
        (request("Connection: Upgrade\r\n", ""), 426),
        (request("Connection: Upgrade", "Connection: close"), 426),
        (request("Upgrade: websocket\r\n", ""), 426),
        (request("Upgrade: websocket", "Upgrade: h2c"), 426),
        (request("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"), 426),
        (request("Version: 13", "Version: 8"), 426),
        (request("Version: 13", "Version: 13, 8"), 426),
        (request("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (request("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"), 426),
        (request(&format!("Sec-WebSocket-Key: {key}\r\n"), ""), 400),
        (request(key, ""), 400),
        (request(key, "dGhlIHNhbXBsZSBub25jZQ="), 400),
        (request(key, "dGhlIHNhbXBsZSBub25jZTE="), 400),
        (request(key, "dGhlIHNhbXBsZSBub25j-Q=="), 400),
        (request(key, "dGhlIHNhbXBsZSBub25jZQ==AAAA"), 400),
        (request("\r\n\r\n", &format!("\r\nSec-WebSocket-Key: {key}\r\n\r\n")), 400),
        (request("Host: h", "Host: h\r\nOrigin: http://other"), 403),
        (request("Host: h", "Host: h\r\nSec-Fetch-Site: same-site"), 403),
        (request("Host: h\r\n", ""), 400),
    ] {
        let head = head(&request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{head}");
        let (lists_version, lists_upgrade) =
            (head.contains("\nSec-WebSocket-Version: 13"), head.contains("\nUpgrade: websocket"));
        assert_eq!((lists_version, lists_upgrade), (status == 426, status == 426), "{head}");
        assert_eq!(head.contains("\nConnection: Upgrade"), status == 426, "{head}");
        assert_eq!(head.contains("\nAllow: GET"), status == 405, "{head}");
    }
}

#[test]
fn a_subprotocol_is_chosen_among_those_that_are_offered() {
    for (offer, is_chosen) in [
        ("echo", true),
        ("other, echo", true),
        ("other\r\nSec-WebSocket-Protocol: echo", true),
        ("Echo", false),
        ("other", false),
    ] {
        let offered = format!("Host: h\r\nSec-WebSocket-Protocol: {offer}");
        let head = head(&request("Host: h", &offered));
        assert_eq!(head.contains("\nSec-WebSocket-Protocol: echo"), is_chosen, "{offer}");
        assert!(head.starts_with("HTTP/1.1 101 "), "{offer}");
    }
}

#[test]
fn a_page_and_a_websocket_share_a_connection_and_a_port() {
    let mut h = site(&WebSocketLimits::default(), false, &Log::default());
    let client = h.open();
    h.feed(client, "GET /page HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(h.sent(client).ends_with(b"a page"));
    // The first frame arrives together with the request.
    h.feed(client, [OPEN.as_bytes(), &frames(&[(0x81, b"hello")])].concat());
    assert_eq!(described(Role::Server, after_head(&h.sent(client)), false), "text hello");
}

#[test]
fn row_21_a_request_and_its_frames_are_the_same_at_every_split() {
    let make = || site(&WebSocketLimits::default(), false, &Log::default());
    let frames = frames(&[(0x01, b"a"), (0x89, b"p"), (0x80, b"b"), (0x88, b"\x03\xe8")]);
    let outcome = same_at_every_split(make, [OPEN.as_bytes(), &frames].concat());
    let told = described(Role::Server, after_head(&outcome.sent), false);
    assert_eq!((told.as_str(), outcome.state), ("pong p, text ab, close 1000", State::Shut));
}
