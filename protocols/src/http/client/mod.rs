//! An HTTP/1.1 client for use inside a reactor.
//!
//! A [`Client`] sends requests to one origin over connections that it keeps alive and reuses. An
//! [`Exchange`] handles the response to one request: its callbacks are called as the response
//! arrives.
//!
//! ```
//! use sluicegate_protocols::http::client::{
//!     Client, ClientError, ClientOptions, Exchange, Request, Response, Take,
//! };
//! use sluicegate_reactor::{Payload, Reactor, Turn};
//!
//! struct Page;
//!
//! impl Exchange for Page {
//!     fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
//!         println!("{}", response.status().code());
//!         Take::Whole(1 << 20)
//!     }
//!
//!     fn on_body(self, cx: &mut Turn, body: Payload<'_>) {
//!         println!("{} bytes", body.len());
//!         cx.stop();
//!     }
//!
//!     fn on_failed(self, cx: &mut Turn, error: ClientError) {
//!         eprintln!("{error}");
//!         cx.stop();
//!     }
//! }
//!
//! fn fetch(origin: &str) -> std::io::Result<()> {
//!     let mut reactor = Reactor::new()?;
//!     let client = Client::new(&mut reactor, origin, &ClientOptions::default())?;
//!     client.send(&mut reactor, Request::get("/index.html"), Page);
//!     reactor.run()
//! }
//! # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let origin = server.local_addr()?;
//! # let thread = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut peer = server.accept().unwrap().0;
//! #     peer.read_exact(&mut [0; 20]).unwrap();
//! #     peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
//! # });
//! # fetch(&origin.to_string())?;
//! # thread.join().unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Tasks
//!
//! | to | use |
//! |---|---|
//! | receive a whole body | [`Take::Whole`], then [`Exchange::on_body`] |
//! | receive a body as it arrives, and trailers | [`Take::Pieces`], then [`Exchange::on_piece`] |
//! | save a body in a file | [`Take::File`], then [`Exchange::on_saved`] |
//! | send a body | [`Request::body`] |
//! | send a body piece by piece | [`Request::stream`], then [`Exchange::on_stream`] |
//! | apply backpressure to the origin | [`Response::connection`], [`Peer::pause`] |
//! | open a WebSocket | [`ClientHandshake`](crate::websocket::ClientHandshake) |
//! | switch to another protocol | [`Request::upgrade`], [`Exchange::on_upgrade`] |
//! | cancel, or set deadlines | [`Client::cancel`], [`ClientOptions`] |
//!
//! The origin is a [`Target`], or text such as `localhost:8080` or `unix:/run/app.sock`. It is not
//! a URL.
//!
//! There is one `Client` for each origin and each type of exchange. It belongs to one reactor: a
//! program with several threads creates one in each. [`Client::new`] needs the [`Reactor`], which
//! callbacks do not have, so clients are created before the reactor runs. The client does not
//! handle redirects, cookies, caching or content codings.
//!
//! # Answering with the response of another server
//!
//! A service [defers](super::Reply::defer) its response, and the exchange keeps the
//! [`Deferred`](super::Deferred) until the other server has answered:
//!
//! ```
//! use sluicegate_protocols::http::client::{
//!     self, Client, ClientError, Exchange, Response, Take,
//! };
//! use sluicegate_protocols::http::{Answered, Deferred, Reply, Request, Service, Status};
//! use sluicegate_reactor::{Payload, Turn};
//!
//! /// Answers each request with the front page of another server.
//! struct Front {
//!     origin: Client<Fetch>,
//! }
//!
//! impl Service for Front {
//!     type State = ();
//!
//!     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         reply.defer(|deferred, cx| {
//!             self.origin.send(cx, client::Request::get("/"), Fetch(deferred));
//!         })
//!     }
//! }
//!
//! struct Fetch(Deferred);
//!
//! impl Exchange for Fetch {
//!     fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
//!         Take::Whole(1 << 20)
//!     }
//!
//!     fn on_body(self, cx: &mut Turn, body: Payload<'_>) {
//!         self.0.answer(cx, |reply| reply.send(body));
//!     }
//!
//!     fn on_failed(self, cx: &mut Turn, _: ClientError) {
//!         self.0.answer(cx, |reply| reply.error(Status::BAD_GATEWAY));
//!     }
//! }
//! ```
//!
//! An exchange has no access to the service, so what both need, such as a cache, is shared by `Rc`.
//! If the client of the service leaves first, [`answer`](super::Deferred::answer) does nothing. To
//! save the origin the work as well, keep the [`ExchangeId`] in a map by
//! [`ConnId`](sluicegate_reactor::ConnId), and [cancel](Client::cancel) the exchange in
//! [`Service::on_gone`](super::Service::on_gone). That is not called for a finished response, so the
//! exchange must remove its own entry in its last callback: share the map with it, too.
//!
//! To forward requests as a proxy does, use [`Forward`](crate::forward::Forward).
//!
//! # TLS
//!
//! A connector of `tls` (feature `tls`) encrypts the connections, and verifies that the origin has
//! a certificate for the name in the [`Target`]:
//!
#![cfg_attr(feature = "tls", doc = "```no_run")]
#![cfg_attr(not(feature = "tls"), doc = "```ignore")]
//! use sluicegate_protocols::http::client::{Client, ClientOptions, Exchange};
//! use sluicegate_protocols::tls::{Connector, ConnectorOptions, Roots};
//! use sluicegate_reactor::{Connect, Reactor};
//!
//! fn client<E: Exchange>(reactor: &mut Reactor) -> std::io::Result<Client<E>> {
//!     let (roots, protocols) = (Roots::system()?, vec!["http/1.1".into()]);
//!     let tls = Connector::new(ConnectorOptions { roots, protocols, ..Default::default() })?;
//!     let connect = Connect { transport: Some(tls.factory()), ..Connect::default() };
//!     let options = ClientOptions { connect, ..ClientOptions::default() };
//!     Client::new(reactor, "example.org:443", &options)
//! }
//! ```
//!
//! If the handshake fails, so does the exchange: with [`Cause::Transport`] if one side refuses the
//! other, and with [`Cause::Unconnected`] if the origin just closes the connection, or if it takes
//! too long.
//!
//! # What a client does
//!
//! - It keeps up to [`ClientOptions::connections`] connections, each with one request at a time. A
//!   connection is used again if the whole response was read, nothing follows it, and both sides
//!   allow that. Bytes that arrive without a request end their connection. Those that arrive after
//!   the next request has been sent are taken for its response.
//! - It opens a new connection for a request that offers an upgrade, and closes it after the
//!   response if the origin does not agree. The new protocol has the limits in the `connect` of
//!   [`ClientOptions`], but the idle timeout is [`ClientOptions::body_timeout`].
//! - It sends a request again if the origin closes a connection that was idle: see
//!   [`Client::send`].
//! - It stops sending a body if the response is complete, and closes the connection.
//! - When the reactor stops, it closes idle connections. Exchanges can finish, and new ones can
//!   begin, until the grace period ends.
//!
//! A response is parsed by the rules that [`Http`](super::Http) has for requests, and framed as in
//! RFC 9112, section 6.3. An exchange fails if its response breaks one: if a line ends with a bare
//! LF, if `Content-Length` is repeated or accompanied by `Transfer-Encoding`, or if a transfer
//! coding other than `chunked` is used. RFC 9112 would let a recipient decide which of the two
//! fields counts; a proxy and its origin that decide differently can be made to confuse two
//! responses. Two things are accepted that the grammar does not have, because servers send them: a
//! status line that ends after the code, and spaces behind the size of a chunk.
//!
//! [`Peer::pause`]: sluicegate_reactor::Peer::pause
//! [`Reactor`]: sluicegate_reactor::Reactor
//! [`Target`]: sluicegate_reactor::Target
//!
//! # Inside
//!
//! Each line uses those below it:
//!
//! | | |
//! |---|---|
//! | `handle` | sending and cancelling |
//! | `handler` | the callbacks of a connection |
//! | `receive` | receiving a response |
//! | `pool`, `session` | the connections, the requests that wait, the state of a connection |
//! | `exchange` | the application |
//! | `request`, `stream`, `response`, `options`, `error` | data |

mod error;
mod exchange;
mod handle;
mod handler;
mod options;
mod pool;
mod receive;
mod request;
mod response;
mod session;
mod stream;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use error::{Cause, ClientError, Phase};
pub use exchange::{Exchange, Take};
pub use handle::Client;
pub use options::ClientOptions;
pub(crate) use pool::ConnectionCounts;
pub use request::Request;
pub use response::Response;
pub use session::ExchangeId;
pub use stream::RequestStream;
