//! Connecting over a real kernel, and to the names that its system knows.

#![allow(missing_docs)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use sluicegate_reactor::{
    Address, ConnId, Connect, Context, Handler, Input, Reactor, Reason, Target, Turn,
};
use socket2::{Domain, Socket, Type};

/// Asks, notes what it hears until the end, and stops.
#[derive(Default)]
struct Asker {
    heard: Vec<u8>,
    ended: Option<Reason>,
}

impl Handler for Asker {
    type Session = &'static str;

    fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
        "accepted"
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, question: &mut &'static str) {
        cx.send(*question);
        cx.shutdown();
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut &'static str, input: &mut Input<'_>) {
        self.heard.extend(input.take());
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: &'static str, why: Reason) {
        self.ended = Some(why);
        cx.stop();
    }
}

/// Connects and runs to the end; what was heard, and why it ended.
fn ask(target: impl Into<Target>, connect: &Connect) -> (String, Reason) {
    let mut reactor = Reactor::new().unwrap();
    let handler = reactor.register(Asker::default());
    let connector = reactor.connector(handler, connect).expect("room for a connector");
    let id = reactor.connect(connector, target, "question");
    reactor.peer(id).send("early ");
    reactor.run().unwrap();
    let Asker { heard, ended } = std::mem::take(reactor.handler(handler));
    (String::from_utf8(heard).unwrap(), ended.unwrap())
}

/// Answers one connection with what it was asked.
fn answer(mut peer: impl Read + Write) {
    let mut question = String::new();
    peer.read_to_string(&mut question).unwrap();
    write!(peer, "you asked: {question}").unwrap();
}

const ANSWER: &str = "you asked: early question";

#[test]
fn a_question_reaches_a_server_and_its_answer_comes_back() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = thread::spawn(move || answer(server.accept().unwrap().0));
    let heard = ask(address, &Connect::default());
    assert_eq!(heard, (ANSWER.to_owned(), Reason::Closed));
    thread.join().unwrap();
}

#[test]
fn a_server_is_found_by_its_name() {
    // On IPv4 only: where `localhost` is also `::1`, that is refused first.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let thread = thread::spawn(move || answer(server.accept().unwrap().0));
    // So long that nothing but the answer to the name can end the reactor's wait in time.
    let connect = Connect { timeout: Duration::from_secs(1 << 20), ..Connect::default() };
    let heard = ask(("localhost", port), &connect);
    assert_eq!(heard, (ANSWER.to_owned(), Reason::Closed));
    thread.join().unwrap();
}

#[test]
fn a_unix_socket_is_connected_to() {
    let dir = tempfile::tempdir().expect("a new directory");
    let path = dir.path().join("socket");
    let server = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || answer(server.accept().unwrap().0));
    let heard = ask(Address::from_path(&path).unwrap(), &Connect::default());
    assert_eq!(heard, (ANSWER.to_owned(), Reason::Closed));
    thread.join().unwrap();
}

#[test]
fn where_nobody_listens_a_connection_is_refused() {
    // Bound and not listening: nobody else gets the port meanwhile.
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = taken.local_addr().unwrap().as_socket().unwrap();
    let refused = Reason::Unconnected(ErrorKind::ConnectionRefused);
    assert_eq!(ask(address, &Connect::default()), (String::new(), refused));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    server.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    server.listen(0).unwrap();
    let address = server.local_addr().unwrap().as_socket().unwrap();
    // While the backlog is full Linux drops who else wants in, listen(2).
    let waiting = Duration::from_millis(200);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, waiting) {
        held.push(stream);
    }
    let connect = Connect { timeout: Duration::from_millis(50), ..Connect::default() };
    let given_up = Reason::Unconnected(ErrorKind::TimedOut);
    assert_eq!(ask(address, &connect), (String::new(), given_up));
}
