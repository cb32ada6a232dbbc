//! The origins of a service: choosing one for each request.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::{Reactor, Target};

use super::attempt::Attempt;
use super::options::ForwardOptions;
use crate::http::client::{Client, ConnectionCounts, Exchange};
use crate::upstreams::{
    Choice, RequestCounts, UpstreamId, UpstreamStatus, Upstreams, UpstreamsStatus,
};

/// The maximum number of origins. Each has a handler or two, and a reactor has room for 256.
pub(super) const MAX_ORIGINS: usize = 100;

/// The origins, with a client for the exchanges with each.
pub(super) struct Origins<E: Exchange> {
    upstreams: Rc<RefCell<Upstreams>>,
    clients: Vec<(UpstreamId, Client<E>)>,
}

impl<E: Exchange> Origins<E> {
    /// Registers a client for each origin.
    pub(super) fn register(
        reactor: &mut Reactor,
        origins: impl IntoIterator<Item = Target>,
        options: &ForwardOptions,
    ) -> io::Result<Rc<Origins<E>>> {
        let upstreams = Upstreams::new(origins, options.upstreams);
        let count = upstreams.iter().count();
        if count == 0 || count > MAX_ORIGINS {
            let why = format!("there are {count} origins: from 1 to {MAX_ORIGINS} are possible");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut clients = Vec::new();
        for (id, upstream) in upstreams.iter() {
            clients.push((id, Client::new(reactor, &upstream.address, &options.client)?));
        }
        Ok(Rc::new(Origins { upstreams: Rc::new(RefCell::new(upstreams)), clients }))
    }

    /// Chooses an origin for a request from this address, other than those that were tried. `None`
    /// if all of these have reached their limit, or were tried.
    pub(super) fn choose(
        &self,
        now: Duration,
        source: Option<IpAddr>,
        tried: &[UpstreamId],
    ) -> Option<Attempt> {
        match self.upstreams.borrow_mut().choose(now, source, tried) {
            Choice::Connect(id) => Some(Attempt::new(self.upstreams.clone(), id)),
            Choice::Wait | Choice::Exhausted => None,
        }
    }

    /// The state of the origins.
    pub(super) fn upstreams(&self) -> Rc<RefCell<Upstreams>> {
        self.upstreams.clone()
    }

    /// The client of an origin.
    pub(super) fn client(&self, id: UpstreamId) -> &Client<E> {
        let (_, client) = self.clients.iter().find(|(known, _)| *known == id).expect("an origin");
        client
    }

    /// The status of all origins.
    pub(super) fn status(&self, now: Duration) -> UpstreamsStatus {
        let mut waiting = 0;
        let each = self.upstreams.borrow().snapshot(now).into_iter().zip(&self.clients);
        let status = |(status, (_, client)): (UpstreamStatus, &(_, Client<E>))| {
            let (connections, waits) = client.counts();
            waiting += waits;
            let ConnectionCounts { connecting, open, connected, failed } = connections;
            // To `Upstreams`, each request is a connection, which is open once it is answered.
            let requests = Some(RequestCounts {
                active: status.connecting + status.open,
                answered: status.connected,
                failed: status.failed,
            });
            UpstreamStatus { connecting, open, connected, failed, requests, ..status }
        };
        let upstreams = each.map(status).collect();
        UpstreamsStatus { upstreams, waiting }
    }

    /// Whether a request that could not be sent to one origin can be sent to another.
    pub(super) fn are_several(&self) -> bool {
        self.clients.len() > 1
    }
}

impl<E: Exchange> std::fmt::Display for Origins<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.clients.iter().map(|(_, client)| client.origin()).collect();
        f.write_str(&names.join(", "))
    }
}
