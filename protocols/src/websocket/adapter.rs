//! The handler of connections after the handshake.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::rc::Rc;

use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Payload, Reason, Receive, Sessions, Timeout, Turn,
};

use super::WebSocketHandler;
use super::fault::{Closed, Fault};
use super::frame::{Header, MAX_CONTROL, Opcode};
use super::incoming::Incoming;
use super::limits::WebSocketLimits;
use super::message::Message;
use super::socket::{Phase, Shared, WebSocket};
use crate::quantum::{self, MESSAGES_PER_TURN};

/// How many decompressed bytes a compressed one counts for. One that ends an empty block or stream
/// costs more than that, but ordinary messages should not yield after every few KiB.
#[cfg(feature = "websocket-deflate")]
const INPUT_WEIGHT: usize = 8;

/// Turns a [`WebSocketHandler`] into a [`Handler`].
///
/// Its connections start as HTTP and are handed over: by
/// [`Handshake::accept`](super::Handshake::accept) in a server, and by
/// [`ClientHandshake::accept`](super::ClientHandshake::accept) in a client. One handler can have
/// connections of both kinds.
///
/// A frame that arrives in one piece is not stored: a server unmasks it into a buffer that all
/// connections share, and a client borrows it from the input. A long binary message is received
/// directly into its final buffer and unmasked there. Other messages are collected in a
/// per-connection buffer that grows as they arrive.
///
/// A connection delivers at most 1,024 frames in one turn. If messages are compressed, it also
/// waits for the next turn once the bytes of its messages, plus eight times their compressed length,
/// reach [`Limits::receive_quantum`](sluicegate_reactor::Limits::receive_quantum).
#[derive(Debug)]
pub struct WebSockets<H> {
    handler: H,
    shared: Rc<Shared>,
    /// Where frames that arrive in one piece are unmasked.
    unmasked: Vec<u8>,
    /// How many bytes were decompressed in the current callback.
    inflated: usize,
}

impl<H: WebSocketHandler> WebSockets<H> {
    /// Creates a handler with the default limits.
    pub fn new(handler: H) -> WebSockets<H> {
        WebSockets::with(handler, WebSocketLimits::default())
    }

    /// Creates a handler with these limits.
    pub fn with(handler: H, limits: WebSocketLimits) -> WebSockets<H> {
        let shared = Rc::new(Shared::new(limits));
        WebSockets { handler, shared, unmasked: Vec::new(), inflated: 0 }
    }

    /// The application.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }
}

impl<H: WebSocketHandler> Handler for WebSockets<H> {
    type Session = WebSocket<H::Session>;

    /// # Panics
    /// Always: a WebSocket begins as HTTP. Listen with [`Http`](crate::http::Http).
    fn on_open(&mut self, _: &mut Context<'_>) -> Self::Session {
        panic!("WebSockets accepts no connections: listen with Http and hand them over");
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, socket: &mut Self::Session) {
        socket.shared = Some(self.shared.clone());
        match socket.phase {
            Phase::Closing => socket.start_deadline(cx),
            _ => self.handler.on_open(cx, socket),
        }
    }

    fn on_data(&mut self, cx: &mut Context<'_>, socket: &mut Self::Session, input: &mut Input<'_>) {
        self.inflated = 0;
        quantum::deliver(MESSAGES_PER_TURN, cx, input, |cx, input| self.step(cx, socket, input));
    }

