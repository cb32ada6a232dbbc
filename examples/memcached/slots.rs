//! The slots of the items, and the chains through them: those of the hash table, that of the vacant
//! slots, and the order of use.

use sluicegate_reactor::timer::{Link, Links};

use super::item::Blob;

/// No slot.
const NIL: u32 = u32::MAX;
/// How many slots are allocated at a time: 256 KiB, which are never moved.
const CHUNK: usize = 1 << 12;
/// The first size of the hash table.
const BUCKETS: usize = 1 << 10;

/// An item and its place in the table and the lists, or a vacant slot. It fills a cache line: most
/// lookups of random keys wait for memory, and a second line would be a second wait.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Slot {
    pub(crate) blob: Blob,
    pub(crate) cas: u64,
    /// The place among those that expire.
    link: Link,
    /// The next item in the same bucket, or the next vacant slot.
    chain: u32,
    hash: u32,
    newer: u32,
    older: u32,
    /// When it expires, in seconds of [`Store::now`](super::store::Store::now), or
    /// [`NEVER`](super::store::NEVER).
    pub(crate) expires: u32,
    /// When it was last used, in seconds of [`Store::now`](super::store::Store::now).
    pub(crate) used: u32,
    /// Whether it was ever fetched.
    pub(crate) fetched: bool,
    /// Whether it was marked as stale.
    pub(crate) stale: bool,
    /// Whether a client was told to renew it.
    pub(crate) won: bool,
    /// The number of flushes before it, as [`Store`](super::store::Store) counts them.
    pub(crate) epoch: u8,
}

const _: () = assert!(size_of::<Slot>() == 64);

impl Slot {
    /// Creates an item that was just used and does not expire.
    pub(crate) fn new(blob: Blob, hash: u32, cas: u64, now: u32) -> Slot {
        Slot {
            blob,
            cas,
            link: Link::default(),
            chain: NIL,
            hash,
            newer: NIL,
            older: NIL,
            expires: 0,
            used: now,
            fetched: false,
            stale: false,
            won: false,
            epoch: 0,
        }
    }

    fn is_occupied(&self) -> bool {
        !matches!(&self.blob, Blob::Joined(bytes) if bytes.is_empty())
    }
}

/// All slots. Indices name them.
pub(crate) struct Slots {
    chunks: Vec<Vec<Slot>>,
    /// The first vacant slot.
    vacant: u32,
    /// The first item of each bucket. Their number is a power of two.
    buckets: Vec<u32>,
    newest: u32,
    oldest: u32,
    len: usize,
}

impl Links for Slots {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.get_mut(index).link
    }
}

impl Slots {
    pub(crate) fn new() -> Slots {
        let buckets = vec![NIL; BUCKETS];
        Slots { chunks: Vec::new(), vacant: NIL, buckets, newest: NIL, oldest: NIL, len: 0 }
    }

    /// The number of items.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, index: u32) -> &Slot {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    /// Finds an item.
    #[inline]
    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        let mut index = self.buckets[self.bucket(hash)];
        while index != NIL {
            let slot = self.get(index);
            if slot.hash == hash && slot.blob.key() == key {
                return Some(index);
            }
            index = slot.chain;
        }
        None
    }

    /// The least recently used item.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NIL).then_some(self.oldest)
    }

    /// Makes an item the most recently used one.
    #[inline]
    pub(crate) fn make_newest(&mut self, index: u32) {
        if self.newest != index {
            self.unlist(index);
            self.list(index);
        }
    }

    /// Adds an item, as the most recently used one.
    pub(crate) fn insert(&mut self, slot: Slot) -> u32 {
        let index = self.occupy(slot);
        self.len += 1;
        self.list(index);
        if self.len > self.buckets.len() {
            self.grow();
        } else {
            self.chain(index);
        }
        index
    }

    /// Removes an item, and returns what it was.
    pub(crate) fn remove(&mut self, index: u32) -> Blob {
        self.unlist(index);
        self.unchain(index);
        self.len -= 1;
        let vacant = std::mem::replace(&mut self.vacant, index);
        let slot = self.get_mut(index);
        (slot.chain, slot.expires) = (vacant, 0);
        std::mem::replace(&mut slot.blob, Blob::vacant())
    }

    fn occupy(&mut self, slot: Slot) -> u32 {
        if self.vacant == NIL {
            return self.push(slot);
        }
        let index = self.vacant;
        self.vacant = self.get(index).chain;
        *self.get_mut(index) = slot;
        index
    }

    /// Adds a slot, as none is vacant.
    fn push(&mut self, slot: Slot) -> u32 {
        let index = self.count();
        if index.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[index / CHUNK].push(slot);
        index as u32
    }

    /// The number of slots, vacant ones included.
    fn count(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    fn bucket(&self, hash: u32) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    fn chain(&mut self, index: u32) {
        let bucket = self.bucket(self.get(index).hash);
        let next = std::mem::replace(&mut self.buckets[bucket], index);
        self.get_mut(index).chain = next;
    }

    fn unchain(&mut self, index: u32) {
        let Slot { hash, chain, .. } = *self.get(index);
        let bucket = self.bucket(hash);
        let mut at = self.buckets[bucket];
        if at == index {
            self.buckets[bucket] = chain;
            return;
        }
        while self.get(at).chain != index {
            at = self.get(at).chain;
        }
        self.get_mut(at).chain = chain;
    }

    /// Doubles the table. Only the slots are read, one after the other: ten milliseconds for a
    /// million items.
    fn grow(&mut self) {
        self.buckets = vec![NIL; self.buckets.len() * 2];
        for index in 0..self.count() as u32 {
            if self.get(index).is_occupied() {
                self.chain(index);
            }
        }
    }

    /// Adds an item to the front of the order of use.
    fn list(&mut self, index: u32) {
        let older = std::mem::replace(&mut self.newest, index);
        let slot = self.get_mut(index);
        (slot.older, slot.newer) = (older, NIL);
        match older {
            NIL => self.oldest = index,
            _ => self.get_mut(older).newer = index,
        }
    }

    fn unlist(&mut self, index: u32) {
        let Slot { newer, older, .. } = *self.get(index);
        match newer {
            NIL => self.newest = older,
            _ => self.get_mut(newer).older = older,
        }
        match older {
            NIL => self.oldest = newer,
            _ => self.get_mut(older).newer = newer,
        }
    }
}
