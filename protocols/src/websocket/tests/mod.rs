//! The promises of WebSockets, in a simulated kernel.

mod cases;
mod client;
mod closing;
#[cfg(feature = "websocket-deflate")]
mod deflate;
mod handshake;
mod limits;
mod pressure;
mod utf8;

use std::cell::RefCell;
use std::rc::Rc;

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{
    ConnId, Context, Handler, HandlerId, Input, Limits, Listen, Reactor, Receive, Sessions, Turn,
};

use super::frame::{Header, Mask, Opcode, Prefix, Role};
use super::*;
use crate::http::{Answered, Http, Reply, Request, Service};

/// Sends messages back, and logs how connections end.
///
/// Some texts are commands: `close` closes, `pause` pauses until the queue has drained.
#[derive(Default)]
struct Echo {
    log: Log,
}

/// What the handler was told, apart from messages.
type Log = Rc<RefCell<Vec<String>>>;

impl WebSocketHandler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        match &m {
            Message::Text(text) if text == "close" => {
                socket.close(cx, CloseCode::NORMAL, "enough");
                assert_eq!(socket.send(cx, "too late"), sluicegate_reactor::Sent::Gone);
            }
            Message::Text(text) if text == "pause" => {
                cx.pause();
                cx.request_drain();
                socket.send(cx, "paused");
            }
            Message::Text(text) if text == "hold" => cx.pause(),
            Message::Text(text) if text == "hurry" => {
                cx.set_deadline(Some(std::time::Duration::from_secs(3)));
            }
            _ => _ = socket.send(cx, m),
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, _: &mut WebSocket<()>) {
        self.log.borrow_mut().push("drained".to_owned());
        cx.resume();
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), closed: Closed) {
        self.log.borrow_mut().push(match closed {
            Closed::Cleanly { code, reason } => format!("closed {} {reason}", code.code()),
            other => format!("{other:?}"),
        });
    }
}

/// Says the same to all connections.
#[derive(Clone)]
struct Say(&'static str);

impl Receive<Say, WebSocket<()>> for Echo {
    fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<()>>, Say(text): Say) {
        let frame = Frame::new(text);
        cx.for_each(|cx, socket| _ = socket.send_frame(cx, &frame));
    }
}

/// Opens WebSockets at any path but `/page`.
struct Site {
    echo: HandlerId<WebSockets<Echo>>,
    deflates: bool,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        if request.path() == "/page" {
            return reply.send("a page");
        }
        let mut handshake = match Handshake::new(request) {
            Ok(handshake) => handshake,
            Err(error) => return error.answer(reply),
        };
        if handshake.offers("echo") {
            handshake = handshake.protocol("echo");
        }
        #[cfg(not(feature = "websocket-deflate"))]
        assert!(!self.deflates, "the feature is off");
        #[cfg(feature = "websocket-deflate")]
        if self.deflates {
            handshake = handshake.deflate();
        }
        handshake.accept(reply, self.echo, ())
    }
}

const OPEN: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server with these limits.
fn site(limits: &WebSocketLimits, deflates: bool, log: &Log) -> Harness<Http<Site>> {
    site_with(limits, &Listen::default(), deflates, log)
}

fn site_with(
    limits: &WebSocketLimits,
    listen: &Listen,
    deflates: bool,
    log: &Log,
) -> Harness<Http<Site>> {
    let echo = WebSockets::with(Echo { log: log.clone() }, limits.clone());
    let make = |reactor: &mut Reactor| {
        let echo = reactor.register(echo);
        reactor.register(Http::new(Site { echo, deflates }))
    };
    Harness::build(listen, |_| {}, make)
}

/// Hands connections over as those of a client, after one byte.
struct Dial {
    echo: HandlerId<WebSockets<Echo>>,
}

impl Handler for Dial {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.consume(1);
        cx.hand_over(self.echo, WebSocket::new(Role::Client, false, ()));
    }
}

fn dial(limits: &WebSocketLimits, log: &Log) -> Harness<Dial> {
    let echo = WebSockets::with(Echo { log: log.clone() }, limits.clone());
    let make = |reactor: &mut Reactor| {
        let echo = reactor.register(echo);
        reactor.register(Dial { echo })
    };
    Harness::build(&Listen::default(), |_| {}, make)
}

/// A frame with this first byte, as the peer of such an end sends it.
fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (role == Role::Server).then(|| mask_of([0x37, 0xfa, 0x21, 0x3d]));
    let mut bytes = Prefix::new(Opcode::Text, false, payload.len(), mask).as_bytes().to_vec();
    bytes[0] = first;
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(mut mask) = mask {
        mask.apply(&mut bytes[start..]);
    }
    bytes
}

