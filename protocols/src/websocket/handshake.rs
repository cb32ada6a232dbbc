//! The opening handshake of a server (RFC 6455, section 4.2).

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use sluicegate_reactor::HandlerId;

use super::frame::Role;
use super::{WebSocket, WebSocketHandler, WebSockets};
use crate::http::{Answered, Method, Reply, Request, Status, Upgrade, list, values};

/// A valid request to open a WebSocket.
///
/// ```
/// use sluicegate_protocols::http::{Answered, Reply, Request, Service};
/// use sluicegate_protocols::websocket::{Handshake, WebSocketHandler, WebSockets};
/// # use sluicegate_protocols::websocket::{Message, WebSocket};
/// # use sluicegate_reactor::Context;
/// use sluicegate_reactor::HandlerId;
///
/// # struct Chat;
/// # impl WebSocketHandler for Chat {
/// #     type Session = String;
/// #     fn on_message(&mut self, _: &mut Context<'_>, _: &mut WebSocket<String>, _: Message<'_>) {}
/// # }
/// struct Site {
///     chat: HandlerId<WebSockets<Chat>>,
/// }
///
/// impl Service for Site {
///     type State = ();
///
///     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
///         let mut handshake = match Handshake::new(request) {
///             Ok(handshake) => handshake,
///             Err(error) => return error.answer(reply),
///         };
///         if handshake.offers("chat.v2") {
///             handshake = handshake.protocol("chat.v2");
///         }
///         handshake.accept(reply, self.chat, "guest".to_owned())
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Handshake<'a> {
    request: Request<'a>,
    upgrade: Upgrade<'a>,
    key: &'a [u8],
    protocol: Option<&'a str>,
    /// The value of `Sec-WebSocket-Extensions`, if an extension is used.
    extensions: Option<String>,
}

