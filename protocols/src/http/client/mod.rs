//! An HTTP/1.1 client for use inside a reactor.
//!
//! A [`Client`] sends requests to one origin, over connections that it keeps and uses again. An
//! [`Exchange`] is what becomes of one request: it is called as the response arrives.
//!
//! ```
//! use std::borrow::Cow;
//!
//! use sluicegate_protocols::http::client::{
//!     Client, ClientError, ClientOptions, Exchange, Request, Response, Take,
//! };
//! use sluicegate_reactor::{Reactor, Target, Turn};
//!
//! struct Page;
//!
//! impl Exchange for Page {
//!     fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
//!         println!("{}", response.status().code());
//!         Take::Whole(1 << 20)
//!     }
//!
//!     fn on_body(self, cx: &mut Turn, body: Cow<'_, [u8]>) {
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
//! fn fetch(origin: Target) -> std::io::Result<()> {
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
//! # fetch(origin.into())?;
//! # thread.join().unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```
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
pub use request::Request;
pub use response::Response;
pub use session::ExchangeId;
pub use stream::RequestStream;
