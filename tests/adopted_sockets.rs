//! Sockets that were made elsewhere, on a real kernel.

#![allow(missing_docs)]

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use sluicegate_reactor::{
    ConnId, Context, Handler, HandlerId, Input, Limits, Listen, Reactor, Reason, Turn,
};

/// Notes what it is called for, and sends back what it receives; `abort` is a command.
#[derive(Default)]
struct Notes(Vec<String>);

impl Handler for Notes {
    type Session = &'static str;

    fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
        self.0.push("open".into());
        "accepted"
    }

    fn on_ready(&mut self, _: &mut Context<'_>, name: &mut &'static str) {
        self.0.push(format!("{name} ready"));
    }

    fn on_data(&mut self, cx: &mut Context<'_>, name: &mut &'static str, input: &mut Input<'_>) {
        self.0.push(format!("{name} data {}", input.escape_ascii()));
        match input.take() {
            b"abort" => cx.abort(),
            bytes if *name != "silent" => drop(cx.send(bytes)),
            _ => {}
        }
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, name: &'static str, why: Reason) {
        self.0.push(format!("{name} close {why:?}"));
    }
}

fn reactor() -> (Reactor, HandlerId<Notes>) {
    let mut reactor = Reactor::new().expect("a reactor");
    let notes = reactor.register(Notes::default());
    (reactor, notes)
}

/// Turns until so much was noted.
fn turn_until(reactor: &mut Reactor, notes: HandlerId<Notes>, noted: usize) -> Vec<String> {
    while reactor.handler(notes).0.len() < noted {
        reactor.turn(None).expect("a turn");
    }
    std::mem::take(&mut reactor.handler(notes).0)
}

/// Sends bytes together with a descriptor (`SCM_RIGHTS`).
fn send_with_descriptor(to: &UnixStream, bytes: &[u8]) {
    let rights = [to.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&rights)));
    let sent = sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::empty());
    assert_eq!(sent.expect("room"), bytes.len());
}

#[test]
fn bytes_around_passed_descriptors_all_arrive() {
    let (mut reactor, notes) = reactor();
    let (ours, mut peer) = UnixStream::pair().expect("two sockets");
    // All of it is there before the first edge, and a receive stops behind each descriptor.
    send_with_descriptor(&peer, b"one");
    send_with_descriptor(&peer, b"two");
    peer.write_all(b"three").expect("room");
    // Nothing is sent back: that would make an edge, which tells of all that is there.
    reactor.adopt(ours, notes, &Limits::default(), "silent").expect("an adopted stream");
    for _ in 0..10 {
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
    }
    let expected = ["silent ready", "silent data one", "silent data two", "silent data three"];
    assert_eq!(reactor.handler(notes).0, expected);
}

#[test]
fn an_adopted_stream_has_its_session_and_limits() {
    let (mut reactor, notes) = reactor();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut peer = TcpStream::connect(address).expect("a connection");
    let (ours, _) = listener.accept().expect("its other end");
    let limits = Limits { max_unread: 1, ..Limits::default() };
    reactor.adopt(ours, notes, &limits, "tcp").expect("an adopted stream");
    assert_eq!(turn_until(&mut reactor, notes, 1), ["tcp ready"]);
    peer.write_all(b"hello").expect("room");
    assert_eq!(turn_until(&mut reactor, notes, 1), ["tcp data hello"]);
    drop(peer);
    let noted = turn_until(&mut reactor, notes, 1);
    assert!(noted[0].starts_with("tcp close "), "{noted:?}");
    assert_eq!(reactor.ledger().adopted, 1);
}

#[test]
fn an_adopted_stream_on_which_nothing_happens_is_idle() {
    let (mut reactor, notes) = reactor();
    let (ours, _peer) = UnixStream::pair().expect("two sockets");
    let limits = Limits { idle: Some(Duration::from_millis(20)), ..Limits::default() };
    reactor.adopt(ours, notes, &limits, "quiet").expect("an adopted stream");
    // If it is not, this ends after ten seconds.
    for _ in 0..1000 {
        if reactor.handler(notes).0.len() == 2 {
            break;
        }
        reactor.turn(Some(Duration::from_millis(10))).expect("a turn");
    }
    assert_eq!(reactor.handler(notes).0, ["quiet ready", "quiet close TimedOut"]);
}

#[test]
fn a_listener_made_elsewhere_is_accepted_from() {
    let (mut reactor, notes) = reactor();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = tcp.local_addr().expect("its address");
    let listener = reactor.adopt_listener(tcp, &Listen::default(), notes).expect("a listener");
    assert_eq!(
        reactor.listener_address(listener).expect("it listens").ip_and_port(),
        Some(address)
    );
    let mut peer = TcpStream::connect(address).expect("a connection");
    peer.write_all(b"hello").expect("room");
    assert_eq!(turn_until(&mut reactor, notes, 2), ["open", "accepted data hello"]);
}

#[test]
fn the_file_of_an_adopted_unix_listener_is_left() {
    let (mut reactor, notes) = reactor();
    let directory = tempfile::tempdir().expect("a new directory");
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a listener");
    reactor.adopt_listener(listener, &Listen::default(), notes).expect("a listener");
    let mut peer = UnixStream::connect(&path).expect("a connection");
    peer.write_all(b"hello").expect("room");
    assert_eq!(turn_until(&mut reactor, notes, 2), ["open", "accepted data hello"]);
    drop(reactor);
    assert!(path.exists(), "the file is whose the listener was");
}

