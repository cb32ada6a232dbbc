//! Several upstreams that serve the same clients: which one gets the next connection.
//!
//! [`Balancer`] is a proxy for connections. It connects to one of several upstreams for each client,
//! and [joins](crate::raw::relay::join) the two:
//!
//! ```
//! use sluicegate_protocols::upstreams::{Balancer, BalancerOptions};
//! use sluicegate_reactor::{Listen, Reactor, Target};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let upstreams: [Target; 2] = ["10.0.0.1:5432".parse()?, "db.example:5432".parse()?];
//! let mut reactor = Reactor::new()?;
//! let options = BalancerOptions::default();
//! let proxy = Balancer::register(&mut reactor, upstreams, &options)?;
//! reactor.listen("127.0.0.1:0", &Listen::default(), proxy)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Upstreams`] is the state behind it, for other protocols: it chooses, counts connections, and
//! remembers failures. It opens no connection and reads no clock.
//!
//! # Choosing
//!
//! [`Balance`] says how. An upstream is a candidate unless
//!
//! - the client has already tried it,
//! - it has left the list ([`Upstreams::replace`]), so that it only finishes its connections,
//! - it is *aside*: [`max_failures`](UpstreamsOptions::max_failures) connects in a row have failed,
//!   and [`fail_timeout`](UpstreamsOptions::fail_timeout) is not over. After that time one
//!   connection tries it, and the others follow if that connection is established,
//! - it is *down*: [`fall`](UpstreamsOptions::fall) checks in a row have failed, and
//!   [`rise`](UpstreamsOptions::rise) checks in a row have not succeeded since.
//!
//! If no other upstream is left to a client, it tries those that are aside or down: a proxy whose
//! checks are wrong still serves. If all candidates have
//! [`max_connections`](UpstreamsOptions::max_connections), the client waits.
//!
//! An upstream that comes back or joins the list gets its full share of new connections only after
//! [`slow_start`](UpstreamsOptions::slow_start).

mod balancer;
mod hash;
mod health;
mod options;
mod set;
mod status;
#[cfg(test)]
mod tests;

pub use balancer::{Balancer, BalancerOptions, Inspect, Replace, Session};
pub use health::Change;
pub use options::{Balance, Upstream, UpstreamsOptions};
pub use set::{Choice, UpstreamId, Upstreams};
pub use status::{UpstreamState, UpstreamStatus};
