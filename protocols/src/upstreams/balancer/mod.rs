//! A proxy that balances connections across several upstreams.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::{
    ConnId, Connector, Context, Handler, HandlerId, Input, Reactor, Reason, Receive, Sessions,
    Timeout, Turn,
};

use super::{Balance, Inspect, Upstream, UpstreamId, Upstreams, UpstreamsStatus};
use crate::proxy_protocol::{Header, Outgoing};
use crate::raw::relay::join;
use crate::unconnected::is_own_fault;
use crate::warnings::Warnings;

mod checks;
mod options;
mod placing;

use checks::{CheckAll, Checks};
pub use options::BalancerOptions;
use placing::{Client, Place};

/// Connects to one of several upstreams for each connection that it accepts, and
/// [joins](crate::raw::relay::join) the two.
///
/// - The balancer receives nothing from a client until its upstream is connected; the client's data
///   waits in the kernel. So if a connect fails, nothing is lost: the balancer tries the next
///   upstream, until it has tried all of them.
/// - Clients that have to [wait](BalancerOptions::waiting) are served in the order of arrival. If a
///   waiting client disconnects, this is noticed only when it is joined to an upstream.
/// - If no upstream can be reached in time, the client is closed. Failed connects are logged, at
///   most once per second. Each change in the health of an upstream is logged.
/// - An established connection is never moved to another upstream. When an upstream dies, its
///   clients are reset, unless they have already received everything including the end of the
///   stream.
/// - When the reactor stops, relays continue until they have ended or the [grace
///   period](Reactor::set_drain) is over.
///
/// [`Replace`] replaces the upstreams, and [`Inspect`] reads their state.
#[derive(Debug)]
pub struct Balancer {
    me: HandlerId<Balancer>,
    upstreams: Upstreams,
    connector: Connector<Balancer>,
    checks: Option<Checks>,
    outgoing: Outgoing,
    /// The number of clients so far.
    clients: u64,
    /// Clients that wait for room, the oldest first.
    queue: VecDeque<Rc<Client>>,
    most_waiting: usize,
    waiting_timeout: Duration,
    /// How long an upstream has at least for an attempt before it can have failed.
    attempt_timeout: Duration,
    /// Whether a timer is set that serves the queue.
    retry_is_set: bool,
    warnings: Warnings,
}

/// The state of a connection of a [`Balancer`].
#[derive(Debug)]
pub struct Session(Role);

#[derive(Debug)]
enum Role {
    Client(Rc<Client>),
    Upstream(Rc<Client>, UpstreamId),
    /// A check that is not over.
    Check(UpstreamId),
    Checked,
}

/// Replaces the upstreams of a [`Balancer`]: see [`Upstreams::replace`]. An empty list is ignored,
/// with a warning.
#[derive(Clone, Debug)]
pub struct Replace(pub Vec<Upstream>);

