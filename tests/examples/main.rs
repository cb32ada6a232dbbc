//! The handlers of the examples, as their clients know them, in the harness. (`tests/simulation`
//! runs the same ones while calls fail, and `tests/real` the programs.)
#![cfg(feature = "testing")]
#![allow(clippy::duplicate_mod, reason = "each example has what they have in common")]

mod api;
mod chat;
mod echo;
mod hello;
mod http;
#[path = "../reactor/logged.rs"]
mod logged;
mod memcached;
mod proxy;
mod redis;
mod top;
