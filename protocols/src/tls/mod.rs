//! TLS 1.2 and 1.3 for servers and clients, built on [rustls](https://docs.rs/rustls) (feature
//! `tls`).
//!
//! A [`transport`](sluicegate_reactor::transport) encrypts the output of a handler and decrypts its
//! input, so any handler works over TLS unchanged. An [`Acceptor`] creates the transports of a
//! listener, a [`Connector`] those of outgoing connections. `cx.transport::<tls::Connection>()`
//! returns the [`Connection`], which has the negotiated parameters.
//!
//! ```no_run
//! use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
//! use sluicegate_protocols::tls::{Acceptor, AcceptorOptions, Identity};
//! use sluicegate_reactor::{Listen, Server, ServerOptions};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     type State = ();
//!
//!     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         reply.header("Content-Type", "text/plain").send("hello")
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let (chain, key) = (std::fs::read("fullchain.pem")?, std::fs::read("privkey.pem")?);
//!     let identities = vec![Identity::from_pem(&chain, &key)?];
//!     let acceptor = Acceptor::new(AcceptorOptions { identities, ..AcceptorOptions::default() })?;
//!     let listen = Listen { transport: Some(acceptor.factory()), ..Listen::default() };
//!     let mut server = Server::new(&ServerOptions::default());
//!     let listener = server.listen("[::]:443", &listen)?;
//!     server.run(|shard| {
//!         let http = shard.register(Http::new(Hello));
//!         shard.serve(&listener, http).map(drop)
//!     })
//! }
//! ```
//!
//! # Clients
//!
//! A [`Connector`] creates the transport of outgoing connections. Do not confuse it with the
//! reactor's [`Connector`](sluicegate_reactor::Connector), which identifies the options of a
//! handler that connects.
//!
//! ```no_run
//! use sluicegate_protocols::tls::{ConnectorOptions, Connector, Roots};
//! use sluicegate_reactor::{Connect, Context, Handler, Input, Reactor};
//!
//! struct Client;
//!
//! impl Handler for Client {
//!     type Session = ();
//!
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!
//!     /// The handshake is complete, and the server's certificate is verified.
//!     fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
//!         cx.send("question\n");
//!     }
//!
//!     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         println!("{}", String::from_utf8_lossy(input.take()));
//!         cx.close();
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let roots = Roots::from_pem(&std::fs::read("ca.pem")?)?;
//!     let tls = Connector::new(ConnectorOptions { roots, ..ConnectorOptions::default() })?;
//!     let connect = Connect { transport: Some(tls.factory()), ..Connect::default() };
//!     let mut reactor = Reactor::new()?;
//!     let client = reactor.register(Client);
//!     let connector = reactor.connector(client, &connect)?;
//!     reactor.connect(connector, ("localhost", 8443), ());
//!     reactor.run()
//! }
//! ```
//!
//! If one side refuses the other in the handshake,
//! [`on_close`](sluicegate_reactor::Handler::on_close) gets
//! [`Reason::Transport`](sluicegate_reactor::Reason::Transport), and
//! [`Turn::transport_error`](sluicegate_reactor::Turn::transport_error) returns the cause, such as
//! `TLS handshake: invalid peer certificate: UnknownIssuer`. If the peer just ends the connection,
//! `on_close` gets `Reset`, and if the handshake takes too long, `TimedOut`. A server logs failed
//! handshakes at level `debug`; its handler is not called for them.
//!
//! # STARTTLS
//!
//! If a command starts TLS, the handler makes the transport with [`Factory::make`] of
//! [`Acceptor::factory`] or [`Connector::factory`], and passes it to
//! [`Context::start_transport`](sluicegate_reactor::Context::start_transport). A client whose server
//! does not offer TLS must end the connection: an attacker may have removed the offer.
//!
//! [`Factory::make`]: sluicegate_reactor::transport::Factory::make
//!
//! # Proxies
//!
//! A proxy can read the name of the server that a client wants to reach from its [`ClientHello`].
//! [`ServerNames`](crate::raw::relay::ServerNames) uses it to relay TLS to several servers without
//! decrypting it, and without their certificates.
//!
//! # Certificates
//!
//! An ACME client such as [certbot](https://certbot.eff.org) obtains certificates from an authority
//! that browsers trust and renews them every few weeks; it writes `fullchain.pem` and
//! `privkey.pem`. Call [`Acceptor::reload`] after each renewal. To try out TLS, create a
//! self-signed certificate with `Identity::self_signed` (feature `tls-self-signed`).
//!
//! To create your own authority, use [mkcert](https://github.com/FiloSottile/mkcert) or `openssl`:
//!
//! ```sh
//! openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=Test CA" \
//!     -keyout ca.key -out ca.pem
//! openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout privkey.pem -out server.csr
//! echo "subjectAltName=DNS:localhost,IP:127.0.0.1" > server.ext
//! openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
//!     -extfile server.ext -out fullchain.pem
//! curl --cacert ca.pem https://localhost:8443/
//! ```
//!
//! Clients look for the name in `subjectAltName`, not in `CN`. Without `-extfile`, OpenSSL 3.0
//! writes certificates of X.509 version 1, which [`Identity::from_pem`] refuses
//! (`UnsupportedCertVersion`). Clients trust the authority if they load `ca.pem` with
//! [`Roots::from_pem`].
//!
//! # Sessions
//!
//! Clients can resume a session on a new connection, which saves them and the server most of the
//! work of a handshake. The server keeps no sessions: it sends each client its session as a ticket,
//! encrypted with a key that all threads share. A new key is created every 6 hours; the previous
//! one still decrypts. So a ticket is valid for 6 to 12 hours. A server that verifies clients
//! resumes a session only within the same 6 hours, counted from midnight UTC, so a client whose
//! certificate has expired is refused 6 hours later at the latest.
//!
//! Pass the keys on in a [hot restart](sluicegate_reactor::server::restart), so that clients can
//! resume their sessions with the new process:
//!
//! ```no_run
//! # use sluicegate_protocols::tls::{Acceptor, AcceptorOptions};
//! # use sluicegate_reactor::{Server, ServerOptions};
//! # fn open(options: AcceptorOptions) -> std::io::Result<()> {
//! let mut server = Server::new(&ServerOptions::default());
//! server.take_over("/run/hello/control")?;
//! let acceptor = Acceptor::new(options)?;
//! if let Some(keys) = server.inherited_state() {
//!     acceptor.set_ticket_keys(&keys)?;
//! }
//! let keys = acceptor.clone();
//! server.hand_over_state(move || keys.ticket_keys());
//! # Ok(())
//! # }
//! ```
//!
//! A session is resumed only if the server still [verifies clients](ClientCertificates) as it did
//! when the session began. Otherwise the client makes a full handshake.
//!
//! # What is verified
//!
//! A client verifies that the server has the key of its certificate, that the certificate is valid
//! now and for the requested name, and that one of the [`Roots`] has signed it. A server that
//! requests [`ClientCertificates`] verifies them in the same way, except for the name: the handler
//! authorizes clients based on [`Connection::peer_certificates`]. Verification cannot be turned
//! off.
//!
//! Revocation is not checked; use certificates that expire within days or weeks instead. If a
//! server has no certificate for the requested name, it presents another one, and the client
//! decides whether to accept it.
//!
//! A stream ends with a `close_notify` alert. If the socket's stream ends without one, it may have
//! been truncated by an attacker, and [`Context::is_cut`](sluicegate_reactor::Context::is_cut)
//! returns `true`.
//!
//! # The kernel
//!
//! With [`AcceptorOptions::kernel`] or [`ConnectorOptions::kernel`], the [kernel encrypts and
//! decrypts](sluicegate_reactor::transport#tls-in-the-kernel) the data of connections if it can: on
//! Linux with the module `tls`, in TLS 1.2 and 1.3, with AES-GCM and ChaCha20-Poly1305. Files are
//! then sent with `sendfile`. rustls still does the handshake, and this module handles alerts,
//! session tickets and key updates.
//!
//! Creating an [`Acceptor`] or a [`Connector`] with this option
//! [probes](sluicegate_reactor::transport::probe_kernel) the kernel. Create them before the threads
//! of the server start.
//!
//! Kernels before Linux 6.14 cannot replace a key. If a peer updates its key, the connection then
//! ends with an alert; few peers do so before they have sent several hundred gigabytes. This side
//! never starts a key update. RFC 8446, section 5.5 recommends one for AES-GCM after 2^24.5
//! records, which is 390 GB if all records are full.
//!
//! # What is not supported
//!
//! Early data (0-RTT), renegotiation and compression are not supported. The cipher suites are those
//! of rustls, all with forward secrecy and authenticated encryption. The cryptography is that of
//! [ring](https://docs.rs/ring), or of [aws-lc-rs](https://docs.rs/aws-lc-rs) with feature
//! `tls-aws-lc`.

