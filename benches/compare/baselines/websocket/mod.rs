//! Servers of WebSockets. Each sends a text back to its sender, and binary data to everybody.

pub(super) mod bare;
pub(super) mod sluicegate;
pub(super) mod tungstenite;
