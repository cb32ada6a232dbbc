//! Load balancing: distributes connections across several upstreams.
//!
//! [`Balancer`] is a proxy. For each client it connects to one of several upstreams, and
//! [joins](crate::raw::relay::join) the two connections:
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
//! [`Upstreams`] is the state machine behind it, which other protocols can use: it chooses
//! upstreams, counts their connections, and tracks their health. It opens no connections and reads
//! no clock.
//!
//! # Choosing
//!
//! [`Balance`] is the strategy. An upstream is a candidate unless
//!
//! - the client has already tried it,
//! - it was removed from the list ([`Upstreams::replace`]) and is draining its connections,
//! - it is *ejected*: [`max_failures`](UpstreamsOptions::max_failures) consecutive
//!   connects have failed, and [`fail_timeout`](UpstreamsOptions::fail_timeout) is not over. After
//!   that time a single connection tries it; if it is established, the upstream is a candidate
//!   again,
//! - it is *down*: [`fall`](UpstreamsOptions::fall) consecutive checks have failed, and
//!   [`rise`](UpstreamsOptions::rise) consecutive checks have not succeeded since.
//!
//! If a client has no other upstream left, it tries those that are ejected or down, so that the
//! proxy still works if the checks are wrong. If all candidates have
//! [`max_connections`](UpstreamsOptions::max_connections), the client waits.
//!
//! An upstream that recovers or is added to the list gets its full share of new connections only
//! after [`slow_start`](UpstreamsOptions::slow_start).

mod balancer;
mod hash;
mod health;
mod options;
mod set;
mod status;
#[cfg(test)]
mod tests;

pub use balancer::{Balancer, BalancerOptions, Replace, Session};
pub use health::Change;
pub use options::{Balance, Upstream, UpstreamsOptions};
pub use set::{Choice, UpstreamId, Upstreams};
pub use status::{Inspect, RequestCounts, UpstreamState, UpstreamStatus, UpstreamsStatus};
