//! Asking a status listener.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;
use sluicegate_reactor::Target;

/// How long to wait for the server, which itself waits two seconds for a thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a response.
const MOST: u64 = 16 << 20;

/// The figures of the server with this status listener, or text that says what has failed.
pub(crate) fn fetch(status: &Target) -> Result<Value, String> {
    let response = ask(status).map_err(|error| format!("{status}: {error}"))?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("{status} has no figures: {:?}", head.lines().next().unwrap_or("")));
    }
    serde_json::from_str(body).map_err(|error| format!("{status}: {error}"))
}

fn ask(status: &Target) -> io::Result<String> {
    if let Target::Address(address) = status
        && let Some(path) = address.path()
    {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        return exchange(stream);
    }
    let mut connected = Err(io::ErrorKind::NotFound.into());
    for address in status.to_string().to_socket_addrs()? {
        connected = connected.or_else(|_| TcpStream::connect_timeout(&address, PATIENCE));
    }
    let stream = connected?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream)
}

fn exchange(mut stream: impl Read + Write) -> io::Result<String> {
    stream
        .write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    io::read_to_string(stream.take(MOST))
}
