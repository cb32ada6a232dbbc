//! Checks of upstreams.

use std::io;
use std::time::Duration;

use sluicegate_reactor::{Connect, Connector, HandlerId, Limits, Reactor, Receive, Sessions, Turn};

use super::{Balancer, Role, Session};
use crate::proxy_protocol::Header;
use crate::upstreams::UpstreamId;

/// How upstreams are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks {
    connector: Connector<Balancer>,
    interval: Duration,
}

impl Checks {
    /// Lets a balancer make checks, each of which connects in this way.
    pub(super) fn new(
        reactor: &mut Reactor,
        balancer: HandlerId<Balancer>,
        connect: &Connect,
        interval: Duration,
    ) -> io::Result<Checks> {
        let handshake = connect.limits.handshake.min(interval);
        let limits = Limits { handshake, ..connect.limits.clone() };
        let timeout = connect.timeout.min(interval);
        let connect = Connect { timeout, limits, ..connect.clone() };
        let connector = reactor.connector(balancer, &connect)?;
        Ok(Checks { connector, interval })
    }
}

/// It is time to check the upstreams.
pub(super) struct CheckAll;

impl Balancer {
    /// Begins a check of each upstream, and sets the time of the next ones. A reactor that stops
    /// begins none, since it would wait for them. `on_stop` ends those in progress, once they are
    /// connected.
    fn check_all(&self, cx: &mut Turn) {
        let Some(Checks { connector, interval }) = self.checks.filter(|_| !cx.is_stopping()) else {
            return;
        };
        let header = Header::local();
        for (id, upstream) in self.upstreams.iter() {
            let session = Session(Role::Check(id));
            if let Err(error) = self.connect(cx, connector, id, Some(&header), session) {
                log::warn!("cannot check {upstream}: {error}");
            }
        }
        cx.after(interval, self.me, CheckAll);
    }

    pub(super) fn checked(&mut self, cx: &mut Turn, id: UpstreamId, succeeded: bool) {
        if self.upstreams.checked(id, succeeded, cx.now()).is_some() {
            self.serve_queue(cx);
        }
    }
}

impl Receive<CheckAll, Session> for Balancer {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, _: CheckAll) {
        self.check_all(cx);
    }
}
