//! Bytes as they arrive.
//!
//! A handler of plain bytes needs no adapter: it implements the reactor's [`Handler`], which this
//! module re-exports together with the types in its signatures. On top of it, [`frames`] splits the
//! bytes into messages, and [`relay`] forwards them.
//!
//! ```
//! use sluicegate_protocols::raw::{Context, Handler, Input};
//! use sluicegate_reactor::Reactor;
//!
//! /// Sends back what it receives.
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!     fn on_open(&mut self, _: &mut Context<'_>) {}
//!     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
//!         cx.send(input.take());
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let echo = reactor.register(Echo);
//! # Ok(())
//! # }
//! ```

pub mod frames;
pub mod relay;

pub use sluicegate_reactor::{ConnId, Context, Handler, Input, Reason, Timeout, Turn};
