//! The address and the options of a status listener.

use std::io;
use std::time::Duration;

use sluicegate_reactor::{Limits, Listen, Target};

/// The default options of a status listener. They allow 1,024 connections, which the threads share,
/// and close idle ones after 10 seconds so that probes can connect. Connections that watch `/events`
/// stay open: on each thread, at most 32 and at most half of its share may watch. A listener with
/// other options has the same limit on watchers.
#[must_use]
pub fn listen_options() -> Listen {
    let limits = Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() };
    Listen { max_connections: 1024, limits, ..Listen::default() }
}

/// The address of a status listener: `HOST:PORT`, `unix:PATH`, or a port of the loopback address,
/// as `9100` or `:9100`.
///
/// ```
/// use sluicegate_protocols::ops::address;
///
/// assert_eq!(address("9100").unwrap().to_string(), "127.0.0.1:9100");
/// assert_eq!(address(":9100").unwrap().to_string(), "127.0.0.1:9100");
/// assert_eq!(address("0.0.0.0:9100").unwrap().to_string(), "0.0.0.0:9100");
/// assert!(address("http").is_err());
/// ```
///
/// # Errors
/// `ErrorKind::InvalidInput` if the text is none of them.
pub fn address(text: &str) -> io::Result<Target> {
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse::<u16>() {
        Ok(port) => Ok(Target::from(("127.0.0.1", port))),
        Err(_) => text.parse(),
    }
}
