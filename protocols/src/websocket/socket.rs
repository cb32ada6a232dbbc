//! One WebSocket: its state, and what can be sent on it.

use std::num::NonZeroU64;
use std::rc::Rc;

use bytes::BytesMut;
use sluicegate_reactor::{Context, Payload, Sent};

use super::fault::{CloseCode, Closed, Fault};
use super::frame::{MAX_CONTROL, MAX_HEADER, MAX_SHORT, Mask, Opcode, Prefix, Role};
use super::incoming::Incoming;
use super::limits::WebSocketLimits;
use super::message::{Frame, Message};

/// Borrowed payloads up to this size are masked on the stack.
const MASKED_ON_STACK: usize = 1 << 10;

/// The state that all connections of a handler share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: WebSocketLimits,
    #[cfg(feature = "websocket-deflate")]
    pub(super) codec: std::cell::RefCell<super::codec::Codec>,
}

impl Shared {
    pub(super) fn new(limits: WebSocketLimits) -> Shared {
        Shared {
            limits,
            #[cfg(feature = "websocket-deflate")]
            codec: std::cell::RefCell::default(),
        }
    }
}

/// One end of a WebSocket, with the application's state for the connection.
///
/// The callbacks of [`WebSocketHandler`](super::WebSocketHandler) get it. A
/// [message](sluicegate_reactor::Receive) can access the WebSockets of all connections: implement
/// `Receive<M, WebSocket<Session>>`.
///
/// Its methods need the [`Context`] of the same connection.
#[derive(Debug)]
pub struct WebSocket<S> {
    /// The application's state.
    pub session: S,
    pub(super) phase: Phase,
    pub(super) role: Role,
    /// Whether permessage-deflate was negotiated.
    pub(super) deflates: bool,
    /// How many bytes had been received when the last ping was sent.
    pub(super) pinged_at: Option<NonZeroU64>,
    pub(super) incoming: Option<Box<Incoming>>,
    /// Set once the connection is ready.
    pub(super) shared: Option<Rc<Shared>>,
}

/// How far the closing handshake is.
#[derive(Debug)]
pub(super) enum Phase {
    Open,
    /// This side has sent a Close frame.
    Closing,
    /// The peer has sent one too, or has broken a rule.
    Over(Box<Closed>),
}

const _: () = assert!(size_of::<WebSocket<()>>() <= 48);

impl<S> WebSocket<S> {
    pub(super) fn new(role: Role, deflates: bool, session: S) -> WebSocket<S> {
        WebSocket {
            session,
            phase: Phase::Open,
            role,
            deflates,
            pinged_at: None,
            incoming: None,
            shared: None,
        }
    }

