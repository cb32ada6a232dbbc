//! Clients on their way to an upstream.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::transport;
use sluicegate_reactor::{ConnId, Connector, Reason, Receive, Sessions, Turn};

use super::{Balancer, Role, Session};
use crate::proxy_protocol::Header;
use crate::raw::relay::describe;
use crate::unconnected::{self, is_own_fault};
use crate::upstreams::{Choice, Upstream, UpstreamId};

/// A client, as it and the connection to its upstream know it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ConnId,
    /// How many clients came before it.
    pub(super) number: u64,
    pub(super) source: Option<IpAddr>,
    pub(super) header: Option<Header>,
    pub(super) tried: RefCell<Vec<UpstreamId>>,
    pub(super) place: Cell<Place>,
}

/// Where a client is. When a connection ends, its role and this say what happens next:
/// - `Role::Client`, `Waiting`: the client leaves the queue.
/// - `Role::Client`, `Connecting`: the client aborts the attempt.
/// - `Role::Upstream`, `Waiting` or `Connecting`: the client tries the next upstream.
/// - `Role::Upstream`, `Gone`: the attempt was aborted, which does not count against the upstream.
/// - `Role::Upstream`, `Expired`: the attempt was aborted, and the upstream has failed.
/// - Either role, `Joined`: the relay ends the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue, or about to be.
    Waiting,
    Connecting {
        to: ConnId,
        since: Duration,
    },
    Joined,
    /// It left before it was joined.
    Gone,
    /// Its time is over, and its upstream had enough of it.
    Expired,
}

/// An upstream that was ejected may be tried again.
struct Retry;

impl Balancer {
    /// Finds an upstream for a client and starts to connect. Returns whether the client no longer
    /// waits: it connects, or it is closed.
    pub(super) fn place(&mut self, cx: &mut Turn, client: &Rc<Client>) -> bool {
        loop {
            let choice = self.upstreams.choose(cx.now(), client.source, &client.tried.borrow());
            let id = match choice {
                Choice::Connect(id) => id,
                Choice::Wait => return false,
                Choice::Exhausted => {
                    cx.peer(client.id).close();
                    return true;
                }
            };
            let session = Session(Role::Upstream(client.clone(), id));
            match self.connect(cx, self.connector, id, client.header.as_ref(), session) {
                Ok(connection) => {
                    client.place.set(Place::Connecting { to: connection, since: cx.now() });
                    return true;
                }
                Err(error) => self.note_failure(cx, client, id, &error.to_string()),
            }
        }
    }

    /// Starts to connect to an upstream, with the first bytes to send on the connection.
    pub(super) fn connect(
        &self,
        cx: &mut Turn,
        connector: Connector<Balancer>,
        id: UpstreamId,
        header: Option<&Header>,
        session: Session,
    ) -> Result<ConnId, transport::Error> {
        let Upstream { name, address } =
            self.upstreams.get(id).ok_or("it was removed from the list")?;
        self.outgoing.connect(cx, connector, (name, address), header, session)
    }

    /// Serves a client after those that came before it and wait. If there are too many that still
    /// wait, the last one is closed.
    pub(super) fn serve(&mut self, cx: &mut Turn, client: &Rc<Client>) {
        client.place.set(Place::Waiting);
        let at = self.queue.partition_point(|other| other.number < client.number);
        self.queue.insert(at, client.clone());
        self.serve_queue(cx);
        let most = self.most_waiting;
        if self.queue.len() > most
            && let Some(last) = self.queue.pop_back()
        {
            let full = format_args!("all upstreams are full, and {most} clients are waiting");
            self.warnings.warn(cx.now(), full);
            cx.peer(last.id).close();
        }
    }

    /// Serves waiting clients while upstreams have room.
    pub(super) fn serve_queue(&mut self, cx: &mut Turn) {
        let mut at = 0;
        while let Some(client) = self.queue.get(at).cloned() {
            if self.place(cx, &client) {
                self.queue.remove(at);
            } else if client.tried.borrow().is_empty() {
                break;
            } else {
                // There may be room where this client has already been.
                at += 1;
            }
        }
        self.set_retry(cx);
    }

    /// Serves the queue again as soon as an upstream that is ejected may be tried.
    pub(super) fn set_retry(&mut self, cx: &mut Turn) {
        let now = cx.now();
        if self.queue.is_empty() || self.retry_is_set {
            return;
        }
        if let Some(at) = self.upstreams.next_trial(now) {
            self.retry_is_set = true;
            cx.after(at - now, self.me, Retry);
        }
    }

    pub(super) fn note_failure(&mut self, cx: &Turn, client: &Client, id: UpstreamId, why: &str) {
        if let Some(upstream) = self.upstreams.get(id) {
            self.warnings.warn(cx.now(), format_args!("cannot connect to {upstream}: {why}"));
        }
        client.tried.borrow_mut().push(id);
        self.upstreams.failed(id, cx.now());
    }

    /// The time of a client is over. The upstream that it connects to has failed, unless the
    /// attempt began too late: otherwise one that never answers would get clients for ever.
    pub(super) fn expire(&self, cx: &mut Turn, client: &Client) {
        if let Place::Connecting { to, since } = client.place.get()
            && cx.now() - since >= self.attempt_timeout
        {
            client.place.set(Place::Expired);
            cx.peer(to).abort();
        }
    }

    /// An established connection is over. Its upstream may have refused it only then, as with TLS
    /// 1.3 and the certificate of a client.
    pub(super) fn joined_over(&mut self, cx: &Turn, id: UpstreamId, connection: ConnId) {
        let error = cx.transport_error(connection);
        if let (Some(error), Some(upstream)) = (error, self.upstreams.get(id)) {
            self.warnings.warn(cx.now(), format_args!("connection to {upstream}: {error}"));
        }
        self.upstreams.closed(id);
    }

    /// An attempt to connect to an upstream is over.
    pub(super) fn attempt_over(
        &mut self,
        cx: &mut Turn,
        client: &Rc<Client>,
        id: UpstreamId,
        connection: ConnId,
        why: Reason,
    ) {
        match why {
            // This process is to blame, but perhaps not for the other upstreams: an address needs
            // no lookup.
            Reason::Unconnected(ErrorKind::QuotaExceeded) => {
                self.upstreams.given_up(id);
                let why = unconnected::text(ErrorKind::QuotaExceeded);
                self.warnings.warn(cx.now(), format_args!("cannot connect to upstreams: {why}"));
                client.tried.borrow_mut().push(id);
                self.serve(cx, client);
            }
            why if is_own_fault(why) => {
                self.upstreams.given_up(id);
                cx.peer(client.id).abort();
            }
            why => {
                let why = describe(cx, connection, why);
                self.note_failure(cx, client, id, &why);
                self.serve(cx, client);
            }
        }
    }
}

impl Receive<Retry, Session> for Balancer {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, _: Retry) {
        self.retry_is_set = false;
        self.serve_queue(cx);
    }
}
