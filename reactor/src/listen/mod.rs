//! Listeners: their options, and how to open one.

pub mod activation;
mod adopt;
pub(crate) mod listener;

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use crate::core::limits::Limits;
use crate::core::target::{Place, Target};
use crate::handler::{Handler, HandlerId};
use crate::listen::listener::{Group, Listener, Origin, Source};
use crate::sys::{Address, Fd, Keepalive, TcpOptions, look_up};
use crate::threads::passing::Lane;
use crate::turn::reactor::{LISTENER_BIT, Reactor};

/// The options of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Most connections that wait in the kernel to be accepted (`listen(2)`): 4096. The system may
    /// cap it. Has no effect on [adopted](Reactor::adopt_listener) listeners.
    pub backlog: u32,
    /// Most connections accepted in one turn: 64. The next turn accepts more.
    pub accept_budget: u32,
    /// Most open connections, lingering ones included: 100,000. Further ones wait in the backlog
    /// until one closes. [`Ledger::full_pauses`](crate::Ledger::full_pauses) counts how often the
    /// limit was reached.
    pub max_connections: u32,
    /// Most open connections of one client, lingering ones included. Further ones are accepted and
    /// reset at once, and counted in
    /// [`Ledger::refused_per_address`](crate::Ledger::refused_per_address).
    ///
    /// A client is an IPv4 address or an IPv6 prefix of 64 bits, which is what one subscriber has.
    /// Clients of Unix sockets are not counted. The default is no limit, since behind a proxy or a
    /// carrier's NAT many clients share one address; a server that faces the internet should set
    /// one. It costs a system call and four hash lookups for each connection.
    pub max_per_address: Option<u32>,
    /// Most connections accepted in a second on average; 0 counts as 1. Further ones wait in the
    /// backlog. [`Ledger::rate_pauses`](crate::Ledger::rate_pauses) counts how often the limit was
    /// reached. The default is no limit.
    pub accept_rate: Option<u32>,
    /// Most connections accepted at once after a pause, if there is an
    /// [`accept_rate`](Listen::accept_rate): 256.
    pub accept_burst: u32,
    /// The permissions of a Unix socket's file, whatever the umask: users who may write to it may
    /// connect. The default is the server's own user alone. Some old systems ignore them
    /// (`unix(7)`); there, the permissions of the directory count.
    pub unix_mode: u32,
    /// Bytes that the kernel may hold for a connection beyond those on their way to the peer
    /// (`TCP_NOTSENT_LOWAT`, Linux only). `None` leaves the limit to the kernel, which is cheapest,
    /// but a client that stops reading pins up to 4 MiB. See `benches/README.md`. Has no effect on
    /// Unix sockets.
    pub unsent: Option<u32>,
    /// The congestion control of the connections, by its name (`TCP_CONGESTION`, `tcp(7)`): Linux
    /// and FreeBSD; elsewhere listening fails with `ErrorKind::Unsupported`. `None` leaves the
    /// choice to the system. An unprivileged process may choose among
    /// `net.ipv4.tcp_allowed_congestion_control`. Has no effect on Unix sockets.
    pub congestion: Option<String>,
    /// Probes of idle connections, to notice peers that have vanished. `None`: no probes, and
    /// [`Limits`] alone ends idle connections. Has no effect on Unix sockets.
    pub keepalive: Option<Keepalive>,
    /// Most bytes that all connections together send in a second. Connections that have something
    /// to send take turns. [`Limits::send_rate`] holds for each of them as well.
    pub send_rate: Option<u64>,
    /// Most bytes that all connections together receive in a second.
    pub receive_rate: Option<u64>,
    /// The limits of each connection.
    pub limits: Limits,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            backlog: 4096,
            accept_budget: 64,
            max_connections: 100_000,
            max_per_address: None,
            accept_rate: None,
            accept_burst: 256,
            unix_mode: 0o600,
            unsent: None,
            congestion: None,
            keepalive: None,
            send_rate: None,
            receive_rate: None,
            limits: Limits::default(),
        }
    }
}

impl Listen {
    pub(crate) fn options(&self) -> TcpOptions<'_> {
        let congestion = self.congestion.as_deref();
        TcpOptions { unsent: self.unsent, congestion, keepalive: self.keepalive }
    }
}