impl<'a> Handshake<'a> {
    /// Checks a request, and refuses pages of other origins.
    ///
    /// A browser lets any page open a WebSocket to any server, and sends the user's cookies along.
    /// A server that identifies users by cookies or by address must therefore check the origin of
    /// the page, as [`Request::is_cross_origin`] does. Clients other than browsers are always
    /// accepted. To accept pages of other origins, use
    /// [`from_any_origin`](Handshake::from_any_origin).
    ///
    /// # Errors
    /// If the request does not open a WebSocket. [`HandshakeError::answer`] responds to it.
    pub fn new(request: &Request<'a>) -> Result<Handshake<'a>, HandshakeError> {
        if request.is_cross_origin() {
            return Err(HandshakeError::CrossOrigin);
        }
        Handshake::from_any_origin(request)
    }

    /// Checks a request of any origin. The caller decides who may connect, based on the field
    /// `Origin`.
    ///
    /// # Errors
    /// The same as those of [`new`](Handshake::new), except for
    /// [`CrossOrigin`](HandshakeError::CrossOrigin).
    pub fn from_any_origin(request: &Request<'a>) -> Result<Handshake<'a>, HandshakeError> {
        let upgrade = request.upgrade().filter(|upgrade| upgrade.offers("websocket"));
        let mut versions = values(request.headers(), "Sec-WebSocket-Version");
        let mut keys = values(request.headers(), "Sec-WebSocket-Key");
        match (upgrade, keys.next()) {
            _ if request.method() != Method::Get => Err(HandshakeError::Method),
            (None, _) => Err(HandshakeError::NoUpgrade),
            _ if versions.next() != Some(b"13") || versions.next().is_some() => {
                Err(HandshakeError::Version)
            }
            (Some(upgrade), Some(key)) if is_key(key) && keys.next().is_none() => {
                let request = *request;
                Ok(Handshake { request, upgrade, key, protocol: None, extensions: None })
            }
            _ => Err(HandshakeError::Key),
        }
    }

    /// Whether the client offers this subprotocol. Case matters.
    #[must_use]
    pub fn offers(&self, protocol: &str) -> bool {
        let mut offered = values(self.request.headers(), "Sec-WebSocket-Protocol").flat_map(list);
        offered.any(|offer| offer == protocol.as_bytes())
    }

    /// Chooses a subprotocol. The client must have [offered](Handshake::offers) it, or it closes
    /// the connection. By default, no subprotocol is used.
    #[must_use]
    pub fn protocol(self, protocol: &'a str) -> Self {
        Handshake { protocol: Some(protocol), ..self }
    }

    /// Compresses all but short messages in both directions if the client offers it
    /// (permessage-deflate, RFC 7692).
    ///
    /// Compression takes far more CPU time than everything else. It is worthwhile if the network is
    /// slow and messages are long and repetitive. Do not compress messages that combine secrets
    /// with text from an attacker, because their length reveals information about the secret.
    ///
    /// All connections of a handler share one compressor and one decompressor: no message refers to
    /// an earlier one (`server_no_context_takeover`, `client_no_context_takeover`).
    #[cfg(feature = "websocket-deflate")]
    #[must_use]
    pub fn deflate(self) -> Self {
        let offers = values(self.request.headers(), "Sec-WebSocket-Extensions");
        Handshake { extensions: super::deflate::respond(offers), ..self }
    }

    /// Accepts the WebSocket: responds with 101, and hands the connection over. `session` is the
    /// application's state for the connection.
    ///
    /// Call this only in [`Service::call`](crate::http::Service::call); see [`Reply::upgrade`].
    pub fn accept<H: WebSocketHandler, V>(
        self,
        reply: Reply<'_, '_>,
        to: HandlerId<WebSockets<H>>,
        session: H::Session,
    ) -> Answered<V> {
        let mut reply = reply.header("Sec-WebSocket-Accept", accept_of(self.key));
        if let Some(protocol) = self.protocol {
            reply = reply.header("Sec-WebSocket-Protocol", protocol);
        }
        if let Some(extensions) = &self.extensions {
            reply = reply.header("Sec-WebSocket-Extensions", extensions);
        }
        let socket = WebSocket::new(Role::Server, self.extensions.is_some(), session);
        reply.upgrade(self.upgrade, "websocket", to, socket)
    }
}

/// Why a request does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The request does not request an upgrade to `websocket`, has a body, or is HTTP/1.0.
    NoUpgrade,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// `Sec-WebSocket-Key` is not 16 bytes in Base64.
    Key,
    /// The request comes from a page of another origin.
    CrossOrigin,
}

impl HandshakeError {
    /// Answers the request with the appropriate status and header fields.
    pub fn answer<V>(self, reply: Reply<'_, '_>) -> Answered<V> {
        match self {
            HandshakeError::Method => {
                reply.header("Allow", "GET").error(Status::METHOD_NOT_ALLOWED)
            }
            HandshakeError::NoUpgrade | HandshakeError::Version => reply
                .fields(b"Connection: Upgrade\r\n")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .error(Status::UPGRADE_REQUIRED),
            HandshakeError::Key => reply.error(Status::BAD_REQUEST),
            HandshakeError::CrossOrigin => reply.error(Status::FORBIDDEN),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandshakeError::Method => "the method is not GET",
            HandshakeError::NoUpgrade => "the request does not request a WebSocket",
            HandshakeError::Version => "Sec-WebSocket-Version is not 13",
            HandshakeError::Key => "Sec-WebSocket-Key is not 16 bytes in Base64",
            HandshakeError::CrossOrigin => "the request comes from a page of another origin",
        })
    }
}

impl Error for HandshakeError {}

/// Whether this is the Base64 of 16 bytes. Like most servers, this ignores the unused bits of the
/// last digit.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(is_digit))
}

/// The value of `Sec-WebSocket-Accept` for a key.
pub(super) fn accept_of(key: &[u8]) -> String {
    let hash = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn row_21_a_key_is_accepted_with_its_hash() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
