//! A reactor at work allocates nothing, once it has what it needs.
//!
//! The reactor and its client take turns on the test's thread; what that thread allocates is
//! counted, and nobody else's.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::resp::Decoder;
use sluicegate_protocols::websocket::{
    Handshake, Message, WebSocket, WebSocketHandler, WebSockets,
};
use sluicegate_reactor::{
    Context, Handler, HandlerId, Input, Listen, Observed, Observer, Payload, Reactor, Receive,
    Sessions,
};

mod http;

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

struct Received(u64);
impl Observer for Received {
    fn received(&mut self, connection: &Observed<'_>, bytes: u64) {
        self.0 += if connection.listener().is_some() { bytes } else { 0 };
    }
}

/// A reactor, and a connection to it that does not block.
struct Pair {
    reactor: Reactor,
    client: TcpStream,
}

impl Pair {
    fn new<H: Handler>(register: impl FnOnce(&mut Reactor) -> HandlerId<H>) -> Pair {
        let mut reactor = Reactor::new().expect("a reactor");
        let handler = register(&mut reactor);
        let listener = reactor.listen("127.0.0.1:0", &Listen::default(), handler);
        let address = reactor.listener_address(listener.expect("a free port")).expect("it listens");
        let client = TcpStream::connect(address).expect("a connection");
        client.set_nonblocking(true).expect("an option");
        client.set_nodelay(true).expect("an option");
        Pair { reactor, client }
    }

    /// Sends all of `request` and receives all of `answer`.
    fn exchange(&mut self, mut request: &[u8], mut answer: &mut [u8]) {
        let start = Instant::now();
        while !answer.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60), "an answer that never comes");
            if !request.is_empty()
                && let Some(count) = moved(self.client.write(request))
            {
                request = &request[count..];
            }
            self.reactor.turn(Some(Duration::from_millis(1))).expect("a turn");
            while let Some(count) = moved(self.client.read(answer)) {
                answer = &mut answer[count..];
                if answer.is_empty() {
                    break;
                }
            }
        }
    }
}

/// How much a call has moved; nothing if it would block.
fn moved(result: std::io::Result<usize>) -> Option<usize> {
    match result {
        Ok(0) => panic!("the server has closed"),
        Ok(count) => Some(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// Repeats an exchange; sooner or later it must not allocate any more. What a socket takes at a
/// time is not the same in each round, and the first time that some of it has to wait may come
/// late; but what is allocated then stays, and there is little that can have a first time.
fn assert_frugal(what: &str, rounds: usize, mut round: impl FnMut()) {
    let mut allocated = measure(|| (0..rounds).for_each(|_| round()));
    for _ in 0..10 {
        allocated = measure(|| (0..rounds).for_each(|_| round()));
        if allocated.count_total == 0 {
            return;
        }
    }
    panic!("{what}: {allocated:?} in {rounds} rounds");
}

#[test]
fn an_echo_of_any_size_allocates_nothing_even_if_it_is_watched() {
    for (size, rounds) in [(64, 1000), (16 << 10, 500), (1 << 20, 50)] {
        let mut pair = Pair::new(|reactor| {
            reactor.observe(Received(0));
            reactor.log_slow_callbacks(Duration::from_secs(3600));
            reactor.register(Echo)
        });
        let message: Vec<u8> = (0..size).map(|i| (i / 251) as u8).collect();
        let mut answer = vec![0; size];
        assert_frugal(&format!("echo of {size} bytes"), rounds, || {
            pair.exchange(&message, &mut answer);
        });
        assert!(answer == message);
    }
}

impl WebSocketHandler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        socket.send(cx, m);
    }
}

/// Opens WebSockets.
struct Door(HandlerId<WebSockets<Echo>>);

impl Service for Door {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let handshake = Handshake::new(request).expect("a valid request");
        handshake.accept(reply, self.0, ())
    }
}

#[test]
fn a_message_of_a_websocket_allocates_nothing() {
    let mut pair = Pair::new(|reactor| {
        let echo = reactor.register(WebSockets::new(Echo));
        reactor.register(Http::new(Door(echo)))
    });
    let open = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut head = vec![0];
    pair.exchange(open.as_bytes(), &mut head);
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        pair.exchange(b"", &mut byte);
        head.extend_from_slice(&byte);
    }
    // A text, masked with zeros, and a ping.
    let messages = b"\x81\x85\0\0\0\0hello\x89\x81\0\0\0\0p";
    let mut answer = [0; 10];
    assert_frugal("a message and a ping", 1000, || pair.exchange(messages, &mut answer));
    assert_eq!(&answer, b"\x81\x05hello\x8a\x01p");
}

