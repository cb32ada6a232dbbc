//! The handle that sends requests.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

use sluicegate_reactor::{Reactor, Target, Turn};

use super::error::Cause;
use super::exchange::Exchange;
use super::options::ClientOptions;
use super::pool::{ConnectionCounts, Shared};
use super::request::Request;
use super::session::{ExchangeId, Place, Running};
use super::stream::{RequestStream, StreamState};

/// A client of one origin, in one reactor. Clones share its connections.
///
/// See the [module](super) for an example.
pub struct Client<E: Exchange> {
    shared: Rc<Shared<E>>,
}

impl<E: Exchange> Client<E> {
    /// Registers a client with a reactor. It connects when there are requests to send. The origin
    /// is a [`Target`], an address, or text such as `localhost:8080`.
    ///
    /// # Errors
    /// If the origin is text that is not a target; the message says why. Otherwise the same as
    /// those of [`Turn::connector`](sluicegate_reactor::Turn::connector).
    pub fn new(
        reactor: &mut Reactor,
        origin: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        options: &ClientOptions,
    ) -> io::Result<Client<E>> {
        let origin = Target::of(origin)
            .map_err(|error| io::Error::new(error.kind(), format!("origin {error}")))?;
        Ok(Client { shared: Shared::register(reactor, origin, options)? })
    }

    /// Sends a request, from any callback of the reactor, and starts an exchange. No callback of
    /// the exchange is called from inside this call.
    ///
    /// The request is sent on the most recently used idle connection. If none is idle, a new one is
    /// opened. A request that offers an [upgrade](Request::upgrade) always gets a new one. If the
    /// limit on connections is reached, the request waits; for an upgrade, a connection that is idle
    /// or becomes so is closed.
    ///
    /// If the origin closes a reused connection before the first byte of the response, or sends 408
    /// and closes it, the request is retried once on a new connection, provided that its method is
    /// idempotent and its body is empty or in memory. A streamed body is not kept, so its request
    /// is not retried. Any other failure is reported.
    pub fn send(&self, cx: &mut Turn, request: Request, exchange: E) -> ExchangeId {
        self.start(cx, request, exchange).0
    }

    /// Sends a request whose body is [streamed](Request::stream). If a connection is available
    /// immediately, even if it is still being established, the stream is returned, and
    /// [`Exchange::on_stream`] is not called.
    pub fn send_streamed(
        &self,
        cx: &mut Turn,
        request: Request,
        exchange: E,
    ) -> (ExchangeId, Option<RequestStream>) {
        let (id, state) = self.start(cx, request, exchange);
        let high = self.shared.options.connect.limits.send_high;
        let stream = id.connection().and_then(|connection| state?.open(connection, high));
        (id, stream)
    }

    /// Starts an exchange. Returns the state of the stream too, if the body is streamed.
    fn start(
        &self,
        cx: &mut Turn,
        request: Request,
        exchange: E,
    ) -> (ExchangeId, Option<Rc<StreamState>>) {
        let id = ExchangeId::new();
        let mut stream = None;
        match request.prepare(&self.shared.host) {
            Ok(request) => {
                let running = Running::new(id.clone(), request, exchange);
                stream = running.stream().cloned();
                self.shared.submit(cx, Box::new(running));
            }
            Err(why) => {
                let cause = Cause::InvalidRequest(why);
                self.shared.refuse(cx, id.clone(), exchange, cause);
            }
        }
        (id, stream)
    }

    /// Cancels an exchange: drops its value without calling it, and closes its connection. Has no
    /// effect on an exchange that has ended.
    pub fn cancel(&self, cx: &mut Turn, id: &ExchangeId) {
        let place = id.place();
        id.set(Place::Over);
        match place {
            Place::Waiting => self.shared.remove_cancelled(),
            Place::On(connection) => cx.peer(connection).abort(),
            Place::Over => {}
        }
    }

    #[cfg(all(test, feature = "testing"))]
    pub(super) fn shared(&self) -> &Shared<E> {
        &self.shared
    }

    /// The connections to the origin, and the number of requests that wait for one.
    pub(crate) fn counts(&self) -> (ConnectionCounts, usize) {
        self.shared.counts()
    }

    /// The origin, as text.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }
}

impl<E: Exchange> Clone for Client<E> {
    fn clone(&self) -> Self {
        Client { shared: self.shared.clone() }
    }
}

impl<E: Exchange> fmt::Debug for Client<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.origin())
    }
}