    /// Whether messages can be sent, that is, neither side has sent a Close frame.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Sends a message: a `&str` or `String` as text, a `&[u8]` or `Vec<u8>` as binary data.
    ///
    /// A server sends owned bytes without copying them; a client masks them in place. Like
    /// [`Context::send`], this always accepts the whole message or returns [`Sent::Gone`]. It
    /// returns `Gone` as soon as either side has begun to close.
    pub fn send<'m>(&mut self, cx: &mut Context<'_>, message: impl Into<Message<'m>>) -> Sent {
        let (opcode, payload) = message.into().into_parts();
        self.send_payload(cx, opcode, payload)
    }

    /// Sends a message that was encoded once for many connections.
    pub fn send_frame(&mut self, cx: &mut Context<'_>, frame: &Frame) -> Sent {
        match self.role {
            Role::Client => self.send_payload(cx, frame.opcode, frame.payload().into()),
            Role::Server if !self.is_open() => Sent::Gone,
            Role::Server => {
                #[cfg(feature = "websocket-deflate")]
                if let Some(mut codec) = self.compressor(frame.payload().len()) {
                    let deflate = || {
                        let payload = codec.deflate(frame.payload());
                        super::message::encode(frame.opcode, true, &payload)
                    };
                    return cx.send(frame.deflated.get_or_init(deflate));
                }
                cx.send(&frame.bytes)
            }
        }
    }

    /// Starts the closing handshake: sends a Close frame with this code and up to 123 bytes of this
    /// reason. Messages that the peer still sends are discarded, and a
    /// [pause](sluicegate_reactor::Peer::pause) ends. The connection is
    /// [closed](sluicegate_reactor::Peer::close) when the peer has answered, or after
    /// [`close_timeout`](WebSocketLimits::close_timeout): messages still queued for a slow peer
    /// are sent first.
    ///
    /// Does nothing if either side has already begun to close.
    pub fn close(&mut self, cx: &mut Context<'_>, code: CloseCode, reason: &str) {
        if !self.is_open() {
            return;
        }
        self.send_close(cx, code, reason);
        self.phase = Phase::Closing;
        let left = self.incoming.take().and_then(|incoming| incoming.left());
        if let Some(left) = left.filter(|left| *left > 0) {
            cx.discard(left);
        }
        // Otherwise the answer of the peer would not be read.
        cx.resume();
        self.start_deadline(cx);
    }

    /// Limits the time until the peer answers a Close frame. Before the connection is ready, the
    /// limit is not known yet.
    pub(super) fn start_deadline(&self, cx: &mut Context<'_>) {
        if let Some(shared) = &self.shared {
            cx.set_deadline(Some(shared.limits.close_timeout));
        }
    }

    /// Ends the connection because of what the peer sent.
    #[cold]
    pub(super) fn fail(&mut self, cx: &mut Context<'_>, fault: Fault) {
        if self.is_open() {
            self.send_close(cx, fault.code(), fault.reason());
        }
        self.end(cx, Closed::Failed(fault));
    }

    /// The peer has sent a Close frame with this payload.
    pub(super) fn on_close_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match Closed::parse(payload) {
            Ok(closed) => {
                if self.is_open() {
                    self.send_control(cx, Opcode::Close, &payload[..payload.len().min(2)]);
                }
                self.end(cx, closed);
            }
            Err(fault) => self.fail(cx, fault),
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, closed: Closed) {
        self.phase = Phase::Over(Box::new(closed));
        self.incoming = None;
        cx.close();
    }

    fn send_close(&self, cx: &mut Context<'_>, code: CloseCode, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL - 2)];
        let payload = match code {
            CloseCode::ABSENT => Vec::new(),
            code => [&code.code().to_be_bytes(), reason.as_bytes()].concat(),
        };
        self.send_control(cx, Opcode::Close, &payload);
    }

    pub(super) fn send_control(&self, cx: &mut Context<'_>, opcode: Opcode, payload: &[u8]) {
        self.transmit(cx, opcode, false, payload.into());
    }

    fn send_payload(&self, cx: &mut Context<'_>, opcode: Opcode, payload: Payload<'_>) -> Sent {
        if !self.is_open() {
            return Sent::Gone;
        }
        #[cfg(feature = "websocket-deflate")]
        if let Some(mut codec) = self.compressor(payload.len()) {
            let payload = codec.deflate(&payload);
            return self.transmit(cx, opcode, true, payload.into());
        }
        self.transmit(cx, opcode, false, payload)
    }

    /// The compressor, if a payload of this length is to be compressed.
    #[cfg(feature = "websocket-deflate")]
    fn compressor(&self, len: usize) -> Option<std::cell::RefMut<'_, super::codec::Codec>> {
        let is_worth_it = self.deflates && len >= super::codec::COMPRESS_FROM;
        let shared = self.shared.as_ref().filter(|_| is_worth_it)?;
        Some(shared.codec.borrow_mut())
    }

    /// Sends a frame.
    #[inline]
    fn transmit(
        &self,
        cx: &mut Context<'_>,
        opcode: Opcode,
        is_deflated: bool,
        payload: Payload<'_>,
    ) -> Sent {
        let mask = (self.role == Role::Client).then(|| Mask::random(cx));
        let prefix = Prefix::new(opcode, is_deflated, payload.len(), mask);
        if payload.len() <= MAX_SHORT {
            // Copying a short payload costs less than queueing it separately.
            return cx.send(prefix.join(&payload, mask, &mut [0; MAX_HEADER + MAX_SHORT]));
        }
        cx.send(prefix.as_bytes());
        match (mask, payload) {
            (None, payload) => cx.send(payload),
            (Some(mut mask), Payload::Borrowed(payload)) if payload.len() <= MASKED_ON_STACK => {
                let mut buffer = [0; MASKED_ON_STACK];
                let masked = &mut buffer[..payload.len()];
                masked.copy_from_slice(payload);
                mask.apply(masked);
                cx.send(&*masked)
            }
            (Some(mut mask), payload) => {
                let mut masked = BytesMut::from(payload.into_bytes());
                mask.apply(&mut masked);
                cx.send(masked.freeze())
            }
        }
    }
}
