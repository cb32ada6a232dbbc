//! The header fields that are forwarded.

use std::io::Write;

use super::options::{ForwardOptions, Provenance};
use super::rules::FieldRules;
use super::shared::Shared;
use crate::http::client::Response;
use crate::http::{Request, Trailers, Version, list, values};

/// A header field.
type Field<'a> = (&'a str, &'a [u8]);

/// Appends a field line. Name and value were checked when they were received.
fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
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
    shared: &Shared,
    keeps_upgrade: bool,
) {
    out.clear();
    let rules = &shared.response_rules;
    let date = response.header("Date");
    if let Some(date) = date {
        push(out, "Date", date);
    }
    let nominated = Nominated::by(response.headers());
    for (name, value) in response.headers() {
        let is_upgrade = keeps_upgrade && name.eq_ignore_ascii_case("Upgrade");
        let is_kept = is_upgrade || !rules.removes(name) && !nominated.contains(name);
        if is_kept && !(date.is_some() && name.eq_ignore_ascii_case("Date")) {
            push(out, name, value);
        }
    }
    out.extend_from_slice(&rules.lines);
    write_via(out, response.version(), &shared.options);
}

/// The fields of an interim response that are passed on.
pub(super) fn interim<'a>(response: &Response<'a>, rules: &FieldRules) -> Vec<Field<'a>> {
    let nominated = Nominated::by(response.headers());
    let is_kept =
        |(name, _): &Field<'a>| rules.passes_supplementary(name) && !nominated.contains(name);
    response.headers().filter(is_kept).collect()
}

/// The trailers that are passed on: none unless the head has announced them.
pub(super) fn trailers<'a>(
    trailers: Trailers<'a>,
    are_announced: bool,
    rules: &FieldRules,
) -> Vec<Field<'a>> {
    let is_kept = |(name, _): &Field<'a>| are_announced && rules.passes_supplementary(name);
    trailers.iter().filter(is_kept).collect()
}

/// `Via` names the protocol in which the message was received (RFC 9110, section 7.6.3).
fn write_via(out: &mut Vec<u8>, version: Version, options: &ForwardOptions) {
    let version: &[u8] = if version == Version::Http10 { b"1.0 " } else { b"1.1 " };
    for part in [b"Via: ", version, options.name.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends the fields of a request that came from a client with this address. Returns whether they
/// announce trailers.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    client: &str,
    shared: &Shared,
) -> bool {
    out.clear();
    let mut has_trailers = false;
    let Shared { options, request_rules: rules, .. } = shared;
    let nominated = Nominated::by(request.headers());
    for (name, value) in request.headers() {
        if !rules.removes(name) && !nominated.contains(name) {
            push(out, name, value);
            has_trailers |= name.eq_ignore_ascii_case("Trailer");
        }
    }
    out.extend_from_slice(&rules.lines);
    write_via(out, request.version(), options);
    if options.x_forwarded != Provenance::Pass {
        write_x_forwarded(out, request, client, options.x_forwarded == Provenance::Append);
    }
    if options.forwarded != Provenance::Pass {
        write_forwarded(out, request, client, options.forwarded == Provenance::Append);
    }
    if let Some(name) = &options.client_address {
        push(out, name, client.as_bytes());
    }
    has_trailers
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
