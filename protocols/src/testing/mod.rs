//! Running the tests of a handler over TLS, in the reactor's simulated kernel (feature `testing`).
//!
//! [`same_at_every_split`] checks a protocol in the clear and over TLS. `over_tls` (feature
//! `tls-self-signed`) runs any test of a [`Harness`] or a
//! [`Simulation`](sluicegate_reactor::testing::Simulation) with TLS at both ends of its
//! connections:
//!
//! ```
//! # #[cfg(feature = "tls-self-signed")] {
//! use sluicegate_protocols::testing::over_tls;
//! use sluicegate_protocols::tls::Version;
//! use sluicegate_reactor::testing::Simulation;
//! use sluicegate_reactor::{Context, Handler, Input, Listen};
//!
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
//! over_tls(&[Version::Tls12, Version::Tls13], || {
//!     Simulation::new().run(|sim| {
//!         sim.reactor(|reactor| {
//!             let echo = reactor.register(Echo);
//!             reactor.listen("10.0.0.1:7", &Listen::default(), echo).unwrap();
//!         });
//!         sim.client("10.0.0.1:7").sends("hello").finishes().expects("hello");
//!     });
//! });
//! # }
//! ```

#[cfg(feature = "tls-self-signed")]
mod ends;

use sluicegate_reactor::Handler;
use sluicegate_reactor::testing::{self, Harness, Outcome};

#[cfg(feature = "tls-self-signed")]
pub use ends::{client_end, over_tls, server_end};

#[cfg(feature = "tls-self-signed")]
use crate::tls::Version;

/// The maximum number of positions at which an input is cut over each version of TLS, and at which
/// its records are. Each cut takes a handshake, which takes a millisecond in a debug build.
#[cfg(feature = "tls-self-signed")]
const CUTS: usize = 8;
/// The variable that sets another number.
#[cfg(feature = "tls-self-signed")]
const VARIABLE: &str = "SLUICEGATE_TLS_CUTS";

/// Checks that a protocol does not depend on how its input is split: in the clear, as
/// [`same_at_every_split`](testing::same_at_every_split) of the reactor does, and, with the feature
/// `tls-self-signed`, over each version of TLS.
///
/// Over TLS, the input and its records are cut at only 8 evenly spread positions each. The
/// environment variable `SLUICEGATE_TLS_CUTS` sets another number.
///
/// # Panics
/// If two outcomes differ. The message contains both. Also if the variable is not a number above 0.
pub fn same_at_every_split<H: Handler>(
    make: impl Fn() -> Harness<H>,
    input: impl AsRef<[u8]>,
) -> Outcome {
    let input = input.as_ref();
    let outcome = testing::same_at_every_split(&make, input);
    #[cfg(feature = "tls-self-signed")]
    for version in [Version::Tls12, Version::Tls13] {
        let encrypted = over_tls(&[version], || testing::same_at_splits(&make, input, cuts()));
        assert_eq!(encrypted, outcome, "over {version}, and in the clear");
    }
    outcome
}

#[cfg(feature = "tls-self-signed")]
fn cuts() -> usize {
    let Ok(value) = std::env::var(VARIABLE) else { return CUTS };
    value.parse().unwrap_or_else(|_| panic!("{VARIABLE}={value} is not a number"))
}
