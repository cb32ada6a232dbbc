//! A client that does what it is told, HTTP included.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::process::Server;

/// A connection to a server of HTTP.
pub(crate) struct Client(BufReader<TcpStream>);

/// An answer without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) fields: String,
    /// What `Content-Length` says.
    pub(crate) len: u64,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Client {
        Client::over(server.connect())
    }

    pub(crate) fn over(stream: TcpStream) -> Client {
        Client(BufReader::new(stream))
    }

    /// Sends a request without waiting for the answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.send(request.as_bytes());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("a server that reads");
    }

    /// The next head.
    pub(crate) fn head(&mut self) -> Head {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            let count = self.0.read_line(&mut text).expect("a head");
            assert!(count > 0, "the connection ended after {text:?}");
        }
        let status = text.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        let (_, fields) = text.split_once("\r\n").expect("lines");
        let fields = fields.to_owned();
        let lines = || fields.lines().filter_map(|line| line.split_once(": "));
        let len = lines().find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
        let len = len.and_then(|(_, value)| value.parse().ok()).expect("a length");
        Head { status, fields, len }
    }

    /// The next answer with its body, which must fit in memory.
    pub(crate) fn answer(&mut self) -> (Head, Vec<u8>) {
        let head = self.head();
        let mut body = vec![0; head.len as usize];
        self.0.read_exact(&mut body).expect("a whole body");
        (head, body)
    }

    pub(crate) fn get(&mut self, path: &str) -> (Head, Vec<u8>) {
        self.ask("GET", path);
        self.answer()
    }

    /// What follows, undigested.
    pub(crate) fn rest(&mut self) -> &mut impl Read {
        &mut self.0
    }

    /// The connection below. What was read ahead is lost.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }
}
