//! The targets of the proxy, and TLS to them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::Args;
use sluicegate_protocols::raw::relay::ServerNames;
use sluicegate_protocols::tls::{Connector, ConnectorOptions, Roots};
use sluicegate_reactor::Target;
use sluicegate_reactor::transport::Factory;

use super::common::Failure;
use super::common::tls::certificates::{read_identity, read_roots};

/// A target, and whether connections to it are encrypted.
#[derive(Clone)]
pub(crate) struct ProxyTarget {
    /// `tls://` or `https://` if connections are encrypted, otherwise empty.
    scheme: &'static str,
    pub(crate) target: Target,
}

impl ProxyTarget {
    pub(crate) fn is_encrypted(&self) -> bool {
        !self.scheme.is_empty()
    }

    /// Parses a target of connections: `HOST:PORT`, or `tls://HOST:PORT`.
    pub(crate) fn of_connections(text: &str) -> io::Result<ProxyTarget> {
        let (scheme, target) = match text.split_once("://") {
            Some(("tls", rest)) => ("tls://", rest),
            Some(("http" | "https", _)) => {
                return Err(invalid("write HOST:PORT, or tls://HOST:PORT to encrypt connections"));
            }
            _ => ("", text),
        };
        Ok(ProxyTarget { scheme, target: parse(target)? })
    }

    /// Parses a target of HTTP requests: `HOST:PORT`, `http://HOST[:PORT]` or
    /// `https://HOST[:PORT]`.
    pub(crate) fn of_requests(text: &str) -> io::Result<ProxyTarget> {
        let (scheme, rest, port) = match text.split_once("://") {
            Some(("https", rest)) => ("https://", rest, ":443"),
            Some(("http", rest)) => ("", rest, ":80"),
            _ => return Ok(ProxyTarget { scheme: "", target: parse(text)? }),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.contains('/') {
            return Err(invalid("a target has no path"));
        }
        let port = if !host.contains(':') || host.ends_with(']') { port } else { "" };
        Ok(ProxyTarget { scheme, target: parse(&format!("{host}{port}"))? })
    }
}

/// Parses a target. A socket can be bound to port 0, but nobody can connect to it.
fn parse(text: &str) -> io::Result<Target> {
    let target = text.parse()?;
    let port = match &target {
        Target::Address(address) => address.port(),
        Target::Name(_, port) => Some(*port),
    };
    match port {
        Some(0) => Err(invalid("nothing listens at port 0; write the port of the target")),
        _ => Ok(target),
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl fmt::Display for ProxyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme, self.target)
    }
}

/// Checks that either all targets or none use TLS, because one connector serves them all.
///
/// # Errors
/// Text for the user.
pub(crate) fn check_schemes(targets: &[ProxyTarget]) -> Result<(), String> {
    let mut others = targets.iter().filter(|target| target.scheme != targets[0].scheme);
    match others.next() {
        None => Ok(()),
        Some(_) => Err("either all targets have tls:// or https://, or none".to_owned()),
    }
}

/// The options for TLS to targets.
#[derive(Args)]
#[command(next_help_heading = "TLS to the target")]
pub(crate) struct UpstreamTls {
    /// Trust the authorities in this PEM file instead of those that the system trusts.
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Certificate for targets that request one: a PEM file with the certificate, followed by any
    /// intermediate certificates.
    #[arg(long, value_name = "FILE", requires = "upstream_key")]
    upstream_cert: Option<PathBuf>,
    /// Private key of this certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "upstream_cert")]
    upstream_key: Option<PathBuf>,
    /// Server name to send to the target (SNI), for which its certificate must be valid. By
    /// default, the host of the target.
    #[arg(long, value_name = "NAME")]
    upstream_name: Option<String>,
}

impl UpstreamTls {
    /// The transport that encrypts connections to a target, if they are encrypted. `protocol` is
    /// the application protocol of the proxy.
    pub(crate) fn transport(
        &self,
        to: Option<&ProxyTarget>,
        protocol: Option<&str>,
    ) -> Result<Option<Factory<Target>>, Failure> {
        let Some(to) = to.filter(|to| to.is_encrypted()) else {
            return match self {
                UpstreamTls {
                    upstream_ca: None, upstream_cert: None, upstream_name: None, ..
                } => Ok(None),
                _ => Err("the --upstream options need tls:// or https:// in the target".into()),
            };
        };
        if let (Target::Address(address), None) = (&to.target, &self.upstream_name)
            && address.is_unix()
        {
            return Err(format!("{to}: --upstream-name must name the server").into());
        }
        let identity = self.upstream_cert.as_ref().zip(self.upstream_key.as_ref());
        let options = ConnectorOptions {
            roots: self.upstream_ca.as_ref().map_or_else(Roots::system, |path| read_roots(path))?,
            name: self.upstream_name.clone(),
            protocols: protocol.iter().map(|name| name.as_bytes().to_vec()).collect(),
            identity: identity.map(|(cert, key)| read_identity(cert, key)).transpose()?,
            ..ConnectorOptions::default()
        };
        let factory = Connector::new(options)?.factory();
        // Fails if no certificate can be for the name of the target.
        factory.make(&to.target)?;
        Ok(Some(factory))
    }
}

/// A name that clients request, and its target.
pub(crate) type NamedTarget = (String, Target);

/// Parses `NAME=TARGET`.
pub(crate) fn named_target(text: &str) -> Result<NamedTarget, String> {
    let (name, target) = text.split_once('=').ok_or("write NAME=HOST:PORT")?;
    let target = parse(target).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), target))
}

/// The targets by name.
pub(crate) fn server_names(targets: &[NamedTarget]) -> io::Result<ServerNames> {
    let mut names = ServerNames::default();
    for (name, target) in targets {
        names.add(name, target.clone())?;
    }
    Ok(names)
}
