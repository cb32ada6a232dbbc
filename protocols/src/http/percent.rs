//! Percent-encoding (RFC 3986, section 2.1).

/// Appends the bytes that `text` encodes; `None` if an escape is malformed.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let [high, low, ..] = rest[at + 1..] else { return None };
        out.push(hex(high)? << 4 | hex(low)?);
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    Some(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
