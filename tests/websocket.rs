//! WebSockets over real sockets.

#[path = "handlers/sockets.rs"]
mod sockets;

use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::websocket::{
    Handshake, Message, WebSocket, WebSocketHandler, WebSockets,
};
use sluicegate_reactor::{Context, HandlerId};

use sockets::{exchange, serve};

/// Sends messages back.
struct Echo;

impl WebSocketHandler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        socket.send(cx, m);
    }
}

struct Site(HandlerId<WebSockets<Echo>>);

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match Handshake::new(request) {
            Ok(handshake) => handshake.accept(reply, self.0, ()),
            Err(error) => error.answer(reply),
        }
    }
}

const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame. A client masks its frames; a key of zeros leaves them as they are.
fn frame(first: u8, payload: &[u8], is_masked: bool) -> Vec<u8> {
    let masked = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(masked | len as u8),
        len @ 126..0x10000 => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(masked | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if is_masked {
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}

fn serve_echo(client: impl FnOnce(&dyn Fn(&[u8], usize) -> Vec<u8>)) {
    serve(
        |reactor| {
            let echo = reactor.register(WebSockets::new(Echo));
            reactor.register(Http::new(Site(echo)))
        },
        |address| {
            client(&|frames, piece| {
                let answer = exchange(address, &[OPEN, frames].concat(), piece);
                let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
                answer[head + 4..].to_vec()
            });
        },
    );
}

#[test]
fn row_21_messages_over_a_socket_come_back_cut_anywhere() {
    let frames: &[(u8, &[u8])] = &[
        (0x81, b"hello"),
        (0x01, b"frag\xe2"),
        (0x89, b"ping"),
        (0x80, b"\x82\xac"),
        (0x88, b"\x03\xe8bye"),
    ];
    let expected: &[(u8, &[u8])] =
        &[(0x81, b"hello"), (0x8a, b"ping"), (0x81, b"frag\xe2\x82\xac"), (0x88, b"\x03\xe8")];
    let encode = |frames: &[(u8, &[u8])], is_masked| {
        frames.iter().flat_map(|(first, p)| frame(*first, p, is_masked)).collect::<Vec<u8>>()
    };
    let (input, expected) = (encode(frames, true), encode(expected, false));
    serve_echo(|exchange| {
        for piece in 1..=OPEN.len() + input.len() {
            assert_eq!(exchange(&input, piece), expected, "in pieces of {piece}");
        }
    });
}

#[test]
fn row_21_messages_of_all_sizes_over_a_socket_come_back() {
    let (mut input, mut expected) = (Vec::new(), Vec::new());
    for (at, len) in (0..300).chain([1 << 16, 1, 1 << 20, 0, 70_000]).enumerate() {
        let (first, payload) = (0x81 + (at % 2) as u8, vec![b'a' + (at % 20) as u8; len]);
        input.extend(frame(first, &payload, true));
        expected.extend(frame(first, &payload, false));
    }
    input.extend(frame(0x88, b"", true));
    expected.extend(frame(0x88, b"", false));
    serve_echo(|exchange| {
        for piece in [1000, 65_537, input.len() + OPEN.len()] {
            assert!(exchange(&input, piece) == expected, "in pieces of {piece}");
        }
    });
}