/// Names a listener of a reactor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    pub(crate) index: u16,
    /// Its connections'.
    pub(crate) group: u16,
}

/// Tries the addresses of a target, until one can be bound.
pub(crate) fn first_bound<T>(
    at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
    bind: impl FnMut(&Address) -> io::Result<T>,
) -> io::Result<T> {
    let target = at.try_into().map_err(|error| {
        let error = error.into();
        let kind = error.downcast_ref().map_or(io::ErrorKind::InvalidInput, io::Error::kind);
        io::Error::new(kind, format!("listen on {error}"))
    })?;
    let addresses = match &target.0 {
        Place::Address(address) => vec![address.clone()],
        Place::Name(name, port) => look_up(name, *port)
            .map_err(|error| io::Error::new(error.kind(), format!("listen on {target}: {error}")))?
            .into_iter()
            .map(Address::Ip)
            .collect(),
    };
    first_of(&addresses, bind).unwrap_or_else(|| {
        let text = format!("listen on {target}: the name has no address");
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    })
}

/// The result of the first address that can be bound, or that of the last one. `None`: there are
/// none.
fn first_of<T>(
    addresses: &[Address],
    mut bind: impl FnMut(&Address) -> io::Result<T>,
) -> Option<io::Result<T>> {
    let mut last = None;
    for address in addresses {
        match bind(address) {
            Ok(bound) => return Some(Ok(bound)),
            Err(error) => last = Some(Err(error)),
        }
    }
    last
}

/// Listening.
impl Reactor {
    /// Listens on an address or name: anything that is or parses as a [`Target`], such as
    /// `"127.0.0.1:80"`, `"[fe80::1%eth0]:80"`, `"unix:/run/name.sock"`, `("localhost", 80)` or an
    /// [`Address`]. Port 0 is any free port. Of several addresses of a name the first that can be
    /// bound is taken; to look the name up may take seconds.
    ///
    /// # Unix sockets
    ///
    /// The file of a Unix socket gets the permissions [`Listen::unix_mode`]. A socket that is in
    /// its place is replaced if nobody listens there, as after a crash; to find out, the reactor
    /// tries to connect to it. The file is removed when the listener is closed, if it is still the
    /// same. While the listener is open, the file `path.lock` beside it is locked (`flock(2)`) and
    /// holds the number of the process; so of several servers that start at once one gets the
    /// address and the others an error. Only users who are trusted not to replace these files
    /// should be able to write to the directory.
    ///
    /// A client cannot tell whether a Unix socket was closed or reset: one that was
    /// [aborted](crate::Context::abort) sees the end of the stream, unless the server has left some
    /// of its input unread.
    ///
    /// ```no_run
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// use sluicegate_reactor::{Listen, Reactor};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let echo = reactor.register(Echo);
    /// reactor.listen("0.0.0.0:7", &Listen::default(), echo)?;
    /// // For a proxy that runs as another user of the same group.
    /// let listen = Listen { unix_mode: 0o660, ..Listen::default() };
    /// reactor.listen("unix:/run/echo.sock", &listen, echo)?;
    /// reactor.run()
    /// # }
    /// ```
    ///
    /// # Errors
    /// What parsing the target, looking it up, `bind(2)`, `listen(2)` and setting the socket's
    /// options return, with the target or address in the text. For a Unix socket
    /// `ErrorKind::AddrInUse` if another process listens at the path, and
    /// `ErrorKind::AlreadyExists` if there is a file that is not a socket. An error also if the
    /// reactor was stopped, which has closed its listeners.
    ///
    /// # Panics
    /// With more than 65,536 listeners and connectors in one reactor, and with a handler's id of
    /// another reactor, unless one of the same type has that number here.
    pub fn listen<H: Handler>(
        &mut self,
        at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let (socket, file) = first_bound(at, |address| {
            let (kernel, backlog) = (&self.core.kernel, listen.backlog);
            match address {
                Address::Ip(address) => {
                    Ok((kernel.listen(*address, backlog, &listen.options())?, None))
                }
                Address::Unix(address) => kernel.listen_unix(address, listen.unix_mode, backlog),
            }
        })?;
        self.add_listener(socket, Origin::Made(file), listen, handler)
    }

