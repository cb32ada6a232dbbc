//! Frames for a WebSocket in any pieces, at either end: no panic, and it delivers and answers what
//! a naive reading of the whole input says.
//!
//! The first byte of an input chooses the pieces, the second the end and whether messages may be
//! compressed. Compressed messages are not modelled: they must only be the same for every split.

#![no_main]

use std::cell::RefCell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Response, Take,
};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::websocket::{
    ClientHandshake, Closed, Handshake, Message, WebSocket, WebSocketHandler, WebSocketLimits,
    WebSockets,
};
use sluicegate_reactor::testing::{Harness, Remote, State};
use sluicegate_reactor::{Address, ConnId, Context, HandlerId, Limits, Listen, Turn};

/// Limits so low that small inputs reach them.
const MESSAGE: usize = 200;
const FRAME: usize = 150;

/// What an application was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    /// The code of the peer's Close frame.
    Closed(u16),
    /// The code with which the peer was refused.
    Failed(u16),
    Lost,
}

type Log = Rc<RefCell<Vec<Event>>>;

struct Recorder {
    log: Log,
}

impl WebSocketHandler for Recorder {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        self.log.borrow_mut().push(match &m {
            Message::Text(text) => Event::Text(text.as_bytes().to_vec()),
            Message::Binary(bytes) => Event::Binary(bytes.to_vec()),
        });
        // The queue is full again and again.
        socket.send(cx, m);
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), closed: Closed) {
        self.log.borrow_mut().push(match closed {
            Closed::Cleanly { code, .. } => Event::Closed(code.code()),
            Closed::Failed(fault) => Event::Failed(fault.code().code()),
            Closed::Lost(_) => Event::Lost,
        });
    }
}

struct Site {
    recorder: HandlerId<WebSockets<Recorder>>,
    deflates: bool,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let handshake = Handshake::new(request).expect("a valid request");
        let handshake = if self.deflates { handshake.deflate() } else { handshake };
        handshake.accept(reply, self.recorder, ())
    }
}

struct Opening {
    handshake: ClientHandshake,
    recorder: HandlerId<WebSockets<Recorder>>,
}

impl Exchange for Opening {
    fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {
        self.handshake.accept(cx, response, self.recorder, ()).expect("a valid response");
    }

    fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
        Take::Nothing
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        panic!("{error}");
    }
}

const OPEN: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate; \
    server_no_context_takeover\r\nSec-WebSocket-Accept: ";

fn recorder(log: &Log) -> WebSockets<Recorder> {
    let limits = WebSocketLimits { message: MESSAGE, frame: FRAME, ..WebSocketLimits::default() };
    WebSockets::with(Recorder { log: log.clone() }, limits)
}

/// Long frames are received directly.
fn limits() -> Limits {
    Limits { receive_direct: 64, send_high: 100, send_low: 50, ..Limits::default() }
}

/// What a server makes of the bytes.
fn serve(bytes: &[u8], piece: usize, deflates: bool) -> (Vec<Event>, Vec<u8>) {
    let log = Log::default();
    let listen = Listen { limits: limits(), ..Listen::default() };
    let mut h = Harness::build(
        &listen,
        |_| {},
        |reactor| {
            let recorder = reactor.register(recorder(&log));
            reactor.register(Http::new(Site { recorder, deflates }))
        },
    );
    let client = h.open();
    h.feed(client, OPEN);
    h.sent(client);
    let mut sent = Vec::new();
    for piece in bytes.chunks(piece) {
        h.feed(client, piece);
        sent.extend_from_slice(&h.sent(client));
    }
    h.finish(client);
    sent.extend_from_slice(&h.sent(client));
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(h.ledger().panics, 0);
    (log.take(), sent)
}