/// A masking key, as it is parsed.
fn mask_of(key: [u8; 4]) -> Mask {
    let [a, b, c, d] = key;
    let header = Header::parse(&[0x81, 0x80, a, b, c, d], Role::Server, false);
    header.expect("a valid header").and_then(|header| header.mask).expect("a mask")
}

/// The frames of a client.
fn frames(all: &[(u8, &[u8])]) -> Vec<u8> {
    all.iter().flat_map(|(first, payload)| frame(Role::Server, *first, payload)).collect()
}

/// Describes the frames that an end has sent, such as `text hello, close 1000`.
fn described(role: Role, mut bytes: &[u8], deflates: bool) -> String {
    let mut all = Vec::new();
    let receiver = if role == Role::Server { Role::Client } else { Role::Server };
    while let Some(header) = Header::parse(bytes, receiver, deflates).expect("a valid frame") {
        assert!(header.is_last, "nothing is fragmented");
        let end = header.len + header.payload as usize;
        let mut payload = bytes[header.len..end].to_vec();
        if let Some(mut mask) = header.mask {
            mask.apply(&mut payload);
        }
        bytes = &bytes[end..];
        let name = match header.opcode {
            Opcode::Text if header.is_deflated => "deflated",
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Ping => "ping",
            Opcode::Pong => "pong",
            Opcode::Close => {
                all.push(match &payload[..] {
                    [] => "close".to_owned(),
                    [high, low, reason @ ..] => {
                        let code = u16::from_be_bytes([*high, *low]);
                        format!("close {code} {}", reason.escape_ascii()).trim_end().to_owned()
                    }
                    _ => panic!("half a code"),
                });
                continue;
            }
            Opcode::Continuation => panic!("nothing is fragmented"),
        };
        let text = payload.escape_ascii().to_string();
        let text = if text.len() > 200 { format!("{} bytes", payload.len()) } else { text };
        all.push(format!("{name} {text}").trim_end().to_owned());
    }
    assert!(bytes.is_empty(), "half a frame");
    all.join(", ")
}

/// What follows the response that opens the WebSocket.
fn after_head(sent: &[u8]) -> &[u8] {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    assert!(sent.starts_with(b"HTTP/1.1 101 "), "{}", sent[..end].escape_ascii());
    &sent[end + 4..]
}

/// What such an end answers to these frames, and its state: the same at every split.
fn exchange(role: Role, all: &[(u8, &[u8])]) -> (String, State) {
    let bytes: Vec<u8> = all.iter().flat_map(|(first, p)| frame(role, *first, p)).collect();
    exchange_bytes(role, &bytes)
}

fn exchange_bytes(role: Role, bytes: &[u8]) -> (String, State) {
    let whole = exchange_whole_and_byte_by_byte(role, bytes);
    for at in 1..bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(delivered(role, [first, second]), whole, "cut in front of byte {at}, and whole");
    }
    whole
}

/// The same, delivered whole and byte by byte only.
fn exchange_twice(role: Role, all: &[(u8, &[u8])]) -> (String, State) {
    let bytes: Vec<u8> = all.iter().flat_map(|(first, p)| frame(role, *first, p)).collect();
    exchange_whole_and_byte_by_byte(role, &bytes)
}

fn exchange_whole_and_byte_by_byte(role: Role, bytes: &[u8]) -> (String, State) {
    let whole = delivered(role, [bytes]);
    assert_eq!(delivered(role, bytes.chunks(1)), whole, "byte by byte, and whole");
    whole
}

/// What such an end answers to bytes in these pieces, and its state.
fn delivered<'a>(role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, State) {
    let limits = WebSocketLimits::default();
    match role {
        Role::Server => {
            let mut h = site(&limits, false, &Log::default());
            let client = open(&mut h);
            deliver(&mut h, client, role, pieces)
        }
        Role::Client => {
            let mut h = dial(&limits, &Log::default());
            let client = h.open();
            h.feed(client, "!");
            deliver(&mut h, client, role, pieces)
        }
    }
}

fn deliver<'a, H: Handler>(
    h: &mut Harness<H>,
    client: Client,
    role: Role,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (String, State) {
    pieces.into_iter().for_each(|piece| h.feed(client, piece));
    (described(role, &h.sent(client), false), h.state(client))
}

/// Opens a WebSocket.
fn open(h: &mut Harness<Http<Site>>) -> Client {
    let client = h.open();
    h.feed(client, OPEN);
    assert_eq!(described(Role::Server, after_head(&h.sent(client)), false), "");
    client
}

/// Takes what a server has sent.
fn take(h: &mut Harness<Http<Site>>, client: Client) -> String {
    described(Role::Server, &h.sent(client), true)
}