    /// Accepts from a listening socket that was opened elsewhere: a
    /// [`TcpListener`](std::net::TcpListener), a
    /// [`UnixListener`](std::os::unix::net::UnixListener), or one that was
    /// [there at the start](crate::activation).
    ///
    /// It becomes non-blocking and close-on-exec, and gets the options in `listen`. Other processes
    /// that have it open see the change too, except for close-on-exec. The file of a Unix socket
    /// stays when the listener is closed.
    ///
    /// ```no_run
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// use sluicegate_reactor::{Listen, Reactor};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let echo = reactor.register(Echo);
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// reactor.adopt_listener(listener, &Listen::default(), echo)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if it is not a listening stream socket, and what setting its
    /// options returns. The socket is closed then.
    ///
    /// # Panics
    /// As [`listen`](Reactor::listen).
    pub fn adopt_listener<H: Handler>(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let socket = self.core.kernel.adopt_listener(socket.into(), &listen.options())?;
        self.add_listener(socket, Origin::Adopted, listen, handler)
    }

    /// Takes up a listening socket, or closes it.
    pub(crate) fn add_listener<H: Handler>(
        &mut self,
        socket: Fd,
        origin: Origin,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let id = self.next_listener(handler);
        match self.watch_listener(socket, id) {
            Ok(address) => {
                Ok(self.push_listener(Source::Socket(socket, origin), address, listen, handler))
            }
            Err(error) => {
                if let Origin::Made(Some(file)) = origin {
                    file.remove();
                }
                self.core.kernel.close(socket);
                Err(error)
            }
        }
    }

    /// Takes up what another reactor accepts at an address.
    pub(crate) fn add_landing<H: Handler>(
        &mut self,
        lane: Lane,
        address: Address,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> ListenerId {
        let landing = lane.land(self.mail.bell());
        self.push_listener(Source::Landing(landing), address, listen, handler)
    }

    fn next_listener<H: Handler>(&mut self, handler: HandlerId<H>) -> u16 {
        assert!(self.handlers.has(handler), "an id of another reactor");
        u16::try_from(self.listeners.len()).expect("at most 65,536 listeners")
    }

    fn push_listener<H: Handler>(
        &mut self,
        source: Source,
        address: Address,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> ListenerId {
        let index = self.next_listener(handler);
        let group = self.core.add_group(Group::of_listener(listen, address.clone()));
        let place = (handler.index, group);
        self.listeners.push(Listener::new(source, address, place, listen));
        ListenerId { index, group }
    }

    fn watch_listener(&mut self, socket: Fd, id: u16) -> io::Result<Address> {
        if self.core.draining || self.has_stopped() {
            return Err(io::Error::other(
                "the reactor has closed its listeners, as it was stopped",
            ));
        }
        let core = &mut self.core;
        let address = core.kernel.local_address(socket)?;
        core.selector.add_listener(socket, LISTENER_BIT | u64::from(id))?;
        Ok(address)
    }

    /// The address a listener is bound to, with the port that was chosen.
    ///
    /// # Panics
    /// When the reactor has run and stopped, which closed its listeners.
    #[must_use]
    pub fn local_address(&self, listener: ListenerId) -> &Address {
        &self.listeners[listener.index as usize].address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_that_can_be_bound_is_taken_and_no_other_one_is_tried() {
        let addresses = ["/taken", "/free", "/other"].map(|path| Address::from_path(path).unwrap());
        let mut tried = 0;
        let mut bind = |address: &Address| {
            tried += 1;
            let path = address.path().unwrap().to_owned();
            if path.ends_with("taken") { Err(io::Error::other("taken")) } else { Ok(path) }
        };
        assert!(first_of(&addresses, &mut bind).unwrap().unwrap().ends_with("free"));
        assert_eq!(first_of(&addresses[..1], &mut bind).unwrap().unwrap_err().to_string(), "taken");
        assert!(first_of(&[], &mut bind).is_none());
        assert_eq!(tried, 3);
    }
}
