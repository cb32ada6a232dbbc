//! Opening connections: listening, adopting sockets, connecting.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use super::{Handler, Turn};
use crate::connect::{Connect, Connector, attempt};
use crate::core::transport::Transport;
use crate::core::{ConnId, Group, HandlerId, Limits, Target};
use crate::listen::listener::{Listener, Source};
use crate::listen::{self, Listen, ListenerId, Origin, update};
use crate::sys::Address;

/// Listening. A listener added in a callback begins in the same turn; no handler is called from
/// inside these methods.
impl Turn {
    /// Listens on an address or host name: anything that is or parses as a [`Target`], such as
    /// `"127.0.0.1:80"`, `"[fe80::1%eth0]:80"`, `"unix:/run/name.sock"`, `("localhost", 80)` or an
    /// [`Address`]. With port 0 the kernel chooses a free port, which
    /// [`listener_address`](Turn::listener_address) returns. If a name has several addresses, the
    /// first one that can be bound is used. Resolving a name may block for seconds.
    ///
    /// # Unix sockets
    ///
    /// When the listener is closed, its socket also stops listening in processes that were forked
    /// meanwhile. To share a socket with other processes, open it elsewhere and
    /// [adopt](Turn::adopt_listener) it.
    ///
    /// The file of a Unix socket gets the permissions [`Listen::unix_mode`]. A stale socket file,
    /// as left by a crash, is replaced; the reactor detects it by trying to connect. The file is
    /// removed when the listener closes, unless another file has taken its place. While the
    /// listener is open, the file `path.lock` beside it is locked (`flock(2)`) and contains the
    /// process id. If several servers start at the same time, one gets the address and the others
    /// get an error. Only users who are trusted not to replace these files should be able to write
    /// to the directory.
    ///
    /// The client of a Unix socket cannot tell whether its connection was closed or reset. If the
    /// connection is [aborted](crate::Peer::abort), the client sees the end of the stream,
    /// unless the server has left some of its input unread.
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
    /// // For a proxy that runs as a different user in the same group.
    /// let listen = Listen { unix_mode: 0o660, ..Listen::default() };
    /// reactor.listen("unix:/run/echo.sock", &listen, echo)?;
    /// reactor.run()
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of parsing or resolving the target, of `bind(2)`, `listen(2)` or setting socket
    /// options, with the target or address in the message. For a Unix socket,
    /// `ErrorKind::AddrInUse` if another process listens at the path, and
    /// `ErrorKind::AlreadyExists` if the file there is not a socket. `ErrorKind::QuotaExceeded` if
    /// the reactor has had 65,536 listeners and connectors, including closed ones. A reactor that
    /// has stopped also returns an error.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor. This is not detected if this reactor has a
    /// handler of the same type with that number.
    pub fn listen<H: Handler>(
        &mut self,
        at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let open = |address: &_| listen::open(&self.core.kernel, address, listen, 1);
        let (socket, origin) = listen::first_bound(at, open)?.remove(0);
        self.add_listener(Source::Socket(socket, origin, None), listen, handler, None)
    }

    /// Accepts connections from a listening socket that was opened elsewhere: a
    /// [`TcpListener`](std::net::TcpListener), a
    /// [`UnixListener`](std::os::unix::net::UnixListener), or one that was [passed at
    /// startup](crate::activation).
    ///
    /// The socket becomes non-blocking and close-on-exec, and gets the options in `listen`. Other
    /// processes that have it open see the change too, except for close-on-exec. The file of a Unix
    /// socket is not removed when the listener closes, and the socket still listens wherever else it
    /// is open.
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
    /// `ErrorKind::InvalidInput` if the socket is not a listening stream socket, otherwise the
    /// error of setting its options. The socket is closed on error.
    ///
    /// # Panics
    /// In the same cases as [`listen`](crate::Turn::listen).
    pub fn adopt_listener<H: Handler>(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let socket = self.core.kernel.adopt_listener(socket.into(), &listen.tcp)?;
        self.add_listener(Source::Socket(socket, Origin::Adopted, None), listen, handler, None)
    }

    /// Stops listening, and returns whether the listener was open. The kernel resets the
    /// connections that wait in the backlog; accepted ones continue.
    pub fn close_listener(&mut self, listener: ListenerId) -> bool {
        let mut was_open = false;
        for place in &mut self.listeners {
            if let Some(listener) = place.take_if(|other| other.group == listener.group) {
                listener.close(&mut self.core);
                was_open = true;
            }
        }
        was_open
    }

