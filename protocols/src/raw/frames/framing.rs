//! The format of frames: decodes and encodes their headers.

use std::fmt;
use std::ops::Deref;

use sluicegate_reactor::{Outgoing, Peer, Sent};

/// The length prefix of a frame: the number of bytes that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// One byte.
    U8,
    /// Two bytes, big-endian.
    U16Be,
    /// Two bytes, little-endian.
    U16Le,
    /// Four bytes, big-endian.
    U32Be,
    /// Four bytes, little-endian.
    U32Le,
    /// LEB128 as in Protocol Buffers: seven bits per byte, the lowest first, the high bit set in
    /// all bytes but the last. At most ten bytes; longer encodings than necessary are accepted.
    Varint,
}

impl Prefix {
    /// The largest length that it can encode.
    const fn largest(self) -> u64 {
        match self {
            Prefix::U8 => u8::MAX as u64,
            Prefix::U16Be | Prefix::U16Le => u16::MAX as u64,
            Prefix::U32Be | Prefix::U32Le => u32::MAX as u64,
            Prefix::Varint => u64::MAX,
        }
    }
}

/// The format of frames: either all have the same size, or each starts with its length.
///
/// ```
/// use sluicegate_protocols::raw::frames::{Extent, FrameError, Framing, Prefix};
///
/// let framing = Framing::prefixed(Prefix::U16Be, 1000);
/// assert_eq!(framing.decode(b"\0"), Ok(None));
/// assert_eq!(framing.decode(b"\0\x05he"), Ok(Some(Extent { header: 2, payload: 5 })));
/// let error = FrameError::TooLong { len: 0xffff, max: 1000 };
/// assert_eq!(framing.decode(b"\xff\xff"), Err(error));
/// assert_eq!(framing.header(5).as_deref(), Ok(&b"\0\x05"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// `None` if all frames have the maximum length.
    prefix: Option<Prefix>,
    max_len: usize,
}

/// The lengths of the two parts of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The length of the header in bytes.
    pub header: usize,
    /// The length of the payload in bytes.
    pub payload: usize,
}

impl Framing {
    /// Frames of `size` bytes without a header.
    ///
    /// # Panics
    /// If `size` is 0.
    #[must_use]
    pub const fn fixed(size: usize) -> Framing {
        assert!(size > 0, "a frame must have at least one byte");
        Framing { prefix: None, max_len: size }
    }

    /// Frames that start with their length, which is limited by `max_len` and by what `prefix` can
    /// encode.
    #[must_use]
    pub const fn prefixed(prefix: Prefix, max_len: usize) -> Framing {
        let largest = prefix.largest();
        let max_len = if (max_len as u64) < largest { max_len } else { largest as usize };
        Framing { prefix: Some(prefix), max_len }
    }

    /// Decodes the header at the front of `bytes`. Returns `None` if the header is incomplete; the
    /// payload need not have arrived.
    ///
    /// # Errors
    /// If the length exceeds the maximum, which is reported as soon as it is certain, or is not a
    /// valid varint.
    #[inline]
    pub fn decode(&self, bytes: &[u8]) -> Result<Option<Extent>, FrameError> {
        let (header, len) = match self.prefix {
            None => return Ok(Some(Extent { header: 0, payload: self.max_len })),
            Some(Prefix::U8) => match bytes.first_chunk() {
                Some(&[byte]) => (1, u64::from(byte)),
                None => return Ok(None),
            },
            Some(prefix @ (Prefix::U16Be | Prefix::U16Le)) => match bytes.first_chunk() {
                Some(&two) if prefix == Prefix::U16Be => (2, u16::from_be_bytes(two).into()),
                Some(&two) => (2, u16::from_le_bytes(two).into()),
                None => return Ok(None),
            },
            Some(prefix @ (Prefix::U32Be | Prefix::U32Le)) => match bytes.first_chunk() {
                Some(&four) if prefix == Prefix::U32Be => (4, u32::from_be_bytes(four).into()),
                Some(&four) => (4, u32::from_le_bytes(four).into()),
                None => return Ok(None),
            },
            Some(Prefix::Varint) => match self.decode_varint(bytes)? {
                Some(decoded) => decoded,
                None => return Ok(None),
            },
        };
        Ok(Some(Extent { header, payload: self.check(len)? }))
    }

