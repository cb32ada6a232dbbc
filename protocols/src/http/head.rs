//! Parses and checks the head of a request.
//!
//! [`find_end`] [searches](HeadScan) for the end of a head. [`parse`] then parses the complete head
//! and checks, in this order: syntax, version, header fields, target and host, body length,
//! expectation, method.
//!
//! A head that arrives in pieces is refused as soon as one of its lines is complete and invalid.
//! How it is split makes no difference to the client: in a complete head, too, the first invalid
//! line decides the status.

use std::mem::MaybeUninit;

use httparse::Header;
use memchr::memmem;

use super::fields::Fields;
use super::grammar;
use super::limits::{HttpLimits, MAX_HEADERS};
use super::request::{Connection, Method, Request, Version};
use super::scan::HeadScan;
use super::status::Status;
use super::target::{HostCache, Target};

/// Uninitialised space for a header field.
pub(super) type HeaderSlot<'a> = MaybeUninit<Header<'a>>;

/// The length of the head at the start of `bytes`, or `None` if its end has not arrived.
///
/// # Errors
/// The status that refuses the head. If lines are complete and its end is not among them, that is
/// the status of the first one that is invalid regardless of what follows.
#[inline]
pub(super) fn find_end(
    bytes: &[u8],
    scan: &mut HeadScan,
    limits: &HttpLimits,
) -> Result<Option<usize>, Status> {
    let checked = scan.lines();
    match scan.find_end(bytes, limits.request_line, limits.head) {
        Ok(Some(end)) => Ok(Some(end)),
        found if scan.lines() == checked => found.map_err(Status::from),
        found => check_lines(&bytes[..scan.lines()], limits).and(found.map_err(Status::from)),
    }
}

/// Checks complete lines from the start of a head, without its empty line. Lines that were checked
/// before are checked again with the next one; [`HttpLimits::headers`] bounds their number.
///
/// # Errors
/// The status of the first line that is invalid regardless of what follows.
#[cold]
fn check_lines(lines: &[u8], limits: &HttpLimits) -> Result<(), Status> {
    let mut lines = lines.split_inclusive(|&byte| byte == b'\n');
    check_request_line(lines.next().unwrap_or_default())?;
    let (mut fields, mut hosts) = (Fields::default(), HostCache::default());
    for (count, line) in lines.enumerate() {
        if count >= limits.headers.min(MAX_HEADERS) {
            return Err(Status::HEADER_FIELDS_TOO_LARGE);
        }
        let field = line.strip_suffix(b"\r\n").and_then(grammar::field);
        let (name, value) = field.ok_or(Status::BAD_REQUEST)?;
        fields.add(&Header { name, value }, &mut hosts, limits)?;
    }
    Ok(())
}

fn check_request_line(line: &[u8]) -> Result<(), Status> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse(line) {
        Ok(_) => {}
        Err(httparse::Error::Version) if later_minor_version(line).is_some() => {}
        Err(httparse::Error::Version) => return Err(refused_version(line)),
        Err(_) => return Err(Status::BAD_REQUEST),
    }
    match (parsed.method, parsed.path) {
        (Some(method), Some(target)) => Target::of(Method::from(method), target).map(|_| ()),
        _ => Err(Status::BAD_REQUEST),
    }
}

/// Parses a complete head, up to and including its empty line.
#[inline]
pub(super) fn parse<'a>(
    head: &'a [u8],
    slots: &'a mut [HeaderSlot<'a>],
    limits: &HttpLimits,
    hosts: &mut HostCache,
    connection: &'a Connection<'a>,
) -> Result<Request<'a>, Status> {
    parse_whole(head, slots, limits, hosts, connection).map_err(|status| {
        let lines = head.strip_suffix(b"\r\n").unwrap_or_default();
        check_lines(lines, limits).err().unwrap_or(status)
    })
}

#[inline]
fn parse_whole<'a>(
    head: &'a [u8],
    slots: &'a mut [HeaderSlot<'a>],
    limits: &HttpLimits,
    hosts: &mut HostCache,
    connection: &'a Connection<'a>,
) -> Result<Request<'a>, Status> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, slots) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HEADER_FIELDS_TOO_LARGE),
        Err(httparse::Error::Version) => return Err(refused_version(head)),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Status::BAD_REQUEST),
    }
    let (Some(name), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Status::BAD_REQUEST);
    };
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let headers: &'a [Header<'a>] = parsed.headers;
    let fields = Fields::of(headers, hosts, limits)?;
    let method = Method::from(name);
    let target = Target::of(method, target)?;
    if fields.host.is_none() && version == Version::Http11 {
        return Err(Status::BAD_REQUEST);
    }
    let body_length = fields.framing.body_length(version, limits.body)?;
    if version == Version::Http11 && fields.expects_other {
        return Err(Status::EXPECTATION_FAILED);
    }
    if matches!(method, Method::Connect | Method::Trace) {
        return Err(Status::NOT_IMPLEMENTED);
    }
    Ok(Request {
        method: name,
        target: target.whole,
        path: target.path,
        query: target.query,
        version,
        host: target.authority.map(str::as_bytes).or(fields.host),
        body_length,
        keep_alive: fields.framing.keeps_alive(version),
        expects_continue: version == Version::Http11 && fields.expects_continue,
        headers,
        connection,
    })
}

/// The status that refuses a version other than 1.0 and 1.1.
#[cold]
fn refused_version(head: &[u8]) -> Status {
    match version_digits(head) {
        Some((major, _)) if major != b'1' => Status::VERSION_NOT_SUPPORTED,
        _ => Status::BAD_REQUEST,
    }
}

/// The position of the minor version in a head of version 1.2 to 1.9. Such a request is handled as
/// one of the highest version known here (RFC 9110, section 2.5).
#[cold]
pub(super) fn later_minor_version(head: &[u8]) -> Option<usize> {
    match version_digits(head)? {
        (b'1', at) if !matches!(head[at], b'0' | b'1') => Some(at),
        _ => None,
    }
}

/// The major version of a request line of three words, and the position of its minor version.
fn version_digits(head: &[u8]) -> Option<(u8, usize)> {
    let end = memmem::find(head, b"\r\n")?;
    let mut words = head[..end].split(|&byte| byte == b' ');
    let (_, _, version) = (words.next()?, words.next()?, words.next()?);
    match (version, words.next()) {
        ([b'H', b'T', b'T', b'P', b'/', major, b'.', minor], None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some((*major, end - 1))
        }
        _ => None,
    }
}
