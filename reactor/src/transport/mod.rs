//! What may stand between the wire and a handler: encryption, a preamble, or any other filter of the
//! bytes.
//!
//! A [`Transport`] belongs to one connection. It opens what arrives and seals what is sent; the
//! handler, its limits and its deadlines see plain bytes only.

pub use crate::core::transport::{Error, Opened, Output, State, Transport};
