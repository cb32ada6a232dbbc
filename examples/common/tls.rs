//! The options for TLS, and reloading certificates on SIGHUP.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use sluicegate_protocols::tls::{Acceptor, AcceptorOptions, ClientCertificates, Identity, Roots};
use sluicegate_reactor::Server;

use super::Failure;
use super::reload::{self, Apply};

#[derive(Args, Clone)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Serve over TLS with this PEM file: the certificate, followed by any intermediate
    /// certificates; may be repeated. The server name that the client requests selects the
    /// certificate; the first one is the default. Reloaded on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Vec<PathBuf>,
    /// Private key of the certificate, in PEM; one for each certificate, in the same order.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Vec<PathBuf>,
    /// Serve over TLS with a new self-signed certificate, for trying out TLS. Its fingerprint is
    /// printed. Clients must skip verification, as `curl -k` does.
    #[arg(long, conflicts_with = "tls_cert")]
    tls_self_signed: bool,
    /// Require client certificates signed by an authority in this PEM file.
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Let the kernel encrypt if it can (Linux with the module `tls`), so that files are sent
    /// without being copied into the process. RUST_LOG=info logs whether it can.
    #[arg(long)]
    ktls: bool,
}

impl Tls {
    pub(crate) fn is_on(&self) -> bool {
        self.tls_self_signed || !self.tls_cert.is_empty()
    }

    /// The files that are read again.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.tls_cert.iter().chain(&self.tls_key).chain(&self.tls_client_ca)
    }

    /// Makes a certificate for these hosts and this machine, if one is wanted.
    pub(crate) fn self_signed(&self, hosts: &[String]) -> io::Result<Option<Identity>> {
        let local = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let make = || Identity::self_signed(hosts.iter().cloned().chain(local));
        self.tls_self_signed.then(make).transpose()
    }

    /// Reads the files. `protocols` are the application protocols of the server.
    pub(crate) fn acceptor(
        &self,
        own: Option<&Identity>,
        protocols: &[&str],
    ) -> Result<Option<Acceptor>, Failure> {
        if !self.is_on() {
            let unused = match self {
                Tls { tls_client_ca: Some(_), .. } => "--tls-client-ca",
                Tls { ktls: true, .. } => "--ktls",
                _ => return Ok(None),
            };
            return Err(format!("{unused} needs --tls-cert or --tls-self-signed").into());
        }
        let identities = match own {
            Some(own) => vec![own.clone()],
            None => self.identities()?,
        };
        Ok(Some(Acceptor::new(self.options(identities, protocols)?)?))
    }

    /// Reloads the certificates.
    pub(crate) fn reload(&self, acceptor: &Acceptor, protocols: &[&str]) -> Result<Apply, Failure> {
        if self.tls_self_signed {
            return Ok(Box::new(|| {}));
        }
        for file in self.files() {
            reload::check(file).map_err(about(file))?;
        }
        let options = self.options(self.identities()?, protocols)?;
        // Finds out whether they can be used.
        Acceptor::new(options.clone())?;
        let acceptor = acceptor.clone();
        Ok(Box::new(move || {
            if let Err(error) = acceptor.reload(options) {
                log::error!("{error}; the previous certificates are kept");
            }
        }))
    }

    fn identities(&self) -> io::Result<Vec<Identity>> {
        if self.tls_cert.len() != self.tls_key.len() {
            let text = "each --tls-cert needs a --tls-key, in the same order";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let pairs = self.tls_cert.iter().zip(&self.tls_key);
        pairs.map(|(certificate, key)| read_identity(certificate, key)).collect()
    }

    fn options(
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

/// Lets clients resume the sessions of the last process with this one, and of this one with the
/// next.
pub(crate) fn pass_sessions_on(acceptor: &Acceptor, server: &mut Server) {
    if let Some(keys) = server.inherited_state()
        && let Err(error) = acceptor.set_ticket_keys(&keys)
    {
        log::warn!("{error}; clients cannot resume the sessions of the last process");
    }
    let acceptor = acceptor.clone();
    server.hand_over_state(move || acceptor.ticket_keys());
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
