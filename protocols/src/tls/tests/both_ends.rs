//! Both ends of connections over the loopback interface, which leave their records to the kernel
//! where it can open and seal them.

use std::io;
use std::path::Path;

use sluicegate_reactor::{ConnId, Connect, Context, Handler, Input, Listen, Reactor, Reason, Turn};

use super::*;

/// Sends everything back, and ends its stream when the client has.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

/// Sends some bytes and the end of its stream, and takes what comes back.
#[derive(Default)]
struct Client {
    got: Vec<u8>,
    resumed: bool,
    cut: bool,
}

const LENGTH: usize = 1 << 20;

fn pattern() -> Vec<u8> {
    (0..LENGTH).map(|at| (at * at / 7 + at) as u8).collect()
}

impl Handler for Client {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        let tls = cx.transport::<Connection>().expect("TLS");
        self.resumed = tls.is_resumed();
        // A part of a longer record could arrive together with the handshake, which the server
        // would have to keep.
        cx.send(&pattern()[..10]);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        if self.got.is_empty() {
            cx.send(&pattern()[10..]);
            cx.shutdown();
        }
        self.got.extend_from_slice(input.take());
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        self.cut = cx.is_cut();
        cx.close();
    }

    fn on_close(&mut self, turn: &mut Turn, _: ConnId, (): (), _: Reason) {
        turn.stop();
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a test that did not run should not look like one that did"
)]
fn bytes_ends_and_tickets_pass_between_two_kernels() -> io::Result<()> {
    let has_kernel = Path::new("/proc/net/tls_stat").exists();
    if !has_kernel {
        eprintln!("the kernel has no module `tls`, or it is not loaded: the process seals instead");
    }
    for version in BOTH {
        let acceptor = acceptor(AcceptorOptions { kernel: true, ..server(version) });
        let connector = connector(ConnectorOptions {
            kernel: true,
            name: Some("localhost".into()),
            ..client()
        });
        let mut resumed = Vec::new();
        for _ in 0..2 {
            let mut reactor = Reactor::new()?;
            let echo = reactor.register(Echo);
            let listen = Listen { transport: Some(acceptor.factory()), ..Listen::default() };
            let listener = reactor.listen("127.0.0.1:0", &listen, echo)?;
            let address = reactor.listener_address(listener).expect("its address").clone();
            let client = reactor.register(Client::default());
            let connect = Connect { transport: Some(connector.factory()), ..Connect::default() };
            let connect = reactor.connector(client, &connect)?;
            reactor.connect(connect, address, ());
            reactor.run()?;
            let (offloaded, handshakes) = (reactor.ledger().offloaded, reactor.ledger().handshakes);
            assert_eq!((offloaded, handshakes), (if has_kernel { 2 } else { 0 }, 2));
            let client = reactor.handler(client);
            assert!(client.got == pattern(), "{} bytes came back", client.got.len());
            assert!(!client.cut, "the end is that of TLS");
            resumed.push(client.resumed);
        }
        // In TLS 1.3 the ticket arrives when the kernel has the client's keys already.
        assert_eq!(resumed, [false, true], "{version}");
    }
    Ok(())
}
