//! TLS for clients.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sluicegate_reactor::Target;
use sluicegate_reactor::transport::{Error, Factory, Transport, probe_kernel};

use super::connection::Connection;
use super::identity::{Identity, Only};
use super::protocol_version::Version;
use super::roots::Roots;
use super::{invalid, provider, versions};

/// The TLS options of a client.
#[derive(Clone, Debug)]
pub struct ConnectorOptions {
    /// The authorities, one of which must have signed the server's certificate. The default is
    /// [`Roots::web`].
    pub roots: Roots,
    /// The host name or IP address for which the server's certificate must be valid. A name is also
    /// sent to the server (SNI), which may have several certificates. The default is the host name
    /// or IP address of the [`Target`]. It is required for a Unix socket, which has neither.
    pub name: Option<String>,
    /// The application protocols of the client (ALPN) in order of preference. The default is none.
    pub protocols: Vec<Vec<u8>>,
    /// The certificate for servers that request one. The default is none.
    pub identity: Option<Identity>,
    /// The versions of TLS. The default is 1.2 and 1.3.
    pub versions: Vec<Version>,
    /// Whether [the kernel](super#the-kernel) encrypts and decrypts if it can. The default is
    /// `false`, as for [servers](super::AcceptorOptions::kernel).
    pub kernel: bool,
}

impl Default for ConnectorOptions {
    fn default() -> ConnectorOptions {
        ConnectorOptions {
            roots: Roots::web(),
            name: None,
            protocols: Vec::new(),
            identity: None,
            versions: vec![Version::Tls12, Version::Tls13],
            kernel: false,
        }
    }
}

/// Creates the TLS transports of a client, for [`Connect::transport`](sluicegate_reactor::Connect).
///
/// Clones share the cache of sessions that can be resumed.
#[derive(Clone)]
pub struct Connector {
    pub(crate) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Connector {
    /// Creates a connector with these options.
    ///
    /// # Errors
    /// `ErrorKind::InvalidInput` if the name is neither a host name nor an IP address, or if there
    /// is no version.
    pub fn new(options: ConnectorOptions) -> io::Result<Connector> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(&options.versions))
            .map_err(|error| invalid(format_args!("versions of TLS: {error}")))?
            .with_root_certificates(options.roots.store);
        let mut config = match options.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Only(identity))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.protocols;
        config.enable_secret_extraction = options.kernel;
        if options.kernel {
            probe_kernel();
        }
        let name = options.name.map(|name| {
            let parsed = ServerName::try_from(name.clone());
            parsed
                .map_err(|_| invalid(format_args!("{name:?} is not a host name or an IP address")))
        });
        Ok(Connector { config: Arc::new(config), name: name.transpose()? })
    }

    /// The factory for [`Connect::transport`](sluicegate_reactor::Connect).
    #[must_use]
    pub fn factory(&self) -> Factory<Target> {
        let connector = self.clone();
        Factory::new(move |target: &Target| {
            let name = connector.name.clone().map_or_else(|| name_of(target), Ok)?;
            let connection = Connection::client(connector.config.clone(), name)?;
            Ok(Some(Box::new(connection) as Box<dyn Transport>))
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The name that a server at this target must have a certificate for.
fn name_of(target: &Target) -> Result<ServerName<'static>, Error> {
    match target {
        Target::Name(name, _) => ServerName::try_from(name.to_string())
            .map_err(|_| format!("{target}: no certificate can be for this name").into()),
        Target::Address(address) => match address.ip() {
            Some(ip) => Ok(ServerName::IpAddress(ip.into())),
            None => Err(format!("{target}: ConnectorOptions::name must name the server").into()),
        },
    }
}
