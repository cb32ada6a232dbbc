//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use memchr::memmem;

use super::HeaderError;
use super::header::{Endpoints, Header};

/// The longest line that a receiver must support, CRLF included.
const LONGEST: usize = 107;

const TCP4: &[u8] = b"PROXY TCP4 ";
const TCP6: &[u8] = b"PROXY TCP6 ";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";

const MALFORMED: HeaderError = HeaderError("malformed line");

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = memmem::find(bytes, b"\r\n") else {
        return match bytes.len() {
            _ if !may_continue(bytes) => Err(MALFORMED),
            LONGEST => Err(HeaderError("the line is longer than 107 bytes")),
            _ => Ok(None),
        };
    };
    let header = parse_line(&bytes[..end]).ok_or(MALFORMED)?;
    Ok(Some((header, end + 2)))
}

/// Whether a valid line may begin with these bytes.
fn may_continue(bytes: &[u8]) -> bool {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
    let is_address = |byte: &u8| byte.is_ascii_hexdigit() || b".: ".contains(byte);
    let addresses = bytes.get(TCP4.len()..).unwrap_or_default();
    let addresses = addresses.strip_suffix(b"\r").unwrap_or(addresses);
    let has_addresses = begins(TCP4) || begins(TCP6);
    (has_addresses && addresses.iter().all(is_address)) || begins(UNKNOWN)
}

/// Parses a line without its CRLF.
fn parse_line(line: &[u8]) -> Option<Header> {
    if let Some(ignored) = line.strip_prefix(UNKNOWN) {
        return (ignored.is_empty() || ignored[0] == b' ').then(Header::local);
    }
    if let Some(addresses) = line.strip_prefix(TCP4) {
        return parse_addresses::<Ipv4Addr>(addresses);
    }
    parse_addresses::<Ipv6Addr>(line.strip_prefix(TCP6)?)
}

fn parse_addresses<A: FromStr + Into<IpAddr>>(text: &[u8]) -> Option<Header> {
    let mut words = str::from_utf8(text).ok()?.split(' ');
    let mut address = || words.next()?.parse::<A>().ok().map(A::into);
    let (source, destination) = (address()?, address()?);
    let (from, to) = (parse_port(words.next()?)?, parse_port(words.next()?)?);
    let pair = (SocketAddr::new(source, from), SocketAddr::new(destination, to));
    words.next().is_none().then(|| Header::new(pair.0, pair.1))
}

/// Parses a port: digits without a leading zero.
fn parse_port(text: &str) -> Option<u16> {
    let is_canonical = text == "0" || text.starts_with(|first: char| ('1'..='9').contains(&first));
    text.parse().ok().filter(|_| is_canonical)
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let line = match header.endpoints() {
        Some(Endpoints::V4(source, destination)) => line("TCP4", source.into(), destination.into()),
        Some(Endpoints::V6(source, destination)) => line("TCP6", source.into(), destination.into()),
        Some(Endpoints::Unix(..)) | None => "PROXY UNKNOWN\r\n".to_owned(),
    };
    line.into_bytes()
}

fn line(family: &str, source: SocketAddr, destination: SocketAddr) -> String {
    let (from, to) = (source.port(), destination.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip())
}
