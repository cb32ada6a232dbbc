//! Handlers over the sockets of this machine.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use sluicegate_reactor::{Handler, HandlerId, Listen, Reactor, Stopper};

/// Stops a reactor, even if its client fails.
pub(crate) struct StopAtEnd(pub(crate) Stopper);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop().expect("a reactor that runs");
    }
}

/// Serves the handler that `make` registers, on a thread of its own, while a client does its part.
pub(crate) fn serve<H: Handler>(
    make: impl FnOnce(&mut Reactor) -> HandlerId<H> + Send,
    client: impl FnOnce(SocketAddr),
) {
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let server = scope.spawn(move || {
            let mut reactor = Reactor::new().expect("a reactor");
            let handler = make(&mut reactor);
            let listener = reactor.listen("127.0.0.1:0", &Listen::default(), handler);
            let address =
                reactor.listener_address(listener.expect("a free port")).expect("it listens");
            let address = address.ip_and_port().expect("an address of IP");
            tell.send((address, reactor.stopper())).expect("a test that waits");
            reactor.run()
        });
        let (address, stopper) = told.recv().expect("a server");
        let stop = StopAtEnd(stopper);
        client(address);
        drop(stop);
        server.join().expect("no panic").expect("no error");
    });
}

/// Sends all of `request` in pieces of a size and then the end, and returns all of the answer.
pub(crate) fn exchange(address: SocketAddr, request: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let mut answer = Vec::new();
    thread::scope(|scope| {
        let mut writer = stream.try_clone().expect("a descriptor");
        scope.spawn(move || {
            for part in request.chunks(piece) {
                writer.write_all(part).expect("a server that reads");
            }
            writer.shutdown(Shutdown::Write).expect("an open connection");
        });
        stream.read_to_end(&mut answer).expect("an answer and its end");
    });
    answer
}
