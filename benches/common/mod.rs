//! What the benches have in common: a reactor with clients of its own over loopback.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use sluicegate_reactor::{Handler, Limits, Listen, Reactor};

/// A reactor that is turned by hand, and the far ends of its connections.
pub(crate) struct Server {
    pub(crate) reactor: Reactor,
    pub(crate) clients: Vec<TcpStream>,
}

impl Server {
    /// With one handler and so many clients.
    pub(crate) fn new(handler: impl Handler, limits: Limits, clients: usize) -> Server {
        let mut reactor = Reactor::new().unwrap();
        let handler = reactor.register(handler);
        let listen = Listen { limits, ..Listen::default() };
        let listener = reactor.listen("127.0.0.1:0", &listen, handler).unwrap();
        let address = reactor.local_address(listener);
        let clients: Vec<_> = (0..clients).map(|_| connect(address)).collect();
        let mut server = Server { reactor, clients };
        while server.reactor.connections() < server.clients.len() {
            server.turn();
        }
        server
    }

    /// One turn that does not wait.
    pub(crate) fn turn(&mut self) {
        self.reactor.turn(Some(Duration::ZERO)).unwrap();
    }
}

/// A client that does not hold back what it writes.
pub(crate) fn connect(address: impl ToSocketAddrs) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client
}
