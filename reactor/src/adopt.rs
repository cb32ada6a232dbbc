//! Taking over connected sockets that somebody else has made.

use std::io;
use std::os::fd::OwnedFd;

use crate::connection::Flags;
use crate::handler::{ConnId, Handler, HandlerId};
use crate::limits::Limits;
use crate::listener::Group;
use crate::reactor::Reactor;
use crate::state::Core;
use crate::sys::Fd;

impl Reactor {
    /// Serves a connected stream that was made elsewhere: a [`TcpStream`](std::net::TcpStream), a
    /// [`UnixStream`](std::os::unix::net::UnixStream), or a descriptor passed by another process.
    /// Its handler gets [`on_ready`](Handler::on_ready) in the next turn.
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
    /// With a handler's id of another reactor.
    pub fn adopt<H: Handler>(
        &mut self,
        stream: impl Into<OwnedFd>,
        handler: HandlerId<H>,
        limits: &Limits,
        session: H::Session,
    ) -> io::Result<ConnId> {
        self.handlers.get(handler);
        let socket = self.core.kernel.adopt_stream(stream.into())?;
        let id = self.core.adopt_stream(socket, handler.index, limits);
        let id = id.inspect_err(|_| self.core.kernel.close(socket))?;
        let slot = self.handlers.store(handler, session);
        if let Some(c) = self.core.get_mut(id.index) {
            c.slot = slot;
            c.flags.set(Flags::SESSION);
            c.flags.set(Flags::OWES_READY);
        }
        self.core.list(id.index);
        Ok(id)
    }
}

impl Core {
    fn adopt_stream(&mut self, socket: Fd, handler: u8, limits: &Limits) -> io::Result<ConnId> {
        let peer = self.kernel.peer_address(socket)?;
        let flags = if peer.is_unix() { Flags::UNIX } else { Flags::default() };
        let group = self.adopted_group(limits)?;
        let id = self.adopt(socket, group, handler, flags)?;
        self.ledger.adopted += 1;
        Ok(id)
    }

    /// The group of adopted connections with these limits. A program has few different ones.
    fn adopted_group(&mut self, limits: &Limits) -> io::Result<u16> {
        let same = |group: &Group| group.shared && group.limits == *limits;
        let index = self.groups.iter().position(same).unwrap_or(self.groups.len());
        let group = u16::try_from(index).map_err(|_| {
            io::Error::other("connections were adopted with too many sets of limits")
        })?;
        if index == self.groups.len() {
            self.groups.push(Group::of_adopted(limits.clone()));
        }
        Ok(group)
    }
}
