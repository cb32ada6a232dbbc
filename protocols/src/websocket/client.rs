//! The opening handshake of a client (RFC 6455, section 4.1).

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sluicegate_reactor::{Context, HandlerId, Turn};

use super::frame::Role;
use super::handshake::accept_of;
use super::{WebSocket, WebSocketHandler, WebSockets};
use crate::http::client::{Request, Response};
use crate::http::{list, values};

/// The opening handshake of a client: creates the request, and checks the response.
///
/// Send the request with an HTTP [`Client`](crate::http::client::Client). Its
/// [`Exchange`](crate::http::client::Exchange) keeps the handshake until
/// [`on_upgrade`](crate::http::client::Exchange::on_upgrade):
///
/// ```
/// use sluicegate_protocols::http::client::{Client, ClientError, Exchange, Response, Take};
/// use sluicegate_protocols::websocket::{ClientHandshake, WebSocketHandler, WebSockets};
/// # use sluicegate_protocols::websocket::{Message, WebSocket};
/// use sluicegate_reactor::{Context, HandlerId, Turn};
///
/// # struct Feed;
/// # impl WebSocketHandler for Feed {
/// #     type Session = ();
/// #     fn on_message(&mut self, _: &mut Context<'_>, _: &mut WebSocket<()>, _: Message<'_>) {}
/// # }
/// struct Opening {
///     handshake: ClientHandshake,
///     feed: HandlerId<WebSockets<Feed>>,
/// }
///
/// impl Exchange for Opening {
///     fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {
///         if let Err(error) = self.handshake.accept(cx, response, self.feed, ()) {
///             eprintln!("{error}");
///         }
///     }
///
///     fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
///         eprintln!("the server answered with {}", response.status().code());
///         Take::Nothing
///     }
///
///     fn on_failed(self, _: &mut Turn, error: ClientError) {
///         eprintln!("{error}");
///     }
/// }
///
/// fn open(cx: &mut Turn, client: &Client<Opening>, feed: HandlerId<WebSockets<Feed>>) {
///     let handshake = ClientHandshake::new(cx).protocol("feed.v1");
///     let request = handshake.request("/feed");
///     client.send(cx, request, Opening { handshake, feed });
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: String,
    protocols: Vec<String>,
    #[cfg(feature = "websocket-deflate")]
    deflates: bool,
}

impl ClientHandshake {
    /// Begins a handshake with a random key.
    #[must_use]
    pub fn new(cx: &Turn) -> ClientHandshake {
        let bytes = [cx.random(), cx.random()].map(u64::to_ne_bytes);
        let key = STANDARD.encode(bytes.as_flattened());
        ClientHandshake {
            key,
            protocols: Vec::new(),
            #[cfg(feature = "websocket-deflate")]
            deflates: false,
        }
    }

    /// Offers a subprotocol; may be called several times, in order of preference. The server
    /// chooses one of them, or none.
    #[must_use]
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocols.push(protocol.to_owned());
        self
    }

    /// Offers to compress messages: see [`Handshake::deflate`](super::Handshake::deflate).
    #[cfg(feature = "websocket-deflate")]
    #[must_use]
    pub fn deflate(self) -> Self {
        ClientHandshake { deflates: true, ..self }
    }

    /// The request that opens the WebSocket. Fields such as `Authorization` can be added.
    pub fn request(&self, target: &str) -> Request {
        let mut request = Request::get(target)
            .upgrade("websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", &self.key);
        if !self.protocols.is_empty() {
            request = request.header("Sec-WebSocket-Protocol", self.protocols.join(", "));
        }
        #[cfg(feature = "websocket-deflate")]
        if self.deflates {
            request = request.header("Sec-WebSocket-Extensions", super::deflate::OFFER);
        }
        request
    }

    /// The subprotocol that the server has chosen.
    #[must_use]
    pub fn chosen<'a>(&self, response: &Response<'a>) -> Option<&'a str> {
        let chosen = str::from_utf8(response.header("Sec-WebSocket-Protocol")?).ok()?;
        self.protocols.iter().any(|offered| offered == chosen).then_some(chosen)
    }

    /// Checks the response, and hands the connection over. `session` is the application's state for
    /// the connection.
    ///
    /// # Errors
    /// If the response breaks a rule. The connection is then closed.
    pub fn accept<H: WebSocketHandler>(
        &self,
        cx: &mut Context<'_>,
        response: &Response<'_>,
        to: HandlerId<WebSockets<H>>,
        session: H::Session,
    ) -> Result<(), ResponseError> {
        let checked = self.check(response);
        match checked {
            Ok(deflates) => cx.hand_over(to, WebSocket::new(Role::Client, deflates, session)),
            Err(_) => cx.close(),
        }
        checked.map(|_| ())
    }

    /// Returns whether messages are compressed.
    fn check(&self, response: &Response<'_>) -> Result<bool, ResponseError> {
        let values = |name: &'static str| values(response.headers(), name);
        let lists = |name, element: &[u8]| {
            values(name).flat_map(list).any(|member| member.eq_ignore_ascii_case(element))
        };
        if !lists("Upgrade", b"websocket") || !lists("Connection", b"upgrade") {
            return Err(ResponseError::Upgrade);
        }
        if !values("Sec-WebSocket-Accept").eq([accept_of(self.key.as_bytes()).as_bytes()]) {
            return Err(ResponseError::Accept);
        }
        let protocols = values("Sec-WebSocket-Protocol").count();
        if protocols > 1 || protocols == 1 && self.chosen(response).is_none() {
            return Err(ResponseError::Protocol);
        }
        let mut extensions = values("Sec-WebSocket-Extensions").peekable();
        if extensions.peek().is_none() {
            return Ok(false);
        }
        #[cfg(feature = "websocket-deflate")]
        if self.deflates && super::deflate::is_accepted(extensions) {
            return Ok(true);
        }
        Err(ResponseError::Extensions)
    }
}

/// How the response to a [`ClientHandshake`] breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// It upgrades to another protocol.
    Upgrade,
    /// `Sec-WebSocket-Accept` does not match the key.
    Accept,
    /// It chooses a subprotocol that was not offered.
    Protocol,
    /// It uses an extension that was not offered, or with other parameters.
    Extensions,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseError::Upgrade => "the server upgrades to a protocol other than websocket",
            ResponseError::Accept => "Sec-WebSocket-Accept does not match the key",
            ResponseError::Protocol => "the server chose a subprotocol that was not offered",
            ResponseError::Extensions => "the server uses an extension that was not offered",
        })
    }
}

impl Error for ResponseError {}
