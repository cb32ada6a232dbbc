//! The far end of a stream, under the control of a test.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::SocketAddr as UnixSocketAddr;

use super::Address;
#[cfg(test)]
use super::{Fd, Object};
use super::{State, Step, Stream, World};

/// The address of the local end of a [`World::stream`].
#[cfg(test)]
const NO_LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
/// Clients count their ports up from here (the first ephemeral port of Linux) and start over at the
/// end.
const CLIENT_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// The client of one stream. It stays usable after the server has closed its descriptor.
#[derive(Clone)]
pub(crate) struct Client {
    world: World,
    stream: usize,
}

impl World {
    /// Connects to a listener. The stream waits in the listener's backlog, and can already be used.
    ///
    /// # Errors
    /// `ConnectionRefused` if nothing listens there or the backlog is full.
    pub(crate) fn connect(&self, to: impl Into<Address>) -> io::Result<Client> {
        let to = to.into();
        let ip = (!to.is_unix()).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.connect_from(to, ip)
    }

    /// The same from an IP address, or from a Unix socket without a name.
    pub(crate) fn connect_from(&self, to: Address, ip: Option<IpAddr>) -> io::Result<Client> {
        let state = &mut *self.0.borrow_mut();
        let stream = state.streams.len();
        let refused = || io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let (fd, listener) = state.table.listener_at(&to).ok_or_else(refused)?;
        if listener.is_full() {
            return Err(refused());
        }
        listener.backlog.push_back(stream);
        let client = client_address(ip, stream);
        state.streams.push(Stream::new(to, client));
        state.edge(fd);
        Ok(Client::new(self, stream))
    }

    /// Whether a client that connects to an address would find a listener.
    pub(crate) fn listens_at(&self, address: &Address) -> bool {
        self.0.borrow_mut().table.listener_at(address).is_some()
    }

    /// Creates a stream that was never in a backlog, and its descriptor.
    ///
    /// # Errors
    /// `EMFILE` at the descriptor limit.
    #[cfg(test)]
    pub(crate) fn stream(&self) -> io::Result<(Fd, Client)> {
        let state = &mut *self.0.borrow_mut();
        let (stream, local) = (state.streams.len(), Address::from(NO_LISTENER));
        let client = client_address(local.ip(), stream);
        let fd = state.table.insert(Object::Stream(stream))?;
        state.streams.push(Stream::new(local, client));
        state.streams[stream].fd = Some(fd);
        Ok((fd, Client { world: self.clone(), stream }))
    }
}

pub(super) fn client_address(ip: Option<IpAddr>, stream: usize) -> Address {
    let Some(ip) = ip else {
        return UnixSocketAddr::from_pathname("").expect("no path is no name").into();
    };
    let port = CLIENT_PORTS.start() + (stream % CLIENT_PORTS.len()) as u16;
    SocketAddr::from((ip, port)).into()
}

impl Client {
    pub(super) fn new(world: &World, stream: usize) -> Client {
        Client { world: world.clone(), stream }
    }

    /// Sends bytes; there is always room. If the server has closed its end, bytes that it can no
    /// longer receive are dropped.
    ///
    /// # Panics
    /// After [`finish`](Client::finish) or [`reset`](Client::reset).
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.change(|stream| stream.client_send(bytes));
    }

    /// Sends one urgent byte. A receive stops before it and never returns it.
    ///
    /// # Panics
    /// In the same cases as [`send`](Client::send).
    pub(crate) fn send_urgent(&self) {
        self.change(Stream::client_send_urgent);
    }

    /// Ends the client's direction (FIN).
    ///
    /// # Panics
    /// If it has ended.
    pub(crate) fn finish(&self) {
        self.change(Stream::client_finish);
    }

    /// Resets the connection (RST).
    ///
    /// # Panics
    /// If the client has already reset it.
    pub(crate) fn reset(&self) {
        self.change(Stream::client_reset);
    }

    /// Takes everything that the server has sent since the last call.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.change(Stream::client_take)
    }

    /// Takes up to `most` of these bytes.
    pub(crate) fn take_some(&self, most: usize) -> Vec<u8> {
        self.change(|stream| stream.client_take_some(most.min(stream.untaken())))
    }

    /// Whether a fault has ended the connection that no reactor survives.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.change(|stream| stream.spoilt)
    }

    /// The server's machine answers data for a closed socket with a reset.
    pub(crate) fn is_answered_by_reset(&self) {
        self.change(Stream::reset);
    }

    /// Sets how many bytes the server can send before the client takes some: 256 KiB at first,
    /// `usize::MAX` for no limit.
    pub(crate) fn set_send_capacity(&self, bytes: usize) {
        self.change(|stream| stream.set_capacity(bytes));
    }

    /// Queues the results of the next receives on the server's descriptor.
    pub(crate) fn script_recv(&self, steps: impl IntoIterator<Item = Step>) {
        self.change(|stream| stream.recvs.extend(steps));
    }

    /// Queues the results of the next sends on it, whichever call they use.
    pub(crate) fn script_send(&self, steps: impl IntoIterator<Item = Step>) {
        self.change(|stream| stream.sends.extend(steps));
    }

    /// Makes an edge although nothing has changed.
    pub(crate) fn spurious_edge(&self) {
        self.change(|stream| stream.edge = true);
    }

    /// What the server has done with its end.
    pub(crate) fn state(&self) -> State {
        self.change(|stream| stream.state())
    }

    /// The address of the client, which is the server's peer.
    pub(crate) fn address(&self) -> Address {
        self.change(|stream| stream.client_address())
    }

    /// The number of bytes that the server has not received.
    pub(crate) fn unread(&self) -> usize {
        self.change(|stream| stream.unread())
    }

    /// The number of bytes that the client has not taken.
    pub(crate) fn untaken(&self) -> usize {
        self.change(|stream| stream.untaken())
    }

    fn change<R>(&self, change: impl FnOnce(&mut Stream) -> R) -> R {
        let mut state = self.world.0.borrow_mut();
        let result = change(&mut state.streams[self.stream]);
        state.settle(self.stream);
        result
    }
}
