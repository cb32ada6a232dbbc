//! The header fields that are passed on.

use std::io::Write;

use super::options::{ForwardOptions, Provenance};
use crate::http::client::{Response, Trailers};
use crate::http::{Request, Version, is_token, list};

/// The fields that concern only the connection on which they were received (RFC 9110, section
/// 7.6.1), or that frame the message, which every hop does anew.
const HOP: [&str; 9] = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
];

/// Whether a name is one of these. The case of names does not matter.
fn is_one_of(name: &str, fields: &[&str]) -> bool {
    fields.iter().any(|field| field.eq_ignore_ascii_case(name))
}

fn is_of_hop(name: &str) -> bool {
    is_one_of(name, &HOP)
}

/// A header field.
type Field<'a> = (&'a str, &'a [u8]);

/// Appends a field line. Name and value were checked when they were received.
fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The values of the fields with a name.
fn values<'a>(
    headers: impl Iterator<Item = Field<'a>>,
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    headers.filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The names of fields that `Connection` declares to concern only this hop.
struct Nominated<'a> {
    /// The members of `Connection` that are not about the connection itself. Hardly any message has
    /// some.
    names: Vec<&'a [u8]>,
}

impl<'a> Nominated<'a> {
    fn by(headers: impl Iterator<Item = Field<'a>>) -> Nominated<'a> {
        let is_own = |option: &&[u8]| {
            let own: [&[u8]; 3] = [b"keep-alive", b"close", b"upgrade"];
            !own.iter().any(|own| own.eq_ignore_ascii_case(option))
        };
        let names = values(headers, "Connection").flat_map(list).filter(is_own).collect();
        Nominated { names }
    }

    fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|nominated| nominated.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Appends the fields of a response, with `Date` as the first. `keeps_upgrade` keeps `Upgrade`: in
/// the response that accepts one.
pub(super) fn write_response(
    out: &mut Vec<u8>,
    response: &Response<'_>,
    options: &ForwardOptions,
    keeps_upgrade: bool,
) {
    out.clear();
    let date = response.header("Date");
    if let Some(date) = date {
        push(out, "Date", date);
    }
    let nominated = Nominated::by(response.headers());
    for (name, value) in response.headers() {
        let is_upgrade = keeps_upgrade && name.eq_ignore_ascii_case("Upgrade");
        let is_kept = is_upgrade || !is_of_hop(name) && !nominated.contains(name);
        if is_kept && !(date.is_some() && name.eq_ignore_ascii_case("Date")) {
            push(out, name, value);
        }
    }
    write_via(out, response.version(), options);
}

/// Whether a field of an interim response or of a trailer section may be passed on. `Date` and
/// `Host` belong in the head of a final message.
fn is_supplementary(name: &str) -> bool {
    !is_of_hop(name) && !is_one_of(name, &["Date", "Host"])
}

/// The fields of an interim response that are passed on.
pub(super) fn interim<'a>(response: &Response<'a>) -> Vec<Field<'a>> {
    let nominated = Nominated::by(response.headers());
    let is_kept = |(name, _): &Field<'a>| is_supplementary(name) && !nominated.contains(name);
    response.headers().filter(is_kept).collect()
}

/// The trailers that are passed on: none unless the head has announced them.
pub(super) fn trailers(trailers: Trailers<'_>, are_announced: bool) -> Vec<Field<'_>> {
    trailers.iter().filter(|(name, _)| are_announced && is_supplementary(name)).collect()
}

/// Whether this is a pseudonym, or a host name with or without a port (RFC 9110, section 7.6.3).
pub(super) fn is_via_name(name: &str) -> bool {
    let (host, port) = name.split_once(':').unwrap_or((name, ""));
    is_token(host.as_bytes()) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// `Via` names the protocol in which the message was received (RFC 9110, section 7.6.3).
fn write_via(out: &mut Vec<u8>, version: Version, options: &ForwardOptions) {
    let version: &[u8] = if version == Version::Http10 { b"1.0 " } else { b"1.1 " };
    for part in [b"Via: ", version, options.name.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends the fields of a request that came from a client with this address.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    client: &str,
    options: &ForwardOptions,
) {
    out.clear();
    let nominated = Nominated::by(request.headers());
    for (name, value) in request.headers() {
        if !is_of_hop(name) && !nominated.contains(name) && !is_rewritten(name, options) {
            push(out, name, value);
        }
    }
    write_via(out, request.version(), options);
    if options.x_forwarded != Provenance::Pass {
        write_x_forwarded(out, request, client, options.x_forwarded == Provenance::Append);
    }
    if options.forwarded != Provenance::Pass {
        write_forwarded(out, request, client, options.forwarded == Provenance::Append);
    }
}

/// Whether a field of a request is left out because the client writes it, because `Http` has acted
/// on it, or because another value takes its place.
fn is_rewritten(name: &str, options: &ForwardOptions) -> bool {
    is_one_of(name, &["Host", "Expect", "Max-Forwards"])
        || options.forwarded != Provenance::Pass && is_one_of(name, &["Forwarded"])
        || options.x_forwarded != Provenance::Pass
            && is_one_of(name, &["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"])
}

/// Appends the values of a list field that a request has, each followed by a comma.
fn write_list(out: &mut Vec<u8>, request: &Request<'_>, name: &str) {
    for value in values(request.headers(), name).filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

fn write_x_forwarded(out: &mut Vec<u8>, request: &Request<'_>, client: &str, appends: bool) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    if appends {
        write_list(out, request, "X-Forwarded-For");
    }
    out.extend_from_slice(client.as_bytes());
    out.extend_from_slice(b"\r\n");
    let said = |name| request.header(name).filter(|_| appends);
    push(out, "X-Forwarded-Proto", said("X-Forwarded-Proto").unwrap_or(scheme(request).as_bytes()));
    let host = said("X-Forwarded-Host").or(request.host().map(str::as_bytes));
    if let Some(host) = host {
        push(out, "X-Forwarded-Host", host);
    }
}

/// RFC 7239, sections 4 and 6: an IPv6 address is quoted and in brackets, and a host with a port is
/// quoted.
fn write_forwarded(out: &mut Vec<u8>, request: &Request<'_>, client: &str, appends: bool) {
    out.extend_from_slice(b"Forwarded: ");
    if appends {
        write_list(out, request, "Forwarded");
    }
    let is_ipv6 = client.contains(':');
    let (open, close) = if is_ipv6 { ("\"[", "]\"") } else { ("", "") };
    // A vector takes everything.
    let _ = write!(out, "for={open}{client}{close}");
    if let Some(host) = request.host() {
        let _ = write!(out, ";host=\"{host}\"");
    }
    let _ = write!(out, ";proto={}\r\n", scheme(request));
}

/// The protocol in which a request was received.
fn scheme(request: &Request<'_>) -> &'static str {
    if request.is_secure() { "https" } else { "http" }
}
