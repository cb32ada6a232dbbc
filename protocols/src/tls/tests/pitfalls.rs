//! What has gone wrong in other servers: a handler over TLS, and a client that controls the wire.

use std::time::Duration;

use sluicegate_reactor::testing::{self, Harness};
use sluicegate_reactor::{Context, Handler, Input, Limits, Listen, Payload, Timeout};

use super::*;
use crate::http::{Answered, Http, Method, Reply, Request, Service};

/// A handler behind an acceptor, and its client.
struct Served<H: Handler> {
    h: Harness<H>,
    client: testing::Client,
    end: End,
}

impl<H: Handler> Served<H> {
    /// Connects and makes the handshake.
    fn open(handler: H, acceptor: &Acceptor, connector: &Connector, limits: Limits) -> Served<H> {
        let listen = Listen { transport: Some(acceptor.factory()), limits, ..Listen::default() };
        let mut h = Harness::with(handler, &listen);
        let client = h.open();
        let mut served = Served { h, client, end: End::connected(connector, "localhost:443") };
        served.exchange();
        served
    }

    fn new(handler: H, version: Version, limits: Limits) -> Served<H> {
        Served::open(handler, &acceptor(server(version)), &connector(client()), limits)
    }

    /// Carries bytes to and fro until there are none.
    fn exchange(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.end.out);
            self.h.feed(self.client, &bytes);
            let answer = self.h.sent(self.client);
            self.end.receive(&answer);
            if bytes.is_empty() && answer.is_empty() {
                return;
            }
        }
    }
}

/// Sends back what it receives. Waits for a second before it takes anything, and again after each
/// piece.
#[derive(Default)]
struct Slow {
    pieces: Vec<usize>,
    /// Whether the stream was cut, once it has ended.
    cut: Option<bool>,
}

impl Slow {
    fn wait(cx: &mut Context<'_>) {
        cx.pause();
        cx.set_deadline(Some(Duration::from_secs(1)));
    }
}

impl Handler for Slow {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        Slow::wait(cx);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        self.pieces.push(input.len());
        cx.send(input.take());
        Slow::wait(cx);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, (): &mut (), which: Timeout) {
        assert!(which == Timeout::Own, "{which:?}");
        cx.resume();
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.cut = Some(cx.is_cut());
        cx.close();
    }
}

#[test]
fn plain_bytes_inside_the_transport_are_delivered_without_another_event() {
    for version in BOTH {
        let limits = Limits { receive_most: 3, ..Limits::default() };
        let mut served = Served::new(Slow::default(), version, limits);
        for piece in ["abcdefgh", "ij"] {
            served.end.send(piece.as_bytes());
        }
        served.exchange();
        // The client is silent from here on.
        served.h.advance(Duration::from_secs(6));
        served.exchange();
        assert_eq!(served.end.plain, b"abcdefghij");
        assert!(served.h.handler().pieces.iter().all(|piece| *piece <= 3));
    }
}

#[test]
fn a_full_buffer_is_not_taken_for_the_end_of_the_stream() {
    for version in BOTH {
        let mut served = Served::new(Slow::default(), version, Limits::default());
        let bytes: Vec<u8> = (0..1_u32 << 20).map(|n| (n >> 3) as u8).collect();
        served.end.send(&bytes);
        let wire = std::mem::take(&mut served.end.out);
        served.h.feed(served.client, &wire);
        assert!(served.h.unread(served.client) > 500_000, "its buffers are full");
        while served.end.plain.len() < bytes.len() {
            assert_eq!(served.h.handler().cut, None);
            served.h.advance(Duration::from_secs(1));
            served.exchange();
        }
        assert!(served.end.plain == bytes);
    }
}

#[test]
fn tickets_leave_although_nothing_else_does() {
    let (acceptor, connector) = (acceptor(server(Version::Tls13)), connector(client()));
    for resumed in [false, true] {
        let served = Served::open(Slow::default(), &acceptor, &connector, Limits::default());
        assert_eq!(served.end.tls().is_resumed(), resumed);
    }
}

#[test]
fn two_full_peers_go_on_once_one_of_them_reads() {
    for version in BOTH {
        let mut served = Served::new(Echo, version, Limits::default());
        served.h.set_room(served.client, 1000);
        let bytes: Vec<u8> = (0..1_u32 << 20).map(|n| (n >> 3) as u8).collect();
        served.end.send(&bytes);
        let wire = std::mem::take(&mut served.end.out);
        served.h.feed(served.client, &wire);
        assert!(served.h.unread(served.client) > 100_000, "it stops reading");
        served.exchange();
        assert!(served.end.plain == bytes);
    }
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

#[test]
fn a_stream_without_a_close_notify_is_cut() {
    for (version, closes) in BOTH.iter().flat_map(|&v| [(v, true), (v, false)]) {
        let mut served = Served::new(Slow::default(), version, Limits::default());
        if closes {
            served.end.close();
        }
        served.exchange();
        served.h.finish(served.client);
        served.h.advance(Duration::from_secs(2));
        assert_eq!(served.h.handler().cut, Some(!closes), "{version}");
    }
}

/// Answers with the length of the body.
struct Lengths;

impl Service for Lengths {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        assert!(request.method() == Method::Post);
        reply.read(1000, ())
    }

    fn on_body(
        &mut self,
        _: &Request<'_>,
        (): (),
        body: Payload<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        reply.send(format!("{} bytes", body.len()))
    }
}

#[test]
fn a_framed_message_is_complete_without_a_close_notify() {
    for version in BOTH {
        let mut served = Served::new(Http::new(Lengths), version, Limits::default());
        served.end.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        let wire = std::mem::take(&mut served.end.out);
        served.h.at_once(|h| {
            h.feed(served.client, &wire);
            h.finish(served.client);
        });
        let answer = served.h.sent(served.client);
        served.end.receive(&answer);
        assert!(served.end.plain.ends_with(b"5 bytes"), "{:?}", served.end.error);
    }
}

#[test]
fn an_alert_leaves_after_a_protocol_error() {
    for version in BOTH {
        let mut served = Served::new(Echo, version, Limits::default());
        served.end.send(b"good");
        served.exchange();
        served.end.send(b"bad");
        *served.end.out.last_mut().expect("a record") ^= 1;
        served.exchange();
        assert_eq!(served.end.plain, b"good");
        assert_eq!(served.end.error(), "TLS: received fatal alert: BadRecordMac");
    }
}
