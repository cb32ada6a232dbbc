//! Upgrades to another protocol (RFC 9110, section 7.8).

use sluicegate_reactor::{Handler, HandlerId};

use super::grammar::{list, values};
use super::output::Destination;
use super::reply::{Answered, Reply};
use super::request::{BodyLength, Request, Version};
use super::response::Persistence;
use super::status::Status;

/// The protocols that a client offers to speak instead of HTTP: see [`Request::upgrade`].
#[derive(Clone, Copy, Debug)]
pub struct Upgrade<'a> {
    request: Request<'a>,
}

impl Upgrade<'_> {
    /// Whether the client offers this protocol, such as `websocket`. Case does not matter.
    #[must_use]
    pub fn offers(&self, protocol: &str) -> bool {
        self.request.lists("Upgrade", protocol)
    }
}

impl<'a> Request<'a> {
    /// The upgrade that the client offers. `None` if it offers none, or if an upgrade is not
    /// possible: in HTTP/1.0, and for a request with a body.
    #[must_use]
    pub fn upgrade(&self) -> Option<Upgrade<'a>> {
        let bare = matches!(self.body_length, BodyLength::None | BodyLength::Exact(0));
        let offers = self.header("Upgrade").is_some() && self.lists("Connection", "upgrade");
        (bare && offers && self.version == Version::Http11).then_some(Upgrade { request: *self })
    }

    /// Whether the list in a field contains this element.
    fn lists(&self, name: &str, element: &str) -> bool {
        let mut elements = values(self.headers(), name).flat_map(list);
        elements.any(|other| other.eq_ignore_ascii_case(element.as_bytes()))
    }
}

impl Reply<'_, '_> {
    /// Accepts an upgrade: responds with 101, `Upgrade` and the fields added with
    /// [`header`](Reply::header), and [hands the connection
    /// over](sluicegate_reactor::Context::hand_over). The new handler gets all bytes after the
    /// request head. The access log records the response as sent.
    ///
    /// Call this only in [`Service::call`](super::Service::call). In a [deferred](Reply::defer)
    /// response it is an error, and the client gets 500.
    ///
    /// ```
    /// use sluicegate_protocols::http::{Answered, Reply, Request, Service, Status};
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// use sluicegate_reactor::HandlerId;
    ///
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         cx.send(input.take());
    /// #     }
    /// # }
    /// struct Door {
    ///     echo: HandlerId<Echo>,
    /// }
    ///
    /// impl Service for Door {
    ///     type State = ();
    ///
    ///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
    ///         match request.upgrade() {
    ///             Some(upgrade) if upgrade.offers("echo") => {
    ///                 reply.upgrade(upgrade, "echo", self.echo, ())
    ///             }
    ///             _ => reply.error(Status::NOT_FOUND),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn upgrade<H: Handler, V>(
        self,
        _: Upgrade<'_>,
        protocol: &str,
        to: HandlerId<H>,
        session: H::Session,
    ) -> Answered<V> {
        let mut reply = self.header("Upgrade", protocol).status(Status::SWITCHING_PROTOCOLS);
        let (Destination::Call(cx) | Destination::Current(cx)) = &mut reply.to else {
            let what = format_args!("a deferred response cannot upgrade to {protocol}");
            reply.to.log_misuse(what);
            return reply.error(Status::INTERNAL_SERVER_ERROR);
        };
        cx.hand_over(to, session);
        reply.mode.persistence = Persistence::Upgrade;
        reply.finish_head(None)
    }
}
