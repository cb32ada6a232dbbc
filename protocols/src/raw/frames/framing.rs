//! The format of frames: decodes and encodes their headers.

use std::fmt;
use std::ops::Deref;

use sluicegate_reactor::{Outgoing, Peer, Sent};

/// The length of a frame: the number of bytes that follow it, unless
/// [`Framing::length_adjustment`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// One byte.
    U8,
    /// Two bytes, big-endian.
    U16Be,
    /// Two bytes, little-endian.
    U16Le,
    /// Three bytes, big-endian.
    U24Be,
    /// Three bytes, little-endian.
    U24Le,
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
            Prefix::U24Be | Prefix::U24Le => (1 << 24) - 1,
            Prefix::U32Be | Prefix::U32Le => u32::MAX as u64,
            Prefix::Varint => u64::MAX,
        }
    }
}

/// The format of frames: either all have the same size, or each states its length.
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
    /// The number of bytes that precede the prefix.
    offset: usize,
    /// What has to be added to the stated length to get the number of bytes that follow it.
    adjustment: i64,
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
        Framing { prefix: None, offset: 0, adjustment: 0, max_len: size }
    }

    /// Frames that start with their length. At most `max_len` bytes may follow it.
    #[must_use]
    pub const fn prefixed(prefix: Prefix, max_len: usize) -> Framing {
        Framing { prefix: Some(prefix), offset: 0, adjustment: 0, max_len }
    }

    /// Lets the length be preceded by `bytes` bytes, such as the type of a packet. Frames are then
    /// delivered with their header. Its length is the [`Extent::header`] that
    /// [`decode`](Framing::decode) returns for the frame. To send a frame, send the bytes that
    /// precede the length first, and then the rest of it with [`send`](Framing::send). If the payload
    /// may be too long, call [`header`](Framing::header) before that: bytes that were sent cannot be
    /// taken back.
    ///
    /// ```
    /// use sluicegate_protocols::raw::frames::{Extent, Framing, Prefix};
    ///
    /// const MQTT: Framing = Framing::prefixed(Prefix::Varint, 1 << 20).length_offset(1);
    /// let publish = b"\x30\x05\0\x01tok";
    /// assert_eq!(MQTT.decode(publish), Ok(Some(Extent { header: 2, payload: 5 })));
    /// ```
    ///
    /// # Panics
    /// If all frames have the same size.
    #[must_use]
    pub const fn length_offset(self, bytes: usize) -> Framing {
        assert!(self.prefix.is_some(), "frames of one size do not state their length");
        Framing { offset: bytes, ..self }
    }

    /// Adds `bytes` to each length that arrives to get the number of bytes that follow it, and
    /// subtracts it again when a frame is sent. It is negative if the length counts itself or what
    /// precedes it, and positive if it does not count all that follows it.
    ///
    /// ```
    /// use sluicegate_protocols::raw::frames::{Extent, Framing, Prefix};
    ///
    /// // In PostgreSQL, a type of one byte precedes the length, which counts its own four bytes.
    /// const POSTGRESQL: Framing =
    ///     Framing::prefixed(Prefix::U32Be, 1 << 20).length_offset(1).length_adjustment(-4);
    /// let query = b"Q\0\0\0\x0dSELECT 1\0";
    /// assert_eq!(POSTGRESQL.decode(query), Ok(Some(Extent { header: 5, payload: 9 })));
    /// assert_eq!(POSTGRESQL.header(9).as_deref(), Ok(&b"\0\0\0\x0d"[..]));
    /// ```
    ///
    /// # Panics
    /// If all frames have the same size, or if no length that the prefix can encode is as large as
    /// what is subtracted from it.
    #[must_use]
    pub const fn length_adjustment(self, bytes: i32) -> Framing {
        let Some(prefix) = self.prefix else {
            panic!("frames of one size do not state their length");
        };
        let min = if bytes < 0 { bytes.unsigned_abs() as u64 } else { 0 };
        assert!(prefix.largest() >= min, "no length is as large as what is subtracted from it");
        Framing { adjustment: bytes as i64, ..self }
    }

    /// Whether frames are delivered with their header, because it contains more than the length.
    pub(super) fn delivers_headers(&self) -> bool {
        self.offset > 0
    }

    /// Decodes the header at the front of `bytes`. Returns `None` if the header is incomplete; the
    /// payload need not have arrived.
    ///
    /// # Errors
    /// If the length exceeds the maximum, which is reported as soon as it is certain, is too small
    /// for its [adjustment](Framing::length_adjustment), or is not a valid varint.
    #[inline]
    pub fn decode(&self, bytes: &[u8]) -> Result<Option<Extent>, FrameError> {
        let Some(prefix) = self.prefix else {
            return Ok(Some(Extent { header: 0, payload: self.max_len }));
        };
        let Some(bytes) = bytes.get(self.offset..) else { return Ok(None) };
        let stated = match prefix {
            Prefix::U8 => bytes.first().map(|&byte| (1, byte.into())),
            Prefix::U16Be => bytes.first_chunk().map(|&two| (2, u16::from_be_bytes(two).into())),
            Prefix::U16Le => bytes.first_chunk().map(|&two| (2, u16::from_le_bytes(two).into())),
            Prefix::U24Be => {
                bytes.first_chunk().map(|&[a, b, c]| (3, u32::from_be_bytes([0, a, b, c]).into()))
            }
            Prefix::U24Le => {
                bytes.first_chunk().map(|&[a, b, c]| (3, u32::from_le_bytes([a, b, c, 0]).into()))
            }
            Prefix::U32Be => bytes.first_chunk().map(|&four| (4, u32::from_be_bytes(four).into())),
            Prefix::U32Le => bytes.first_chunk().map(|&four| (4, u32::from_le_bytes(four).into())),
            Prefix::Varint => self.decode_varint(bytes)?,
        };
        let Some((size, stated)) = stated else { return Ok(None) };
        let min = self.adjustment.min(0).unsigned_abs();
        if stated < min {
            return Err(FrameError::TooShort { len: stated, min });
        }
        Ok(Some(Extent { header: self.offset + size, payload: self.adjust(stated)? }))
    }

    fn decode_varint(&self, bytes: &[u8]) -> Result<Option<(usize, u64)>, FrameError> {
        let mut len = 0;
        for (at, byte) in bytes.iter().take(MAX_VARINT).enumerate() {
            // The tenth byte holds the highest of 64 bits, and is the last.
            if at == MAX_VARINT - 1 && *byte > 1 {
                return Err(FrameError::Varint);
            }
            len |= u64::from(byte & 0x7f) << (7 * at);
            self.adjust(len)?;
            if byte & 0x80 == 0 {
                return Ok(Some((at + 1, len)));
            }
        }
        Ok(None)
    }

    /// The number of bytes that follow a length.
    fn adjust(&self, stated: u64) -> Result<usize, FrameError> {
        check(stated.saturating_add_signed(self.adjustment), self.max_len)
    }

    /// Encodes the length of a frame, which `len` bytes of payload follow.
    ///
    /// # Errors
    /// If frames of this format cannot have that length.
    pub fn header(&self, len: u64) -> Result<FrameHeader, FrameError> {
        let size = check(len, self.max_len)?;
        let mut header = FrameHeader { bytes: [0; MAX_VARINT], len: 0 };
        let Some(prefix) = self.prefix else {
            let is_the_size = size == self.max_len;
            return is_the_size
                .then_some(header)
                .ok_or(FrameError::NotTheSize { len, size: self.max_len });
        };
        let min = self.adjustment.max(0).unsigned_abs();
        let stated = len.checked_add_signed(-self.adjustment);
        let stated = stated.ok_or(FrameError::TooShort { len, min })?;
        let max = prefix.largest().saturating_add_signed(self.adjustment);
        check(len, usize::try_from(max).unwrap_or(usize::MAX))?;
        match prefix {
            Prefix::U8 => header.put(&[stated as u8]),
            Prefix::U16Be => header.put(&(stated as u16).to_be_bytes()),
            Prefix::U16Le => header.put(&(stated as u16).to_le_bytes()),
            Prefix::U24Be => header.put(&(stated as u32).to_be_bytes()[1..]),
            Prefix::U24Le => header.put(&(stated as u32).to_le_bytes()[..3]),
            Prefix::U32Be => header.put(&(stated as u32).to_be_bytes()),
            Prefix::U32Le => header.put(&(stated as u32).to_le_bytes()),
            Prefix::Varint => {
                let mut rest = stated;
                while rest > 0x7f {
                    header.put(&[rest as u8 | 0x80]);
                    rest >>= 7;
                }
                header.put(&[rest as u8]);
            }
        }
        Ok(header)
    }

    /// Sends a frame: its length and `payload`, together. As in any send, large shared bytes and
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

/// Checks the length of a payload against a maximum.
fn check(len: u64, max: usize) -> Result<usize, FrameError> {
    let fits = usize::try_from(len).ok().filter(|len| *len <= max);
    fits.ok_or(FrameError::TooLong { len, max })
}

/// The longest varint of 64 bits in bytes. No length takes more.
const MAX_VARINT: usize = 10;

/// The encoded length of a frame: see [`Framing::header`]. Derefs to its bytes.
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
    /// The length is too small for its [adjustment](Framing::length_adjustment).
    TooShort {
        /// The length in bytes.
        len: u64,
        /// The minimum in bytes.
        min: u64,
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
            FrameError::TooShort { len, min } => {
                write!(f, "a length of {len} bytes is below the minimum of {min}")
            }
            FrameError::NotTheSize { len, size } => {
                write!(f, "a frame of {len} bytes does not have the fixed size of {size}")
            }
            FrameError::Varint => f.write_str("the length of a frame has more than 64 bits"),
        }
    }
}

impl std::error::Error for FrameError {}