    /// Changes the limits of a listener, and returns whether it was open.
    ///
    /// This takes [`max_connections`](Listen::max_connections), [`when_full`](Listen::when_full)
    /// and [`max_per_address`](Listen::max_per_address) of `listen`, and [`idle`](Limits::idle) and
    /// [`send_rate`](Limits::send_rate) of its limits. Nothing else changes. On a thread of a [`Server`](crate::Server), pass
    /// [`listen.share(threads)`](Listen::share), or each thread takes the whole maximum.
    ///
    /// The new limits also apply to the connections that are open. Those beyond a smaller maximum
    /// stay, and new ones are treated as `when_full` says. A connection that has already been
    /// silent for longer than the new idle time times out. A rate that has changed also replaces
    /// one that was [set](crate::Peer::set_send_rate) for a connection.
    ///
    /// This takes time in proportion to the number of connections of the reactor, and a system call
    /// for each one of the listener if there was no maximum per client before.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// use sluicegate_reactor::{Limits, Listen, Reactor};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let echo = reactor.register(Echo);
    /// let listener = reactor.listen("127.0.0.1:0", &Listen::default(), echo)?;
    /// let limits = Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() };
    /// let listen = Listen { max_connections: 1000, limits, ..Listen::default() };
    /// assert!(reactor.set_limits(listener, &listen));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_limits(&mut self, listener: ListenerId, listen: &Listen) -> bool {
        let mut was_open = false;
        for listener in
            self.listeners.iter_mut().flatten().filter(|other| other.group == listener.group)
        {
            listener.options.when_full = listen.when_full;
            was_open = true;
        }
        if was_open {
            update::set_limits(&mut self.core, listener.group, listen);
        }
        was_open
    }

    /// The address a listener is bound to, with the port that was chosen. `None` once it is closed;
    /// all listeners close when the reactor stops.
    pub fn listener_address(&self, listener: ListenerId) -> Option<&Address> {
        let mut open = self.listeners.iter().flatten();
        open.find(|other| other.group == listener.group).map(|listener| &listener.address)
    }

    /// Adds a listener for a source, or closes the source. Its connections can be in the group of
    /// another listener.
    pub(crate) fn add_listener<H: Handler>(
        &mut self,
        source: Source,
        listen: &Listen,
        handler: HandlerId<H>,
        beside: Option<ListenerId>,
    ) -> io::Result<ListenerId> {
        self.assert_known(handler);
        let index = self.listeners.len();
        let group = beside.map(|other| other.group);
        let listener = Listener::new(&mut self.core, index, source, listen, handler.index, group)?;
        let id = ListenerId { group: listener.group };
        self.listeners.push(Some(listener));
        Ok(id)
    }
}

/// Connected sockets.
impl Turn {
    /// Adopts a connected stream that was opened elsewhere: a [`TcpStream`](std::net::TcpStream), a
    /// [`UnixStream`](std::os::unix::net::UnixStream), or a descriptor passed by another process.
    /// The handler's [`on_ready`](crate::Handler::on_ready) is called soon, but never from inside
    /// this call.
    ///
    /// The stream becomes non-blocking and close-on-exec, and gets `TCP_NODELAY`. If other
    /// processes have it open as well, it becomes non-blocking for them too. In that case, when
    /// this side closes the connection, the peer sees the end of the stream, but no full close or
    /// reset until the other processes have closed it too.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream;
    /// use sluicegate_reactor::{Context, Handler, Input, Limits, Reactor};
    ///
    /// struct Greeter;
    ///
    /// impl Handler for Greeter {
    ///     type Session = &'static str;
    ///     fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
    ///         "stranger"
    ///     }
    ///     fn on_ready(&mut self, cx: &mut Context<'_>, name: &mut &'static str) {
    ///         cx.send(*name);
    ///         cx.close();
    ///     }
    ///     fn on_data(&mut self, _: &mut Context<'_>, _: &mut &'static str, _: &mut Input<'_>) {}
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let mut reactor = Reactor::new()?;
    /// let greeter = reactor.register(Greeter);
    /// reactor.adopt(ours, greeter, &Limits::default(), "friend")?;
    /// reactor.turn(None)?;
    ///
    /// let mut received = String::new();
    /// theirs.read_to_string(&mut received)?;
    /// assert_eq!(received, "friend");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if it is not a stream socket, `ErrorKind::NotConnected` if it is
    /// not connected, otherwise the error of setting its options or registering it. A reactor that
    /// has stopped returns an error. On error the stream is closed and the session dropped.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor. This is not detected if this reactor has a
    /// handler of the same type with that number.
    pub fn adopt<H: Handler>(
        &mut self,
        stream: impl Into<OwnedFd>,
        handler: HandlerId<H>,
        limits: &Limits,
        session: H::Session,
    ) -> io::Result<ConnId> {
        self.assert_known(handler);
        let socket = self.core.kernel.adopt_stream(stream.into())?;
        let id = listen::adopt(&mut self.core, socket, handler.index, limits);
        let id = id.inspect_err(|_| self.core.kernel.close(socket))?;
        self.sessions.insert(id.index, Box::new(session));
        Ok(id)
    }

