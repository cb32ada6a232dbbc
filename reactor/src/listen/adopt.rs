//! Taking over connected sockets that somebody else has made.

use std::io;
use std::os::fd::OwnedFd;

use crate::core::Core;
use crate::core::connection::Flags;
use crate::core::limits::Limits;
use crate::handler::{ConnId, Handler, HandlerId};
use crate::listen::listener::Group;
use crate::sys::Fd;
use crate::turn::reactor::Reactor;

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
        // Its deadlines count from now, not from the turn before.
        self.core.read_clock();
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
        self.groups[usize::from(group)].ledger.adopted += 1;
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::time::deadlines::{is_due, tick_of};
    use crate::{Context, Input};

    struct Silent;

    impl Handler for Silent {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }

    #[test]
    fn deadlines_that_begin_between_turns_count_from_then() {
        // In ticks.
        const HOUR: u32 = 220_000;
        let mut reactor = Reactor::new().unwrap();
        let silent = reactor.register(Silent);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        // As if the last turn had been so long ago.
        reactor.core.tick = reactor.core.tick.wrapping_sub(HOUR);
        let id = reactor.adopt(ours, silent, &Limits::default(), ()).unwrap();
        let is_over = |reactor: &Reactor| {
            let c = reactor.core.find(id).expect("an adopted connection");
            let (due, _) = reactor.core.first_deadline(c).expect("it may not be idle for ever");
            is_due(due, tick_of(reactor.core.kernel.monotonic()))
        };
        assert!(!is_over(&reactor), "idle before its first turn");
        reactor.core.tick = reactor.core.tick.wrapping_sub(HOUR);
        reactor.peer(id).set_deadline(Some(Duration::from_secs(60)));
        assert!(!is_over(&reactor), "its own deadline has passed when it is set");
    }
}
