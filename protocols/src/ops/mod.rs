//! What operators need of a running server.

mod readiness;

pub use readiness::{Phase, Readiness, ReadinessCheck};
