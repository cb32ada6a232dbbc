//! WebSockets, with the package `websockets` of Python at the other end.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread;

use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Response, Take,
};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::websocket::{
    ClientHandshake, CloseCode, Closed, Handshake, Message, WebSocket, WebSocketHandler,
    WebSocketLimits, WebSockets,
};
use sluicegate_reactor::{ConnId, Context, HandlerId, Listen, Reactor, Target, Turn};

use crate::process::{PYTHON, Process, has_python_module, run};

type Log = Rc<RefCell<Vec<Closed>>>;

/// Sends messages back.
struct Echo {
    closed: Log,
}

impl WebSocketHandler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        match m {
            Message::Text(text) if text == "close" => {
                socket.close(cx, CloseCode::new(4001).expect("a code"), "as you wish");
            }
            m => _ = socket.send(cx, m),
        }
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), closed: Closed) {
        self.closed.borrow_mut().push(closed);
    }
}

struct Site(HandlerId<WebSockets<Echo>>);

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match Handshake::new(request) {
            Ok(handshake) => {
                let offers = handshake.offers("echo.v1");
                let handshake = if offers { handshake.protocol("echo.v1") } else { handshake };
                handshake.deflate().accept(reply, self.0, ())
            }
            Err(error) => error.answer(reply),
        }
    }
}

const CLIENT: &str = r#"
import asyncio, sys, websockets

async def main(uri):
    for compression in (None, "deflate"):
        options = dict(compression=compression, max_size=None, subprotocols=["x", "echo.v1"])
        async with websockets.connect(uri, **options) as ws:
            assert ws.subprotocol == "echo.v1", ws.subprotocol
            for size in (0, 1, 125, 126, 127, 128, 1000, 65535, 65536, 200000, 1 << 20):
                for message in ("x" * size, bytes(range(256)) * (size // 256) + bytes(size % 256)):
                    await ws.send(message)
                    assert await ws.recv() == message, size
            await ws.send(["frag", "men", "ted \u20ac"])
            assert await ws.recv() == "fragmented \u20ac"
            await (await ws.ping(b"are you there?"))
            await asyncio.gather(*(ws.send("message %d" % n) for n in range(1000)))
            for n in range(1000):
                assert await ws.recv() == "message %d" % n
            await ws.close(3000, "bye")
            assert (ws.close_code, ws.close_reason) == (3000, ""), (ws.close_code, ws.close_reason)
    async with websockets.connect(uri) as ws:
        await ws.send("close")
        try:
            await ws.recv()
        except websockets.ConnectionClosed:
            pass
        assert (ws.close_code, ws.close_reason) == (4001, "as you wish")
    async with websockets.connect(uri) as ws:
        await ws.send(b"x" * ((1 << 20) + 1))
        try:
            await ws.recv()
        except websockets.ConnectionClosed:
            pass
        assert ws.close_code == 1009, ws.close_code

asyncio.run(main(sys.argv[1]))
"#;

#[test]
fn row_21_a_client_of_another_implementation_gets_its_messages_back() {
    if !has_python_module("websockets") {
        return;
    }
    let mut reactor = Reactor::new().expect("a reactor");
    let closed = Log::default();
    let echo = reactor.register(WebSockets::new(Echo { closed: closed.clone() }));
    let site = reactor.register(Http::new(Site(echo)));
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), site).expect("a free port");
    let uri = format!("ws://{}/", reactor.listener_address(listener).expect("it listens"));
    let stopper = reactor.stopper();
    let client = thread::spawn(move || {
        let outcome = run(Command::new(PYTHON).args(["-c", CLIENT, &uri]));
        stopper.stop().expect("a reactor that runs");
        outcome
    });
    reactor.run().expect("no error");
    let outcome = client.join().expect("no panic");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let codes: Vec<_> = closed
        .borrow()
        .iter()
        .map(|closed| match closed {
            Closed::Cleanly { code, .. } => code.code(),
            Closed::Failed(fault) => fault.code().code(),
            Closed::Lost(reason) => panic!("{reason:?}"),
        })
        .collect();
    assert_eq!(codes, [3000, 3000, 4001, 1009]);
}

const SERVER: &str = r#"
import asyncio, websockets

async def echo(ws):
    async for message in ws:
        await ws.send(message)

async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"#;

const SIZES: [usize; 8] = [0, 1, 125, 126, 1000, 65_536, 200_000, 1 << 20];

/// Sends messages of all sizes, the next one when the last has come back.
struct Sender {
    closed: Log,
}

impl Sender {
    fn send(cx: &mut Context<'_>, socket: &mut WebSocket<usize>) {
        let message: Message<'_> = match SIZES.get(socket.session / 2) {
            Some(&size) if socket.session.is_multiple_of(2) => "x".repeat(size).into(),
            Some(&size) => vec![7; size].into(),
            None => return socket.close(cx, CloseCode::NORMAL, "done"),
        };
        socket.send(cx, message);
    }
}

impl WebSocketHandler for Sender {
    /// How many messages have come back.
    type Session = usize;

    fn on_open(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<usize>) {
        Sender::send(cx, socket);
    }

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<usize>, m: Message<'_>) {
        let size = SIZES[socket.session / 2];
        match m {
            Message::Text(text) => assert!(text == "x".repeat(size)),
            Message::Binary(bytes) => assert!(bytes == vec![7; size]),
        }
        socket.session += 1;
        Sender::send(cx, socket);
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, returned: usize, closed: Closed) {
        assert_eq!(returned, 2 * SIZES.len(), "{closed:?}");
        self.closed.borrow_mut().push(closed);
        cx.stop();
    }
}

struct Opening {
    handshake: ClientHandshake,
    sender: HandlerId<WebSockets<Sender>>,
}

impl Exchange for Opening {
    fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {
        self.handshake.accept(cx, response, self.sender, 0).expect("a valid response");
    }

    fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
        panic!("{:?}", response.status());
    }

    fn on_failed(self, _: &mut Turn, error: ClientError) {
        panic!("{error}");
    }
}

#[test]
fn row_21_a_server_of_another_implementation_gives_messages_back() {
    if !has_python_module("websockets") {
        return;
    }
    for deflates in [false, true] {
        let mut server =
            Process::spawn(Command::new(PYTHON).args(["-c", SERVER]).stdout(Stdio::piped()));
        let mut port = String::new();
        BufReader::new(server.stdout()).read_line(&mut port).expect("a line");
        let origin: Target = format!("127.0.0.1:{}", port.trim()).parse().expect("an address");
        let mut reactor = Reactor::new().expect("a reactor");
        let closed = Log::default();
        let limits = WebSocketLimits { frame: 2 << 20, message: 2 << 20, ..Default::default() };
        let sender = Sender { closed: closed.clone() };
        let sender = reactor.register(WebSockets::with(sender, limits));
        let client = Client::new(&mut reactor, origin, &ClientOptions::default());
        let handshake = ClientHandshake::new(&reactor);
        let handshake = if deflates { handshake.deflate() } else { handshake };
        let request = handshake.request("/");
        client.expect("room for a connector").send(
            &mut reactor,
            request,
            Opening { handshake, sender },
        );
        reactor.run().expect("no error");
        let expected = Closed::Cleanly { code: CloseCode::NORMAL, reason: "done".into() };
        assert_eq!(closed.take(), [expected], "{deflates}");
    }
}
