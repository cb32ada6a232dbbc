//! A TLS connection as a transport, and what it tells about itself.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::server::ServerConfig;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use sluicegate_reactor::transport::{Error, Opened, Output, State, Transport};

use super::identity;
use super::plain_http::{self, PlainHttp};
use super::unbuffered::{Session, Task};

/// A TLS connection, for [`Context::transport`](sluicegate_reactor::Context::transport): what was
/// negotiated in its handshake.
///
/// ```
/// use sluicegate_protocols::tls::Connection;
/// use sluicegate_reactor::Context;
///
/// fn describe(cx: &Context<'_>) -> String {
///     match cx.transport::<Connection>() {
///         Some(tls) => format!("{} with {}", tls.version(), tls.cipher_suite()),
///         None => "in the clear".into(),
///     }
/// }
/// ```
pub struct Connection {
    session: Session,
    /// What a server does with a plain HTTP request, until it knows that the client speaks TLS.
    plain_http: Option<PlainHttp>,
    /// The name that the client has asked for.
    server_name: Option<Box<str>>,
}

impl Connection {
    pub(super) fn server(
        config: Arc<ServerConfig>,
        plain_http: PlainHttp,
    ) -> Result<Connection, rustls::Error> {
        let session = Session::server(config)?;
        Ok(Connection { session, plain_http: Some(plain_http), server_name: None })
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Connection, rustls::Error> {
        let server_name = Some(name.to_str().into());
        let session = Session::client(config, name)?;
        Ok(Connection { session, plain_http: None, server_name })
    }

    /// The name of the server: the one that the client has asked for (SNI), or the one that
    /// [`Connector`](super::Connector) has verified. `None` if the client has named none.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocol that both sides have agreed on (ALPN), such as `http/1.1`. `None` if one of
    /// them has offered none.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// The version of TLS.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.common().protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => Version::Tls13,
        }
    }

    /// The standard name of the cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    #[must_use]
    pub fn cipher_suite(&self) -> &'static str {
        let suite = self.common().negotiated_cipher_suite();
        suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default()
    }

    /// The certificates of the peer in DER: its own, and then the intermediate ones. They are
    /// verified. Empty if the peer is a client that has presented none.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.common().peer_certificates().unwrap_or_default().iter().map(|der| der.as_ref())
    }

    /// Whether the session was resumed, so that neither side had to present a certificate again.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn common(&self) -> &CommonState {
        self.session.common()
    }

    fn failure(&self, error: rustls::Error) -> Error {
        match self.state() {
            State::Handshake => format!("TLS handshake: {error}").into(),
            _ => format!("TLS: {error}").into(),
        }
    }
}

impl Transport for Connection {
    fn start(&mut self, out: &mut Output<'_>) -> Result<(), Error> {
        if self.session.is_client() {
            self.session.send(Task::Nothing, out).map_err(|error| self.failure(error))?;
        }
        Ok(())
    }

    fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error> {
        if let Some(plain_http) = self.plain_http {
            if !plain_http::is_tls(wire, plain_http, out)? {
                return Ok(Opened::Incomplete);
            }
            self.plain_http = None;
        }
        let handshake = self.common().is_handshaking();
        let opened = self.session.open(wire, out).map_err(|error| {
            self.session.put_alert(out);
            self.failure(error)
        });
        if handshake && let Some(name) = identity::take_server_name() {
            self.server_name = Some(name);
        }
        opened
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        match self.session.send(Task::Seal(plain), out) {
            Ok(true) => Ok(()),
            Ok(false) => Err("TLS: sent before the handshake or after the end".into()),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn close(&mut self, out: &mut Output<'_>) {
        // In the middle of the handshake there is nothing to end. If the keys are used up, the
        // connection ends without an alert.
        let _ = self.session.send(Task::CloseNotify, out);
    }

    fn state(&self) -> State {
        match self.common().is_handshaking() {
            true => State::Handshake,
            false => State::Open,
        }
    }

    fn is_secure(&self) -> bool {
        true
    }

    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        (of == TypeId::of::<Connection>()).then_some(self)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server_name", &self.server_name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TLS 1.2, [RFC 5246](https://www.rfc-editor.org/rfc/rfc5246).
    Tls12,
    /// TLS 1.3, [RFC 8446](https://www.rfc-editor.org/rfc/rfc8446).
    Tls13,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Tls12 => "TLS 1.2",
            Version::Tls13 => "TLS 1.3",
        })
    }
}
