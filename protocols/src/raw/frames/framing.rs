//! How long a frame is: a pure function of its first bytes, and back.

use std::fmt;
use std::ops::Deref;

use sluicegate_reactor::{Outgoing, Peer, Sent};

/// The number in front of a frame that says how many bytes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// One byte.
    U8,
    /// Two bytes, the high one first.
    U16Be,
    /// Two bytes, the low one first.
    U16Le,
    /// Four bytes, the highest first.
    U32Be,
    /// Four bytes, the lowest first.
    U32Le,
    /// LEB128 as in Protocol Buffers: seven bits a byte, the lowest first, the high bit set in all
    /// but the last. Up to ten bytes; one that is longer than it needs to be is accepted.
    Varint,
}

impl Prefix {
    /// The largest number that it can say.
    const fn largest(self) -> u64 {
        match self {
            Prefix::U8 => u8::MAX as u64,
            Prefix::U16Be | Prefix::U16Le => u16::MAX as u64,
            Prefix::U32Be | Prefix::U32Le => u32::MAX as u64,
            Prefix::Varint => u64::MAX,
        }
    }
}

/// Where frames end: all of them have one size, or each begins with its length.
///
/// ```
/// use sluicegate_protocols::raw::frames::{Extent, FrameError, Framing, Prefix};
///
/// let framing = Framing::prefixed(Prefix::U16Be, 1000);
/// assert_eq!(framing.decode(b"\0"), Ok(None));
/// assert_eq!(framing.decode(b"\0\x05he"), Ok(Some(Extent { header: 2, payload: 5 })));
/// let error = FrameError::TooLong { len: 0xffff, most: 1000 };
/// assert_eq!(framing.decode(b"\xff\xff"), Err(error));
/// assert_eq!(framing.header(5).as_deref(), Ok(&b"\0\x05"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// None if all frames are of the maximum size.
    prefix: Option<Prefix>,
    most: usize,
}

/// Where a frame begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many bytes its length takes.
    pub header: usize,
    /// How many bytes follow.
    pub payload: usize,
}

impl Framing {
    /// Frames of `size` bytes without a header.
    ///
    /// # Panics
    /// If that is 0.
    #[must_use]
    pub const fn fixed(size: usize) -> Framing {
        assert!(size > 0, "frames of no bytes have no end");
        Framing { prefix: None, most: size }
    }

    /// Frames that begin with their length, which is at most `most` bytes, and what the prefix can
    /// say.
    #[must_use]
    pub const fn prefixed(prefix: Prefix, most: usize) -> Framing {
        let largest = prefix.largest();
        let most = if (most as u64) < largest { most } else { largest as usize };
        Framing { prefix: Some(prefix), most }
    }

    /// Looks at the front of `bytes`: how long the frame there is, or `None` if too little is there
    /// to say that. Nothing but the header has to be there, and it is looked at only.
    ///
    /// # Errors
    /// A length over the maximum, as soon as that is certain, and one that is no number.
    #[inline]
    pub fn decode(&self, bytes: &[u8]) -> Result<Option<Extent>, FrameError> {
        let (header, len) = match self.prefix {
            None => return Ok(Some(Extent { header: 0, payload: self.most })),
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
        for (at, byte) in bytes.iter().take(VARINT).enumerate() {
            // The tenth byte holds the highest of 64 bits, and is the last.
            if at == VARINT - 1 && *byte > 1 {
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

    /// A length that the frames can have, as a size in memory.
    fn check(&self, len: u64) -> Result<usize, FrameError> {
        let fits = usize::try_from(len).ok().filter(|len| *len <= self.most);
        fits.ok_or(FrameError::TooLong { len, most: self.most })
    }

    /// What is sent in front of `len` bytes.
    ///
    /// # Errors
    /// If a frame cannot be of that length.
    pub fn header(&self, len: u64) -> Result<Header, FrameError> {
        let size = self.check(len)?;
        let mut header = Header { bytes: [0; VARINT], len: 0 };
        match self.prefix {
            None if size == self.most => {}
            None => return Err(FrameError::NotTheSize { len, size: self.most }),
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

    /// Sends a frame: its header and `payload`, which is copied only if any such thing would be
    /// (see [`outbound`](sluicegate_reactor::outbound)): large shared bytes and regions of files
    /// are not. Both leave together.
    ///
    /// ```
    /// # use sluicegate_protocols::raw::frames::{FrameError, Framing};
    /// use sluicegate_reactor::{Bytes, Context, Sent};
    ///
    /// fn answer(cx: &mut Context<'_>, with: &Framing, body: &Bytes) -> Result<Sent, FrameError> {
    ///     with.send(&mut cx.this(), body.clone())
    /// }
    /// ```
    ///
    /// # Errors
    /// If a frame cannot be of that length. Nothing is sent.
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

/// Most bytes of a varint of 64 bits, and of any header.
const VARINT: usize = 10;

/// The encoded length of a frame. Derefs to its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; VARINT],
    len: u8,
}

impl Header {
    fn put(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl Deref for Header {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Why there cannot be such a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It is longer than the maximum.
    TooLong {
        /// How long it is; of a varint, at least.
        len: u64,
        /// The maximum.
        most: usize,
    },
    /// It is shorter than the size that all have. Frames that are received never are.
    NotTheSize {
        /// How long it is.
        len: u64,
        /// How long all of them are.
        size: usize,
    },
    /// Its length is a varint of more than 64 bits.
    Varint,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { len, most } => {
                write!(f, "a frame of {len} bytes, of which {most} are allowed")
            }
            FrameError::NotTheSize { len, size } => {
                write!(f, "a frame of {len} bytes where all have {size}")
            }
            FrameError::Varint => f.write_str("a frame whose length has more than 64 bits"),
        }
    }
}

impl std::error::Error for FrameError {}
