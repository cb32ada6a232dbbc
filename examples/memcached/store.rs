//! The items of one reactor: a hash table, the order of their use, and their expiry.
//!
//! An item is a slot of a vector. The hash table and the two lists that run through the slots are
//! indices, so an item costs no allocation but its [`Blob`]: 88 bytes for the slot, 4 to 8 for the
//! table, and what malloc adds to the blob. Together with [`Blob::cost`] this is what the limit
//! counts.

use std::hash::{DefaultHasher, Hasher};

use sluicegate_reactor::timer::{Link, Links, Wheel};

use super::item::Blob;

/// No slot.
const NIL: u32 = u32::MAX;
/// The first size of the hash table.
const BUCKETS: usize = 1 << 10;
/// What an item costs without its blob: its slot, and two places in the table, which has that many
/// after it has grown.
const OVERHEAD: usize = size_of::<Slot>() + 2 * size_of::<u32>();
/// How many dead items each new one removes: more than one, so that they never accumulate.
const SWEPT_BY_INSERT: usize = 2;
/// How many dead items a second removes: some milliseconds of work.
const SWEPT_BY_TICK: usize = 20_000;

/// The time of an item that never expires.
pub(crate) const NEVER: u32 = 0;
/// A time that has passed since before the start.
const PAST: u32 = 1;
/// The time at the start, in seconds.
const START: u32 = 2;
/// Expiration times up to 30 days are relative, longer ones are seconds since 1970.
const RELATIVE: i64 = 60 * 60 * 24 * 30;
/// The longest time to live: as far ahead as the wheel looks.
const LONGEST: i64 = sluicegate_reactor::timer::MAX_DELAY as i64;

/// An item and its place in the table and the lists, or a vacant slot.
#[derive(Debug)]
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
    /// The client's flags.
    pub(crate) flags: u32,
    /// When it expires: [`NEVER`], or seconds of [`Store::now`].
    pub(crate) expires: u32,
    /// When it was last used, in seconds of [`Store::now`].
    pub(crate) used: u32,
    /// Whether it was ever fetched.
    pub(crate) fetched: bool,
    /// Whether it was marked as stale.
    pub(crate) stale: bool,
    /// Whether a client was told to renew it.
    pub(crate) won: bool,
    /// Which side of the last flush it is on.
    epoch: bool,
}

const _: () = assert!(size_of::<Slot>() <= 88);

#[derive(Debug, Default)]
struct Slots(Vec<Slot>);

impl Links for Slots {
    fn link(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

/// What the store has removed by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removed {
    pub(crate) evictions: u64,
    pub(crate) evicted_unfetched: u64,
    pub(crate) expired_unfetched: u64,
}

/// An item does not fit into the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoMemory;

pub(crate) struct Store {
    slots: Slots,
    /// The first vacant slot.
    vacant: u32,
    /// The first item of each bucket. Their number is a power of two.
    buckets: Vec<u32>,
    newest: u32,
    oldest: u32,
    len: usize,
    used: usize,
    limit: usize,
    wheel: Wheel,
    /// Slots whose time has passed, unless they have another item by now.
    due: Vec<u32>,
    epoch: bool,
    /// Items from before the last flush, all of them older than the others.
    flushed: usize,
    /// When a delayed flush is due.
    flush_at: Option<u32>,
    seed: u64,
    last_cas: u64,
    now: u32,
    /// Seconds from the clock of [`Store::now`] to that of 1970.
    epoch_offset: i64,
    pub(crate) removed: Removed,
}

/// The hash of a key. The seed is secret, so that nobody can make keys collide.
pub(crate) fn hash(seed: u64, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    hasher.write(key);
    hasher.finish()
}

impl Store {
    /// Creates a store for items of `limit` bytes, what is needed to manage them included.
    pub(crate) fn new(limit: usize, seed: u64) -> Store {
        Store {
            slots: Slots::default(),
            vacant: NIL,
            buckets: vec![NIL; BUCKETS],
            newest: NIL,
            oldest: NIL,
            len: 0,
            used: 0,
            limit,
            wheel: Wheel::new(START),
            due: Vec::new(),
            epoch: false,
            flushed: 0,
            flush_at: None,
            seed,
            last_cas: 0,
            now: START,
            epoch_offset: 0,
            removed: Removed::default(),
        }
    }

