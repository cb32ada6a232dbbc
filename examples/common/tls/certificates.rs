//! The certificates of a server, and reloading them on SIGHUP.

use std::io;
use std::path::Path;

use sluicegate_protocols::ops::StatusOptions;
use sluicegate_protocols::tls::{Acceptor, AcceptorOptions, ClientCertificates, Identity, Roots};
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Server};

use super::super::Failure;
use super::super::reload::{self, Apply};
use super::Tls;

/// What a server needs to accept TLS, as its options say.
#[derive(Clone)]
pub(crate) struct Certificates {
    options: Tls,
    protocols: &'static [&'static str],
    /// The certificate that was made for this process.
    own: Option<Identity>,
    acceptor: Acceptor,
}

impl Certificates {
    pub(super) fn new(
        options: &Tls,
        hosts: &[String],
        protocols: &'static [&'static str],
    ) -> Result<Certificates, Failure> {
        let local = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let make = || Identity::self_signed(hosts.iter().cloned().chain(local));
        let own = options.tls_self_signed.then(make).transpose()?;
        let identities = match &own {
            Some(own) => vec![own.clone()],
            None => options.identities()?,
        };
        let acceptor = Acceptor::new(options.acceptor(identities, protocols)?)?;
        Ok(Certificates { options: options.clone(), protocols, own, acceptor })
    }

    /// The transport of connections.
    pub(crate) fn factory(&self) -> Factory<Address> {
        self.acceptor.factory()
    }

    /// The fingerprint of the certificate that was made for this process.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        self.own.as_ref().map(Identity::fingerprint)
    }

    /// Shows the handshakes on the status listener.
    pub(crate) fn show(&self, options: &mut StatusOptions) {
        options.tls = Some(self.acceptor.counters());
    }

    /// Lets clients resume the sessions of the last process with this one, and of this one with the
    /// next.
    pub(crate) fn pass_sessions_on(&self, server: &mut Server) {
        if let Some(keys) = server.inherited_state()
            && let Err(error) = self.acceptor.set_ticket_keys(&keys)
        {
            log::warn!("{error}; clients cannot resume the sessions of the last process");
        }
        let acceptor = self.acceptor.clone();
        server.hand_over_state(move || acceptor.ticket_keys());
    }

    /// Reads the certificates again.
    pub(crate) fn reload(&self) -> Result<Apply, Failure> {
        let options = &self.options;
        if self.own.is_some() {
            return Ok(Box::new(|| {}));
        }
        for file in options.files() {
            reload::check(file).map_err(about(file))?;
        }
        let options = options.acceptor(options.identities()?, self.protocols)?;
        // Finds out whether they can be used.
        Acceptor::new(options.clone())?;
        let acceptor = self.acceptor.clone();
        Ok(Box::new(move || {
            if let Err(error) = acceptor.reload(options) {
                log::error!("{error}; the previous certificates are kept");
            }
        }))
    }
}

impl Tls {
    fn identities(&self) -> io::Result<Vec<Identity>> {
        if self.tls_cert.len() != self.tls_key.len() {
            let text = "each --tls-cert needs a --tls-key, in the same order";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let pairs = self.tls_cert.iter().zip(&self.tls_key);
        pairs.map(|(certificate, key)| read_identity(certificate, key)).collect()
    }

    fn acceptor(
        &self,
        identities: Vec<Identity>,
        protocols: &[&str],
    ) -> io::Result<AcceptorOptions> {
        let client_certificates = match &self.tls_client_ca {
            Some(path) => ClientCertificates::Required(read_roots(path)?),
            None => ClientCertificates::None,
        };
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(AcceptorOptions {
            identities,
            client_certificates,
            protocols,
            kernel: self.ktls,
            ..AcceptorOptions::default()
        })
    }
}

/// Reads a certificate and its key.
pub(crate) fn read_identity(certificate: &Path, key: &Path) -> io::Result<Identity> {
    Identity::from_pem(&read(certificate)?, &read(key)?).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        io::Error::new(error.kind(), format!("{certificate} with {key}: {error}"))
    })
}

/// Reads the certificates of authorities.
pub(crate) fn read_roots(path: &Path) -> io::Result<Roots> {
    Roots::from_pem(&read(path)?).map_err(about(path))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path).map_err(about(path))
}

/// Adds a path to an error.
fn about(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
