//! Headers: a byte for the type, a number and CRLF, such as `$3\r\n` and `:-1\r\n`.

use std::ops::Deref;

/// The longest header: the type, 20 characters of an `i64` and CRLF.
const MAX_HEADER: usize = 23;

/// The number of a header is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotANumber;

/// Decodes the header at the front of `bytes`, whose type the caller has examined. Returns the
/// number and the length of the header, or `None` if it is incomplete. Errors are reported at the
/// first byte that makes the header invalid.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(i64, usize)>, NotANumber> {
    // Most lengths have one digit.
    if let [_, digit @ b'0'..=b'9', b'\r', b'\n', ..] = bytes {
        return Ok(Some((i64::from(digit - b'0'), 4)));
    }
    decode_long(bytes)
}

fn decode_long(bytes: &[u8]) -> Result<Option<(i64, usize)>, NotANumber> {
    let is_negative = bytes.get(1) == Some(&b'-');
    let start = 1 + usize::from(is_negative);
    let mut number: i64 = 0;
    // All but the LF, which is examined together with the CR.
    for (at, byte) in bytes.iter().enumerate().take(MAX_HEADER - 1).skip(start) {
        match byte {
            b'0'..=b'9' => {
                let digit = i64::from(byte - b'0');
                let digit = if is_negative { -digit } else { digit };
                let longer = number.checked_mul(10).and_then(|n| n.checked_add(digit));
                number = longer.ok_or(NotANumber)?;
            }
            b'\r' if at > start => {
                return match bytes.get(at + 1) {
                    Some(b'\n') => Ok(Some((number, at + 2))),
                    Some(_) => Err(NotANumber),
                    None => Ok(None),
                };
            }
            _ => return Err(NotANumber),
        }
    }
    if bytes.len() < MAX_HEADER - 1 { Ok(None) } else { Err(NotANumber) }
}

/// An encoded header. Derefs to its bytes.
pub(super) struct Header {
    bytes: [u8; MAX_HEADER],
    start: usize,
}

/// Encodes a header.
#[inline]
pub(super) fn encode(kind: u8, number: i64) -> Header {
    let mut bytes = [0; MAX_HEADER];
    let mut start = MAX_HEADER - 2;
    bytes[start..].copy_from_slice(b"\r\n");
    let mut put = |byte| {
        start -= 1;
        bytes[start] = byte;
    };
    let mut rest = number.unsigned_abs();
    loop {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        put(b'-');
    }
    put(kind);
    Header { bytes, start }
}

impl Deref for Header {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_decoded_as_it_was_encoded_once_all_of_it_has_arrived() {
        for number in [0, 1, -1, 9, 10, 12_345, -99, i64::MAX, i64::MIN] {
            let header = encode(b':', number);
            assert_eq!(&header[..], format!(":{number}\r\n").as_bytes());
            assert_eq!(decode(&header), Ok(Some((number, header.len()))));
            for end in 1..header.len() {
                assert_eq!(decode(&header[..end]), Ok(None), "{number} to {end}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_an_error_as_soon_as_that_is_certain() {
        for bad in [
            "*x",
            "*+",
            "* ",
            "*\r",
            "*-\r",
            "*--",
            "*1-",
            "*1\n",
            "*1\rx",
            "*1\r\r",
            "*9223372036854775808",
            "*-9223372036854775809",
            "*000000000000000000000000",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(NotANumber), "{bad:?}");
        }
    }
}
