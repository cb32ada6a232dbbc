//! What is asked of the servers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::load::tls::Connector;
use crate::load::websocket::{FanOut, Kind, masked, open, unmasked};
use crate::load::{self, Load, Stream, Work, bulk, echo, http, slow, upload};

/// Something to do for a server, and how to count it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    pub(crate) content: Content,
    /// Whether clients connect over TLS.
    pub(crate) tls: bool,
    /// Time until every connection is at its pace and every buffer is as full as it will be.
    pub(crate) warm_up: Duration,
    demand: Demand,
}

/// What a server has to offer.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// What it is sent.
    Echo,
    /// "Hello, World!" at any target.
    Hello,
    /// A file of this many bytes.
    File(u64),
    /// A file, once it was sent one of this many bytes.
    Upload(u64),
    /// A WebSocket: texts come back, and binary data goes to all.
    WebSocket,
    /// What a server behind it has to offer: an echo, or, in bulk, a sink.
    Relay { bulk: bool },
    /// Nothing.
    Sink,
}

/// What the costs are divided by.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// A message of this many bytes.
    Message(usize),
    Request,
    Megabyte,
    Byte,
}

/// What the client does.
enum Demand {
    Echo { connections: usize, message: usize, in_flight: usize },
    WebSocketEcho { connections: usize, message: usize, in_flight: usize },
    WebSocketFanOut { connections: usize, message: usize },
    Http { connections: usize, in_flight: usize },
    Slow { clients: u32, rate: u64 },
    Bulk { connections: usize },
    Upload { connections: usize },
}

const MIB: usize = 1 << 20;
const SHORT: Duration = Duration::from_millis(100);
/// Time until Node.js has compiled what runs often.
const COMPILED: Duration = Duration::from_secs(1);

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "echo-pingpong",
        about: "64 connections, messages of 64 bytes, one in flight",
        unit: Unit::Message(64),
        content: Content::Echo,
        tls: false,
        warm_up: SHORT,
        demand: Demand::Echo { connections: 64, message: 64, in_flight: 1 },
    },
    Workload {
        name: "echo-pipelined",
        about: "64 connections, messages of 64 bytes, 32 in flight",
        unit: Unit::Message(64),
        content: Content::Echo,
        tls: false,
        warm_up: SHORT,
        demand: Demand::Echo { connections: 64, message: 64, in_flight: 32 },
    },
    Workload {
        name: "echo-1m",
        about: "8 connections, messages of 1 MiB, one in flight",
        unit: Unit::Message(MIB),
        content: Content::Echo,
        tls: false,
        warm_up: SHORT,
        demand: Demand::Echo { connections: 8, message: MIB, in_flight: 1 },
    },
    Workload {
        name: "http",
        about: "64 connections, answers of 13 bytes, one in flight",
        unit: Unit::Request,
        content: Content::Hello,
        tls: false,
        warm_up: SHORT,
        demand: Demand::Http { connections: 64, in_flight: 1 },
    },
    Workload {
        name: "http-pipelined",
        about: "64 connections, answers of 13 bytes, 16 in flight",
        unit: Unit::Request,
        content: Content::Hello,
        tls: false,
        warm_up: SHORT,
        demand: Demand::Http { connections: 64, in_flight: 16 },
    },
    Workload {
        name: "static-1k",
        about: "64 connections, a file of 1 KiB",
        unit: Unit::Request,
        content: Content::File(1 << 10),
        tls: false,
        warm_up: SHORT,
        demand: Demand::Http { connections: 64, in_flight: 1 },
    },
    Workload {
        name: "static-10k",
        about: "64 connections, a file of 10 KiB",
        unit: Unit::Request,
        content: Content::File(10 << 10),
        tls: false,
        warm_up: SHORT,
        demand: Demand::Http { connections: 64, in_flight: 1 },
    },
    Workload {
        name: "static-1m",
        about: "16 connections, a file of 1 MiB",
        unit: Unit::Megabyte,
        content: Content::File(1 << 20),
        tls: false,
        warm_up: SHORT,
        demand: Demand::Http { connections: 16, in_flight: 1 },
    },
    Workload {
        name: "static-100m",
        about: "4 connections, a file of 100 MiB",
        unit: Unit::Megabyte,
        content: Content::File(100 << 20),
        tls: false,
        warm_up: SHORT,
        demand: Demand::Http { connections: 4, in_flight: 1 },
    },
    Workload {
        name: "slow-clients",
        about: "500 clients that each read a file of 100 MiB at 125 kB/s",
        unit: Unit::Byte,
        content: Content::File(100 << 20),
        tls: false,
        warm_up: slow::SPREAD.saturating_add(Duration::from_secs(1)),
        demand: Demand::Slow { clients: 500, rate: 125_000 },
    },
    Workload {
        name: "relay-msg",
        about: "64 connections to an echo behind it, messages of 64 bytes, one in flight",
        unit: Unit::Message(64),
        content: Content::Relay { bulk: false },
        tls: false,
        warm_up: SHORT,
        demand: Demand::Echo { connections: 64, message: 64, in_flight: 1 },
    },
    Workload {
        name: "relay-bulk",
        about: "4 connections that send to a sink behind it as fast as they can",
        unit: Unit::Megabyte,
        content: Content::Relay { bulk: true },
        tls: false,
        warm_up: SHORT,
        demand: Demand::Bulk { connections: 4 },
    },
    Workload {
        name: "upload-8m",
        about: "4 connections, bodies of 8 MiB into files in memory",
        unit: Unit::Megabyte,
        content: Content::Upload(8 << 20),
        tls: false,
        warm_up: SHORT,
        demand: Demand::Upload { connections: 4 },
    },
    Workload {
        name: "ws-echo",
        about: "64 WebSockets, texts of 64 bytes, one in flight",
        unit: Unit::Message(2 + 64),
        content: Content::WebSocket,
        tls: false,
        warm_up: COMPILED,
        demand: Demand::WebSocketEcho { connections: 64, message: 64, in_flight: 1 },
    },
    Workload {
        name: "ws-echo-p32",
        about: "64 WebSockets, texts of 64 bytes, 32 in flight",
        unit: Unit::Message(2 + 64),
        content: Content::WebSocket,
        tls: false,
        warm_up: COMPILED,
        demand: Demand::WebSocketEcho { connections: 64, message: 64, in_flight: 32 },
    },
    Workload {
        name: "ws-fanout",
        about: "1,000 WebSockets, of which one sends messages of 200 bytes to all, one in flight",
        unit: Unit::Message(4 + 200),
        content: Content::WebSocket,
        tls: false,
        warm_up: COMPILED,
        demand: Demand::WebSocketFanOut { connections: 1000, message: 200 },
    },
    Workload {
        name: "tls-1k",
        about: "64 connections over TLS, a file of 1 KiB",
        unit: Unit::Request,
        content: Content::File(1 << 10),
        tls: true,
        warm_up: SHORT,
        demand: Demand::Http { connections: 64, in_flight: 1 },
    },
    Workload {
        name: "tls-1m",
        about: "16 connections over TLS, a file of 1 MiB",
        unit: Unit::Megabyte,
        content: Content::File(1 << 20),
        tls: true,
        warm_up: SHORT,
        demand: Demand::Http { connections: 16, in_flight: 1 },
    },
    Workload {
        name: "tls-100m",
        about: "4 connections over TLS, a file of 100 MiB",
        unit: Unit::Megabyte,
        content: Content::File(100 << 20),
        tls: true,
        warm_up: SHORT,
        demand: Demand::Http { connections: 4, in_flight: 1 },
    },
    Workload {
        name: "tls-relay-msg",
        about: "as relay-msg, with TLS to the relay",
        unit: Unit::Message(64),
        content: Content::Relay { bulk: false },
        tls: true,
        warm_up: SHORT,
        demand: Demand::Echo { connections: 64, message: 64, in_flight: 1 },
    },
    Workload {
        name: "tls-relay-bulk",
        about: "as relay-bulk, with TLS to the relay",
        unit: Unit::Megabyte,
        content: Content::Relay { bulk: true },
        tls: true,
        warm_up: SHORT,
        demand: Demand::Bulk { connections: 4 },
    },
];

