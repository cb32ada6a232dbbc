//! Two ends of TLS whose bytes are delayed, cut, changed, repeated and lost on the way. Neither
//! panics, and the plain bytes that arrive are the first of those that were sent.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate_protocols::tls::{
    Acceptor, AcceptorOptions, Connector, ConnectorOptions, Identity, PlainHttp, Roots, Version,
};
use sluicegate_reactor::transport::{Factory, Opened, Output, State, Transport};
use sluicegate_reactor::{Address, Target};

/// What happens to one end, or to the bytes on their way to it.
#[derive(Arbitrary, Debug)]
enum Op {
    /// So many bytes arrive.
    Arrive {
        client: bool,
        count: u16,
    },
    /// Everything arrives.
    ArriveAll {
        client: bool,
    },
    Send {
        client: bool,
        count: u16,
    },
    Close {
        client: bool,
    },
    Change {
        client: bool,
        at: u16,
        by: u8,
    },
    Remove {
        client: bool,
        at: u16,
        count: u8,
    },
    Repeat {
        client: bool,
        at: u16,
        count: u8,
    },
    Insert {
        client: bool,
        bytes: Vec<u8>,
    },
}

#[derive(Arbitrary, Debug)]
struct Case {
    tls12: bool,
    /// Whether the handshake is over before anything happens.
    open: bool,
    ops: Vec<Op>,
}

struct Setup {
    /// For TLS 1.2 and 1.3.
    acceptors: [Factory<Address>; 2],
    connector: Factory<Target>,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let identity = Identity::self_signed(["localhost".into()]).expect("an identity");
    let roots = Roots::only(&identity).expect("roots");
    let acceptors = [Version::Tls12, Version::Tls13].map(|version| {
        let options = AcceptorOptions {
            identities: vec![identity.clone()],
            versions: vec![version],
            plain_http: PlainHttp::Redirect,
            ..AcceptorOptions::default()
        };
        Acceptor::new(options).expect("an acceptor").factory()
    });
    let options = ConnectorOptions { roots, ..ConnectorOptions::default() };
    Setup { acceptors, connector: Connector::new(options).expect("a connector").factory() }
});

struct End {
    transport: Box<dyn Transport>,
    /// On the way to this end.
    coming: Vec<u8>,
    /// Arrived and not consumed.
    wire: Vec<u8>,
    plain: Vec<u8>,
    sent: Vec<u8>,
    closed: bool,
    over: bool,
}

impl End {
    fn new(transport: Box<dyn Transport>) -> End {
        let (coming, wire, plain, sent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        End { transport, coming, wire, plain, sent, closed: false, over: false }
    }

    fn arrive(&mut self, count: usize, out: &mut Output<'_>) {
        // rustls asserts that no alert follows its own `close_notify`, which damage would cause.
        if self.closed {
            return;
        }
        self.wire.extend(self.coming.drain(..count.min(self.coming.len())));
        while !self.wire.is_empty() && !self.over {
            match self.transport.open(&mut self.wire, out) {
                Ok(Opened::Incomplete) => break,
                Ok(Opened::Bytes { consumed, plain }) => {
                    assert!(consumed > 0 && (plain.is_empty() || plain.end <= consumed));
                    assert!(plain.is_empty() || self.transport.state() == State::Open);
                    self.plain.extend_from_slice(&self.wire[plain]);
                    self.wire.drain(..consumed);
                }
                Ok(Opened::End) | Err(_) => self.over = true,
            }
        }
    }

    fn send(&mut self, count: usize, out: &mut Output<'_>) {
        if self.transport.state() == State::Open && !self.closed && !self.over {
            let piece: Vec<u8> = (0..count).map(|n| (self.sent.len() + n) as u8).collect();
            self.transport.seal(&piece, out).expect("an open transport seals");
            self.sent.extend(piece);
        }
    }

    fn act(&mut self, op: &Op, out: &mut Output<'_>) {
        let range = |length: usize, at: u16, count: u8| {
            let from = usize::from(at).min(length);
            from..(from + usize::from(count)).min(length)
        };
        match op {
            Op::Arrive { count, .. } => self.arrive((*count).into(), out),
            Op::ArriveAll { .. } => self.arrive(usize::MAX, out),
            Op::Send { count, .. } => self.send((*count).into(), out),
            Op::Close { .. } if !self.closed => {
                self.closed = true;
                self.transport.close(out);
            }
            Op::Close { .. } => {}
            Op::Change { at, by, .. } => {
                if let Some(byte) = self.coming.get_mut(usize::from(*at)) {
                    *byte ^= by;
                }
            }
            Op::Remove { at, count, .. } => {
                drop(self.coming.drain(range(self.coming.len(), *at, *count)));
            }
            Op::Repeat { at, count, .. } => {
                let range = range(self.coming.len(), *at, *count);
                let piece = self.coming[range.clone()].to_vec();
                drop(self.coming.splice(range.end..range.end, piece));
            }
            Op::Insert { bytes, .. } => drop(self.coming.splice(0..0, bytes.iter().copied())),
        }
    }
}

impl Op {
    fn is_for_client(&self) -> bool {
        match self {
            Op::Arrive { client, .. }
            | Op::ArriveAll { client }
            | Op::Send { client, .. }
            | Op::Close { client }
            | Op::Change { client, .. }
            | Op::Remove { client, .. }
            | Op::Repeat { client, .. }
            | Op::Insert { client, .. } => *client,
        }
    }
}

fuzz_target!(|case: Case| {
    let address: Address = "127.0.0.1:1".parse().expect("an address");
    let target: Target = "localhost:443".parse().expect("a target");
    let acceptor = &SETUP.acceptors[usize::from(!case.tls12)];
    let mut server = End::new(acceptor.make(&address).expect("a transport").expect("TLS"));
    let mut client = End::new(SETUP.connector.make(&target).expect("a transport").expect("TLS"));
    let (started, hello) = Output::collect(|out| client.transport.start(out));
    started.expect("a client starts");
    server.coming.extend(hello);
    if case.open {
        while !(server.coming.is_empty() && client.coming.is_empty()) {
            client.coming.extend(Output::collect(|out| server.arrive(usize::MAX, out)).1);
            server.coming.extend(Output::collect(|out| client.arrive(usize::MAX, out)).1);
        }
        assert!(server.transport.state() == State::Open && client.transport.state() == State::Open);
    }
    for op in case.ops.iter().take(64) {
        let (end, peer) = match op.is_for_client() {
            true => (&mut client, &mut server),
            false => (&mut server, &mut client),
        };
        peer.coming.extend(Output::collect(|out| end.act(op, out)).1);
        assert!(end.plain.len() <= peer.sent.len() && peer.sent.starts_with(&end.plain));
    }
});
