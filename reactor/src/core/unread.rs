//! Input that was received and not consumed: bytes that a handler has left, until more arrive. They
//! are kept in a chunk of the pool. An idle connection has none.

use super::pool::{Chunk, Pool};

/// The minimum room for a receive after unread bytes. With less, the bytes move to a larger buffer
/// first, which costs less than a receive that does not fit (benches/README.md).
const LEAST_ROOM: usize = 1 << 10;

/// Most unread bytes that move to the front of the shared buffer for a receive. For more, the copy
/// costs more than the small receives that it avoids (benches/README.md). Fewer bytes also have a
/// small buffer: a receive into it brings little, and so leaves few bytes unread again.
pub(crate) const MOVED_UNREAD: usize = 4 << 10;

impl Chunk {
    /// A copy of `bytes`, with room for a receive after them.
    pub(crate) fn keep(bytes: &[u8], pool: &mut Pool) -> Chunk {
        let mut chunk = pool.take_whole(bytes.len() + LEAST_ROOM);
        chunk.fill(bytes);
        chunk
    }

    /// Removes the first `count` bytes. What is left in a large buffer moves to a smaller one, so
    /// that half a message does not hold the memory of the thousand before it. An empty buffer
    /// returns to the pool.
    pub(crate) fn consume(&mut self, count: usize, pool: &mut Pool) {
        self.advance(count);
        if self.len() == 0 {
            pool.give(std::mem::take(self));
        } else if self.len() + LEAST_ROOM <= self.size() / 8 {
            // By a factor of 8, so that all moves out of a buffer together copy less than its size.
            self.replace(pool);
        }
    }

    /// Makes room for a receive. A full buffer is replaced by one at least twice as large, so that
    /// each byte is moved a bounded number of times, however small the arriving pieces are.
    pub(crate) fn make_room(&mut self, pool: &mut Pool) {
        if self.room() >= LEAST_ROOM {
            return;
        }
        if self.len() + LEAST_ROOM <= self.size() {
            self.compact();
        } else {
            // The next size is at least twice as large.
            self.replace(pool);
        }
    }

    fn replace(&mut self, pool: &mut Pool) {
        let other = Chunk::keep(self.bytes(), pool);
        pool.give(std::mem::replace(self, other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room<'a>(kept: &'a mut Chunk, pool: &mut Pool) -> &'a mut [u8] {
        kept.make_room(pool);
        kept.spare()
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn a_little_rest_does_not_hold_a_large_buffer() {
        let mut pool = Pool::default();
        let bytes = pattern(500_000);
        let mut kept = Chunk::keep(&bytes, &mut pool);
        for end in (0..=499_990).step_by(10) {
            assert_eq!(kept.bytes()[..10], bytes[end..end + 10], "at {end}");
            kept.consume(10, &mut pool);
            let most = (8 * (kept.len() + LEAST_ROOM)).max(4 << 10);
            assert!(kept.size() <= most.next_power_of_two(), "{} left", kept.len());
        }
        assert_eq!(kept.len(), 0);
    }

    #[test]
    fn what_is_kept_takes_a_buffer_with_room_for_a_receive_and_no_larger() {
        for (len, size) in
            [(1, 4 << 10), (3 << 10, 4 << 10), (3073, 16 << 10), (63 << 10, 64 << 10)]
        {
            let mut pool = Pool::default();
            let mut kept = Chunk::keep(&pattern(len), &mut pool);
            assert_eq!(kept.size(), size, "for {len}");
            assert_eq!(room(&mut kept, &mut pool).len(), size - len);
        }
    }

    #[test]
    fn what_is_left_stays_in_its_place_until_its_buffer_is_much_too_large() {
        let mut pool = Pool::default();
        let mut kept = Chunk::keep(&pattern(60_000), &mut pool);
        let place = kept.bytes().as_ptr() as usize;
        let least = (8 << 10) - LEAST_ROOM;
        kept.consume(60_000 - least - 1, &mut pool);
        assert_eq!(kept.bytes().as_ptr() as usize, place + 60_000 - least - 1);
        kept.consume(1, &mut pool);
        assert_eq!((kept.len(), kept.size()), (least, 16 << 10));
        assert_eq!(kept.bytes(), &pattern(60_000)[60_000 - least..]);
        assert_eq!(pool.kept(), 64 << 10, "the large one can be used again");
        kept.consume(least, &mut pool);
        assert_eq!((kept.len(), kept.size()), (0, 0), "an empty one has no buffer");
        assert_eq!(pool.kept(), (64 << 10) + (16 << 10));
    }

    #[test]
    fn room_is_made_by_moving_and_if_that_fails_by_growing() {
        let mut pool = Pool::default();
        let mut kept = Chunk::keep(&pattern(60_000), &mut pool);
        let place = kept.bytes().as_ptr() as usize;
        kept.consume(600, &mut pool);
        for (count, moved) in [(4512, 0), (1, 0), (1623, 600)] {
            room(&mut kept, &mut pool)[..count].fill(1);
            assert_eq!(kept.bytes().as_ptr() as usize, place + 600 - moved, "before {count} more");
            kept.filled(count);
        }
        assert_eq!((kept.len(), kept.size()), (64 << 10, 64 << 10), "full");
        assert_eq!(room(&mut kept, &mut pool).len(), 64 << 10, "twice as large");
        assert_eq!(kept.bytes(), [&pattern(60_000)[600..], &[1; 6136]].concat());
    }
}
