//! Bytes and sizes that look random and are the same in every run.

/// A generator (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// `seed` must not be 0.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 1 to `most`, small ones as often as large ones.
    pub(crate) fn size(&mut self, most: usize) -> usize {
        let magnitude = self.next() as u32 % (most.ilog2() + 1);
        let size = (1 << magnitude) + self.next() as usize % (1 << magnitude);
        size.min(most)
    }
}

/// Bytes without a pattern.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
