//! WebSockets, with the package `websockets` of Python and `ws` of Node.js at the other end.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
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

use crate::process::{PYTHON, Process, has_node_module, has_python_module, node, run};

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

const PYTHON_CLIENT: &str = r#"
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

/// Serves a client that runs as a process and is told where. Returns the codes with which its
/// WebSockets have ended.
fn serve(mut client: Command) -> Vec<u16> {
    let mut reactor = Reactor::new().expect("a reactor");
    let closed = Log::default();
    let echo = reactor.register(WebSockets::new(Echo { closed: closed.clone() }));
    let site = reactor.register(Http::new(Site(echo)));
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), site).expect("a free port");
    let uri = format!("ws://{}/", reactor.listener_address(listener).expect("it listens"));
    let stopper = reactor.stopper();
    let client = thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(client.arg(uri))));
        stopper.stop().expect("a reactor that runs");
        outcome
    });
    reactor.run().expect("no error");
    let outcome = client.join().expect("no panic").expect("a client that ends");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let code = |closed: &Closed| match closed {
        Closed::Cleanly { code, .. } => code.code(),
        Closed::Failed(fault) => fault.code().code(),
        Closed::Lost(reason) => panic!("{reason:?}"),
    };
    closed.borrow().iter().map(code).collect()
}

#[test]
fn row_21_the_client_of_python_gets_its_messages_back() {
    if has_python_module("websockets") {
        let mut client = Command::new(PYTHON);
        client.args(["-c", PYTHON_CLIENT]);
        assert_eq!(serve(client), [3000, 3000, 4001, 1009]);
    }
}

const NODE_CLIENT: &str = r#"
const assert = require("assert");
const { on, once } = require("events");
const WebSocket = require("ws");
const uri = process.argv[1];

async function open(perMessageDeflate = false) {
    const ws = new WebSocket(uri, ["x", "echo.v1"], { perMessageDeflate });
    const messages = on(ws, "message");
    ws.next = async () => {
        const [data, isBinary] = (await messages.next()).value;
        return isBinary ? data : data.toString();
    };
    await once(ws, "open");
    assert.equal(ws.protocol, "echo.v1");
    assert.equal(ws.extensions.includes("permessage-deflate"), perMessageDeflate !== false);
    return ws;
}

async function assertClosed(ws, code, reason) {
    const closed = await once(ws, "close");
    assert.deepEqual([closed[0], closed[1].toString()], [code, reason]);
}

async function talk(perMessageDeflate) {
    const ws = await open(perMessageDeflate);
    for (const size of [0, 1, 125, 126, 127, 128, 1000, 65535, 65536, 200000, 1 << 20]) {
        for (const message of ["x".repeat(size), Buffer.alloc(size, "binary\0")]) {
            ws.send(message);
            assert.deepStrictEqual(await ws.next(), message);
        }
    }
    const pong = once(ws, "pong");
    ws.send("frag", { fin: false });
    ws.send("men", { fin: false });
    ws.ping("are you there?");
    ws.send("ted \u20ac", { fin: true });
    assert.equal((await pong)[0].toString(), "are you there?");
    assert.equal(await ws.next(), "fragmented \u20ac");
    for (let n = 0; n < 1000; n++) ws.send("message " + n);
    for (let n = 0; n < 1000; n++) assert.equal(await ws.next(), "message " + n);
    ws.close(3000, "bye");
    await assertClosed(ws, 3000, "");
}

async function main() {
    await talk(false);
    await talk({ threshold: 0 });
    for (const code of [1000, 1003, 1014, 4999]) {
        const ws = await open();
        ws.close(code);
        await assertClosed(ws, code, "");
    }
    let ws = await open();
    ws.close();
    await assertClosed(ws, 1005, "");
    ws = await open();
    ws.send("close");
    await assertClosed(ws, 4001, "as you wish");
    ws = await open();
    ws.send(Buffer.alloc((1 << 20) + 1));
    await assertClosed(ws, 1009, "a frame is too long");
    ws = await open();
    ws.send(Buffer.from([0x78, 0xff]), { binary: false });
    await assertClosed(ws, 1007, "a text is not UTF-8");
}

main();
"#;

#[test]
fn row_21_the_client_of_node_gets_its_messages_back() {
    if has_node_module("ws") {
        let mut client = node();
        client.args(["-e", NODE_CLIENT]);
        let codes = [3000, 3000, 1000, 1003, 1014, 4999, 1005, 4001, 1009, 1007];
        assert_eq!(serve(client), codes);
    }
}

const PYTHON_SERVER: &str = r#"
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
            Message::Binary(bytes) => assert!(bytes[..] == vec![7; size]),
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

/// Asks a server that runs as a process and prints its port.
fn ask(server: &mut Command) {
    let mut server = Process::spawn(server.stdout(Stdio::piped()));
    let mut port = String::new();
    BufReader::new(server.stdout()).read_line(&mut port).expect("a line");
    for deflates in [false, true] {
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

#[test]
fn row_21_the_server_of_python_gives_messages_back() {
    if has_python_module("websockets") {
        ask(Command::new(PYTHON).args(["-c", PYTHON_SERVER]));
    }
}

/// Sends each message back in two fragments, with a ping between them.
const NODE_SERVER: &str = r#"
const { WebSocketServer } = require("ws");
const options = { host: "127.0.0.1", port: 0, perMessageDeflate: { threshold: 0 } };
const server = new WebSocketServer(options, () => console.log(server.address().port));
server.on("connection", (ws) => ws.on("message", (data, binary) => {
    const half = data.length >> 1;
    ws.send(data.subarray(0, half), { binary, fin: false });
    ws.ping("still there?");
    ws.once("pong", () => ws.send(data.subarray(half), { binary, fin: true }));
}));
"#;

#[test]
fn row_21_the_server_of_node_gives_messages_back() {
    if has_node_module("ws") {
        ask(node().args(["-e", NODE_SERVER]));
    }
}
