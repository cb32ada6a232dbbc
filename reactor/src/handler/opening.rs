//! How connections begin: listening, adopting sockets, connecting.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use super::{Handler, Turn};
use crate::connect::{Connector, attempt};
use crate::core::{ConnId, HandlerId, Limits, Target};
use crate::listen::listener::{Listener, Origin, Source};
use crate::listen::{self, Listen, ListenerId};
use crate::sys::Address;

/// Listening. A listener added in a callback begins in the same turn; no handler is called from
/// inside these methods.
impl Turn {
    /// Listens on an address or name: anything that is or parses as a [`Target`], such as
    /// `"127.0.0.1:80"`, `"[fe80::1%eth0]:80"`, `"unix:/run/name.sock"`, `("localhost", 80)` or an
    /// [`Address`]. With port 0 the kernel chooses a free port, which
    /// [`listener_address`](Turn::listener_address) returns. If a name has several addresses,
    /// the first that can be bound is taken. Looking a name up may block for seconds.
    ///
    /// # Unix sockets
    ///
    /// The file of a Unix socket gets the permissions [`Listen::unix_mode`]. If nobody listens at
    /// an existing socket, as after a crash, it is replaced; the reactor tries to connect to it to
    /// find out. The file is removed when the listener closes, unless another file has taken its
    /// place. While the listener is open, the file `path.lock` beside it is locked (`flock(2)`) and
    /// holds the process id. If several servers start at once, one gets the address and the others
    /// an error. Only users who are trusted not to replace these files should be able to write to
    /// the directory.
    ///
    /// The client of a Unix socket cannot tell whether its connection was closed or reset. If it is
    /// [aborted](crate::Context::abort), it sees the end of the stream, unless the server has left
    /// some of its input unread.
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
    /// The error of parsing the target, looking it up, `bind(2)`, `listen(2)` or setting the
    /// socket's options, with the target or address in the text. For a Unix socket
    /// `ErrorKind::AddrInUse` if another process listens at the path, and
    /// `ErrorKind::AlreadyExists` if a file there is not a socket. `ErrorKind::QuotaExceeded` if the
    /// reactor has had 65,536 listeners and connectors; closed listeners count too. Also an error if
    /// the reactor has stopped, since its listeners are closed.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor, unless a handler of the same type has that
    /// number here.
    pub fn listen<H: Handler>(
        &mut self,
        at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let (socket, origin) = listen::open(&self.core.kernel, at, listen, 1)?.remove(0);
        self.add_listener(Source::Socket(socket, origin, None), listen, handler)
    }

    /// Accepts from a listening socket that was opened elsewhere: a
    /// [`TcpListener`](std::net::TcpListener), a
    /// [`UnixListener`](std::os::unix::net::UnixListener), or one that was [passed at
    /// start](crate::activation).
    ///
    /// The socket becomes non-blocking and close-on-exec, and gets the options in `listen`. Other
    /// processes that have it open see the change too, except for close-on-exec. The file of a Unix
    /// socket stays when the listener closes.
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
    /// As [`listen`](crate::Turn::listen).
    pub fn adopt_listener<H: Handler>(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let socket = self.core.kernel.adopt_listener(socket.into(), &listen.tcp)?;
        self.add_listener(Source::Socket(socket, Origin::Adopted, None), listen, handler)
    }

    /// Stops listening, and returns whether the listener was open. The kernel resets the
    /// connections that wait in the backlog; accepted ones go on.
    pub fn close_listener(&mut self, listener: ListenerId) -> bool {
        let place = self.listeners.get_mut(usize::from(listener.index));
        let listener = place.and_then(Option::take);
        let was_open = listener.is_some();
        listener.into_iter().for_each(|listener| listener.close(&mut self.core));
        was_open
    }

    /// The address a listener is bound to, with the port that was chosen. `None` once it is closed;
    /// all listeners close when the reactor stops.
    #[must_use]
    pub fn listener_address(&self, listener: ListenerId) -> Option<&Address> {
        let listener = self.listeners.get(usize::from(listener.index))?.as_ref()?;
        Some(&listener.address)
    }

    /// Adds a listener for a source, or closes the source.
    pub(crate) fn add_listener<H: Handler>(
        &mut self,
        source: Source,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        self.assert_known(handler);
        let index = self.listeners.len();
        let listener = Listener::new(&mut self.core, index, source, listen, handler.index)?;
        // There are no more listeners than groups.
        let id = ListenerId { index: index as u16, group: listener.group };
        self.listeners.push(Some(listener));
        Ok(id)
    }
}

/// Connected sockets.
impl Turn {
    /// Serves a connected stream that was opened elsewhere: a [`TcpStream`](std::net::TcpStream), a
    /// [`UnixStream`](std::os::unix::net::UnixStream), or a descriptor passed by another process.
    /// Its handler soon gets [`on_ready`](crate::Handler::on_ready), never from inside this call.
    ///
    /// The stream becomes non-blocking and close-on-exec, and gets `TCP_NODELAY`. If other
    /// processes have it open as well, they see that it is non-blocking. The peer then sees the end
    /// of the connection, but neither the close nor a reset until they close it, too.
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
    /// has stopped adopts nothing. On error the stream is closed and the session dropped.
    ///
    /// # Panics
    /// If the [`HandlerId`] belongs to another reactor, unless a handler of the same type has that
    /// number here.
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

    /// Asks for a connection and returns its id at once.
    ///
    /// Output sent to that id is queued and leaves as soon as the connection is made. If something
    /// is queued, [`close`](crate::Peer::close) waits for the connection and delivers it; otherwise
    /// it gives the attempt up, as [`abort`](crate::Peer::abort) always does. In every case
    /// [`on_close`](crate::Handler::on_close) returns the session, once.
    ///
    /// Another thread looks up the addresses of a name. They are tried one after the other, in the
    /// order of RFC 8305, until one answers. If none does, the reason is that of the last one.
    ///
    /// A stopped reactor does not connect. A connection asked for in an `on_close` with
    /// [`Reason::Stopped`](crate::Reason::Stopped) is gone from the start, and its session is
    /// dropped.
    ///
    /// # Panics
    /// If the connector belongs to another reactor.
    pub fn connect<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: impl Into<Target>,
        session: H::Session,
    ) -> ConnId {
        let group = self.core.groups.get(usize::from(connector.group));
        let known = group.is_some_and(|group| group.connect.is_some());
        assert!(known && self.knows(connector.handler), "Connector belongs to another reactor");
        let (group, handler) = (connector.group, connector.handler.index);
        let id = attempt::start(&mut self.core, group, handler, target.into());
        if self.core.find(id).is_some() {
            self.sessions.insert(id.index, Box::new(session));
        }
        id
    }
}
