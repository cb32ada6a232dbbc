//! Members with a browser: the page, and the WebSocket that it opens.

use sluicegate_protocols::http::{Answered, Method, Reply, Request, Service, Status};
use sluicegate_protocols::websocket::{
    CloseCode, Closed, Frame, Handshake, Message, WebSocket, WebSocketHandler, WebSocketLimits,
    WebSockets,
};
use sluicegate_reactor::*;

use super::front::{Flow, Front, LINE, Left};
use super::outbox::Delivery;

/// The page needs nothing but its own style and script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) struct Site {
    pub(crate) members: HandlerId<WebSockets<WebMembers>>,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let (kind, content) = match request.path() {
            "/socket" => {
                return match Handshake::new(request) {
                    Ok(handshake) => handshake.accept(reply, self.members, Flow::default()),
                    Err(error) => error.answer(reply),
                };
            }
            "/" => ("text/html; charset=utf-8", include_str!("page.html")),
            "/page.css" => ("text/css", include_str!("page.css")),
            "/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
            _ => return reply.error(Status::NOT_FOUND),
        };
        if !matches!(request.method(), Method::Get | Method::Head) {
            return reply.header("Allow", "GET, HEAD").error(Status::METHOD_NOT_ALLOWED);
        }
        let reply = reply.header("Content-Type", kind).header("Content-Security-Policy", POLICY);
        reply.header("Cache-Control", "no-cache").send(content)
    }
}

pub(crate) struct WebMembers {
    front: Front,
    own: HandlerId<WebSockets<WebMembers>>,
}

impl WebMembers {
    pub(crate) fn register(
        front: Front,
        reactor: &mut Reactor,
    ) -> HandlerId<WebSockets<WebMembers>> {
        let own = reactor.reserve();
        let limits = WebSocketLimits { message: LINE, frame: LINE, ..WebSocketLimits::default() };
        reactor.install(own, WebSockets::with(WebMembers { front, own }, limits));
        own
    }
}

/// Sends to a member, unless it does not read.
fn send(cx: &mut Context<'_>, socket: &mut WebSocket<Flow>, frame: &Frame) {
    let mut flow = std::mem::take(&mut socket.session);
    flow.send(cx, |cx| socket.send_frame(cx, frame));
    socket.session = flow;
}

impl Receive<Delivery, WebSocket<Flow>> for WebMembers {
    fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<Flow>>, delivery: Delivery) {
        let frame = Frame::new(&*String::from_utf8_lossy(&delivery.text));
        self.front.deliver(cx, &delivery, |cx, socket| send(cx, socket, &frame));
    }
}

impl Receive<Left, WebSocket<Flow>> for WebMembers {
    fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<Flow>>, left: Left) {
        self.front.close(cx, self.own, left);
    }
}

impl WebSocketHandler for WebMembers {
    type Session = Flow;

    fn on_open(&mut self, cx: &mut Context<'_>, _: &mut WebSocket<Flow>) {
        self.front.open(cx);
    }

    fn on_message(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<Flow>,
        message: Message<'_>,
    ) {
        match message {
            Message::Text(line) => self.front.say(cx, &mut socket.session, line.into_owned()),
            Message::Binary(_) => socket.close(cx, CloseCode::UNSUPPORTED_DATA, ""),
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Flow>) {
        // Once it closes, the deadline is that of the closing handshake.
        if socket.is_open()
            && let Some(text) = socket.session.drained(cx)
        {
            send(cx, socket, &Frame::new(text));
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<Flow>) {
        socket.session.timed_out(cx);
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, _: Flow, _: Closed) {
        self.front.close(cx, self.own, Left(id));
    }
}