    /// The number of items, without those that were flushed.
    pub(crate) fn len(&self) -> usize {
        self.len - self.flushed
    }

    /// The bytes of all items, what is needed to manage them included.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The most bytes of all items.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The present, in seconds of a clock of its own.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// Sets the present: seconds since some start.
    #[inline]
    pub(crate) fn set_now(&mut self, seconds: u64) {
        self.now = START.wrapping_add(seconds as u32);
        if self.flush_at.is_some_and(|at| at <= self.now) {
            self.flush();
        }
    }

    /// Sets the present, and the seconds since 1970 that it is.
    pub(crate) fn set_clock(&mut self, seconds: u64, unix_time: u64) {
        self.set_now(seconds);
        self.epoch_offset = unix_time as i64 - i64::from(self.now);
    }

    /// Called every second: removes items whose time has passed.
    pub(crate) fn tick(&mut self) {
        self.wheel.advance(&mut self.slots, self.now, &mut self.due);
        self.sweep(SWEPT_BY_TICK);
    }

    /// When something with this expiration time, as the protocol has it, expires.
    pub(crate) fn expiry(&self, exptime: i64) -> u32 {
        let ttl = match exptime {
            0 => return NEVER,
            1..=RELATIVE => exptime,
            ..0 => -1,
            _ => exptime.saturating_sub(self.epoch_offset + i64::from(self.now)),
        };
        if ttl <= 0 { PAST } else { self.now.saturating_add(ttl.min(LONGEST) as u32) }
    }

    /// A CAS number that no item has had.
    pub(crate) fn next_cas(&mut self) -> u64 {
        self.last_cas += 1;
        self.last_cas
    }

    /// Finds an item. One that is dead is removed.
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<u32> {
        let hash = hash(self.seed, key) as u32;
        let mut index = self.buckets[self.bucket(hash)];
        while index != NIL {
            let slot = &self.slots.0[index as usize];
            if slot.hash == hash && slot.blob.key() == key {
                if self.is_dead(slot) {
                    self.remove(index);
                    return None;
                }
                return Some(index);
            }
            index = slot.chain;
        }
        None
    }

