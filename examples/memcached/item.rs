//! The bytes of an item: its key and its value.

use sluicegate_reactor::{Bytes, Payload};

/// What ends a value in the protocol. It is stored with the value, so that both are sent as one.
pub(crate) const END: &[u8] = b"\r\n";

/// Values up to this size are copied into the response. It is
/// [`Limits::join_in_room`](sluicegate_reactor::Limits): up to there a copy costs less than another
/// piece in the call. Longer values are sent by reference.
pub(crate) const COPIED: usize = 4 << 10;

/// The overhead of an allocation: the header of malloc, and rounding.
const MALLOC: usize = 16;
/// The count of references to [`Bytes`], which is allocated once the value is sent.
const SHARED: usize = 24 + MALLOC;
/// What the buffer of a long value has besides, so that the value can begin in the middle of a
/// page.
const PADDING: usize = 4096;

/// A key, and a value with its `\r\n`.
#[derive(Debug)]
pub(crate) enum Blob {
    /// The value, the key, and the length of the key: one allocation.
    Joined(Bytes),
    /// A long value, in the buffer that it was received into.
    Apart(Box<Apart>),
}

#[derive(Debug)]
pub(crate) struct Apart {
    value: Bytes,
    key: Box<[u8]>,
}

impl Blob {
    /// Nothing: what a vacant slot has.
    pub(crate) const VACANT: Blob = Blob::Joined(Bytes::new());

    /// An item whose value, with its end, has arrived as this block.
    pub(crate) fn new(key: &[u8], block: Payload<'_>) -> Blob {
        match block {
            Payload::Borrowed(value) => Blob::joined(key, &[value]),
            Payload::Owned(value) => Blob::Apart(Box::new(Apart { value, key: key.into() })),
        }
    }

    /// An item whose value, with its end, is made up of parts. The key has at most 255 bytes.
    pub(crate) fn joined(key: &[u8], parts: &[&[u8]]) -> Blob {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(len + key.len() + 1);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(key);
        bytes.push(key.len() as u8);
        Blob::Joined(bytes.into())
    }

    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Blob::Joined(bytes) => {
                let (start, end) = (key_start(bytes), bytes.len().saturating_sub(1));
                &bytes[start..end]
            }
            Blob::Apart(apart) => &apart.key,
        }
    }

    /// The value with its end.
    pub(crate) fn ended(&self) -> &[u8] {
        match self {
            Blob::Joined(bytes) => &bytes[..key_start(bytes)],
            Blob::Apart(apart) => &apart.value,
        }
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        let ended = self.ended();
        &ended[..ended.len() - END.len()]
    }

    /// The value with its end, by reference.
    pub(crate) fn share(&self) -> Bytes {
        match self {
            Blob::Joined(bytes) => bytes.slice(..key_start(bytes)),
            Blob::Apart(apart) => apart.value.clone(),
        }
    }

    /// The memory that it takes outside of its slot.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Blob::Joined(bytes) if bytes.len() <= COPIED => bytes.len() + MALLOC,
            Blob::Joined(bytes) => bytes.len() + MALLOC + SHARED,
            Blob::Apart(apart) => {
                let own = size_of::<Apart>() + PADDING + apart.value.len() + apart.key.len();
                own + 3 * MALLOC + SHARED
            }
        }
    }
}

const _: () = assert!(size_of::<Blob>() <= 32);

/// Where the key of a joined item begins.
#[inline]
fn key_start(bytes: &[u8]) -> usize {
    bytes.last().map_or(0, |len| bytes.len() - 1 - usize::from(*len))
}