/// What a client makes of the bytes. Its masks are random, so what it sends is not compared.
fn connect(bytes: &[u8], piece: usize, deflates: bool) -> Vec<Event> {
    let address = Address::Ip("10.0.0.1:80".parse().expect("an address"));
    let log = Log::default();
    let mut h = Harness::new(recorder(&Log::default()));
    h.set_remote(&address, Remote::Listens);
    let mut options = ClientOptions::default();
    options.connect.limits = limits();
    let reactor = h.reactor();
    let recorder = reactor.register(recorder(&log));
    let client = Client::new(reactor, &address, &options).expect("room for a connector");
    let handshake = ClientHandshake::new(reactor);
    let handshake = if deflates { handshake.deflate() } else { handshake };
    let request = handshake.request("/");
    client.send(reactor, request, Opening { handshake, recorder });
    h.run();
    let far = h.accept(&address);
    let sent = h.sent(far);
    let response = response_to(&String::from_utf8_lossy(&sent), deflates);
    h.feed(far, response);
    for piece in bytes.chunks(piece) {
        if h.state(far) != State::Open {
            break;
        }
        h.feed(far, piece);
        h.sent(far);
    }
    h.finish(far);
    h.sent(far);
    assert_eq!(h.state(far), State::Closed);
    assert_eq!(h.ledger().panics, 0);
    log.take()
}

fn response_to(request: &str, deflates: bool) -> String {
    let (_, key) = request.split_once("Sec-WebSocket-Key: ").expect("a key");
    let (key, _) = key.split_once("\r\n").expect("a line");
    // A server answers the same key with the same hash.
    let accept = accept_of(key);
    match deflates {
        true => format!("{RESPONSE}{accept}\r\n\r\n"),
        false => {
            let (first, rest) = RESPONSE.split_once("Sec-WebSocket-Extensions").expect("it");
            let (_, rest) = rest.split_once("\r\n").expect("a line");
            format!("{first}{rest}{accept}\r\n\r\n")
        }
    }
}

/// Lets a server compute it.
fn accept_of(key: &str) -> String {
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let recorder = reactor.register(recorder(&Log::default()));
            reactor.register(Http::new(Site { recorder, deflates: false }))
        },
    );
    let client = h.open();
    h.feed(client, OPEN.replace("dGhlIHNhbXBsZSBub25jZQ==", key));
    let head = h.sent(client);
    let (_, accept) = head.text().split_once("Sec-WebSocket-Accept: ").expect("a hash");
    accept.split_once("\r\n").expect("a line").0.to_owned()
}

/// The naive reading of bytes without compression, and the frames that a server answers.
fn read(mut bytes: &[u8], is_server: bool) -> (Vec<Event>, Vec<u8>) {
    let (mut events, mut sent) = (Vec::new(), Vec::new());
    let mut message: Option<(u8, Vec<u8>)> = None;
    loop {
        let (first, payload, rest) = match split(bytes, is_server) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                let text = message.as_ref().filter(|(opcode, _)| *opcode == 1);
                let so_far = text.map(|(_, bytes)| &bytes[..]);
                let code = refused_early(bytes, is_server, message.as_ref(), so_far);
                events.push(code.map_or(Event::Lost, Event::Failed));
                return (events, sent);
            }
            Err(code) => {
                events.push(Event::Failed(code));
                return (events, sent);
            }
        };
        let (opcode, is_last) = (first & 0x0f, first & 0x80 > 0);
        match opcode {
            8 => {
                events.push(close(&payload));
                return (events, sent);
            }
            9 => sent.extend([&[0x8a, payload.len() as u8], &payload[..]].concat()),
            10 => {}
            _ => {
                if let Some(code) = refused(opcode, payload.len(), message.as_ref()) {
                    events.push(Event::Failed(code));
                    return (events, sent);
                }
                let (kind, mut all) = message.take().unwrap_or((opcode, Vec::new()));
                all.extend(payload);
                let is_wrong = kind == 1 && !is_utf8(&all, is_last);
                if is_wrong {
                    events.push(Event::Failed(1007));
                    return (events, sent);
                }
                if is_last {
                    let event = if kind == 1 { Event::Text } else { Event::Binary };
                    match all.len() {
                        len @ 0..126 => sent.extend([0x80 | kind, len as u8]),
                        len => sent.extend([0x80 | kind, 126, 0, len as u8]),
                    }
                    sent.extend(&all);
                    events.push(event(all));
                } else {
                    message = Some((kind, all));
                }
            }
        }
        bytes = rest;
    }
}

/// Splits the frame at the front off: its first byte, its payload and what follows.
type Split<'a> = (u8, Vec<u8>, &'a [u8]);