    pub(crate) fn get(&self, index: u32) -> &Slot {
        &self.slots.0[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots.0[index as usize]
    }

    fn is_dead(&self, slot: &Slot) -> bool {
        slot.epoch != self.epoch || slot.expires != NEVER && slot.expires <= self.now
    }

    /// Makes an item the most recently used one.
    pub(crate) fn bump(&mut self, index: u32) {
        let now = self.now;
        self.get_mut(index).used = now;
        if self.newest != index {
            self.unlist(index);
            self.list(index);
        }
    }

    /// Adds an item, which must not be there. It does not expire.
    pub(crate) fn insert(&mut self, blob: Blob, flags: u32) -> Result<u32, NoMemory> {
        self.sweep(SWEPT_BY_INSERT);
        let cost = OVERHEAD + blob.cost();
        self.make_room(cost, NIL)?;
        self.used += cost;
        let hash = hash(self.seed, blob.key()) as u32;
        let cas = self.next_cas();
        let slot = Slot {
            blob,
            cas,
            link: Link::default(),
            chain: NIL,
            hash,
            newer: NIL,
            older: NIL,
            flags,
            expires: NEVER,
            used: self.now,
            fetched: false,
            stale: false,
            won: false,
            epoch: self.epoch,
        };
        let index = self.occupy(slot);
        self.len += 1;
        self.list(index);
        if self.len > self.buckets.len() {
            self.grow();
        } else {
            self.chain(index);
        }
        Ok(index)
    }

    /// Gives an item another value, and a new CAS number. It becomes the most recently used one.
    pub(crate) fn replace(&mut self, index: u32, blob: Blob) -> Result<(), NoMemory> {
        self.bump(index);
        let (old, new) = (self.get(index).blob.cost(), blob.cost());
        if new > old {
            self.make_room(new - old, index)?;
        }
        self.used = self.used + new - old;
        let cas = self.next_cas();
        let slot = self.get_mut(index);
        slot.blob = blob;
        slot.cas = cas;
        Ok(())
    }

    /// Sets when an item expires.
    pub(crate) fn set_expiry(&mut self, index: u32, expires: u32) {
        let old = std::mem::replace(&mut self.get_mut(index).expires, expires);
        if expires != NEVER {
            self.wheel.schedule(&mut self.slots, index, expires);
        } else if old != NEVER {
            self.wheel.cancel(&mut self.slots, index);
        }
    }

    /// Removes an item.
    pub(crate) fn remove(&mut self, index: u32) {
        self.wheel.cancel(&mut self.slots, index);
        self.unlist(index);
        self.unchain(index);
        let (epoch, vacant) = (self.epoch, self.vacant);
        let slot = self.get_mut(index);
        let was_flushed = slot.epoch != epoch;
        let blob = std::mem::replace(&mut slot.blob, Blob::VACANT);
        (slot.chain, slot.expires) = (vacant, NEVER);
        self.vacant = index;
        self.used -= OVERHEAD + blob.cost();
        self.len -= 1;
        self.flushed -= usize::from(was_flushed);
    }

    /// Removes all items, now or later. The memory of many items is freed step by step.
    pub(crate) fn flush_at(&mut self, delay: i64) {
        match self.expiry(delay) {
            NEVER | PAST => self.flush(),
            at => self.flush_at = Some(at),
        }
    }

    fn flush(&mut self) {
        self.flush_at = None;
        // An item has one bit for which side of a flush it is on.
        self.sweep_flushed(usize::MAX);
        self.epoch = !self.epoch;
        self.flushed = self.len;
    }

    /// Removes up to `most` dead items.
    fn sweep(&mut self, most: usize) {
        if self.flushed > 0 {
            self.sweep_flushed(most);
        }
        for _ in 0..most.min(self.due.len()) {
            let index = self.due.pop().unwrap_or(NIL);
            let slot = self.get(index);
            if slot.expires != NEVER && slot.expires <= self.now {
                self.removed.expired_unfetched += u64::from(!slot.fetched);
                self.remove(index);
            }
        }
    }

    /// Removes flushed items, which are the oldest because nothing uses them any more.
    fn sweep_flushed(&mut self, most: usize) {
        for _ in 0..most.min(self.flushed) {
            self.remove(self.oldest);
        }
    }

    /// Removes the oldest items, but not this one, until `cost` bytes more fit.
    fn make_room(&mut self, cost: usize, but: u32) -> Result<(), NoMemory> {
        while self.used + cost > self.limit {
            let oldest = self.oldest;
            if oldest == NIL || oldest == but || cost > self.limit {
                return Err(NoMemory);
            }
            let slot = self.get(oldest);
            if !self.is_dead(slot) {
                let unfetched = u64::from(!slot.fetched);
                self.removed.evictions += 1;
                self.removed.evicted_unfetched += unfetched;
            }
            self.remove(oldest);
        }
        Ok(())
    }

    fn occupy(&mut self, slot: Slot) -> u32 {
        if self.vacant == NIL {
            self.slots.0.push(slot);
            return self.slots.0.len() as u32 - 1;
        }
        let index = self.vacant;
        self.vacant = self.get(index).chain;
        *self.get_mut(index) = slot;
        index
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
        for index in 0..self.slots.0.len() as u32 {
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

impl Slot {
    fn is_occupied(&self) -> bool {
        !matches!(&self.blob, Blob::Joined(bytes) if bytes.is_empty())
    }
}
