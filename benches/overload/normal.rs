//! Normal clients, and how long their requests take.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How many clients have a request in progress at the same time.
const CLIENTS: usize = 16;
const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: overload\r\n\r\n";

/// How long requests took.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, mut other: Latencies) {
        self.0.append(&mut other.0);
        self.0.sort_unstable();
    }

    /// The time that this share of all requests did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.quantile(share).as_micros());
        write!(f, "{} requests, p50 {p50} us, p99 {p99} us, max {max} us", self.0.len())
    }
}

/// Lets the clients ask for that time. Each has asked again before the next one is looked at, so
/// that they wait for each other as little as clients on machines of their own.
pub(crate) fn measure(server: SocketAddr, time: Duration) -> io::Result<Latencies> {
    let connect = |_| {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok((stream, Instant::now()))
    };
    let mut clients = (0..CLIENTS).map(connect).collect::<io::Result<Vec<_>>>()?;
    for (stream, asked) in &mut clients {
        *asked = Instant::now();
        stream.write_all(REQUEST)?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        for (stream, asked) in &mut clients {
            read_response(stream)?;
            times.push(asked.elapsed());
            *asked = Instant::now();
            stream.write_all(REQUEST)?;
        }
    }
    times.sort_unstable();
    Ok(Latencies(times))
}

fn read_response(stream: &mut TcpStream) -> io::Result<()> {
    let (mut response, mut len) = ([0; 4096], 0);
    loop {
        match stream.read(&mut response[len..])? {
            0 => return Err(io::Error::other("a normal client was cut off")),
            count => len += count,
        }
        let head = response[..len].windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| len == head + 4 + 1000) {
            return if response.starts_with(b"HTTP/1.1 200 ") {
                Ok(())
            } else {
                Err(io::Error::other("a normal client was refused"))
            };
        }
    }
}
