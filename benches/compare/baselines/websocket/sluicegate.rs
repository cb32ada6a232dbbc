//! The protocol of this project.

use std::io;
use std::net::TcpListener;

use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::websocket::{
    Frame, Handshake, Message, WebSocket, WebSocketHandler, WebSockets,
};
use sluicegate_reactor::{Bytes, Context, Handle, HandlerId, Listen, Reactor, Receive, Sessions};

/// Serves until a signal ends the process.
pub(in crate::baselines) fn run(listener: TcpListener) -> io::Result<()> {
    let mut reactor = Reactor::new()?;
    let room = reactor.reserve();
    let members = WebSockets::new(Room { all: reactor.handle(room) });
    reactor.install(room, members);
    let site = reactor.register(Http::new(Site { room }));
    reactor.adopt_listener(listener, &Listen::default(), site)?;
    reactor.run()
}

struct Room {
    all: Handle<News>,
}

struct News(Bytes);

impl WebSocketHandler for Room {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_>, socket: &mut WebSocket<()>, m: Message<'_>) {
        match m {
            Message::Text(_) => _ = socket.send(cx, m),
            Message::Binary(bytes) => {
                if self.all.post(News(bytes.into_bytes())).is_err() {
                    cx.abort();
                }
            }
        }
    }
}

impl Receive<News, WebSocket<()>> for Room {
    fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<()>>, News(bytes): News) {
        let frame = Frame::new(bytes);
        cx.for_each(|cx, socket| _ = socket.send_frame(cx, &frame));
    }
}

struct Site {
    room: HandlerId<WebSockets<Room>>,
}

impl Service for Site {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        match Handshake::new(request) {
            Ok(handshake) => handshake.accept(reply, self.room, ()),
            Err(error) => error.answer(reply),
        }
    }
}
