//! The format of frames (RFC 6455, section 5.2).

use sluicegate_reactor::Turn;

use super::fault::Fault;

/// The longest payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

/// The longest header: two bytes, the length, and the masking key.
pub(super) const MAX_HEADER: usize = 2 + 8 + 4;
/// The longest payload whose length is in the second byte of the header.
pub(super) const MAX_SHORT: usize = 125;

const FIN: u8 = 0x80;
const DEFLATED: u8 = 0x40;
const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;

/// Which end of the connection this is. Clients mask what they send, servers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(first: u8) -> Option<Opcode> {
        Some(match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The header of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    /// Whether this is the last frame of its message.
    pub(super) is_last: bool,
    /// Whether the message is compressed; only in its first frame.
    pub(super) is_deflated: bool,
    pub(super) mask: Option<Mask>,
    /// The length of the header itself.
    pub(super) len: usize,
    pub(super) payload: u64,
}

impl Header {
    /// Parses the header at the start of `bytes`. `None` if it is incomplete.
    #[inline]
    pub(super) fn parse(bytes: &[u8], role: Role, deflates: bool) -> Result<Option<Header>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::of(*first).ok_or(Fault::Opcode)?;
        let is_last = first & FIN != 0;
        let is_deflated = first & DEFLATED != 0;
        let may_be_deflated = deflates && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & RESERVED != 0 || is_deflated && !may_be_deflated {
            return Err(Fault::ReservedBits);
        }
        let is_masked = second & MASKED != 0;
        if is_masked != (role == Role::Server) {
            return Err(Fault::Masking);
        }
        let short = second & !MASKED;
        if opcode.is_control() && (!is_last || usize::from(short) > MAX_CONTROL) {
            return Err(Fault::Control);
        }
        let (payload, rest) = match short {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        let is_minimal = match short {
            126 => payload > 125,
            127 => payload > u64::from(u16::MAX) && payload >> 63 == 0,
            _ => true,
        };
        if !is_minimal {
            return Err(Fault::Length);
        }
        let (mask, rest) = match rest.split_first_chunk() {
            Some((key, rest)) if is_masked => (Some(Mask(*key)), rest),
            None if is_masked => return Ok(None),
            _ => (None, rest),
        };
        let len = bytes.len() - rest.len();
        Ok(Some(Header { opcode, is_last, is_deflated, mask, len, payload }))
    }
}

/// The header of a frame to send. It is the only one of its message.
pub(super) struct Prefix {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl Prefix {
    #[inline]
    pub(super) fn new(
        opcode: Opcode,
        is_deflated: bool,
        payload: usize,
        mask: Option<Mask>,
    ) -> Prefix {
        let mut prefix = Prefix { bytes: [0; MAX_HEADER], len: 0 };
        let masked = if mask.is_some() { MASKED } else { 0 };
        let deflated = if is_deflated { DEFLATED } else { 0 };
        prefix.push(&[FIN | deflated | opcode as u8]);
        match payload {
            0..=125 => prefix.push(&[masked | payload as u8]),
            126..=0xffff => {
                prefix.push(&[masked | 126]);
                prefix.push(&(payload as u16).to_be_bytes());
            }
            _ => {
                prefix.push(&[masked | 127]);
                prefix.push(&(payload as u64).to_be_bytes());
            }
        }
        if let Some(Mask(key)) = mask {
            prefix.push(&key);
        }
        prefix
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Writes the frame with this payload to a buffer.
    #[inline]
    pub(super) fn join<'b>(
        &self,
        payload: &[u8],
        mask: Option<Mask>,
        buffer: &'b mut [u8; MAX_HEADER + MAX_SHORT],
    ) -> &'b [u8] {
        let end = self.len + payload.len();
        // A copy of constant length costs less. The payload overwrites what is not header.
        buffer[..MAX_HEADER].copy_from_slice(&self.bytes);
        let masked = &mut buffer[self.len..end];
        masked.copy_from_slice(payload);
        if let Some(mut mask) = mask {
            mask.apply(masked);
        }
        &buffer[..end]
    }
}

/// A masking key, rotated so that it starts with the byte for the next byte of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    /// A new key, which peers cannot predict.
    pub(super) fn random(cx: &Turn) -> Mask {
        Mask((cx.random() as u32).to_ne_bytes())
    }

    /// Masks or unmasks the next bytes of a payload in place, eight at a time.
    #[inline]
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
            *byte ^= key;
        }
        self.0.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_21_a_payload_is_unmasked_the_same_in_any_pieces() {
        let key = [1, 2, 3, 200];
        let payload: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> =
            payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        for piece in 1..=payload.len() {
            let (mut mask, mut bytes) = (Mask(key), payload.clone());
            bytes.chunks_mut(piece).for_each(|piece| mask.apply(piece));
            assert_eq!(bytes, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn row_21_lengths_are_minimal_in_both_directions() {
        for (payload, len) in [(0, 2), (125, 2), (126, 4), (0xffff, 4), (0x10000, 10)] {
            let prefix = Prefix::new(Opcode::Binary, false, payload, None);
            assert_eq!(prefix.as_bytes().len(), len);
            let header = Header::parse(prefix.as_bytes(), Role::Client, false).unwrap().unwrap();
            assert_eq!((header.len, header.payload), (len, payload as u64));
        }
        for bytes in [
            &[0x82, 126, 0, 125][..],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(Header::parse(bytes, Role::Client, false), Err(Fault::Length), "{bytes:?}");
        }
    }

    #[test]
    fn a_header_is_found_only_when_it_is_complete() {
        for payload in [0, 126, 0x10000] {
            let prefix = Prefix::new(Opcode::Text, false, payload, Some(Mask([1, 2, 3, 4])));
            let bytes = prefix.as_bytes();
            for end in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..end], Role::Server, false), Ok(None));
            }
            let header = Header::parse(bytes, Role::Server, false).unwrap().unwrap();
            assert_eq!(header.mask, Some(Mask([1, 2, 3, 4])));
        }
    }
}
