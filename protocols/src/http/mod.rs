//! HTTP/1.1: servers, and a [`client`].
//!
//! A [`Service`] gets a checked [`Request`], which borrows from the received bytes, and a [`Reply`]
//! to answer it with. [`Http`] is the handler that wraps the service: it parses requests, enforces
//! the rules of HTTP and the [limits](HttpLimits), and sends the responses in order.
//!
//! ```
//! use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     type State = ();
//!
//!     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
//!         reply.header("Content-Type", "text/plain").send("Hello, World!")
//!     }
//! }
//!
//! let handler = Http::new(Hello);
//! ```
//!
//! # Tasks
//!
//! | to | use |
//! |---|---|
//! | read a whole body | [`Reply::read`], then [`Service::on_body`] |
//! | read a body as it arrives | [`Reply::read_pieces`], then [`Service::on_piece`] |
//! | receive a form with files | [`Reply::read_form`], then [`Service::on_part`] |
//! | read the trailer fields of a chunked body | [`Service::on_trailers`] |
//! | save a body in a file | [`Reply::save`], then [`Service::on_saved`] |
//! | keep a long body in a temporary file | [`Dir::create_unnamed`], then [`Reply::save`] |
//! | answer later, from a worker, a timer or another connection | [`Reply::defer`] |
//! | answer later, and receive the body in the meantime | [`Reply::defer_with_body`] |
//! | decide later, for example whether the client is authorized | [`Reply::postpone`] |
//! | stream a response, such as server-sent events | [`Reply::stream`] |
//! | send 103 (Early Hints) | [`Reply::interim`] |
//! | identify the client | [`Request::peer_address`], [`Request::connection`], [`Request::is_secure`] |
//! | send your own error pages | [`Service::on_refused`] |
//! | write an access log | [`Service::on_sent`], [`AccessLog`](crate::access_log::AccessLog) |
//! | count responses and their times | [`Http::with_metrics`], [`HttpMetrics`] |
//! | open a WebSocket | [`Handshake`](crate::websocket::Handshake) |
//! | switch to another protocol | [`Request::upgrade`], [`Reply::upgrade`] |
//! | wrap a service in another | [`Middleware`] |
//! | serve files | [`Files`](crate::files::Files) |
//! | send requests to another server | [`client`] |
//! | forward requests to another server | [`Forward`](crate::forward::Forward) |
//!
//! For routing, `match` on the method and the path. The path is still percent-encoded, and the
//! crate `percent-encoding` decodes it; for queries, use the crate `form_urlencoded`. See
//! `examples/api.rs`.
//!
//! # What `Http` does for a service
//!
//! - It answers requests that break a rule of RFC 9112 with 400, 413, 414, 417, 431, 501 or 505 and
//!   closes the connection. A head that does not arrive in time gets 408, and a body that should be
//!   a form but is not one gets 415.
//! - It accepts only CRLF as the end of a line. A bare LF or CR gets 400.
//! - It refuses a request as soon as a line of its head is complete and invalid, even if the head
//!   is incomplete. If several lines are invalid, the first one determines the status.
//! - It writes `Date`, `Content-Length` and `Connection`, and omits the body of a response to HEAD.
//! - It answers CONNECT and TRACE with 501.
//! - It receives a request body if the service requests it: into memory up to a limit, in pieces,
//!   or into a file. Otherwise it skips a short body; if the body is long or chunked, it closes the
//!   connection after the response. A body is never parsed as the next request.
//! - It answers `Expect: 100-continue` with 100 if the service wants the body. Otherwise the client
//!   gets the final response immediately, and the connection closes if a body was announced.
//! - It ignores `Upgrade` unless the service [accepts it](Reply::upgrade).
//! - When the reactor stops, it closes idle connections immediately, and others once their
//!   responses have been sent. It answers the requests that have already arrived, up to one turn's
//!   quantum. A client that has just connected has two seconds to send its first request. If a
//!   request is incomplete, `Http` waits for the rest, and responds with `Connection: close`. A
//!   client that has not read its responses gets one more, with `Connection: close`; its further
//!   requests are not answered. After an [upgrade](Reply::upgrade), the new handler decides what
//!   happens to the connection.
//!
//! # Requests that `Http` refuses although other servers accept them
//!
//! If two parsers interpret a request differently, an attacker can smuggle a request past a filter
//! that uses one of them to an application that uses the other. `Http` therefore accepts little
//! beyond the syntax of RFC 9112:
//!
//! | request | response | reason |
//! |---|---|---|
//! | a line that ends with a bare LF | 400 | RFC 9112, section 2.2: accepting it is optional |
//! | HTTP/1.1 without `Host` | 400 | RFC 9112, section 3.2 |
//! | a fragment in the target | 400 | RFC 9112, section 3.2: no form of a target has one |
//! | user information in the target | 400 | RFC 9110, section 4.2.4: it may hide the host |
//! | a byte outside ASCII in the target | 400 | RFC 3986, section 2; UTF-8 is no exception |
//! | `%` without two hexadecimal digits | 400 | RFC 3986, section 2.1 |
//! | the target `*` without OPTIONS | 400 | RFC 9112, section 3.2.4 |
//! | no version (HTTP/0.9), RTSP, ICE | 400 | other protocols |
//! | another major version than 1 | 505 | RFC 9110, section 15.6.6 |
//! | CONNECT, TRACE | 501 | `Http` opens no tunnels, and TRACE would show cookies to scripts |
//! | a transfer coding other than `chunked` | 501 | RFC 9112, section 6.1 |
//! | two equal `Content-Length` | 400 | RFC 9110, section 8.6: accepting them is optional |
//! | `Content_Length`, `Transfer_Encoding` | 400 | see [`HttpLimits::refuse_lookalikes`] |
//!
//! It accepts some requests that other servers refuse:
//!
//! | request | reason |
//! |---|---|
//! | any token as the method | RFC 9110, section 9.1: methods are extensible |
//! | `\`, `^`, `{`, `\|`, `}` and the like in the target | browsers do not encode them in a query |
//! | an empty `Host` | RFC 9112, section 3.3; see [`Request::host`] |
//! | an absolute target and a different `Host` | RFC 9112, section 3.2.2: the host of the target applies |
//! | more bytes after the last request | RFC 9112, section 9.6: they are not processed |
//!
//! These are the results of public test suites, run against a service that echoes each body. For
//! comparison, the last two columns show servers that answer everything with 400 or with 200:
//!
//! | suite | `Http` | 400 | 200 |
//! |---|---|---|---|
//! | [uNetworking/h1spec], commit f0a5650 | 33 of 33 | 12 | 4 |
//! | [dropseed/h1spec] with `--strict`, commit d8f6918 | 33 of 33 | 27 | 16 |
//! | [llhttp], commit 01e105a, strict requests: invalid ones refused | 50 of 53 | 53 | 0 |
//! | the same, valid ones accepted | 51 of 65 | 0 | 65 |
//!
//! For this run, a `Host` field was added to llhttp's HTTP/1.1 requests that lack one, and its
//! invalid requests that end within the head were completed. The 17 deviations are all explained in
//! the tables above.
//!
//! [`Dir::create_unnamed`]: sluicegate_reactor::fs::Dir::create_unnamed
//! [uNetworking/h1spec]: https://github.com/uNetworking/h1spec
//! [dropseed/h1spec]: https://github.com/dropseed/h1spec
//! [llhttp]: https://github.com/nodejs/llhttp/tree/main/test/request
//!
//! # Inside
//!
//! Each line uses those below it:
//!
//! | | |
//! |---|---|
//! | `adapter` | the callbacks: what to do with input, deadlines, and a reactor that stops |
//! | `exchange`, `delivery` | one request and its response, and its body on the way to the service |
//! | `server`, `session` | the state of the handler and of a connection |
//! | `service`, `middleware`, `body`, `form`, `in_flight` | the application, request bodies, responses to log |
//! | `reply`, `deferred`, `postponed`, `stream`, `read`, `upgrade` | building responses |
//! | `head`, `fields`, `response`, `output` | parsing requests, writing responses |
//! | `sink`, [`multipart`], `chunks`, `trailers`, `unsaved` | bodies being received |
//! | `framed`, `framing`, `scan`, `target`, `writer` | the parts of messages |
//! | `metrics`, `request`, `record`, `fault`, `status`, `limits`, `date`, `grammar`, `credentials`, `percent`, `accept` | data |
//!
//! [`client`] is independent of the first five lines, and uses the last three.

