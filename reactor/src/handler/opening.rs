//! How connections begin: listening, taking over sockets, connecting.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use super::{Handler, Turn};
use crate::connect::{self, Connector};
use crate::core::{ConnId, HandlerId, Limits, Target};
use crate::listen::listener::Origin;
use crate::listen::{self, Listen, ListenerId, first_bound};
use crate::sys::{Address, Fd};

/// Listening. From a callback it begins in the same turn, and no handler is called from inside.
impl Turn {
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
    /// If the [`HandlerId`] belongs to another reactor, unless a handler of the same type has that
    /// number here.
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
    /// As [`listen`](crate::Turn::listen).
    pub fn adopt_listener<H: Handler>(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        let socket = self.core.kernel.adopt_listener(socket.into(), &listen.options())?;
        self.add_listener(socket, Origin::Adopted, listen, handler)
    }

    /// Stops listening. What waits in the backlog is reset by the kernel; connections that were
    /// accepted go on. Says whether it was listening.
    pub fn close_listener(&mut self, listener: ListenerId) -> bool {
        let place = self.listeners.get_mut(usize::from(listener.index));
        let listener = place.and_then(Option::take);
        let was_open = listener.is_some();
        listener.into_iter().for_each(|listener| listener.close(&mut self.core));
        was_open
    }

    /// The address a listener is bound to, with the port that was chosen; `None` once it is closed,
    /// as all are when the reactor stops.
    #[must_use]
    pub fn listener_address(&self, listener: ListenerId) -> Option<&Address> {
        let listener = self.listeners.get(usize::from(listener.index))?.as_ref()?;
        Some(&listener.address)
    }

    /// Takes a listening socket, or closes it.
    pub(crate) fn add_listener<H: Handler>(
        &mut self,
        socket: Fd,
        origin: Origin,
        listen: &Listen,
        handler: HandlerId<H>,
    ) -> io::Result<ListenerId> {
        self.assert_known(handler);
        listen::add(&mut self.core, &mut self.listeners, (socket, origin), listen, handler.index)
    }
}

/// Connected sockets.
impl Turn {
    /// Serves a connected stream that was made elsewhere: a [`TcpStream`](std::net::TcpStream), a
    /// [`UnixStream`](std::os::unix::net::UnixStream), or a descriptor passed by another process.
    /// Its handler gets [`on_ready`](crate::Handler::on_ready) in the next turn.
    ///
    /// It is made non-blocking and close-on-exec, and does not delay (`TCP_NODELAY`). Others may
    /// have it open as well; then they see that it is non-blocking, and the peer sees the end of
    /// the connection, but neither the close nor a reset, before they have closed it too.
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
    /// not connected, and what setting its options and registering it says. The stream is closed
    /// then, and the session is dropped.
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

    /// Asks for a connection and returns its name at once.
    ///
    /// What is sent to it by that name from now on is queued, and leaves first when the connection
    /// is made. [`close`](crate::Peer::close) lets it be made if something was sent, to deliver
    /// that; else, as [`abort`](crate::Peer::abort) always does, it gives the attempt up. In every
    /// case [`on_close`](crate::Handler::on_close) gives the session back, once.
    ///
    /// The addresses of a name are looked up by another thread, and tried one after the other, in
    /// the order of RFC 8305, until one answers. If none does, the reason is that of the last.
    /// Connections to loopback addresses are not paced, nor are [those that are
    /// accepted](crate::Turn::listen) there.
    ///
    /// A reactor that has stopped connects no more: what is asked for in an `on_close` with
    /// [`Reason::Stopped`](crate::Reason::Stopped) is gone from the start, and its session dropped.
    ///
    /// # Panics
    /// With a connector of another reactor.
    pub fn connect<H: Handler>(
        &mut self,
        connector: Connector<H>,
        target: impl Into<Target>,
        session: H::Session,
    ) -> ConnId {
        assert!(
            self.knows(connector.handler) && self.connecting.knows(connector.index),
            "Connector belongs to another reactor"
        );
        let target = target.into();
        let id = connect::start(&mut self.core, &mut self.connecting, connector.index, target);
        if self.core.find(id).is_some() {
            self.sessions.insert(id.index, Box::new(session));
        }
        id
    }
}
