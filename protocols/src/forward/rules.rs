//! The rules for which header fields are forwarded, and which are added.

use std::io;

use super::options::{FieldChanges, ForwardOptions, HealthCheck, Provenance};
use crate::http::{check_option, is_token};

/// The fields that concern only the connection on which they were received (RFC 9110, section
/// 7.6.1), or that frame the message, which every hop does itself.
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

/// Those of a request that the client of the origin writes, or that `Http` has acted on.
const OF_REQUEST: [&str; 3] = ["Host", "Expect", "Max-Forwards"];

const X_FORWARDED: [&str; 3] = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"];

impl ForwardOptions {
    /// Checks the options, as [`Forward::new`](super::Forward::new) does, so that a program can
    /// report errors before it creates a reactor.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if [`name`](ForwardOptions::name) cannot be in
    /// `Via`, if the request of [`health_check`](ForwardOptions::health_check) is invalid or its
    /// interval is zero, or if a header field is invalid or one that the proxy writes itself. The
    /// message names it.
    pub fn check(&self) -> io::Result<()> {
        if !is_via_name(&self.name) {
            let why = format!("the name {:?} cannot be in Via", self.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if let Some(check) = &self.health_check
            && (!check.request().is_valid() || check.interval.is_zero())
        {
            let HealthCheck { interval, target, host } = check;
            let of = host.as_ref().map(|host| format!(" of {host:?}")).unwrap_or_default();
            let why = format!("{target:?}{of} cannot be requested every {interval:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        FieldRules::of_requests(self).and(FieldRules::of_responses(self)).map(drop)
    }
}

/// Whether this is a pseudonym, or a host name with or without a port (RFC 9110, section 7.6.3).
fn is_via_name(name: &str) -> bool {
    let (host, port) = name.split_once(':').unwrap_or((name, ""));
    is_token(host.as_bytes()) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// The rules for the messages of one direction.
pub(super) struct FieldRules {
    /// The names of fields that are not passed on.
    removed: Vec<String>,
    /// The lengths of these names, one bit each: few other fields have one of them.
    lengths: u64,
    /// The lines that are added to all messages.
    pub(super) lines: Vec<u8>,
}

impl FieldRules {
    /// The rules for requests.
    ///
    /// # Errors
    /// `InvalidInput` if an option is not a header field, or one that the proxy writes itself.
    pub(super) fn of_requests(options: &ForwardOptions) -> io::Result<FieldRules> {
        let mut own = [&HOP[..], &OF_REQUEST].concat();
        if options.x_forwarded != Provenance::Pass {
            own.extend(X_FORWARDED);
        }
        if options.forwarded != Provenance::Pass {
            own.push("Forwarded");
        }
        if let Some(name) = &options.client_address {
            check_option(name, "", is_one_of(name, &own) || is_of_proxy(name))?;
            own.push(name);
        }
        FieldRules::new(own, &options.request_fields)
    }

    /// The rules for responses.
    ///
    /// # Errors
    /// The same as those of [`of_requests`](FieldRules::of_requests).
    pub(super) fn of_responses(options: &ForwardOptions) -> io::Result<FieldRules> {
        FieldRules::new(HOP.to_vec(), &options.response_fields)
    }

    /// Adds the changes to the fields that the proxy removes in any case.
    fn new(own: Vec<&str>, changes: &FieldChanges) -> io::Result<FieldRules> {
        let check = |name: &str, value: &str| {
            let is_own = is_one_of(name, &own) || is_of_proxy(name);
            check_option(name, value, is_own)
        };
        let mut removed: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        let mut lines = String::new();
        for name in &changes.remove {
            check(name, "")?;
            removed.push(name.clone());
        }
        for (name, value) in changes.set.iter().chain(&changes.add) {
            check(name, value)?;
            lines.extend([name, ": ", value.trim(), "\r\n"]);
        }
        removed.extend(changes.set.iter().map(|(name, _)| name.clone()));
        let lengths = removed.iter().fold(0, |lengths, name| lengths | length_bit(name));
        Ok(FieldRules { removed, lengths, lines: lines.into() })
    }

    /// Whether a field with this name is not passed on.
    pub(super) fn removes(&self, name: &str) -> bool {
        self.lengths & length_bit(name) != 0
            && self.removed.iter().any(|removed| is_same(removed, name))
    }

    /// Whether a field of an interim response or of a trailer section may be passed on. `Date` and
    /// `Host` belong in the head of a final message.
    pub(super) fn passes_supplementary(&self, name: &str) -> bool {
        !self.removes(name) && !is_one_of(name, &["Date", "Host"])
    }
}

/// The bit of the length of a name. Long names share one.
fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

/// Whether the proxy writes this field itself, or has to interpret it.
fn is_of_proxy(name: &str) -> bool {
    is_one_of(name, &["Date", "Trailer", "Via"])
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| is_same(other, name))
}

/// Whether two names mean the same to the origin. Case does not matter, and programs that map names
/// to variables, as CGI does, cannot tell an underscore from a hyphen.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}
