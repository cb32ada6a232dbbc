//! Requesting a page of another server, and responding with its answer.

use std::io;

use sluicegate_protocols::http::client::{
    Client, ClientError, ClientOptions, Exchange, Request, Response, Take,
};
use sluicegate_protocols::http::{Answered, Deferred, Reply, Status};
use sluicegate_reactor::{Payload, Reactor, Target, Turn};

/// A response that is forwarded when it is complete.
pub(crate) struct Relayed {
    to: Deferred,
    status: Status,
}

/// The other server, if one is configured.
pub(crate) struct Origin(Option<Client<Relayed>>);

impl Origin {
    pub(crate) fn new(reactor: &mut Reactor, target: Option<&Target>) -> io::Result<Origin> {
        let client = |target| Client::new(reactor, target, &ClientOptions::default());
        target.map(client).transpose().map(Origin)
    }

    /// Answers with the first page of the server.
    pub(crate) fn answer<V>(&self, reply: Reply<'_, '_>) -> Answered<V> {
        let Some(client) = &self.0 else { return reply.error(Status::NOT_FOUND) };
        reply.defer(|to, cx| {
            client.send(cx, Request::get("/"), Relayed { to, status: Status::OK });
        })
    }
}

impl Exchange for Relayed {
    fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
        self.status = response.status();
        Take::Whole(1 << 20)
    }

    fn on_body(self, cx: &mut Turn, body: Payload<'_>) {
        self.to.answer(cx, |reply| reply.status(self.status).send(body));
    }

    fn on_failed(self, cx: &mut Turn, error: ClientError) {
        log::warn!("/upstream: {error}");
        self.to.answer(cx, |reply| reply.error(Status::BAD_GATEWAY));
    }
}
