//! The character classes and lists that header fields share (RFC 9110, section 5.6).

/// Whether `bytes` is a token (RFC 9110, section 5.6.2).
#[inline]
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| TOKEN[usize::from(byte)])
}

/// The members of a comma-separated list, without the empty ones. A field value has no control
/// characters but tabs, so this trims only optional whitespace.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
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
