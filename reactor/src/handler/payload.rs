//! A message of known length, as a handler gets it.

use std::ops::Deref;

use bytes::Bytes;

use crate::outbound::Outgoing;

/// Bytes that were received in one piece: all that [`Context::receive_exact`] requested, or a block
/// or a body of a protocol.
///
/// It dereferences to a slice. [`send`](crate::Context::send) takes it, and references the bytes if
/// they are owned.
///
/// ```
/// use sluicegate_reactor::{Bytes, Payload};
///
/// let short = Payload::Borrowed(b"hello");
/// assert_eq!(short.len(), 5);
/// assert_eq!(short.into_bytes(), "hello");
///
/// let long = Bytes::from(vec![7; 1 << 20]);
/// let kept = Payload::Owned(long.clone()).into_bytes();
/// assert_eq!(kept.as_ptr(), long.as_ptr());
/// ```
///
/// [`Context::receive_exact`]: crate::Context::receive_exact
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// A short one, lent from the input.
    Borrowed(&'a [u8]),
    /// A long one, in the buffer that it was received into.
    Owned(Bytes),
}

impl Payload<'_> {
    /// Returns bytes that can be kept and shared. Copies them only if they are borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Payload::Borrowed(slice) => Bytes::copy_from_slice(slice),
            Payload::Owned(bytes) => bytes,
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Payload::Borrowed(slice) => slice,
            Payload::Owned(bytes) => bytes,
        }
    }
}

/// Equal if the bytes are.
impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Payload<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(slice: &'a [u8]) -> Self {
        Payload::Borrowed(slice)
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Payload::Owned(bytes)
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Payload::Owned(bytes.into())
    }
}

impl<'a> From<Payload<'a>> for Outgoing<'a> {
    fn from(payload: Payload<'a>) -> Self {
        match payload {
            Payload::Borrowed(slice) => slice.into(),
            Payload::Owned(bytes) => bytes.into(),
        }
    }
}
