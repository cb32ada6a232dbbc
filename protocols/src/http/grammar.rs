//! The character classes and lists that header fields share (RFC 9110, section 5.6).

use std::io;

/// Whether `bytes` is a token (RFC 9110, section 5.6.2).
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| TOKEN[usize::from(byte)])
}

/// Splits a field line, without its CRLF, into its name and its value (RFC 9112, section 5).
pub(super) fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let (name, rest) = split_token(line)?;
    let value = rest.strip_prefix(b":").filter(|value| !value.iter().copied().any(is_control))?;
    Some((str::from_utf8(name).ok()?, value.trim_ascii()))
}

/// Checks a header field from the options of a service.
///
/// # Errors
/// `InvalidInput` if the name is not a token, if `is_own` says that the server writes this field
/// itself, or if the value could end the field.
pub(crate) fn check_option(name: &str, value: &str, is_own: bool) -> io::Result<()> {
    let fault = if !is_token(name.as_bytes()) {
        "the name is not a token"
    } else if is_own {
        "the server writes this field itself"
    } else if value.bytes().any(is_control) {
        "the value contains a control character"
    } else {
        return Ok(());
    };
    let text = format!("header field {name:?}: {fault}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Whether this is a control character other than a tab. No field value may have one.
pub(super) fn is_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\t' || byte == 0x7f
}

/// Splits `bytes` after the token at their start.
pub(super) fn split_token(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(bytes.len());
    (end > 0).then(|| bytes.split_at(end))
}

/// Whether `bytes` are parameters: names with or without a value, each after a semicolon. A value
/// is a token or a quoted string. Whitespace may surround semicolons and equals signs.
///
/// This is the syntax of chunk extensions (RFC 9112, section 7.1.1). The caller has refused
/// [control characters](is_control).
pub(super) fn are_parameters(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match after_parameter(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// What follows the parameter at the start of `bytes`.
fn after_parameter(bytes: &[u8]) -> Option<&[u8]> {
    let name = bytes.trim_ascii_start().strip_prefix(b";")?.trim_ascii_start();
    let (_, rest) = split_token(name)?;
    match rest.trim_ascii_start().strip_prefix(b"=") {
        Some(value) => after_value(value.trim_ascii_start()),
        None => Some(rest),
    }
}

/// What follows the token or quoted string (RFC 9110, section 5.6.4) at the start of `bytes`.
pub(super) fn after_value(bytes: &[u8]) -> Option<&[u8]> {
    let Some(mut rest) = bytes.strip_prefix(b"\"") else {
        return split_token(bytes).map(|(_, rest)| rest);
    };
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
            [] => return None,
        }
    }
}

/// The values of the fields with this name, whatever its case.
pub(crate) fn values<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    fields.filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The members of a comma-separated list, without the empty ones (RFC 9110, section 5.6.1.2). A
/// comma in a quoted string separates nothing. A field value has no control characters but tabs, so
/// this trims only optional whitespace.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let members = value.split(move |&byte| {
        let separates = byte == b',' && !is_quoted;
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && is_quoted && !is_escaped;
        separates
    });
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The bytes of a token.
const TOKEN: [bool; 256] = class(b"!#$%&'*+-.^_`|~");

/// The table of a character class: letters, digits and `others`.
pub(super) const fn class(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}
