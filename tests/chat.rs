//! The example `chat`, as its members know it, on a simulated kernel.
#![cfg(feature = "testing")]

#[path = "../examples/chat.rs"]
mod chat;