impl Workload {
    /// Connects the clients to a server. Over TLS they trust the certificate in a PEM file.
    pub(crate) fn load(&self, to: SocketAddr, certificate: &Path) -> io::Result<Box<dyn Load>> {
        if self.tls {
            let connector = Connector::new(certificate)?;
            self.load_over(to, || connector.connect(to))
        } else {
            self.load_over(to, || load::connect(to))
        }
    }

    fn load_over<S: Stream + 'static>(
        &self,
        to: SocketAddr,
        connect: impl Fn() -> io::Result<S>,
    ) -> io::Result<Box<dyn Load>> {
        let (target, length) = (self.content.target(), self.content.length());
        Ok(match self.demand {
            Demand::Echo { connections, message, in_flight } => {
                let batch = vec![b'x'; message * in_flight];
                let back = batch.len();
                Box::new(echo::load(connect, connections, batch, back)?)
            }
            Demand::WebSocketEcho { connections, message, in_flight } => {
                let batch = masked(Kind::Text, message).repeat(in_flight);
                let back = unmasked(Kind::Text, message).len() * in_flight;
                Box::new(echo::load(|| open(connect()?), connections, batch, back)?)
            }
            Demand::WebSocketFanOut { connections, message } => {
                Box::new(FanOut::new(connect, connections, message)?)
            }
            Demand::Http { connections, in_flight } => {
                Box::new(http::load(connect, connections, in_flight, &target, length)?)
            }
            Demand::Slow { clients, rate } => {
                Box::new(slow::Slow::new(to, clients, rate, &target, length)?)
            }
            Demand::Bulk { connections } => Box::new(bulk::load(connect, connections)?),
            Demand::Upload { connections } => Box::new(upload::load(connect, connections, length)?),
        })
    }
}

impl Content {
    /// Body of "Hello, World!".
    pub(crate) const HELLO: &str = "Hello, World!";

    /// The name of the file that holds it, below the root of a file server.
    pub(crate) fn file(self) -> String {
        match self {
            Content::File(length) => format!("{length}.bin"),
            _ => "hello".into(),
        }
    }

    fn target(self) -> String {
        format!("/{}", self.file())
    }

    /// Bytes of a body.
    pub(crate) fn length(self) -> u64 {
        match self {
            Content::File(length) | Content::Upload(length) => length,
            _ => Content::HELLO.len() as u64,
        }
    }

    /// What the server behind a relay has to offer.
    pub(crate) fn behind(self) -> Option<Content> {
        match self {
            Content::Relay { bulk: false } => Some(Content::Echo),
            Content::Relay { bulk: true } => Some(Content::Sink),
            _ => None,
        }
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Message(_) => "message",
            Unit::Request => "request",
            Unit::Megabyte => "MB",
            Unit::Byte => "byte",
        }
    }

    /// How many units some work is.
    pub(crate) fn of(self, work: Work) -> f64 {
        match self {
            Unit::Message(length) => work.bytes as f64 / length as f64,
            Unit::Request => work.answers as f64,
            Unit::Megabyte => work.bytes as f64 / 1e6,
            Unit::Byte => work.bytes as f64,
        }
    }
}
