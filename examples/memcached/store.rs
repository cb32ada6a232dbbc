//! The items of one reactor: a hash table, the order of their use, and their expiry.
//!
//! An item is a slot. The hash table, the order of use and the timing wheel are chains of
//! indices through the slots, so the only allocation of an item is its [`Blob`]. An item costs 64
//! bytes for the slot, 4 to 8 for the table, and [`Blob::cost`]: the limit counts all of them.
//!
//! The limit does not count vacant slots, which later items use, but which are never freed: up to
//! 72 bytes for each of many small items that gave way to a few large ones. To count them instead
//! would leave that much less for items from then on. Nor does it count what the allocator keeps:
//! large blobs do not fit into the gaps that small ones leave, so with glibc the process can grow
//! to about twice the limit.

use std::hash::{DefaultHasher, Hasher};

use sluicegate_reactor::timer::{MAX_DELAY, Wheel};

use super::item::Blob;
use super::slots::{Slot, Slots};

/// The overhead of an item without its blob: its slot, and two places in the table, which it has
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
const LONGEST: i64 = MAX_DELAY as i64;

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
    used: usize,
    limit: usize,
    wheel: Wheel,
    /// Slots whose time has passed, unless they have another item by now.
    due: Vec<u32>,
    /// The number of flushes so far, which wraps around.
    epoch: u8,
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
    /// Creates a store for items of `limit` bytes, including their overhead.
    pub(crate) fn new(limit: usize, seed: u64) -> Store {
        Store {
            slots: Slots::new(),
            used: 0,
            limit,
            wheel: Wheel::new(START),
            due: Vec::new(),
            epoch: 0,
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
        self.slots.len() - self.flushed
    }

    /// The bytes of all items, including their overhead.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The maximum number of bytes of all items.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The current time, in seconds of the store's own clock.
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
        let index = self.slots.find(hash(self.seed, key) as u32, key)?;
        if self.is_dead(self.get(index)) {
            self.remove(index);
            return None;
        }
        Some(index)
    }

    pub(crate) fn get(&self, index: u32) -> &Slot {
        self.slots.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Slot {
        self.slots.get_mut(index)
    }

    fn is_dead(&self, slot: &Slot) -> bool {
        slot.epoch != self.epoch || slot.expires != NEVER && slot.expires <= self.now
    }

    /// Makes an item the most recently used one.
    pub(crate) fn bump(&mut self, index: u32) {
        let now = self.now;
        self.get_mut(index).used = now;
        self.slots.make_newest(index);
    }

    /// Adds an item, which must not be there. It does not expire.
    pub(crate) fn insert(&mut self, blob: Blob) -> Result<u32, NoMemory> {
        self.sweep(SWEPT_BY_INSERT);
        let cost = OVERHEAD + blob.cost();
        self.make_room(cost, cost)?;
        self.used += cost;
        let hash = hash(self.seed, blob.key()) as u32;
        let cas = self.next_cas();
        let mut slot = Slot::new(blob, hash, cas, self.now);
        slot.epoch = self.epoch;
        Ok(self.slots.insert(slot))
    }

    /// Gives an item another value, and a new CAS number. It becomes the most recently used one.
    pub(crate) fn replace(&mut self, index: u32, blob: Blob) -> Result<(), NoMemory> {
        self.bump(index);
        let (old, new) = (self.get(index).blob.cost(), blob.cost());
        // Its old value goes, and it is the newest item, so it is not removed itself.
        self.make_room(OVERHEAD + new, new.saturating_sub(old))?;
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
        self.flushed -= usize::from(self.get(index).epoch != self.epoch);
        self.used -= OVERHEAD + self.slots.remove(index).cost();
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
        if self.flushed == self.slots.len() {
            return;
        }
        let epoch = self.epoch.wrapping_add(1);
        // An item of 256 flushes ago would seem to be a new one.
        while let Some(oldest) = self.slots.oldest().filter(|item| self.get(*item).epoch == epoch) {
            self.remove(oldest);
        }
        self.epoch = epoch;
        self.flushed = self.slots.len();
    }

    /// Removes up to `most` dead items.
    fn sweep(&mut self, most: usize) {
        if self.flushed > 0 {
            self.sweep_flushed(most);
        }
        for _ in 0..most {
            let Some(index) = self.due.pop() else { break };
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
            let Some(oldest) = self.slots.oldest() else { break };
            self.remove(oldest);
        }
    }

    /// Removes the oldest items until `more` bytes fit, which an item of `cost` bytes adds.
    fn make_room(&mut self, cost: usize, more: usize) -> Result<(), NoMemory> {
        if cost > self.limit {
            return Err(NoMemory);
        }
        while self.used + more > self.limit {
            let Some(oldest) = self.slots.oldest() else { break };
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
}