pub(crate) mod accept;
mod adapter;
mod body;
mod chunks;
pub mod client;
pub(crate) mod credentials;
mod date;
mod deferred;
mod delivery;
mod exchange;
mod fault;
mod fields;
mod form;
mod framed;
mod framing;
mod grammar;
mod head;
mod in_flight;
mod limits;
mod metrics;
mod middleware;
pub mod multipart;
mod output;
pub(crate) mod percent;
mod postponed;
mod read;
mod record;
mod reply;
mod request;
mod response;
mod scan;
mod server;
mod service;
mod session;
mod sink;
mod status;
mod stream;
mod target;
#[cfg(all(test, feature = "testing"))]
mod tests;
mod trailers;
mod unsaved;
mod upgrade;
mod writer;

pub use deferred::Deferred;
pub use fault::Fault;
pub(crate) use grammar::{check_option, is_token, list, values};
pub use limits::HttpLimits;
pub use metrics::{HttpCounters, HttpMetrics};
pub use middleware::Middleware;
pub use postponed::Postponed;
pub use record::LogRecord;
pub use reply::{Answered, Reply};
pub use request::{Method, Request, Version};
pub use server::Http;
pub use service::Service;
pub use session::HttpSession;
pub use status::Status;
pub use stream::ResponseStream;
pub use trailers::Trailers;
pub(crate) use unsaved::WriteErrors;
pub use upgrade::Upgrade;
