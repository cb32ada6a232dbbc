//! A cache bounded by entry count and by weight. A hit costs one hash lookup.
//!
//! Eviction uses CLOCK (second chance): a hit sets one bit, where LRU would move a list node. The
//! hand skips values that have been used since it last passed; eviction is amortised O(1).

use std::collections::HashMap;
use std::rc::Rc;

/// A cache of values by name, each with a weight.
pub(super) struct Cache<V> {
    /// The positions of the names in `slots`.
    index: HashMap<Rc<[u8]>, usize>,
    slots: Vec<Slot<V>>,
    /// The next slot that eviction considers.
    hand: usize,
    weight: usize,
    max_entries: usize,
    max_weight: usize,
}

struct Slot<V> {
    name: Rc<[u8]>,
    value: V,
    weight: usize,
    /// Whether it was used since the hand last passed.
    used: bool,
}

impl<V> Cache<V> {
    /// An empty cache. Allocates nothing.
    pub(super) fn new(max_entries: usize, max_weight: usize) -> Cache<V> {
        Cache {
            index: HashMap::new(),
            slots: Vec::new(),
            hand: 0,
            weight: 0,
            max_entries,
            max_weight,
        }
    }

    /// The value of a name.
    pub(super) fn get(&mut self, name: &[u8]) -> Option<&mut V> {
        let slot = &mut self.slots[*self.index.get(name)?];
        slot.used = true;
        Some(&mut slot.value)
    }

    /// Inserts a value, replacing any value with the same name. A value heavier than the whole
    /// cache is dropped at once.
    pub(super) fn insert(&mut self, name: &[u8], value: V, weight: usize) {
        self.remove(name);
        if weight > self.max_weight || self.max_entries == 0 {
            return;
        }
        while self.slots.len() >= self.max_entries || self.weight + weight > self.max_weight {
            self.evict();
        }
        let last = self.slots.len();
        self.slots.push(Slot { name: name.into(), value, weight, used: false });
        self.weight += weight;
        // Right behind the hand, where it passes last.
        let at = self.hand.min(last);
        self.slots.swap(at, last);
        self.hand = at + 1;
        self.note_place(at);
        self.note_place(last);
    }

    /// Updates the index for a slot that has moved.
    fn note_place(&mut self, at: usize) {
        if let Some(slot) = self.slots.get(at) {
            self.index.insert(slot.name.clone(), at);
        }
    }

    /// Removes a name.
    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some(at) = self.index.get(name) {
            self.remove_slot(*at);
        }
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.slots.clear();
        self.weight = 0;
    }

    /// Moves the hand to the next value that was not used, and drops it. There is one, as the hand
    /// clears the bits that it passes. The cache must not be empty.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if !std::mem::take(&mut slot.used) {
                return self.remove_slot(self.hand);
            }
            self.hand += 1;
        }
    }

    /// Fills the gap with the last slot.
    fn remove_slot(&mut self, at: usize) {
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.name);
        self.weight -= slot.weight;
        self.note_place(at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names<V>(cache: &Cache<V>) -> Vec<String> {
        let mut names: Vec<_> =
            cache.index.keys().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_value_is_found_under_its_name_until_it_is_replaced_or_removed() {
        let mut cache = Cache::new(4, 100);
        cache.insert(b"a", 1, 10);
        assert_eq!(cache.get(b"a"), Some(&mut 1));
        assert_eq!(cache.get(b"b"), None);
        cache.insert(b"a", 2, 20);
        assert_eq!(cache.get(b"a"), Some(&mut 2));
        assert_eq!(cache.weight, 20);
        cache.remove(b"a");
        assert_eq!(cache.get(b"a"), None);
        assert_eq!(cache.weight, 0);
        cache.insert(b"a", 3, 30);
        cache.clear();
        assert_eq!(cache.get(b"a"), None);
        assert_eq!(cache.weight, 0);
    }

    #[test]
    fn used_values_stay_and_unused_ones_are_evicted() {
        let mut cache = Cache::new(3, 100);
        for name in [b"a", b"b", b"c"] {
            cache.insert(name, (), 1);
        }
        cache.get(b"a");
        cache.get(b"c");
        cache.insert(b"d", (), 1);
        assert_eq!(names(&cache), ["a", "c", "d"]);
    }

    #[test]
    fn the_oldest_of_the_unused_values_is_evicted_first() {
        let mut cache = Cache::new(4, 100);
        for name in b"abcdefghijk" {
            cache.insert(&[*name], (), 1);
        }
        assert_eq!(names(&cache), ["h", "i", "j", "k"]);
    }

    #[test]
    fn a_value_is_evicted_even_if_all_have_been_used() {
        let mut cache = Cache::new(3, 100);
        for name in [b"a", b"b", b"c"] {
            cache.insert(name, (), 1);
            cache.get(name);
        }
        cache.insert(b"d", (), 1);
        assert_eq!(cache.slots.len(), 3);
        assert!(cache.get(b"d").is_some());
    }

    #[test]
    fn a_heavy_value_evicts_as_many_as_needed_and_one_too_heavy_none() {
        let mut cache = Cache::new(10, 10);
        for name in [b"a", b"b", b"c", b"d"] {
            cache.insert(name, (), 2);
        }
        cache.insert(b"big", (), 11);
        assert_eq!(names(&cache), ["a", "b", "c", "d"]);
        cache.insert(b"big", (), 7);
        assert!(cache.get(b"big").is_some());
        assert_eq!(cache.slots.len(), 2);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_the_index_is_right_after_any_steps(
            steps in proptest::collection::vec((0u8..3, 0u8..12, 0usize..8), 0..200),
        ) {
            let mut cache = Cache::new(5, 20);
            for (what, name, weight) in steps {
                match what {
                    0 => cache.insert(&[name], name, weight),
                    1 => cache.remove(&[name]),
                    _ => prop_assert!(cache.get(&[name]).is_none_or(|v| *v == name)),
                }
                prop_assert!(cache.slots.len() <= 5 && cache.weight <= 20);
                prop_assert_eq!(cache.weight, cache.slots.iter().map(|s| s.weight).sum::<usize>());
                prop_assert_eq!(cache.index.len(), cache.slots.len());
                for (name, at) in &cache.index {
                    prop_assert_eq!(&cache.slots[*at].name, name);
                }
            }
        }
    }
}