fn split(bytes: &[u8], is_server: bool) -> Result<Option<Split<'_>>, u16> {
    let Some((first, len, mask, rest)) = header(bytes, is_server)? else { return Ok(None) };
    if first & 0x0f < 3 && len > FRAME as u64 || rest.len() < len as usize {
        return Ok(None);
    }
    let (payload, rest) = rest.split_at(len as usize);
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    Ok(Some((first, payload.collect(), rest)))
}

type Head<'a> = (u8, u64, [u8; 4], &'a [u8]);

fn header(bytes: &[u8], is_server: bool) -> Result<Option<Head<'_>>, u16> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (opcode, short) = (first & 0x0f, second & 0x7f);
    let is_known = opcode < 3 || (8..11).contains(&opcode);
    let is_control_wrong = opcode > 7 && (first & 0x80 == 0 || short > 125);
    if !is_known || first & 0x70 != 0 || (second & 0x80 > 0) != is_server || is_control_wrong {
        return Err(1002);
    }
    let size = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if rest.len() < size {
        return Ok(None);
    }
    let (length, rest) = rest.split_at(size);
    let len = length.iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
    let len = if size == 0 { u64::from(short) } else { len };
    if size == 2 && len < 126 || size == 8 && (len <= 0xffff || len > u64::MAX / 2) {
        return Err(1002);
    }
    match rest.split_first_chunk() {
        _ if !is_server => Ok(Some((*first, len, [0; 4], rest))),
        Some((mask, rest)) => Ok(Some((*first, len, *mask, rest))),
        None => Ok(None),
    }
}

/// The code that refuses a frame of data by its header.
fn refused(opcode: u8, len: usize, message: Option<&(u8, Vec<u8>)>) -> Option<u16> {
    if (opcode == 0) != message.is_some() {
        return Some(1002);
    }
    let so_far = message.map_or(0, |(_, bytes)| bytes.len());
    (len > FRAME || len + so_far > MESSAGE).then_some(1009)
}

/// The code that refuses an incomplete frame.
fn refused_early(
    bytes: &[u8],
    is_server: bool,
    message: Option<&(u8, Vec<u8>)>,
    text: Option<&[u8]>,
) -> Option<u16> {
    let (first, len, mask, rest) = header(bytes, is_server).expect("checked before")?;
    let opcode = first & 0x0f;
    if opcode > 7 {
        return None;
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX / 2);
    if let Some(code) = refused(opcode, len, message) {
        return Some(code);
    }
    let start = match opcode {
        1 => &[][..],
        _ => text?,
    };
    let payload = rest.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
    let all: Vec<u8> = start.iter().copied().chain(payload).collect();
    (!is_utf8(&all, false)).then_some(1007)
}

fn is_utf8(bytes: &[u8], is_whole: bool) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => !is_whole && error.error_len().is_none(),
    }
}

fn close(payload: &[u8]) -> Event {
    match payload {
        [] => Event::Closed(1005),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
                let is_valid = std::str::from_utf8(reason).is_ok();
                if is_valid { Event::Closed(code) } else { Event::Failed(1007) }
            }
            _ => Event::Failed(1002),
        },
        _ => Event::Failed(1002),
    }
}

const SIZES: [usize; 8] = [1, 2, 3, 5, 8, 16, 64, 256];

fuzz_target!(|input: &[u8]| {
    let [choice, how, bytes @ ..] = input else { return };
    let piece = SIZES[usize::from(choice % 8)];
    let (is_server, deflates) = (how & 1 > 0, how & 2 > 0);
    let events = if is_server {
        let whole = serve(bytes, bytes.len().max(1), deflates);
        assert_eq!(serve(bytes, piece, deflates), whole, "in pieces of {piece}, and whole");
        if !deflates {
            let (events, sent) = read(bytes, true);
            assert_eq!(whole.0, events);
            assert!(whole.1.starts_with(&sent), "{:?} {sent:?}", whole.1);
        }
        return;
    } else {
        let whole = connect(bytes, bytes.len().max(1), deflates);
        assert_eq!(connect(bytes, piece, deflates), whole, "in pieces of {piece}, and whole");
        whole
    };
    if !deflates {
        assert_eq!(events, read(bytes, false).0);
    }
});
