//! Asking a status listener.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use sluicegate_reactor::Target;

/// How long to wait for a connection, and then for the whole response: the server itself waits two
/// seconds for a thread.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a response.
const MOST: usize = 16 << 20;

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
        return exchange(stream, PATIENCE, |stream, time| stream.set_read_timeout(Some(time)));
    }
    let mut connected = Err(ErrorKind::NotFound.into());
    for address in status.to_string().to_socket_addrs()? {
        connected = connected.or_else(|_| TcpStream::connect_timeout(&address, PATIENCE));
    }
    exchange(connected?, PATIENCE, |stream, time| stream.set_read_timeout(Some(time)))
}

/// Requests the figures and receives the whole response within `patience`. `limit` sets the time
/// for the next read.
pub(crate) fn exchange<S: Read + Write>(
    mut stream: S,
    patience: Duration,
    limit: impl Fn(&S, Duration) -> io::Result<()>,
) -> io::Result<String> {
    let until = Instant::now() + patience;
    stream
        .write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    let mut buffer = [0; 32 << 10];
    while response.len() < MOST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        limit(&stream, left)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => response.extend_from_slice(&buffer[..count]),
            // The loop checks the time.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(response).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}
