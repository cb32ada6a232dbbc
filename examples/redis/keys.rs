//! The keys, their values, and when they expire. Times are in milliseconds.

use std::collections::HashMap;

use sluicegate_reactor::Bytes;

use super::deadlines::Deadlines;

/// How many keys are removed at a time, at most: some milliseconds of work.
const MOST_REMOVED: usize = 10_000;
/// How many keys that have expired each new one removes: more than one, so that they never
/// accumulate, however many are set.
const REMOVED_BY_NEW: usize = 2;

/// The keys. One that has expired is treated as absent, even before it is removed.
#[derive(Default)]
pub(crate) struct Keys {
    items: HashMap<Box<[u8]>, Item>,
    deadlines: Deadlines,
}

struct Item {
    value: Bytes,
    expiry: Option<Expiry>,
}

/// When a key expires, and the number of its deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Expiry {
    at: u64,
    deadline: u32,
}

/// How setting a value changes the time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// The value does not expire.
    Unlimited,
    /// The value has the time that the old one had.
    Keep,
    /// The value expires at this time.
    Until(u64),
}

impl Item {
    fn is_live(&self, now: u64) -> bool {
        self.expiry.is_none_or(|expiry| expiry.at > now)
    }
}

impl Keys {
    pub(crate) fn get(&self, key: &[u8], now: u64) -> Option<&Bytes> {
        self.live(key, now).map(|item| &item.value)
    }

    fn live(&self, key: &[u8], now: u64) -> Option<&Item> {
        self.items.get(key).filter(|item| item.is_live(now))
    }

    pub(crate) fn set(&mut self, key: &[u8], value: Bytes, life: Life, now: u64) {
        match self.items.get_mut(key) {
            Some(item) => {
                let keeps = life == Life::Keep && item.is_live(now);
                item.value = value;
                if !keeps && let Some(expiry) = item.expiry.take() {
                    self.deadlines.remove(expiry.deadline);
                }
            }
            None => {
                self.remove_due(REMOVED_BY_NEW, now);
                self.items.insert(key.into(), Item { value, expiry: None });
            }
        }
        if let Life::Until(at) = life {
            self.expire(key, at, now);
        }
    }

    /// Sets when a key expires. Returns whether it exists.
    pub(crate) fn expire(&mut self, key: &[u8], at: u64, now: u64) -> bool {
        let Some(item) = self.items.get_mut(key).filter(|item| item.is_live(now)) else {
            return false;
        };
        if let Some(old) = item.expiry {
            self.deadlines.remove(old.deadline);
        }
        item.expiry = Some(Expiry { at, deadline: self.deadlines.add(key, at, now) });
        true
    }

    /// When a key expires, if ever; `None` if it does not exist.
    pub(crate) fn expiry(&self, key: &[u8], now: u64) -> Option<Option<u64>> {
        self.live(key, now).map(|item| item.expiry.map(|expiry| expiry.at))
    }

    /// Removes a key. Returns whether it existed.
    pub(crate) fn remove(&mut self, key: &[u8], now: u64) -> bool {
        let Some(item) = self.items.remove(key) else { return false };
        if let Some(expiry) = item.expiry {
            self.deadlines.remove(expiry.deadline);
        }
        item.is_live(now)
    }

    /// Removes keys that have expired.
    pub(crate) fn remove_expired(&mut self, now: u64) {
        self.deadlines.advance(now);
        self.remove_due(MOST_REMOVED, now);
    }

    /// Removes up to `most` keys whose deadlines have passed by the last tick.
    fn remove_due(&mut self, most: usize, now: u64) {
        for _ in 0..most {
            let Some(due) = self.deadlines.next_due() else { return };
            // The key may have got another deadline, or one that is further ahead than the wheel
            // looks.
            let item = self.items.get(&due.key).and_then(|item| item.expiry);
            match item.filter(|expiry| expiry.deadline == due.deadline) {
                Some(expiry) if expiry.at > now => self.deadlines.put_back(due, expiry.at, now),
                Some(_) => _ = self.remove(&due.key, now),
                None => {}
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Keys::default();
    }

    /// The number of keys, including those that have expired and are not removed yet.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }
}
