//! Which buffer is taken and how many are kept; a buffer compared with a list; and what is left of
//! input.

use proptest::prelude::*;

use super::{Chunk, LEAST_ROOM, Pool};

const KIB: usize = 1 << 10;

/// Most unused memory that a pool keeps.
const MOST_KEPT: usize = 2 * 1024 * KIB;

#[test]
fn a_buffer_is_of_the_smallest_class_that_holds_what_is_asked_for() {
    let mut pool = Pool::default();
    for (asked, taken, whole) in [
        (0, 4 * KIB, 4 * KIB),
        (4 * KIB, 4 * KIB, 4 * KIB),
        (4 * KIB + 1, 16 * KIB, 16 * KIB),
        (16 * KIB, 16 * KIB, 16 * KIB),
        (16 * KIB + 1, 64 * KIB, 64 * KIB),
        (64 * KIB, 64 * KIB, 64 * KIB),
        (64 * KIB + 1, 64 * KIB, 128 * KIB),
        (1 << 20, 64 * KIB, 1 << 20),
    ] {
        assert_eq!(pool.take(asked).size(), taken, "for {asked}");
        assert_eq!(pool.take_whole(asked).size(), whole, "for all of {asked}");
    }
}

#[test]
fn a_buffer_that_comes_back_is_taken_again_and_empty() {
    for size in [4 * KIB, 16 * KIB, 64 * KIB] {
        let mut pool = Pool::default();
        let mut chunk = pool.take(size);
        chunk.fill(b"of another connection");
        pool.give(chunk);
        assert_eq!(pool.kept(), size);
        let mut again = pool.take_whole(size);
        assert_eq!((pool.kept(), again.len(), again.room()), (0, 0, size));
        again.fill(b"mine");
        assert_eq!(again.bytes(), b"mine");
    }
}

#[test]
fn what_is_kept_after_a_burst_is_bounded() {
    let mut pool = Pool::default();
    for size in [4 * KIB, 16 * KIB, 64 * KIB, 128 * KIB] {
        let burst: Vec<Chunk> = (0..300).map(|_| pool.take_whole(size)).collect();
        burst.into_iter().for_each(|chunk| pool.give(chunk));
    }
    assert_eq!(pool.kept(), MOST_KEPT);
}

#[test]
fn buffers_that_are_used_again_and_again_are_not_given_back_to_the_system() {
    let mut pool = Pool::default();
    let mut burst = || {
        let burst: Vec<Chunk> = (0..300).map(|_| pool.take(64 * KIB)).collect();
        burst.into_iter().for_each(|chunk| pool.give(chunk));
        pool.freed
    };
    assert_eq!((burst(), burst()), ((300 - 12) * 64 * KIB, (300 - 12) * 64 * KIB));
}

#[derive(Clone, Debug)]
enum Op {
    Fill(Vec<u8>),
    Receive(usize),
    Advance(usize),
    Compact,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000).prop_map(Op::Fill),
        (0..3000usize).prop_map(Op::Receive),
        (0..3000usize).prop_map(Op::Advance),
        Just(Op::Compact),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_buffer_agrees_with_a_list(ops in prop::collection::vec(op(), 1..40)) {
        let mut chunk = Pool::default().take(4 * KIB);
        let (mut list, mut gap) = (Vec::new(), 0);
        for op in ops {
            match op {
                Op::Fill(bytes) => {
                    let fits = bytes.len().min(4 * KIB - gap - list.len());
                    prop_assert_eq!(chunk.fill(&bytes), &bytes[fits..]);
                    list.extend(&bytes[..fits]);
                }
                Op::Receive(count) => {
                    let spare = chunk.spare();
                    prop_assert_eq!(spare.len(), 4 * KIB - gap - list.len());
                    let count = count.min(spare.len());
                    spare[..count].fill(count as u8);
                    chunk.filled(count);
                    list.resize(list.len() + count, count as u8);
                }
                Op::Advance(count) => {
                    let count = count.min(list.len());
                    chunk.advance(count);
                    list.drain(..count);
                    gap = if list.is_empty() { 0 } else { gap + count };
                }
                Op::Compact => {
                    chunk.compact();
                    gap = 0;
                }
            }
            prop_assert_eq!(chunk.bytes(), &list[..]);
            prop_assert_eq!(chunk.len(), list.len());
            prop_assert_eq!(chunk.room(), 4 * KIB - gap - list.len());
        }
    }
}

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
    for (len, size) in [(1, 4 << 10), (3 << 10, 4 << 10), (3073, 16 << 10), (63 << 10, 64 << 10)] {
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
