//! Observers, and what a reactor tells them.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{ConnId, Connection, Core, Endpoints, Reason};
use crate::sys::Address;

/// Watches the connections and turns of a reactor, whatever handlers they have: see
/// [`Reactor::observe`](crate::Reactor::observe). It suits accounting, metrics and traces.
///
/// A connection is either [`opened`](Observer::opened) and later [`closed`](Observer::closed), or
/// it [`failed`](Observer::failed). Bytes move only in between. Connections that a listener refuses
/// immediately are not reported; [`Ledger`](crate::Ledger) counts them.
///
/// The reactor makes these calls during its work, also from inside callbacks of handlers, so they
/// should return soon. They cannot reach the reactor. An observer that panics is dropped: the panic
/// is logged, and the reactor continues without it.
///
/// All methods do nothing by default.
///
/// ```
/// use std::cell::RefCell;
/// use std::collections::HashMap;
/// use std::io::Write;
/// use std::net::TcpStream;
/// use std::rc::Rc;
///
/// # use sluicegate_reactor::{Context, Handler, Input};
/// use sluicegate_reactor::{Address, Listen, Observed, Observer, Reactor};
///
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
/// #         cx.send(input.take());
/// #     }
/// # }
/// /// Counts the bytes sent by each listener's connections.
/// #[derive(Clone, Default)]
/// struct Sent(Rc<RefCell<HashMap<Address, u64>>>);
///
/// impl Observer for Sent {
///     fn sent(&mut self, connection: &Observed<'_>, bytes: u64) {
///         if let Some(listener) = connection.listener() {
///             *self.0.borrow_mut().entry(listener.clone()).or_default() += bytes;
///         }
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let sent = Sent::default();
/// reactor.observe(sent.clone());
/// let echo = reactor.register(Echo);
/// let listener = reactor.listen("127.0.0.1:0", &Listen::default(), echo)?;
/// let address = reactor.listener_address(listener).expect("it is open").clone();
///
/// let mut client = TcpStream::connect(address.ip_and_port().expect("it is no Unix address"))?;
/// client.write_all(b"hello")?;
/// while sent.0.borrow().get(&address) != Some(&5) {
///     reactor.turn(None)?;
/// }
/// # Ok(())
/// # }
/// ```
#[expect(unused_variables, reason = "the defaults do nothing")]
pub trait Observer: 'static {
    /// A connection is ready for its handler: accepted, [adopted](crate::Turn::adopt) or
    /// [connected](crate::Turn::connect), and past the handshake of its transport.
    fn opened(&mut self, connection: &Observed<'_>) {}

    /// Bytes have arrived; the handler has not seen them yet. If a transport encrypts the
    /// connection, they are those that it has opened.
    fn received(&mut self, connection: &Observed<'_>, bytes: u64) {}

    /// The kernel has accepted bytes to send. If a transport encrypts the connection, they are
    /// counted before they are sealed.
    fn sent(&mut self, connection: &Observed<'_>, bytes: u64) {}

    /// An opened connection is over; the handler's [`on_close`](crate::Handler::on_close) follows.
    /// The socket may [linger](crate::Limits::linger_time).
    fn closed(&mut self, connection: &Observed<'_>, why: Reason) {}

    /// A connection has ended before it was opened: it was not established, or the handshake of its
    /// transport was not completed.
    fn failed(&mut self, connection: &Observed<'_>, why: Reason) {}

    /// A turn has ended. It took this time, from the end of its wait for events.
    fn turn(&mut self, time: Duration) {}
}

/// A connection, as an [`Observer`] sees it. It is printed as in the log, with its id, its peer and
/// its listener.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    core: &'a Core,
    index: u32,
}

impl<'a> Observed<'a> {
    /// The id, which no later connection of the reactor has.
    pub fn id(&self) -> ConnId {
        self.core.id(self.index)
    }

    /// The address of the peer: what the transport says, or else the socket, which takes a system
    /// call.
    ///
    /// # Errors
    /// The error of `getpeername(2)`, such as `NotConnected` after a reset.
    pub fn peer(&self) -> io::Result<Address> {
        Endpoints::of(self.core, self.index).peer()
    }

    /// The address of the listener that has accepted the connection, if one has.
    pub fn listener(&self) -> Option<&'a Address> {
        self.core.groups[usize::from(self.core[self.index].group)].address.as_ref()
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.core[self.index].received
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.core[self.index].sent
    }
}

impl fmt::Display for Observed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.core.describe(self.index))
    }
}

impl fmt::Debug for Observed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observed({self})")
    }
}

impl Core {
    /// Reports that a connection is open.
    pub(crate) fn note_opened(&mut self, index: u32) {
        log::debug!("{}: opened", self.describe(index));
        self.observe(index, |observer, connection| observer.opened(connection));
    }

    /// Reports that a connection has received bytes, unless there are none.
    #[inline]
    pub(crate) fn observe_received(&mut self, index: u32, bytes: u64) {
        self.observe(index, |observer, connection| {
            if bytes > 0 {
                observer.received(connection, bytes);
            }
        });
    }

    /// Reports that a connection has sent bytes, unless there are none.
    #[inline]
    pub(crate) fn observe_sent(&mut self, index: u32, bytes: u64) {
        self.observe(index, |observer, connection| {
            if bytes > 0 {
                observer.sent(connection, bytes);
            }
        });
    }

    /// Reports that a connection is over, before anything of it is dropped.
    pub(crate) fn note_end(&mut self, index: u32) {
        let c = &self[index];
        let Connection { reason: why, received, sent, .. } = *c;
        if c.was_opened() {
            log::debug!(
                "{}: closed: {why:?}; received {received} bytes, sent {sent}",
                self.describe(index)
            );
            self.observe(index, |observer, connection| observer.closed(connection, why));
        } else {
            log::debug!("{}: not opened: {why:?}", self.describe(index));
            self.observe(index, |observer, connection| observer.failed(connection, why));
        }
    }

    /// Tells the observer, if there is one, about a connection.
    #[inline]
    fn observe(&mut self, index: u32, event: impl FnOnce(&mut dyn Observer, &Observed<'_>)) {
        if self.observer.is_some() {
            self.tell(|observer, core| event(observer, &Observed { core, index }));
        }
    }

    /// Tells the observer, and drops it if it panics.
    #[cold]
    #[inline(never)]
    pub(super) fn tell(&mut self, event: impl FnOnce(&mut dyn Observer, &Core)) {
        let Some(mut observer) = self.observer.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| event(&mut *observer, self))).is_ok() {
            self.observer = Some(observer);
        } else {
            log::error!("the observer panicked, and is dropped");
        }
    }
}