    /// Creates a connector, which a handler uses to connect to remote hosts. It lasts as long as
    /// the reactor, so one serves for all connections with the same options.
    ///
    /// To give a handler its own connector, reserve its id first:
    ///
    /// ```
    /// # use sluicegate_reactor::{Connect, Connector, Context, Handler, Input, Reactor};
    /// # struct Proxy { upstream: Connector<Proxy> }
    /// # impl Handler for Proxy {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         input.take();
    /// #     }
    /// # }
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let proxy = reactor.reserve();
    /// let upstream = reactor.connector(proxy, &Connect::default())?;
    /// reactor.install(proxy, Proxy { upstream });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ErrorKind::QuotaExceeded` if the reactor has had 65,536 listeners and connectors, including
    /// closed listeners.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor. This is not detected if this reactor has a
    /// handler of the same type with that number.
    pub fn connector<H: Handler>(
        &mut self,
        handler: HandlerId<H>,
        connect: &Connect,
    ) -> io::Result<Connector<H>> {
        self.assert_known(handler);
        let options = Some(Box::new(connect.clone()));
        let group = Group { connector: options, ..Group::new(connect.limits.clone(), None) };
        Ok(Connector { group: self.core.add_group(group)?, handler })
    }

    /// Starts to connect, and returns the id of the connection immediately.
    ///
    /// Output sent to that id is queued, and is sent as soon as the connection is established. If
    /// anything is queued, [`close`](crate::Peer::close) waits for the connection and sends the
    /// queue; otherwise it cancels the attempt, as [`abort`](crate::Peer::abort) always does. In
    /// every case [`on_close`](crate::Handler::on_close) is called once, with the session.
    ///
    /// The target is an [`Address`](crate::Address) or a [`Target`]. Text is parsed beforehand:
    /// `"example.org:80".parse::<Target>()?`.
    ///
    /// Host names are resolved on [other threads](crate::workers). The addresses are tried one after
    /// another, in the order of RFC 8305, until one accepts. If none does, the reason passed to
    /// `on_close` is the one from the last address.
    ///
    /// A stopped reactor does not connect. If `connect` is called in an `on_close` with
    /// [`Reason::Stopped`](crate::Reason::Stopped), the returned id is already stale and the
    /// session is dropped.
    ///
    /// # Panics
    /// If the connector belongs to another reactor.
    pub fn connect<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: impl Into<Target>,
        session: H::Session,
    ) -> ConnId {
        self.start(connector, target.into(), None, session)
    }

    /// Starts to connect like [`connect`](Turn::connect), but uses the given transport instead of
    /// one made by [`Connect::transport`](crate::Connect).
    ///
    /// # Panics
    /// If the connector belongs to another reactor.
    pub fn connect_through<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: impl Into<Target>,
        transport: Box<dyn Transport>,
        session: H::Session,
    ) -> ConnId {
        self.start(connector, target.into(), Some(transport), session)
    }

    fn start<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: Target,
        transport: Option<Box<dyn Transport>>,
        session: H::Session,
    ) -> ConnId {
        let group = self.core.groups.get(usize::from(connector.group));
        let known = group.is_some_and(|group| group.connector.is_some());
        assert!(known && self.knows(connector.handler), "Connector belongs to another reactor");
        let (group, handler) = (connector.group, connector.handler.index);
        let id = attempt::start(&mut self.core, group, handler, target, transport);
        if self.core.find(id).is_some() {
            self.sessions.insert(id.index, Box::new(session));
        }
        id
    }
}