#[test]
fn row_23_what_a_reply_announces_takes_memory_only_as_it_arrives() {
    for header in ["$60000000\r\n", "*1000000\r\n", "%500000\r\n", "*2\r\n>1000000\r\n"] {
        let mut decoder = Decoder::default();
        let cost = measure(|| assert_eq!(decoder.decode(&mut header.as_bytes()), Ok(None)));
        assert!(cost.bytes_total < 1 << 10, "{header:?}: {cost:?}");
    }
}

/// Adds up what it is sent.
struct Sum(u64);

impl Handler for Sum {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<[u64; 8]> for Sum {
    fn on_message(&mut self, _: &mut Sessions<'_>, message: [u64; 8]) {
        self.0 += message.iter().sum::<u64>();
    }
}

#[test]
fn a_message_allocates_nothing() {
    let mut reactor = Reactor::new().expect("a reactor");
    let sum = reactor.register(Sum(0));
    let handle = reactor.handle(sum);
    let mut posted = 0;
    // More at a time than are handled in a turn, too.
    for at_a_time in [1, 100, 5000] {
        assert_frugal(&format!("{at_a_time} messages at a time"), 100, || {
            for number in 0..at_a_time {
                handle.post([number; 8]).expect("room");
            }
            posted += at_a_time;
            while reactor.ledger().messages < posted {
                reactor.turn(None).expect("a turn");
            }
        });
    }
    assert!(reactor.handler(sum).0 > 0);
}

/// Counts what its timers bring.
struct Alarms(u64);

impl Handler for Alarms {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<u64> for Alarms {
    fn on_message(&mut self, _: &mut Sessions<'_>, count: u64) {
        self.0 += count;
    }
}

/// Turns until so many more have come.
fn wait(reactor: &mut Reactor, alarms: HandlerId<Alarms>, count: u64) {
    let end = reactor.handler(alarms).0 + count;
    while reactor.handler(alarms).0 < end {
        reactor.turn(None).expect("a turn");
    }
}

#[test]
fn a_timer_allocates_once_when_it_is_set_and_a_repeated_one_never_again() {
    let mut reactor = Reactor::new().expect("a reactor");
    let alarms = reactor.register(Alarms(0));
    let mut once = || {
        for _ in 0..1000 {
            reactor.after(Duration::ZERO, alarms, 1);
        }
        wait(&mut reactor, alarms, 1000);
    };
    once();
    assert_eq!(measure(once).count_total, 1000);
    reactor.every(Duration::ZERO, alarms, 1);
    wait(&mut reactor, alarms, 2);
    assert_eq!(measure(|| wait(&mut reactor, alarms, 5)).count_total, 0);
}

/// Takes messages with their length in front, in four bytes, and answers each with a byte.
struct Messages;

impl Handler for Messages {
    /// Whether a message is expected, and not a length.
    type Session = bool;

    fn on_open(&mut self, cx: &mut Context<'_>) -> bool {
        cx.receive_exact(4).expect("little");
        false
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut bool, _: &mut Input<'_>) {
        panic!("something is asked for");
    }

    fn on_received(&mut self, cx: &mut Context<'_>, message: &mut bool, bytes: Payload<'_>) {
        if *message {
            cx.send("+");
            cx.receive_exact(4).expect("little");
        } else {
            let length = u32::from_be_bytes(bytes[..].try_into().expect("four bytes"));
            cx.receive_exact(length as usize).expect("less than the limit");
        }
        *message = !*message;
    }
}

/// `count` messages of `length` bytes each.
fn messages(count: usize, length: u32) -> Vec<u8> {
    let message = [&length.to_be_bytes()[..], &vec![b'm'; length as usize]].concat();
    message.repeat(count)
}

#[test]
fn messages_of_known_length_allocate_nothing_while_they_are_small() {
    for (length, count) in [(0, 500), (100, 500), (3000, 100)] {
        let mut pair = Pair::new(|reactor| reactor.register(Messages));
        let request = messages(count, length);
        let mut answer = vec![0; count];
        assert_frugal(&format!("messages of {length} bytes"), 20, || {
            pair.exchange(&request, &mut answer);
        });
    }
}

#[test]
fn a_message_that_is_announced_takes_no_more_than_its_first_buffer() {
    let mut pair = Pair::new(|reactor| reactor.register(Messages));
    pair.exchange(&messages(1, 100_000), &mut [0]);
    let announced = [&(16_u32 << 20).to_be_bytes()[..], b"ten bytes."].concat();
    let allocated = measure(|| {
        pair.client.write_all(&announced).expect("a connection with room");
        let before = pair.reactor.ledger().received;
        let start = Instant::now();
        while pair.reactor.ledger().received < before + announced.len() as u64 {
            assert!(start.elapsed() < Duration::from_secs(60), "bytes that never come");
            pair.reactor.turn(Some(Duration::from_millis(1))).expect("a turn");
        }
    });
    assert!(allocated.bytes_max <= (1 << 20) + (16 << 10), "{allocated:?}");
}