impl Balancer {
    /// Registers a proxy, for any number of listeners. The listener sets the limits and deadlines
    /// of clients, except that the idle timeout starts when a client is joined to an upstream.
    ///
    /// # Errors
    /// If there is no upstream, and those of
    /// [`Turn::connector`](sluicegate_reactor::Turn::connector).
    pub fn register(
        reactor: &mut Reactor,
        upstreams: impl IntoIterator<Item: Into<Upstream>>,
        options: &BalancerOptions,
    ) -> io::Result<HandlerId<Balancer>> {
        let upstreams = Upstreams::new(upstreams, options.upstreams);
        if upstreams.iter().next().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no upstream"));
        }
        let me = reactor.reserve();
        // Transports are made from the name of an upstream, which may not be its address.
        let mut connect = options.connect.clone();
        let transport = connect.transport.take();
        let connector = reactor.connector(me, &connect)?;
        let checks = options.check_interval;
        let checks = checks.map(|interval| Checks::new(reactor, me, &connect, interval));
        let checks = checks.transpose()?;
        let balancer = Balancer {
            me,
            upstreams,
            connector,
            checks,
            outgoing: Outgoing { announce: options.announce, transport },
            clients: 0,
            queue: VecDeque::new(),
            most_waiting: options.waiting,
            waiting_timeout: options.waiting_timeout,
            attempt_timeout: options.connect.timeout.min(options.waiting_timeout),
            retry_is_set: false,
            warnings: Warnings::of(module_path!()),
        };
        reactor.install(me, balancer);
        if checks.is_some() {
            reactor.after(Duration::ZERO, me, CheckAll);
        }
        Ok(me)
    }

    /// The upstreams.
    #[must_use]
    pub fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// The number of clients that wait for an upstream.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Handler for Balancer {
    type Session = Session;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Session {
        cx.pause();
        cx.set_deadline(Some(self.waiting_timeout));
        let source = match self.upstreams.options().balance {
            Balance::SourceHash => cx.peer_address().ok().and_then(|at| at.ip_and_port()),
            Balance::RoundRobin | Balance::LeastConnections => None,
        };
        let header = self.outgoing.announce.map(|_| Header::of(cx)).transpose();
        let client = Rc::new(Client {
            id: cx.id(),
            number: self.clients,
            source: source.map(|at| at.ip()),
            header: header.as_ref().ok().cloned().flatten(),
            tried: RefCell::default(),
            place: Cell::new(Place::Waiting),
        });
        self.clients += 1;
        match header {
            Err(error) => {
                let now = cx.now();
                self.warnings
                    .warn(now, format_args!("{}: cannot send its address: {error}", cx.describe()));
                cx.abort();
            }
            Ok(_) => self.serve(cx, &client),
        }
        Session(Role::Client(client))
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        match &session.0 {
            Role::Upstream(client, id) => {
                let change = self.upstreams.connected(*id, cx.now());
                client.place.set(Place::Joined);
                let mut accepted = cx.peer(client.id);
                accepted.set_deadline(None);
                accepted.resume();
                join(cx, client.id);
                if change.is_some() {
                    self.serve_queue(cx);
                }
            }
            Role::Check(id) => {
                self.checked(cx, *id, true);
                session.0 = Role::Checked;
                cx.close();
            }
            Role::Client(_) | Role::Checked => {}
        }
    }

    /// Only what an upstream sends to a check comes here; all other input is relayed.
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut Session, input: &mut Input<'_>) {
        input.take();
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, session: &mut Session, which: Timeout) {
        let waits =
            matches!(&session.0, Role::Client(client) if client.place.get() != Place::Joined);
        match which {
            // The waiting timeout applies.
            Timeout::Idle if waits => {}
            Timeout::Own => {
                let (now, time) = (cx.now(), self.waiting_timeout);
                self.warnings.warn(now, format_args!("{}: no upstream in {time:?}", cx.describe()));
                if let Role::Client(client) = &session.0 {
                    self.expire(cx, client);
                }
                cx.close();
            }
            Timeout::Idle => cx.close(),
            Timeout::WriteStall => cx.abort(),
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        if let Role::Check(_) | Role::Checked = session.0 {
            cx.abort();
        }
    }

    fn on_close(&mut self, cx: &mut Turn, connection: ConnId, session: Session, why: Reason) {
        match session.0 {
            Role::Client(client) => match client.place.get() {
                Place::Waiting => self.queue.retain(|waiting| !Rc::ptr_eq(waiting, &client)),
                Place::Connecting { to, .. } => {
                    client.place.set(Place::Gone);
                    cx.peer(to).abort();
                }
                Place::Joined | Place::Gone | Place::Expired => {}
            },
            Role::Upstream(client, id) => {
                match client.place.get() {
                    Place::Joined => self.joined_over(cx, id, connection),
                    Place::Gone => self.upstreams.given_up(id),
                    Place::Expired => self.note_failure(cx, &client, id, "it has not answered"),
                    Place::Waiting | Place::Connecting { .. } => {
                        self.attempt_over(cx, &client, id, connection, why);
                    }
                }
                self.serve_queue(cx);
            }
            Role::Check(id) if !is_own_fault(why) => self.checked(cx, id, false),
            Role::Check(_) | Role::Checked => {}
        }
    }
}

impl Receive<Replace, Session> for Balancer {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, Replace(list): Replace) {
        if list.is_empty() {
            return log::warn!("the new list of upstreams is empty: the old one stays");
        }
        self.upstreams.replace(list, cx.now());
        self.serve_queue(cx);
    }
}

impl Receive<Inspect, Session> for Balancer {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, inspect: Inspect) {
        let upstreams = self.upstreams.snapshot(cx.now());
        inspect.call(UpstreamsStatus { upstreams, waiting: self.queue.len() });
    }
}