mod acceptor;
mod client_certificates;
mod client_hello;
mod connection;
mod connector;
mod counters;
mod identity;
mod in_kernel;
mod plain_http;
mod protocol_version;
mod roots;
#[cfg(feature = "tls-self-signed")]
mod self_signed;
#[cfg(all(test, feature = "testing", feature = "tls-self-signed"))]
mod tests;
mod tickets;
mod unbuffered;

use std::fmt::Display;
use std::io;
use std::sync::Arc;

pub use acceptor::{Acceptor, AcceptorOptions};
pub use client_certificates::ClientCertificates;
pub(crate) use client_hello::is_server_name;
pub use client_hello::{ClientHello, ClientHelloError};
pub use connection::Connection;
pub use connector::{Connector, ConnectorOptions};
pub use counters::TlsCounters;
pub use identity::Identity;
pub use plain_http::PlainHttp;
pub use protocol_version::Version;
pub use roots::Roots;
use rustls::crypto::CryptoProvider;
#[cfg(feature = "tls-aws-lc")]
use rustls::crypto::aws_lc_rs as cryptography;
#[cfg(not(feature = "tls-aws-lc"))]
use rustls::crypto::ring as cryptography;
use rustls::{SupportedProtocolVersion, version};

/// The cryptography. It is always passed explicitly: rustls has a default for the whole process,
/// which belongs to the application.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(cryptography::default_provider())
}

fn versions(versions: &[Version]) -> Vec<&'static SupportedProtocolVersion> {
    let rustls = |version: &Version| match version {
        Version::Tls12 => &version::TLS12,
        Version::Tls13 => &version::TLS13,
    };
    versions.iter().map(rustls).collect()
}

fn invalid(what: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_string())
}
