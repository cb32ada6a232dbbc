//! TLS for servers.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sluicegate_reactor::Address;
use sluicegate_reactor::transport::{Factory, Transport, probe_kernel};

use super::client_certificates::ClientCertificates;
use super::connection::Connection;
use super::counters::TlsCounters;
use super::identity::{ByName, Identity};
use super::plain_http::PlainHttp;
use super::protocol_version::Version;
use super::roots::Roots;
use super::tickets::{TicketKeys, Ticketer};
use super::{invalid, provider, versions};

/// The TLS options of a server.
///
/// ```
/// use sluicegate_protocols::tls::{Acceptor, Identity, PlainHttp, AcceptorOptions};
///
/// fn acceptor(certificates: &[u8], key: &[u8]) -> std::io::Result<Acceptor> {
///     Acceptor::new(AcceptorOptions {
///         identities: vec![Identity::from_pem(certificates, key)?],
///         protocols: vec!["http/1.1".into(), "http/1.0".into()],
///         plain_http: PlainHttp::Redirect,
///         ..AcceptorOptions::default()
///     })
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AcceptorOptions {
    /// The server's certificates and keys. The server presents the first identity that matches the
    /// server name in the handshake (SNI) and whose key type the client supports. If none matches,
    /// it presents the first one with a supported key type. There must be at least one.
    pub identities: Vec<Identity>,
    /// Whether clients must present certificates. The default is [`ClientCertificates::None`].
    pub client_certificates: ClientCertificates,
    /// The application protocols of the server (ALPN) in order of preference, such as `http/1.1`.
    /// If the client offers only other protocols, the handshake fails: an HTTP server should list
    /// `http/1.0` too, for clients that want that version. If the list is empty, which is the
    /// default, the client's offer is ignored.
    pub protocols: Vec<Vec<u8>>,
    /// The versions of TLS. The default is 1.2 and 1.3.
    pub versions: Vec<Version>,
    /// The response to a plain HTTP request. The default is [`PlainHttp::Refuse`].
    pub plain_http: PlainHttp,
    /// Whether [the kernel](super#the-kernel) encrypts and decrypts if it can. The default is
    /// `false`, because small responses gain nothing, and kernels before Linux 6.14 do not support
    /// key updates by the peer.
    pub kernel: bool,
}

impl Default for AcceptorOptions {
    fn default() -> AcceptorOptions {
        AcceptorOptions {
            identities: Vec::new(),
            client_certificates: ClientCertificates::None,
            protocols: Vec::new(),
            versions: vec![Version::Tls12, Version::Tls13],
            plain_http: PlainHttp::Refuse,
            kernel: false,
        }
    }
}

/// Creates the TLS transports of a server, for [`Listen::transport`](sluicegate_reactor::Listen).
///
/// Clones share all state, so a session that began on one thread of a server can be resumed on
/// another.
#[derive(Clone)]
pub struct Acceptor {
    current: Arc<RwLock<Arc<Current>>>,
    tickets: Arc<TicketKeys>,
    counters: TlsCounters,
}

struct Current {
    config: Arc<ServerConfig>,
    plain_http: PlainHttp,
}

impl Acceptor {
    /// Creates an acceptor with these options.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if there is no identity, no version, or no authority for client
    /// certificates.
    pub fn new(options: AcceptorOptions) -> io::Result<Acceptor> {
        let tickets = Arc::new(TicketKeys::new(now())?);
        let current = Current::new(options, &tickets)?;
        let current = Arc::new(RwLock::new(Arc::new(current)));
        Ok(Acceptor { current, tickets, counters: TlsCounters::default() })
    }

    /// Replaces the options for all clones of this acceptor, for example because certificates were
    /// renewed. Existing connections keep the previous options. Earlier sessions can be resumed,
    /// unless the [client certificates](AcceptorOptions::client_certificates) have changed: each
    /// client is verified according to the new options.
    ///
    /// # Errors
    /// Those of [`new`](Acceptor::new). The previous options then remain in effect.
    pub fn reload(&self, options: AcceptorOptions) -> io::Result<()> {
        let new = Arc::new(Current::new(options, &self.tickets)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The factory for [`Listen::transport`](sluicegate_reactor::Listen).
    #[must_use]
    pub fn factory(&self) -> Factory<Address> {
        let acceptor = self.clone();
        Factory::new(move |_: &Address| {
            let current = acceptor.current();
            let (config, counters) = (current.config.clone(), acceptor.counters.clone());
            let connection = Connection::server(config, current.plain_http, counters)?;
            Ok(Some(Box::new(connection) as Box<dyn Transport>))
        })
    }

    /// The keys of its session tickets, for another acceptor: see [Sessions](super#sessions). They
    /// must be kept secret: they decrypt the recorded traffic of sessions of TLS 1.2, and an
    /// attacker who has them can pose as this server, or as a client with a certificate.
    #[must_use]
    pub fn ticket_keys(&self) -> Vec<u8> {
        self.tickets.export()
    }

    /// Replaces the keys of its session tickets by those of another acceptor, so that it resumes
    /// the sessions of that one, and the other one those of this.
    ///
    /// # Errors
    /// `ErrorKind::InvalidData` if the bytes are not the [keys](Acceptor::ticket_keys) of an
    /// acceptor. The previous keys then remain in use.
    pub fn set_ticket_keys(&self, keys: &[u8]) -> io::Result<()> {
        self.tickets.import(keys, now())
    }

    /// The counters of its handshakes.
    #[must_use]
    pub fn counters(&self) -> TlsCounters {
        self.counters.clone()
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// In seconds since the Unix epoch.
fn now() -> u64 {
    UnixTime::now().as_secs()
}

impl Current {
    fn new(options: AcceptorOptions, tickets: &Arc<TicketKeys>) -> io::Result<Current> {
        if options.identities.is_empty() {
            return Err(invalid("a TLS server needs a certificate"));
        }
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(&options.versions))
            .map_err(|error| invalid(format_args!("versions of TLS: {error}")))?;
        let ticketer = Ticketer::new(tickets, &options.client_certificates);
        let builder = match verifier(options.client_certificates)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName(options.identities)));
        config.alpn_protocols = options.protocols;
        config.enable_secret_extraction = options.kernel;
        if options.kernel {
            probe_kernel();
        }
        config.ticketer = Arc::new(ticketer);
        Ok(Current { config: Arc::new(config), plain_http: options.plain_http })
    }
}

fn verifier(certificates: ClientCertificates) -> io::Result<Option<Arc<dyn ClientCertVerifier>>> {
    let builder =
        |roots: Roots| WebPkiClientVerifier::builder_with_provider(roots.store, provider());
    let builder = match certificates {
        ClientCertificates::None => return Ok(None),
        ClientCertificates::Optional(roots) => builder(roots).allow_unauthenticated(),
        ClientCertificates::Required(roots) => builder(roots),
    };
    let verifier = builder.build();
    verifier.map(Some).map_err(|error| invalid(format_args!("client certificates: {error}")))
}
