//! Which buffer is taken and how many are kept; a buffer compared with a list.

use proptest::prelude::*;

use super::{Chunk, Pool};

const KIB: usize = 1 << 10;

/// Most unused memory that a pool keeps.
const MOST_KEPT: usize = 1280 * KIB;

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
        let burst: Vec<Chunk> = (0..100).map(|_| pool.take_whole(size)).collect();
        burst.into_iter().for_each(|chunk| pool.give(chunk));
    }
    assert_eq!(pool.kept(), MOST_KEPT);
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
