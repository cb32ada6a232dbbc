//! Clients over TLS 1.3. What they cost is not counted, so they are as simple as can be.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{CLOSED, Stream, up_to};

/// Connects to a server whose certificate it knows.
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// Trusts the certificate in a PEM file, and no other. Offers one cipher suite, so that all
    /// servers use the same.
    pub(crate) fn new(certificate: &Path) -> io::Result<Connector> {
        let certificate = CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(io::Error::other)?;
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
            ..ring::default_provider()
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Connector { config: Arc::new(config) })
    }

    /// Connects and completes the handshake.
    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<Tls> {
        let connection = ClientConnection::new(Arc::clone(&self.config), to.ip().into());
        let connection = connection.map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, super::connect(to)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

/// A connection over TLS.
pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Stream for Tls {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }

    fn receive(&mut self, to: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let before = to.len();
        to.resize(to.capacity(), 0);
        let got = read(self, &mut to[before..])?;
        to.truncate(before + got.unwrap_or(0));
        Ok(got)
    }

    fn discard(&mut self, nowhere: &mut [u8], most: u64) -> io::Result<Option<usize>> {
        read(self, up_to(nowhere, most))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        done(self.write(bytes))
    }
}

fn read(stream: &mut Tls, to: &mut [u8]) -> io::Result<Option<usize>> {
    match done(stream.read(to))? {
        Some(0) => Err(io::Error::other(CLOSED)),
        got => Ok(got),
    }
}

/// What a call has done; `None` if it would have had to wait.
fn done(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
