//! The options for TLS. In a build without the feature `tls`, they are an error.

use std::path::PathBuf;

use clap::Args;

use super::Failure;

#[cfg_attr(not(feature = "tls"), path = "tls/absent.rs")]
pub(crate) mod certificates;

pub(crate) use certificates::Certificates;

/// In `--help`.
const HEADING: &str =
    if cfg!(feature = "tls") { "TLS" } else { "TLS (needs a build with --features tls)" };

#[derive(Args, Clone)]
#[command(next_help_heading = HEADING)]
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

    /// Reads the certificates for a server, or makes one for these hosts. `protocols` are its
    /// application protocols.
    pub(crate) fn certificates(
        &self,
        hosts: &[String],
        protocols: &'static [&'static str],
    ) -> Result<Option<Certificates>, Failure> {
        let unused = match self {
            tls if tls.is_on() => return Certificates::new(tls, hosts, protocols).map(Some),
            Tls { tls_client_ca: Some(_), .. } => "--tls-client-ca",
            Tls { ktls: true, .. } => "--ktls",
            _ => return Ok(None),
        };
        Err(format!("{unused} needs --tls-cert or --tls-self-signed").into())
    }
}