    fn decode_varint(&self, bytes: &[u8]) -> Result<Option<(usize, u64)>, FrameError> {
        let mut len = 0;
        for (at, byte) in bytes.iter().take(MAX_VARINT).enumerate() {
            // The tenth byte holds the highest of 64 bits, and is the last.
            if at == MAX_VARINT - 1 && *byte > 1 {
                return Err(FrameError::Varint);
            }
            len |= u64::from(byte & 0x7f) << (7 * at);
            self.check(len)?;
            if byte & 0x80 == 0 {
                return Ok(Some((at + 1, len)));
            }
        }
        Ok(None)
    }

    /// Checks a length against the maximum.
    fn check(&self, len: u64) -> Result<usize, FrameError> {
        let fits = usize::try_from(len).ok().filter(|len| *len <= self.max_len);
        fits.ok_or(FrameError::TooLong { len, max: self.max_len })
    }

    /// Encodes the header of a frame with `len` bytes of payload.
    ///
    /// # Errors
    /// If frames of this format cannot have that length.
    pub fn header(&self, len: u64) -> Result<FrameHeader, FrameError> {
        let size = self.check(len)?;
        let mut header = FrameHeader { bytes: [0; MAX_VARINT], len: 0 };
        match self.prefix {
            None if size == self.max_len => {}
            None => return Err(FrameError::NotTheSize { len, size: self.max_len }),
            Some(Prefix::U8) => header.put(&[len as u8]),
            Some(Prefix::U16Be) => header.put(&(len as u16).to_be_bytes()),
            Some(Prefix::U16Le) => header.put(&(len as u16).to_le_bytes()),
            Some(Prefix::U32Be) => header.put(&(len as u32).to_be_bytes()),
            Some(Prefix::U32Le) => header.put(&(len as u32).to_le_bytes()),
            Some(Prefix::Varint) => {
                let mut rest = len;
                while rest > 0x7f {
                    header.put(&[rest as u8 | 0x80]);
                    rest >>= 7;
                }
                header.put(&[rest as u8]);
            }
        }
        Ok(header)
    }

    /// Sends a frame: its header and `payload`, together. As in any send, large shared bytes and
    /// regions of files are not copied (see [`outbound`](sluicegate_reactor::outbound)). If the
    /// payload has several parts, send the [`header`](Framing::header) and each of them instead.
    ///
    /// ```
    /// # use sluicegate_protocols::raw::frames::{FrameError, Framing};
    /// use sluicegate_reactor::{Bytes, Context, Sent};
    ///
    /// fn answer(cx: &mut Context<'_>, with: &Framing, body: &Bytes) -> Result<Sent, FrameError> {
    ///     with.send(cx, body.clone())
    /// }
    /// ```
    ///
    /// # Errors
    /// If frames of this format cannot have that length. Nothing is sent in that case.
    pub fn send<'b>(
        &self,
        to: &mut Peer<'_>,
        payload: impl Into<Outgoing<'b>>,
    ) -> Result<Sent, FrameError> {
        let payload = payload.into();
        let header = self.header(payload.len())?;
        to.send(&header[..]);
        Ok(to.send(payload))
    }
}

/// The longest varint of 64 bits in bytes. No header is longer.
const MAX_VARINT: usize = 10;

/// The encoded header of a frame: see [`Framing::header`]. Derefs to its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    bytes: [u8; MAX_VARINT],
    len: u8,
}

impl FrameHeader {
    fn put(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl Deref for FrameHeader {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Why a frame is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame is longer than the maximum.
    TooLong {
        /// Its length in bytes; for an incomplete varint, the minimum that it can be.
        len: u64,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The payload that is sent is shorter than the fixed size of all frames.
    NotTheSize {
        /// Its length in bytes.
        len: u64,
        /// The size of all frames in bytes.
        size: usize,
    },
    /// The length is a varint of more than 64 bits.
    Varint,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { len, max } => {
                write!(f, "a frame of {len} bytes exceeds the maximum of {max}")
            }
            FrameError::NotTheSize { len, size } => {
                write!(f, "a frame of {len} bytes does not have the fixed size of {size}")
            }
            FrameError::Varint => f.write_str("the length of a frame has more than 64 bits"),
        }
    }
}

impl std::error::Error for FrameError {}
