//! A TLS connection as a transport, and its negotiated parameters.

use std::any::{Any, TypeId};
use std::sync::Arc;
use std::{fmt, io, mem};

use rustls::ProtocolVersion;
use rustls::client::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::server::ServerConfig;
use sluicegate_reactor::transport::{
    Control, Error, Keys, Offload, Opened, Output, State, Suite, Transport,
};

use super::counters::TlsCounters;
use super::identity;
use super::in_kernel::{InKernel, Negotiated};
use super::plain_http::{self, PlainHttp};
use super::protocol_version::Version;
use super::unbuffered::{Session, Task};

/// A TLS connection, for [`Context::transport`](sluicegate_reactor::Context::transport). Its
/// methods return the parameters that the handshake negotiated.
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
    records: Records,
    /// Whether the kernel may open and seal the records.
    offloads: bool,
    /// How a server responds to a plain HTTP request, until it knows that the client uses TLS.
    plain_http: Option<PlainHttp>,
    /// The server name that the client has requested.
    server_name: Option<Box<str>>,
    /// Where a server counts the handshake, until it is completed.
    counters: Option<TlsCounters>,
}

/// Where the records are opened and sealed.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would cost each connection that stays in the process an allocation"
)]
enum Records {
    Process(Session),
    Kernel(Box<InKernel>),
    /// Nowhere, because rustls did not give up the keys. The connection is about to end.
    Lost,
}

impl Connection {
    pub(super) fn server(
        config: Arc<ServerConfig>,
        plain_http: PlainHttp,
        counters: TlsCounters,
    ) -> Result<Connection, rustls::Error> {
        let offloads = config.enable_secret_extraction;
        let (records, counters) = (Records::Process(Session::server(config)?), Some(counters));
        let (plain_http, server_name) = (Some(plain_http), None);
        Ok(Connection { records, offloads, plain_http, server_name, counters })
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Connection, rustls::Error> {
        let server_name = Some(name.to_str().into());
        let offloads = config.enable_secret_extraction;
        let records = Records::Process(Session::client(config, name)?);
        Ok(Connection { records, offloads, plain_http: None, server_name, counters: None })
    }

    /// The name of the server. In a server, this is the name that the client has requested (SNI),
    /// or `None` if it has not requested any. In a client, this is the name that the
    /// [`Connector`](super::Connector) has verified.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The negotiated application protocol (ALPN), such as `http/1.1`. `None` if one of the sides
    /// has not offered any.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.negotiated()?.protocol
    }

    /// The version of TLS.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.negotiated().and_then(|negotiated| negotiated.version) {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => Version::Tls13,
        }
    }

    /// The standard name of the cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    #[must_use]
    pub fn cipher_suite(&self) -> &'static str {
        let suite = self.negotiated().and_then(|negotiated| negotiated.cipher_suite);
        suite.and_then(|suite| suite.as_str()).unwrap_or_default()
    }

    /// The verified certificates of the peer in DER: its own, followed by the intermediate ones.
    /// Empty if the peer is a client that has not presented any.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        let certificates = self.negotiated().map(|negotiated| negotiated.peer_certificates);
        certificates.unwrap_or_default().iter().map(|der| der.as_ref())
    }

    /// Whether the session was resumed, so that neither side had to present a certificate again.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.negotiated().is_some_and(|negotiated| negotiated.is_resumed)
    }

    /// Whether the kernel opens and seals the records of the connection.
    #[must_use]
    pub fn is_in_kernel(&self) -> bool {
        matches!(self.records, Records::Kernel(_))
    }

    fn negotiated(&self) -> Option<Negotiated<'_>> {
        match &self.records {
            Records::Process(session) => Some(session.common().into()),
            Records::Kernel(kernel) => Some(kernel.negotiated()),
            Records::Lost => None,
        }
    }

    fn session(&mut self) -> Result<&mut Session, Error> {
        match &mut self.records {
            Records::Process(session) => Ok(session),
            Records::Kernel(_) | Records::Lost => Err("TLS: the kernel has the records".into()),
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.records {
            Records::Process(session) => session.common().is_handshaking(),
            Records::Kernel(_) | Records::Lost => false,
        }
    }
}

fn failure(session: &Session, error: &rustls::Error) -> Error {
    match session.common().is_handshaking() {
        true => format!("TLS handshake: {error}").into(),
        false => format!("TLS: {error}").into(),
    }
}

impl Transport for Connection {
    fn start(&mut self, out: &mut Output<'_>) -> Result<(), Error> {
        let session = self.session()?;
        if session.is_client() {
            session.send(Task::Nothing, out).map_err(|error| failure(session, &error))?;
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
        let session = self.session()?;
        let handshake = session.common().is_handshaking();
        let opened = session.open(wire, out).map_err(|error| {
            session.put_alert(out);
            failure(session, &error)
        });
        if handshake && let Some(name) = identity::take_server_name() {
            self.server_name = Some(name);
        }
        if handshake
            && !self.is_handshaking()
            && let Some(counters) = self.counters.take()
        {
            counters.note(self.version(), self.is_resumed());
        }
        opened
    }

    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
        let session = self.session()?;
        match session.send(Task::Seal(plain), out) {
            Ok(true) => Ok(()),
            Ok(false) => Err("TLS: sent before the handshake or after the end".into()),
            Err(error) => Err(failure(session, &error)),
        }
    }

    fn close(&mut self, out: &mut Output<'_>) {
        match &mut self.records {
            // In the middle of the handshake there is nothing to end. If the keys are used up, the
            // connection ends without an alert.
            Records::Process(session) => _ = session.send(Task::CloseNotify, out),
            Records::Kernel(kernel) => kernel.close(out),
            Records::Lost => {}
        }
    }

    fn state(&self) -> State {
        match self.is_handshaking() {
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

    fn offload(&mut self) -> Option<&mut dyn Offload> {
        self.offloads.then_some(self)
    }
}

impl Offload for Connection {
    fn suite(&self) -> Option<Suite> {
        self.negotiated()?.suite()
    }

    fn keys(&mut self) -> Result<Keys, Error> {
        let Records::Process(session) = mem::replace(&mut self.records, Records::Lost) else {
            return Err("TLS: the kernel has the keys".into());
        };
        let (keys, kernel) = InKernel::new(session)?;
        self.records = Records::Kernel(Box::new(kernel));
        Ok(keys)
    }

    fn control(
        &mut self,
        kind: u8,
        payload: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Control, Error> {
        match &mut self.records {
            Records::Kernel(kernel) => kernel.control(kind, payload, out),
            Records::Process(_) | Records::Lost => Err("TLS: the kernel has no keys".into()),
        }
    }

    fn fail(&mut self, error: &io::Error, out: &mut Output<'_>) -> Error {
        InKernel::fail(error, out)
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