    fn on_received(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Self::Session,
        bytes: Payload<'_>,
    ) {
        if let Some(mut incoming) = socket.incoming.take() {
            let payload = incoming.take_whole(bytes.into_bytes());
            self.handler.on_message(cx, socket, Message::Binary(payload.into()));
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, socket: &mut Self::Session) {
        self.handler.on_drain(cx, socket);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, _: &mut Self::Session) {
        cx.close();
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: &mut Self::Session, which: Timeout) {
        match (which, &socket.phase) {
            (Timeout::WriteStall, _) => cx.abort(),
            (Timeout::Own, Phase::Open) => self.handler.on_timeout(cx, socket),
            (Timeout::Own, _) => cx.close(),
            (Timeout::Idle, Phase::Open) => {
                let received = NonZeroU64::new(cx.received());
                // While nothing is read, the answer may have arrived.
                if socket.pinged_at == received && cx.wants_input() {
                    return cx.abort();
                }
                socket.pinged_at = received;
                socket.send_control(cx, Opcode::Ping, &[]);
            }
            // The closing handshake has a deadline of its own.
            (Timeout::Idle, _) => {}
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, socket: &mut Self::Session) {
        if socket.is_open() {
            self.handler.on_stop(cx, socket);
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, socket: Self::Session, why: Reason) {
        let closed = match socket.phase {
            Phase::Over(closed) => *closed,
            Phase::Open | Phase::Closing => Closed::Lost(why),
        };
        self.handler.on_close(cx, id, socket.session, closed);
    }
}

impl<M, H: WebSocketHandler> Receive<M, WebSocket<H::Session>> for WebSockets<H>
where
    H: Receive<M, WebSocket<H::Session>>,
{
    fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<H::Session>>, message: M) {
        Receive::on_message(&mut self.handler, cx, message);
    }
}

impl<H: WebSocketHandler> WebSockets<H> {
    /// Deals with what is at the front of the input.
    #[inline]
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<H::Session>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        if socket.incoming.as_ref().is_some_and(|incoming| incoming.left().is_some()) {
            return self.fill(cx, socket, input);
        }
        let header = match Header::parse(input, socket.role, socket.deflates) {
            Ok(Some(header)) => header,
            Ok(None) => return ControlFlow::Break(()),
            Err(fault) => return fail(cx, socket, fault),
        };
        if header.opcode.is_control() {
            return control(cx, socket, input, header);
        }
        if let Phase::Closing = socket.phase {
            return discard(cx, input, &header);
        }
        if let Err(fault) = self.admit(socket, &header) {
            return fail(cx, socket, fault);
        }
        if header.opcode != Opcode::Continuation && header.is_last {
            let end = usize::try_from(header.payload).map_or(usize::MAX, |n| header.len + n);
            if let Some(payload) = input.bytes().get(header.len..end) {
                input.consume(end);
                return self.deliver_whole(cx, socket, &header, payload);
            }
        }
        input.consume(header.len);
        match &mut socket.incoming {
            Some(incoming) => incoming.begin(&header),
            None => {
                socket.incoming = Some(Box::new(Incoming::new(&header)));
                if receive_directly(cx, &header) {
                    return ControlFlow::Break(());
                }
            }
        }
        self.fill(cx, socket, input)
    }

    /// Checks whether a frame of data may come now, and whether it is short enough.
    fn admit(&self, socket: &WebSocket<H::Session>, header: &Header) -> Result<(), Fault> {
        let WebSocketLimits { frame, message, .. } = self.shared.limits;
        let earlier = socket.incoming.as_ref().map(|incoming| incoming.bytes.len() as u64);
        if (header.opcode == Opcode::Continuation) != earlier.is_some() {
            return Err(Fault::Fragment);
        }
        if header.payload > frame as u64 {
            return Err(Fault::FrameTooLong);
        }
        if header.payload + earlier.unwrap_or(0) > message as u64 {
            return Err(Fault::MessageTooLong);
        }
        Ok(())
    }

    /// Delivers a message that is one frame, all of which is in the input.
    #[inline]
    fn deliver_whole(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<H::Session>,
        header: &Header,
        payload: &[u8],
    ) -> ControlFlow<()> {
        let is_text = header.opcode == Opcode::Text;
        let Some(mut mask) = header.mask else {
            return self.deliver(cx, socket, (is_text, header.is_deflated), payload.into());
        };
        let mut unmasked = std::mem::take(&mut self.unmasked);
        unmasked.clear();
        unmasked.extend_from_slice(payload);
        mask.apply(&mut unmasked);
        let payload = Cow::Borrowed(&unmasked[..]);
        let flow = self.deliver(cx, socket, (is_text, header.is_deflated), payload);
        self.unmasked = unmasked;
        flow
    }

    /// Continues to receive a frame.
    fn fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<H::Session>,
        input: &mut Input<'_>,
    ) -> ControlFlow<()> {
        let Some(incoming) = &mut socket.incoming else { return ControlFlow::Break(()) };
        match incoming.fill(input) {
            Ok(true) => {
                let Incoming { is_text, is_deflated, bytes, .. } = &mut **incoming;
                let (is_text, is_deflated) = (*is_text, *is_deflated);
                let payload = std::mem::take(bytes);
                socket.incoming = None;
                self.deliver(cx, socket, (is_text, is_deflated), payload.into())
            }
            Ok(false) if input.is_empty() => ControlFlow::Break(()),
            Ok(false) => ControlFlow::Continue(()),
            Err(fault) => fail(cx, socket, fault),
        }
    }

