//! A client, from its request on, against a server whose every byte is scripted.

use std::cell::Cell;

use sluicegate_reactor::Address;
use sluicegate_reactor::testing::Remote;

use super::*;
use crate::http::client::{self, ClientError, ClientOptions, Exchange, Response, Take};
use crate::websocket::handshake::accept_of;

struct Opening {
    handshake: ClientHandshake,
    echo: HandlerId<WebSockets<Echo>>,
    told: Rc<Cell<Option<Result<(), ResponseError>>>>,
}

impl Exchange for Opening {
    fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {
        self.told.set(Some(self.handshake.accept(cx, response, self.echo, ())));
    }

    fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
        Take::Nothing
    }

    fn on_failed(self, _: &mut Turn, _: ClientError) {}
}

/// A harness needs a handler to listen for.
struct Nobody;

impl Handler for Nobody {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

/// A client that has sent its request, and the far end that has answered it.
struct Connected {
    h: Harness<Nobody>,
    far: Client,
    request: String,
    told: Rc<Cell<Option<Result<(), ResponseError>>>>,
    log: Log,
}

/// Sends a request and lets the test respond.
fn connected(
    change: impl Fn(ClientHandshake) -> ClientHandshake,
    response: impl Fn(&str) -> Vec<u8>,
) -> Connected {
    let address = Address::Ip("10.0.0.1:80".parse().expect("an address"));
    let (log, mut h) = (Log::default(), Harness::new(Nobody));
    h.set_remote(&address, Remote::Listens);
    let reactor = h.reactor();
    let echo = reactor.register(WebSockets::new(Echo { log: log.clone() }));
    let client = client::Client::new(reactor, &address, &ClientOptions::default()).expect("room");
    let (handshake, told) = (change(ClientHandshake::new(reactor)), Rc::new(Cell::new(None)));
    // The HTTP client refuses upgrades that the request does not offer.
    let request = handshake.request("/socket").upgrade("h2c");
    client.send(reactor, request, Opening { handshake, echo, told: told.clone() });
    h.run();
    let far = h.accept(&address);
    let request = h.sent(far).text().to_owned();
    let (_, key) = request.split_once("Sec-WebSocket-Key: ").expect("a key");
    let (key, _) = key.split_once("\r\n").expect("a line");
    h.feed(far, response(&accept_of(key.as_bytes())));
    Connected { h, far, request, told, log }
}

/// The same until the end: what the client made of the response, and what it sent then.
fn connect(
    change: impl Fn(ClientHandshake) -> ClientHandshake,
    response: impl Fn(&str) -> Vec<u8>,
) -> (String, Option<Result<(), ResponseError>>, String, Vec<String>) {
    let Connected { mut h, far, request, told, log } = connected(change, response);
    let frames = described(Role::Client, &h.sent(far), true);
    if h.state(far) != State::Closed {
        h.finish(far);
    }
    (request, told.take(), frames, log.take())
}

fn accepted(accept: &str, more: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
    .into_bytes()
}

#[test]
fn row_21_a_client_masks_its_frames_and_takes_frames_that_follow_the_response() {
    let (request, told, frames, log) = connect(
        |handshake| handshake.protocol("a").protocol("b"),
        |accept| {
            let mut bytes = accepted(accept, "Sec-WebSocket-Protocol: b\r\n");
            for (first, payload) in [(0x81, &b"hello"[..]), (0x89, b"p"), (0x88, b"\x03\xe8bye")] {
                bytes.extend(frame(Role::Client, first, payload));
            }
            bytes
        },
    );
    assert!(request.starts_with("GET /socket HTTP/1.1\r\nHost: 10.0.0.1\r\n"), "{request}");
    for line in [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a, b",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
    }
    assert_eq!(told, Some(Ok(())));
    assert_eq!(frames, "text hello, pong p, close 1000");
    assert_eq!(log, ["closed 1000 bye"]);
}

#[test]
fn row_21_a_response_that_is_not_valid_is_refused() {
    let refused = |response: &dyn Fn(&str) -> Vec<u8>| {
        connect(|handshake| handshake.protocol("a"), response).1.expect("an answer")
    };
    assert_eq!(refused(&|accept| accepted(accept, "")), Ok(()));
    let replace = |from: &'static str, to: &'static str| {
        move |accept: &str| {
            let response = String::from_utf8(accepted(accept, "")).expect("text");
            assert!(response.contains(from));
            response.replace(from, to).into_bytes()
        }
    };
    assert_eq!(refused(&replace("WebSocket\r\n", "h2c\r\n")), Err(ResponseError::Upgrade));
    assert_eq!(refused(&replace("Connection", "Other")), Err(ResponseError::Upgrade));
    assert_eq!(refused(&replace("Accept: ", "Accept: x")), Err(ResponseError::Accept));
    assert_eq!(refused(&replace("Sec-WebSocket-Accept", "Other")), Err(ResponseError::Accept));
    for (field, error) in [
        ("Sec-WebSocket-Protocol: b\r\n", ResponseError::Protocol),
        ("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n", ResponseError::Protocol),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\n", ResponseError::Extensions),
        ("Sec-WebSocket-Extensions: other\r\n", ResponseError::Extensions),
        ("Sec-WebSocket-Accept: other\r\n", ResponseError::Accept),
    ] {
        assert_eq!(refused(&|accept| accepted(accept, field)), Err(error), "{field}");
    }
}

#[test]
fn row_21_two_frames_have_different_masks() {
    let log = Log::default();
    let mut h = dial(&WebSocketLimits::default(), &log);
    let peer = h.open();
    h.feed(peer, "!");
    let masks: Vec<_> = (0..8)
        .map(|_| {
            h.feed(peer, frame(Role::Client, 0x81, b""));
            Header::parse(&h.sent(peer), Role::Server, false).expect("a frame").expect("whole").mask
        })
        .collect();
    assert!(masks.iter().all(|mask| masks.iter().filter(|other| mask == *other).count() == 1));
}

#[test]
fn row_21_long_messages_of_a_client_are_masked_as_well() {
    let limits = WebSocketLimits::default();
    for len in [1024, 1025, 100_000, 1 << 20] {
        let mut h = dial(&limits, &Log::default());
        let peer = h.open();
        h.feed(peer, "!");
        h.feed(peer, frame(Role::Client, 0x82, &vec![b'x'; len]));
        let sent = h.sent(peer);
        assert_eq!(described(Role::Client, &sent, false), format!("binary {len} bytes"));
        assert!(!sent.windows(8).any(|bytes| bytes == b"xxxxxxxx"), "{len} bytes are masked");
    }
}

#[cfg(feature = "websocket-deflate")]
#[test]
fn row_22_a_client_compresses_what_the_server_agrees_to() {
    use crate::websocket::deflate::OFFER;
    let text = [b'x'; 500];
    let compressed = codec::Codec::default().deflate(&text);
    let (request, told, frames, _) = connect(ClientHandshake::deflate, |accept| {
        let mut bytes = accepted(accept, &format!("Sec-WebSocket-Extensions: {OFFER}\r\n"));
        bytes.extend(frame(Role::Client, 0xc1, &compressed));
        bytes
    });
    assert!(request.contains(&format!("\r\nSec-WebSocket-Extensions: {OFFER}\r\n")), "{request}");
    assert_eq!(told, Some(Ok(())));
    assert_eq!(frames, format!("deflated {}", compressed.escape_ascii()));
    let wrong = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n";
    let (_, told, ..) = connect(ClientHandshake::deflate, |accept| accepted(accept, wrong));
    assert_eq!(told, Some(Err(ResponseError::Extensions)));
}

#[test]
fn row_21_a_client_reads_a_flood_of_pings_no_faster_than_its_answers_are_read() {
    let Connected { mut h, far, .. } = connected(|own| own, |accept| accepted(accept, ""));
    h.set_room(far, 1000);
    let pings = b"\x89\x04ping".repeat(20_000);
    pings.chunks(10_000).for_each(|piece| h.feed(far, piece));
    let pending = h.ledger().pending();
    assert!(pending <= (Limits::default().send_high + 1000) as u64, "{pending}");
    assert!(h.unread(far) > 0, "the rest is not received");
    h.set_room(far, usize::MAX);
    assert_eq!(h.sent(far).len(), 20_000 * b"\x8a\x84maskpong".len());
}
