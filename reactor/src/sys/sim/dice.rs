//! Random numbers that repeat with their seed.

use std::time::Duration;

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `limit`; 0 if `limit` is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // A float distinguishes 53 bits.
        probability > 0.0 && ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A number from 1 to `most`: often small, sometimes nearly `most`.
    pub(crate) fn part_of(&mut self, most: usize) -> usize {
        let most = match self.below(3) {
            0 => most.min(8),
            1 => most.min(1000),
            _ => most,
        };
        1 + self.below(most)
    }

    /// A time of up to `most`, in nanoseconds.
    pub(crate) fn time(&mut self, most: Duration) -> u64 {
        self.below(usize::try_from(most.as_nanos()).unwrap_or(usize::MAX)) as u64
    }
}
