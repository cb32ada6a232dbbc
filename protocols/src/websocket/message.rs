//! Messages, and frames that are sent to many connections.

use std::borrow::Cow;
#[cfg(feature = "websocket-deflate")]
use std::cell::OnceCell;

use sluicegate_reactor::{Bytes, Payload};

use super::frame::{Opcode, Prefix};

/// A message, received or to be sent.
///
/// A received message is borrowed if it arrived in one piece. Otherwise it is owned, and can be
/// kept without a copy. Owned bytes are sent without a copy as well.
///
/// ```
/// use sluicegate_protocols::websocket::Message;
///
/// assert_eq!(Message::from("hello"), Message::Text("hello".into()));
/// assert_eq!(Message::from(vec![1, 2]), Message::Binary(vec![1, 2].into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Payload<'a>),
}

impl<'a> Message<'a> {
    pub(super) fn into_parts(self) -> (Opcode, Payload<'a>) {
        match self {
            Message::Text(Cow::Borrowed(text)) => (Opcode::Text, text.as_bytes().into()),
            Message::Text(Cow::Owned(text)) => (Opcode::Text, text.into_bytes().into()),
            Message::Binary(bytes) => (Opcode::Binary, bytes),
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Message::Text(text.into())
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Message::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Message::Binary(bytes.into())
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Message::Binary(bytes.into())
    }
}

impl From<Bytes> for Message<'_> {
    fn from(bytes: Bytes) -> Self {
        Message::Binary(bytes.into())
    }
}

/// A message that is encoded once and [sent](super::WebSocket::send_frame) to many connections.
///
/// A server's frames are the same for all of its clients, so a long one is in memory only once,
/// regardless of how many queues refer to it. A compressed copy is made when the first connection
/// needs it.
///
/// ```
/// # use sluicegate_protocols::websocket::{Message, WebSocketHandler};
/// # use sluicegate_reactor::Context;
/// use sluicegate_protocols::websocket::{Frame, WebSocket};
/// use sluicegate_reactor::{Receive, Sessions};
///
/// # struct Feed;
/// # impl WebSocketHandler for Feed {
/// #     type Session = ();
/// #     fn on_message(&mut self, _: &mut Context<'_>, _: &mut WebSocket<()>, _: Message<'_>) {}
/// # }
/// struct News(String);
///
/// impl Receive<News, WebSocket<()>> for Feed {
///     fn on_message(&mut self, cx: &mut Sessions<'_, WebSocket<()>>, News(text): News) {
///         let frame = Frame::new(text);
///         cx.for_each(|cx, socket| _ = socket.send_frame(cx, &frame));
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Frame {
    pub(super) opcode: Opcode,
    /// The header and the payload.
    pub(super) bytes: Bytes,
    header: usize,
    /// The same, compressed.
    #[cfg(feature = "websocket-deflate")]
    pub(super) deflated: OnceCell<Bytes>,
}

impl Frame {
    /// Encodes a message.
    pub fn new<'a>(message: impl Into<Message<'a>>) -> Frame {
        let (opcode, payload) = message.into().into_parts();
        Frame {
            opcode,
            bytes: encode(opcode, false, &payload),
            header: Prefix::new(opcode, false, payload.len(), None).as_bytes().len(),
            #[cfg(feature = "websocket-deflate")]
            deflated: OnceCell::new(),
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.header..]
    }
}

/// A frame without a mask.
pub(super) fn encode(opcode: Opcode, is_deflated: bool, payload: &[u8]) -> Bytes {
    let prefix = Prefix::new(opcode, is_deflated, payload.len(), None);
    [prefix.as_bytes(), payload].concat().into()
}
