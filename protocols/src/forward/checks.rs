//! Health checks: requests of the proxy itself to each origin.

use std::cell::RefCell;
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use sluicegate_reactor::{Context, Handler, HandlerId, Input, Reactor, Receive, Sessions, Turn};

use super::failure::counts;
use super::options::{ForwardOptions, HealthCheck};
use crate::http::client::{
    Client, ClientError, ClientOptions, Exchange, ExchangeId, Request, Response, Take,
};
use crate::upstreams::{UpstreamId, Upstreams};

/// Checks the origins at an interval.
pub(super) struct Checks {
    me: HandlerId<Checks>,
    check: HealthCheck,
    /// When the next checks begin.
    due: Duration,
    upstreams: Rc<RefCell<Upstreams>>,
    origins: Vec<Origin>,
}

struct Origin {
    id: UpstreamId,
    client: Client<Check>,
    /// The last check.
    last: Option<ExchangeId>,
}

impl Checks {
    /// Starts to check the origins.
    pub(super) fn start(
        reactor: &mut Reactor,
        upstreams: Rc<RefCell<Upstreams>>,
        check: &HealthCheck,
        options: &ForwardOptions,
    ) -> io::Result<()> {
        // Each check has its own connection, to find out whether new ones can be opened.
        let (idle_timeout, drain) = (Duration::ZERO, 0);
        let options = ClientOptions { idle_timeout, drain, ..options.client.clone() };
        let mut origins = Vec::new();
        for (id, upstream) in upstreams.borrow().iter() {
            let client = Client::new(reactor, &upstream.address, &options)?;
            origins.push(Origin { id, client, last: None });
        }
        let me = reactor.reserve();
        let (check, due) = (check.clone(), Duration::ZERO);
        reactor.install(me, Checks { me, check, due, upstreams, origins });
        reactor.after(Duration::ZERO, me, CheckAll);
        Ok(())
    }
}

impl HealthCheck {
    /// The request.
    pub(super) fn request(&self) -> Request {
        let request = Request::get(&self.target);
        match &self.host {
            Some(host) => request.host(host),
            None => request,
        }
    }
}

/// How long checks in progress may hold up a stop.
const LATEST_END: Duration = Duration::from_secs(1);

/// It may be time to check the origins, or to stop.
struct CheckAll;

impl Receive<CheckAll> for Checks {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: CheckAll) {
        if cx.is_stopping() || cx.now() >= self.due {
            self.check_all(cx);
        }
        if !cx.is_stopping() {
            let left = self.due.saturating_sub(cx.now());
            cx.after(left.min(LATEST_END), self.me, CheckAll);
        }
    }
}

impl Checks {
    /// Ends the last checks, and begins the next ones unless the reactor is stopping.
    fn check_all(&mut self, cx: &mut Turn) {
        self.due = cx.now() + self.check.interval;
        let goes_on = !cx.is_stopping();
        for Origin { id, client, last } in &mut self.origins {
            let check = Check { upstreams: self.upstreams.clone(), id: *id };
            if let Some(late) = last.take().filter(|last| !last.is_over()) {
                client.cancel(cx, &late);
                check.note(cx, Some(&format_args!("no response in {:?}", self.check.interval)));
            }
            if goes_on {
                *last = Some(client.send(cx, self.check.request(), check));
            }
        }
    }
}

/// Never called: each client registers its own handler for its connections.
impl Handler for Checks {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

/// A check of one origin.
struct Check {
    upstreams: Rc<RefCell<Upstreams>>,
    id: UpstreamId,
}

impl Check {
    /// Notes its result: why it has failed, if it has.
    fn note(&self, cx: &Turn, failure: Option<&dyn Display>) {
        let mut upstreams = self.upstreams.borrow_mut();
        if let (Some(upstream), Some(failure)) = (upstreams.get(self.id), failure) {
            log::debug!("{upstream}: a check has failed: {failure}");
        }
        upstreams.checked(self.id, failure.is_none(), cx.now());
    }
}

impl Exchange for Check {
    fn on_response(&mut self, cx: &mut Turn, response: &Response<'_>) -> Take {
        let code = response.status().code();
        match code {
            200..400 => self.note(cx, None),
            _ => self.note(cx, Some(&format_args!("status {code}"))),
        }
        Take::Nothing
    }

    fn on_failed(self, cx: &mut Turn, error: ClientError) {
        if counts(error.cause()) {
            self.note(cx, Some(&error));
        }
    }
}
