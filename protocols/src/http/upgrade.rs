//! Changing to another protocol (RFC 9110, section 7.8).

use sluicegate_reactor::{Handler, HandlerId};

use super::fields::list;
use super::reply::{Persistence, To};
use super::request::Framing;
use super::{Answered, Reply, Request, Status, Version};

/// What a client offers to speak instead of HTTP: see [`Request::upgrade`].
#[derive(Clone, Copy, Debug)]
pub struct Upgrade<'a> {
    request: Request<'a>,
}

impl Upgrade<'_> {
    /// Whether that protocol is offered, such as `websocket`. Case does not matter.
    #[must_use]
    pub fn offers(&self, protocol: &str) -> bool {
        self.request.lists("Upgrade", protocol)
    }
}

impl<'a> Request<'a> {
    /// What the client offers to change to. `None` if it offers nothing, and if a change is not
    /// possible: in 1.0, and behind a body.
    #[must_use]
    pub fn upgrade(&self) -> Option<Upgrade<'a>> {
        let bare = matches!(self.framing, Framing::None | Framing::Length(0));
        let offers = self.header("Upgrade").is_some() && self.lists("Connection", "upgrade");
        (bare && offers && self.version == Version::Http11).then_some(Upgrade { request: *self })
    }

    /// Whether a field with a list has this element.
    fn lists(&self, name: &str, element: &str) -> bool {
        let mut values = self.headers().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        values.any(|(_, value)| list(value).any(|e| e.eq_ignore_ascii_case(element.as_bytes())))
    }
}

impl Reply<'_, '_> {
    /// Changes to a protocol that was offered: answers with 101, `Upgrade` and what was added with
    /// [`header`](Reply::header), and [hands the connection
    /// over](sluicegate_reactor::Context::hand_over). Whatever follows the request's head is the
    /// new handler's. An access log has the answer as sent.
    ///
    /// An upgrade is taken up in the call that offers it: an answer that was [put
    /// off](Reply::defer) becomes 500 instead.
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
    pub fn upgrade<H: Handler>(
        self,
        _: Upgrade<'_>,
        protocol: &str,
        to: HandlerId<H>,
        session: H::Session,
    ) -> Answered {
        let mut reply = self.header("Upgrade", protocol).status(Status::SWITCHING_PROTOCOLS);
        let To::Current(cx) = &mut reply.to else {
            log::error!("an answer that was put off cannot take up an upgrade to {protocol}");
            return reply.error(Status::INTERNAL_SERVER_ERROR);
        };
        cx.hand_over(to, session);
        reply.persistence = Persistence::Upgrade;
        reply.finish_head(None)
    }
}