    /// Delivers a message.
    #[inline]
    fn deliver(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut WebSocket<H::Session>,
        (is_text, is_deflated): (bool, bool),
        payload: Cow<'_, [u8]>,
    ) -> ControlFlow<()> {
        let message =
            self.inflate(is_deflated, payload).and_then(|payload| message(is_text, payload));
        match message {
            Ok(message) => {
                self.handler.on_message(cx, socket, message);
                // One receive can hold messages that take seconds to decompress.
                if is_deflated && self.inflated >= cx.limits().receive_quantum {
                    cx.yield_now();
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }
            Err(fault) => fail(cx, socket, fault),
        }
    }

    #[cfg(feature = "websocket-deflate")]
    fn inflate<'p>(
        &mut self,
        is_deflated: bool,
        payload: Cow<'p, [u8]>,
    ) -> Result<Cow<'p, [u8]>, Fault> {
        if !is_deflated {
            return Ok(payload);
        }
        let message =
            self.shared.codec.borrow_mut().inflate(&payload, self.shared.limits.message)?;
        self.inflated += message.len() + INPUT_WEIGHT * payload.len();
        Ok(Cow::Owned(message))
    }

    /// Without the extension, no frame is compressed.
    #[cfg(not(feature = "websocket-deflate"))]
    fn inflate<'p>(&self, _: bool, payload: Cow<'p, [u8]>) -> Result<Cow<'p, [u8]>, Fault> {
        Ok(payload)
    }
}

/// Checks the characters of a text.
#[inline]
fn message(is_text: bool, payload: Cow<'_, [u8]>) -> Result<Message<'_>, Fault> {
    if !is_text {
        return Ok(Message::Binary(match payload {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        }));
    }
    let text = match payload {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.map(Message::Text).ok_or(Fault::Utf8)
}

/// Requests the payload of a long binary message that is one frame, in a buffer of its own. Returns
/// whether it did. A text is checked as it arrives, and compressed data is not delivered.
fn receive_directly(cx: &mut Context<'_>, header: &Header) -> bool {
    let is_plain = header.opcode == Opcode::Binary && header.is_last && !header.is_deflated;
    match usize::try_from(header.payload) {
        Ok(payload) if is_plain && payload > cx.limits().receive_direct => {
            cx.receive_exact(payload).is_ok()
        }
        _ => false,
    }
}

/// Handles a control frame once it is complete.
fn control<S>(
    cx: &mut Context<'_>,
    socket: &mut WebSocket<S>,
    input: &mut Input<'_>,
    header: Header,
) -> ControlFlow<()> {
    // `Header::parse` has checked the length.
    let (start, len) = (header.len, (header.payload as usize).min(MAX_CONTROL));
    let Some(payload) = input.get(start..start + len) else { return ControlFlow::Break(()) };
    let mut buffer = [0; MAX_CONTROL];
    let unmasked = &mut buffer[..len];
    unmasked.copy_from_slice(payload);
    if let Some(mut mask) = header.mask {
        mask.apply(unmasked);
    }
    input.consume(start + len);
    match header.opcode {
        Opcode::Close => socket.on_close_frame(cx, unmasked),
        Opcode::Ping if socket.is_open() => socket.send_control(cx, Opcode::Pong, unmasked),
        _ => {}
    }
    ControlFlow::Continue(())
}

/// Skips a frame of data that arrives after this side has sent a Close frame.
fn discard(cx: &mut Context<'_>, input: &mut Input<'_>, header: &Header) -> ControlFlow<()> {
    input.consume(header.len);
    if header.payload == 0 {
        return ControlFlow::Continue(());
    }
    cx.discard(header.payload);
    ControlFlow::Break(())
}

fn fail<S>(cx: &mut Context<'_>, socket: &mut WebSocket<S>, fault: Fault) -> ControlFlow<()> {
    socket.fail(cx, fault);
    ControlFlow::Break(())
}
