//! What the benches have in common: a reactor with clients of its own over loopback.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use sluicegate_reactor::{Handler, Limits, Listen, Reactor, TcpOptions};
use socket2::{Domain, Socket, Type};

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
        let tcp = TcpOptions { congestion: unpaced(), ..TcpOptions::default() };
        let listen = Listen { limits, tcp, ..Listen::default() };
        let listener = reactor.listen("127.0.0.1:0", &listen, handler).unwrap();
        let address = reactor.listener_address(listener).expect("it listens").clone();
        let mut server = Server { reactor, clients: Vec::with_capacity(clients) };
        for _ in 0..clients {
            server.clients.push(connect(&address));
            // So that the backlog never overflows.
            server.turn();
        }
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

/// A client that does not hold back what it writes, and is not paced.
pub(crate) fn connect(address: impl ToSocketAddrs) -> TcpStream {
    let address = address.to_socket_addrs().unwrap().next().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    control(&socket, "reno").unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.into()
}

/// The congestion control of the reactor's connections, as [`control`] sets it for others.
pub(crate) fn unpaced() -> Option<String> {
    cfg!(target_os = "linux").then(|| "reno".to_owned())
}

/// Sets the congestion control, if the system has it. Where BBR is the default it paces by a timer,
/// and for many bytes that would be most of what is measured.
#[cfg(target_os = "linux")]
pub(crate) fn control(socket: &impl AsFd, name: &str) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_congestion(socket, name)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn control(_: &impl AsFd, _: &str) -> io::Result<()> {
    Ok(())
}
