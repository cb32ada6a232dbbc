//! The bytes of an item: its key, its value and its flags.

use sluicegate_reactor::{Bytes, Payload};

/// What ends a value in the protocol. It is stored with the value, so that both are sent as one.
pub(crate) const END: &[u8] = b"\r\n";

/// Values up to this size are copied into the response. It is
/// [`Limits::join_in_room`](sluicegate_reactor::Limits): up to there a copy costs less than another
/// piece in the call. Longer values are sent by reference.
pub(crate) const COPIED: usize = 4 << 10;

/// What follows the key of a joined item: the flags, and the length of the key.
const TAIL: usize = size_of::<u32>() + 1;
/// The overhead of an allocation: the header of malloc, and rounding.
const MALLOC: usize = 16;
/// The count of references to [`Bytes`], which is allocated once the value is sent.
const SHARED: usize = 24 + MALLOC;
/// What the buffer of a long value has besides, so that the value can begin in the middle of a
/// page.
const PADDING: usize = 4096;

/// A key, and a value with its `\r\n` and the client's flags.
#[derive(Debug)]
pub(crate) enum Blob {
    /// The value, the key, the flags, and the length of the key.
    Joined(Box<[u8]>),
    /// A value that is longer than [`COPIED`].
    Apart(Box<Apart>),
}

#[derive(Debug)]
pub(crate) struct Apart {
    value: Bytes,
    key: Box<[u8]>,
    flags: u32,
    /// What the allocations for the value take besides its bytes.
    overhead: usize,
}

impl Blob {
    /// Nothing: what a vacant slot has.
    pub(crate) fn vacant() -> Blob {
        Blob::Joined(Box::default())
    }

    /// An item whose value, with its end, has arrived as this block.
    pub(crate) fn new(key: &[u8], flags: u32, block: Payload<'_>) -> Blob {
        match block {
            Payload::Owned(value) if value.len() > COPIED => {
                Blob::apart(key, flags, value, PADDING)
            }
            block => Blob::copied(key, flags, &[&block]),
        }
    }

    /// An item whose value, with its end, is made up of parts. The key has at most 255 bytes.
    pub(crate) fn copied(key: &[u8], flags: u32, parts: &[&[u8]]) -> Blob {
        let value_len = parts.iter().map(|part| part.len()).sum::<usize>();
        if value_len > COPIED {
            return Blob::apart(key, flags, parts.concat().into(), 0);
        }
        let mut bytes = Vec::with_capacity(value_len + key.len() + TAIL);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.push(key.len() as u8);
        Blob::Joined(bytes.into())
    }

    fn apart(key: &[u8], flags: u32, value: Bytes, padding: usize) -> Blob {
        let overhead = padding + MALLOC + SHARED;
        Blob::Apart(Box::new(Apart { value, key: key.into(), flags, overhead }))
    }

    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Blob::Joined(bytes) => split(bytes).1,
            Blob::Apart(apart) => &apart.key,
        }
    }

    /// The client's flags.
    pub(crate) fn flags(&self) -> u32 {
        match self {
            Blob::Joined(bytes) => split(bytes).2,
            Blob::Apart(apart) => apart.flags,
        }
    }

    /// The value with its end.
    pub(crate) fn ended(&self) -> &[u8] {
        match self {
            Blob::Joined(bytes) => split(bytes).0,
            Blob::Apart(apart) => &apart.value,
        }
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        let ended = self.ended();
        &ended[..ended.len() - END.len()]
    }

    /// The value with its end by reference, if it is long.
    pub(crate) fn shared(&self) -> Option<Bytes> {
        match self {
            Blob::Joined(_) => None,
            Blob::Apart(apart) => Some(apart.value.clone()),
        }
    }

    /// The memory that it takes outside of its slot.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Blob::Joined(bytes) => bytes.len() + MALLOC,
            Blob::Apart(apart) => {
                let own = size_of::<Apart>() + MALLOC + apart.key.len() + MALLOC;
                own + apart.value.len() + apart.overhead
            }
        }
    }
}

const _: () = assert!(size_of::<Blob>() <= 16);

/// The value with its end, the key and the flags of a joined item. A vacant one has none.
#[inline]
fn split(bytes: &[u8]) -> (&[u8], &[u8], u32) {
    let Some((bytes, &[a, b, c, d, key_len])) = bytes.split_last_chunk::<TAIL>() else {
        return (&[], &[], 0);
    };
    let (value, key) = bytes.split_at(bytes.len() - usize::from(key_len));
    (value, key, u32::from_le_bytes([a, b, c, d]))
}
