//! The PROXY protocol, versions 1 and 2, with which a proxy passes the addresses of a client's
//! connection to a server.
//!
//! A proxy connects to the server from its own address. With the PROXY protocol it first sends a
//! [`Header`] with the addresses of the client's connection, and then the client's bytes. See
//! [the specification](https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).
//!
//! # Receiving
//!
//! [`AcceptProxy`] makes a listener expect headers. It works with any handler, and with TLS after
//! the header.
//!
//! ```
//! use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
//! use sluicegate_protocols::proxy_protocol::AcceptProxy;
//! use sluicegate_reactor::{Listen, Reactor};
//!
//! /// Tells clients their address.
//! struct Address;
//!
//! impl Service for Address {
//!     type State = ();
//!     fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         let client = request.peer_address().map_or("unknown".to_owned(), |at| at.to_string());
//!         reply.send(client)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut reactor = Reactor::new()?;
//! let handler = reactor.register(Http::new(Address));
//! let proxies = AcceptProxy { trusted: vec!["10.0.0.0/8".parse()?], ..AcceptProxy::default() };
//! let listen = Listen { transport: Some(proxies.factory()), ..Listen::default() };
//! reactor.listen("127.0.0.1:0", &listen, handler)?;
//! # Ok(())
//! # }
//! ```
//!
//! In HAProxy, `send-proxy-v2` sends headers to a server of a backend:
//!
//! ```text
//! backend app
//!   server app1 10.0.0.5:8080 send-proxy-v2
//! ```
//!
//! - A header can claim any address. Therefore only [`trusted`](AcceptProxy::trusted) addresses may
//!   send one, and they must: the presence of a header is never guessed.
//! - The handler's first callback is made when the header has arrived.
//!   [`Context::peer_address`](sluicegate_reactor::Context::peer_address) and
//!   [`local_address`](sluicegate_reactor::Context::local_address) then return the addresses in it,
//!   so logs and `X-Forwarded-For` name the client. `cx.transport::<Header>()` returns the rest.
//! - If the header has no addresses, those of the connection itself apply. This is the case for
//!   health checks of the proxy (LOCAL), and if the proxy does not know the client (UNKNOWN).
//! - The connection ends if the header is missing, invalid, or incomplete after
//!   [`Limits::handshake`](sluicegate_reactor::Limits::handshake). In the first two cases a warning
//!   names the proxy and the cause, at most once per second. Bytes after the header belong to the
//!   client, even if they arrive together with it.
//! - [`Listen::max_per_address`](sluicegate_reactor::Listen) counts connections by the address of
//!   the proxy, not by that of the client.
//!
//! # Sending
//!
//! [`SendProxy`] is the transport of an outgoing connection. [`Header::of`] describes the client:
//!
//! ```
//! use sluicegate_protocols::proxy_protocol::{Header, SendProxy, Version};
//! use sluicegate_protocols::raw::relay;
//! use sluicegate_reactor::{Connector, Context, Handler, Input, Target};
//!
//! struct Proxy {
//!     upstream: Connector<Proxy>,
//!     to: Target,
//! }
//!
//! impl Handler for Proxy {
//!     type Session = ();
//!
//!     fn on_open(&mut self, cx: &mut Context<'_>) {
//!         // Nobody waits for an answer if the client is already gone.
//!         let Ok(header) = Header::of(cx) else { return cx.abort() };
//!         let transport = Box::new(SendProxy::new(&header, Version::V2));
//!         let upstream = cx.connect_through(self.upstream, &self.to, transport, ());
//!         relay::join(cx, upstream);
//!     }
//!
//!     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
//! }
//! ```

mod accept;
mod binary;
mod checksum;
mod codec;
mod header;
mod network;
mod send;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod text;
#[cfg(feature = "tls")]
mod tls;
mod tlv;

pub use accept::{AcceptProxy, Others};
pub use header::{Header, HeaderError, Version};
pub use network::{Network, NetworkError};
pub(crate) use send::Outgoing;
pub use send::SendProxy;
pub use tlv::{Ssl, Tlv, Tlvs};