#[test]
fn what_is_not_a_stream_is_refused() {
    let (mut reactor, notes) = reactor();
    let adopt = |reactor: &mut Reactor, socket: OwnedFd| {
        let adopted = reactor.adopt(socket, notes, &Limits::default(), "refused");
        adopted.expect_err("a refusal").kind()
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let file = std::fs::File::open("/dev/null").expect("a file");
    let (stream, _peer) = UnixStream::pair().expect("two sockets");
    assert_eq!(adopt(&mut reactor, listener.into()), ErrorKind::NotConnected);
    let datagrams = OwnedFd::from(datagrams);
    let copy = datagrams.try_clone().expect("a copy");
    assert_eq!(adopt(&mut reactor, datagrams), ErrorKind::InvalidInput);
    let mut listen = |socket: OwnedFd| {
        let adopted = reactor.adopt_listener(socket, &Listen::default(), notes);
        adopted.expect_err("a refusal").kind()
    };
    assert_eq!(listen(copy), ErrorKind::InvalidInput);
    if cfg!(any(target_os = "linux", target_os = "freebsd")) {
        assert_eq!(listen(stream.into()), ErrorKind::InvalidInput);
    }
    assert_eq!(listen(file.try_clone().expect("a copy").into()), ErrorKind::InvalidInput);
    assert_eq!(adopt(&mut reactor, file.into()), ErrorKind::InvalidInput);
    assert_eq!((reactor.connections(), reactor.ledger().adopted), (0, 0));
}

#[test]
fn a_shared_stream_that_was_closed_here_makes_no_more_events() {
    let (mut reactor, notes) = reactor();
    let (ours, mut peer) = UnixStream::pair().expect("two sockets");
    // epoll knows the socket, not its number: while this is open, closing the number is not the
    // end of the registration.
    let mut shared = ours.try_clone().expect("a copy");
    reactor.adopt(ours, notes, &Limits::default(), "shared").expect("a stream");
    peer.write_all(b"abort").expect("room");
    let expected = ["shared ready", "shared data abort", "shared close Aborted"];
    assert_eq!(turn_until(&mut reactor, notes, 3), expected);
    assert_eq!(reactor.connections(), 0);

    let events = reactor.ledger().events;
    peer.write_all(b"for the other").expect("room");
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    assert_eq!((reactor.ledger().events, reactor.ledger().stale_events), (events, 0));
    let mut received = [0; 13];
    shared.set_nonblocking(false).expect("a socket");
    shared.read_exact(&mut received).expect("what nobody else has read");
    assert_eq!(&received, b"for the other");
}

#[test]
fn a_shared_listener_that_was_closed_here_goes_on_elsewhere() {
    let (mut reactor, notes) = reactor();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let shared = listener.try_clone().expect("a copy");
    reactor.adopt_listener(listener, &Listen::default(), notes).expect("a listener");
    drop(reactor);
    shared.set_nonblocking(false).expect("a socket");
    let _peer = TcpStream::connect(address).expect("a connection");
    shared.accept().expect("a connection that nobody else has taken");
}

/// Adopts the streams that it is given, one for each receive.
struct Adopter {
    own: HandlerId<Adopter>,
    streams: Vec<UnixStream>,
    log: Vec<&'static str>,
}

impl Handler for Adopter {
    type Session = &'static str;

    fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
        "accepted"
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, name: &mut &'static str) {
        self.log.push(*name);
        cx.send(*name);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut &'static str, input: &mut Input<'_>) {
        input.take();
        self.log.push("adopts");
        let stream = self.streams.pop().expect("a stream");
        cx.adopt(stream, self.own, &Limits::default(), "from a callback").expect("a stream");
        self.log.push("has adopted");
    }
}

#[test]
fn a_stream_adopted_by_a_callback_is_ready_after_it() {
    let mut reactor = Reactor::new().expect("a reactor");
    let (ours, mut first) = UnixStream::pair().expect("two sockets");
    let (stream, mut second) = UnixStream::pair().expect("two sockets");
    let own = reactor.reserve();
    reactor.install(own, Adopter { own, streams: vec![stream], log: Vec::new() });
    reactor.adopt(ours, own, &Limits::default(), "first").expect("a stream");
    first.write_all(b"x").expect("room");
    while reactor.handler(own).log.len() < 4 {
        reactor.turn(None).expect("a turn");
    }
    assert_eq!(reactor.handler(own).log, ["first", "adopts", "has adopted", "from a callback"]);
    let mut received = [0; 15];
    second.read_exact(&mut received).expect("what it sends when it is ready");
    assert_eq!(&received, b"from a callback");
}

/// Adopts a stream when a connection ends.
struct Successor {
    own: HandlerId<Successor>,
    stream: Option<UnixStream>,
}

impl Handler for Successor {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}

    fn on_close(&mut self, turn: &mut Turn, _: ConnId, (): (), _: Reason) {
        let stream = self.stream.take().expect("a stream");
        assert!(turn.adopt(stream, self.own, &Limits::default(), ()).is_err());
    }
}

#[test]
fn a_reactor_that_has_stopped_adopts_nothing() {
    for drops in [false, true] {
        let mut reactor = Reactor::new().expect("a reactor");
        let (ours, _theirs) = UnixStream::pair().expect("two sockets");
        let (stream, mut peer) = UnixStream::pair().expect("two sockets");
        let own = reactor.reserve();
        reactor.install(own, Successor { own, stream: Some(stream) });
        reactor.adopt(ours, own, &Limits::default(), ()).expect("a stream");
        let stopped = if drops {
            drop(reactor);
            None
        } else {
            reactor.set_drain(Duration::ZERO);
            reactor.stop();
            reactor.run().expect("no error");
            assert_eq!(reactor.connections(), 0);
            Some(reactor)
        };
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
        drop(stopped);
    }
}
