//! Version 2: the binary format.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixSocketAddr;

use sluicegate_reactor::Address;

use super::HeaderError;
use super::header::{Endpoints, Header, UNIX, UNIX_PATH};
use super::{checksum, tlv};

/// The signature at the start of each header, which most other protocols reject.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes before the addresses: the signature, the version and command, the family and
/// transport, and the number of bytes that follow.
const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    if bytes.iter().zip(SIGNATURE).any(|(byte, expected)| byte != expected) {
        return Err(HeaderError("the connection does not start with a PROXY header"));
    }
    let is_proxied = match bytes.get(12) {
        None => return Ok(None),
        Some(&LOCAL) => false,
        Some(&PROXY) => true,
        Some(0x20..=0x2f) => return Err(HeaderError("unknown command")),
        Some(_) => return Err(HeaderError("unknown version")),
    };
    let Some(&kind) = bytes.get(13) else { return Ok(None) };
    if is_proxied && (kind >> 4 > 3 || kind & 0xf > 2) {
        return Err(HeaderError("unknown address family or transport"));
    }
    let Some(length) = bytes[14..].first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    let addresses = match kind {
        TCP4 if is_proxied => 2 * (4 + 2),
        TCP6 if is_proxied => 2 * (16 + 2),
        UNIX_STREAM if is_proxied => UNIX,
        // The specification has receivers skip what they cannot use.
        _ => 0,
    };
    if length < addresses {
        return Err(HeaderError("the header is shorter than its addresses"));
    }
    let end = FIXED + length;
    let Some(whole) = bytes.get(..end) else { return Ok(None) };
    if addresses == 0 {
        return Ok(Some((Header::local(), end)));
    }
    let tlvs_at = FIXED + addresses;
    let tlvs = &whole[tlvs_at..];
    let checksum = tlv::check(tlvs)?;
    if checksum.is_some_and(|at| !checksum::holds(whole, tlvs_at + at)) {
        return Err(HeaderError("wrong checksum"));
    }
    Ok(Some((of(kind, &whole[FIXED..tlvs_at], tlvs), end)))
}

/// The header with these addresses, if this system has such addresses.
fn of(kind: u8, addresses: &[u8], tlvs: &[u8]) -> Header {
    let pair = match kind {
        TCP4 => ip_pair::<4>(addresses, |octets| Ipv4Addr::from(octets).into()),
        TCP6 => ip_pair::<16>(addresses, |octets| Ipv6Addr::from(octets).into()),
        _ => addresses
            .split_at_checked(UNIX_PATH)
            .and_then(|(source, destination)| Some((unix(source)?, unix(destination)?))),
    };
    match pair {
        Some((source, destination)) => {
            Header { tlvs: tlvs.to_vec(), ..Header::new(source, destination) }
        }
        None => Header::local(),
    }
}

/// Two IP addresses, followed by their ports.
fn ip_pair<const N: usize>(
    bytes: &[u8],
    ip: impl Fn([u8; N]) -> IpAddr,
) -> Option<(Address, Address)> {
    let (source, rest) = bytes.split_first_chunk()?;
    let (destination, rest) = rest.split_first_chunk()?;
    let (from, rest) = rest.split_first_chunk()?;
    let to = rest.first_chunk()?;
    let address = |octets, port: &[u8; 2]| {
        Address::Ip(SocketAddr::new(ip(octets), u16::from_be_bytes(*port)))
    };
    Some((address(*source, from), address(*destination, to)))
}

/// The Unix address in a field as long as `sun_path` of Linux: a path, an abstract name after a
/// zero byte, or only zeros.
fn unix(field: &[u8]) -> Option<Address> {
    let zeros = field.iter().rev().take_while(|byte| **byte == 0).count();
    match &field[..field.len() - zeros] {
        [] => UnixSocketAddr::from_pathname("").ok().map(Address::Unix),
        [0, name @ ..] => Address::from_abstract_name(name).ok(),
        path => {
            let path = path.split(|byte| *byte == 0).next()?;
            Address::from_path(OsStr::from_bytes(path)).ok()
        }
    }
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIXED + UNIX + header.tlvs.len());
    bytes.extend(SIGNATURE);
    bytes.push(if header.addresses.is_some() { PROXY } else { LOCAL });
    // The family and the length follow.
    bytes.extend([UNSPEC, 0, 0]);
    match header.endpoints() {
        Some(Endpoints::V4(source, destination)) => {
            bytes[13] = TCP4;
            bytes.extend(source.ip().octets());
            bytes.extend(destination.ip().octets());
            bytes.extend(source.port().to_be_bytes());
            bytes.extend(destination.port().to_be_bytes());
        }
        Some(Endpoints::V6(source, destination)) => {
            bytes[13] = TCP6;
            bytes.extend(source.ip().octets());
            bytes.extend(destination.ip().octets());
            bytes.extend(source.port().to_be_bytes());
            bytes.extend(destination.port().to_be_bytes());
        }
        Some(Endpoints::Unix(source, destination)) => {
            bytes[13] = UNIX_STREAM;
            bytes.extend(unix_field(source));
            bytes.extend(unix_field(destination));
        }
        None => {}
    }
    let tlvs_at = bytes.len();
    bytes.extend(&header.tlvs);
    let length = (bytes.len() - FIXED) as u16;
    bytes[14..FIXED].copy_from_slice(&length.to_be_bytes());
    if let Ok(Some(at)) = tlv::check(&header.tlvs) {
        checksum::write(&mut bytes, tlvs_at + at);
    }
    bytes
}

fn unix_field(address: &Address) -> [u8; UNIX_PATH] {
    let mut field = [0; UNIX_PATH];
    let (at, name) = match (address.path(), address.abstract_name()) {
        (Some(path), _) => (0, path.as_os_str().as_bytes()),
        (None, Some(name)) => (1, name),
        (None, None) => (0, &b""[..]),
    };
    for (to, from) in field[at..].iter_mut().zip(name) {
        *to = *from;
    }
    field
}
