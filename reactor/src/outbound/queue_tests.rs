//! The queue compared with a list of its bytes; tables of what is joined and when a queue is full.

use std::io::IoSlice;

use proptest::prelude::*;

use super::{Front, MAX_PIECES};
use crate::core::{Limits, Pool, Queue};
use crate::fs::{Dir, File};
use crate::outbound::{Outgoing, joins};
use crate::sys::Kernel;

fn file() -> File {
    let dir = Dir::open_root(&Kernel::Os, &Default::default(), env!("CARGO_MANIFEST_DIR")).unwrap();
    dir.open("Cargo.toml").unwrap()
}

fn push(queue: &mut Queue, what: Outgoing<'_>, limits: &Limits, pool: &mut Pool) {
    match what {
        Outgoing::Slice(slice) => queue.join(slice, pool),
        Outgoing::Shared(bytes) if joins(bytes.len(), queue.room(), limits) => {
            queue.join(&bytes, pool);
        }
        Outgoing::Shared(bytes) => queue.push_shared(bytes),
        Outgoing::Region(region) => queue.push_region(region),
    }
}

/// The first piece of memory.
fn first(queue: &Queue) -> &[u8] {
    queue.segments().next().map_or(&[], |segment| segment.memory())
}

fn shared(len: usize) -> Outgoing<'static> {
    vec![b'x'; len].into()
}

/// The memory at the front as the wire sends it.
fn gathered(queue: &Queue, limits: &Limits) -> Vec<u8> {
    let count = Front::of(queue, limits, usize::MAX, false).pieces;
    let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
    queue.pieces(usize::MAX, &mut pieces[..count]);
    pieces[..count].iter().flat_map(|piece| piece.iter().copied()).collect()
}

#[test]
fn shared_bytes_are_copied_if_they_are_few_or_fit_behind_a_few_more() {
    let limits = Limits { join: 10, join_in_room: 2000, ..Limits::default() };
    // Bytes already in a buffer of 4 KiB, shared bytes sent behind them, resulting pieces.
    for (before, len, pieces) in [
        (0, 10, 1),
        (0, 11, 1),
        (1, 10, 1),
        (1, 2000, 1),
        (1, 2001, 2),
        (4096 - 1500, 1500, 1),
        (4096 - 1500, 1501, 2),
        (4096 - 3, 10, 2),
    ] {
        let (mut queue, mut pool) = (Queue::default(), Pool::default());
        if before > 0 {
            push(&mut queue, Outgoing::Slice(&vec![b'x'; before]), &limits, &mut pool);
        }
        push(&mut queue, shared(len), &limits, &mut pool);
        let front = Front::of(&queue, &limits, usize::MAX, false);
        assert_eq!((front.pieces, front.memory), (pieces, before + len), "{len} behind {before}");
    }
}

#[test]
fn shared_bytes_that_are_many_are_referenced() {
    let limits = Limits { join: 10, ..Limits::default() };
    for (len, copied) in [(10, true), (11, false)] {
        let (mut queue, mut pool) = (Queue::default(), Pool::default());
        let bytes = bytes::Bytes::from(vec![b'x'; len]);
        push(&mut queue, bytes.clone().into(), &limits, &mut pool);
        assert_eq!(first(&queue).as_ptr() != bytes.as_ptr(), copied, "{len} bytes");
    }
}

#[test]
fn a_queue_that_grows_needs_few_buffers() {
    let (limits, mut pool) = (Limits::default(), Pool::default());
    let mut queue = Queue::default();
    for _ in 0..152 {
        push(&mut queue, Outgoing::Slice(&[b'x'; 1 << 10]), &limits, &mut pool);
    }
    // Buffers of 4, 4, 16, 64 and 64 KiB.
    assert_eq!(Front::of(&queue, &limits, usize::MAX, false).pieces, 5);
    assert_eq!(queue.memory(), 152 << 10);
}

#[test]
fn a_few_bytes_between_referenced_segments_need_a_small_buffer() {
    let (mut queue, mut pool) = (Queue::default(), Pool::default());
    for _ in 0..100 {
        queue.join(b"head", &mut pool);
        queue.push_shared(vec![b'x'; 5000].into());
    }
    assert_eq!(pool.taken, 100 * (4 << 10));
}

#[test]
fn a_queue_is_full_at_any_of_its_marks_and_low_below_all() {
    let limits = Limits {
        join: 0,
        join_in_room: 0,
        send_high: 1000,
        send_low: 300,
        send_segments: 8,
        send_files: 6,
        ..Limits::default()
    };
    let file = file();
    // Bytes of memory, pieces, regions; whether the queue is full, and whether it is low.
    for (memory, pieces, regions, full, low) in [
        (0, 0, 0, false, true),
        (300, 1, 0, false, true),
        (301, 1, 0, false, false),
        (999, 1, 0, false, false),
        (1000, 1, 0, true, false),
        (4, 4, 0, false, true),
        (5, 5, 0, false, false),
        (7, 7, 0, false, false),
        (8, 8, 0, true, false),
        (1, 1, 3, false, true),
        (0, 0, 4, false, false),
        (0, 0, 5, false, false),
        (0, 0, 6, true, false),
    ] {
        let (mut queue, mut pool) = (Queue::default(), Pool::default());
        for _ in 0..pieces {
            push(&mut queue, shared(memory / pieces), &limits, &mut pool);
        }
        for _ in 0..regions {
            push(&mut queue, file.region(7, 1 << 20).into(), &limits, &mut pool);
        }
        let what = format!("{memory} bytes in {pieces} pieces and {regions} regions");
        assert_eq!((queue.is_full(&limits), queue.is_low(&limits)), (full, low), "{what}");
        queue.advance(queue.pending() as usize, &mut pool);
        assert!(queue.is_low(&limits) && !queue.is_full(&limits), "sent {what}");
    }
}

#[test]
fn a_queue_that_was_cleared_is_empty() {
    let (limits, mut pool) = (Limits { send_files: 1, ..Limits::default() }, Pool::default());
    let (mut queue, file) = (Queue::default(), file());
    push(&mut queue, shared(100_000), &limits, &mut pool);
    push(&mut queue, file.region(0, 1 << 20).into(), &limits, &mut pool);
    assert_eq!(queue.clear(&mut pool), 100_000 + (1 << 20));
    assert_eq!((queue.memory(), queue.pending()), (0, 0));
    assert!(queue.is_low(&limits) && !queue.is_full(&limits));
}

#[test]
fn all_buffers_return_to_the_pool_when_they_are_sent_or_dropped() {
    let limits = Limits::default();
    for sent in [true, false] {
        let (mut queue, mut pool) = (Queue::default(), Pool::default());
        push(&mut queue, Outgoing::Slice(b"first"), &limits, &mut pool);
        push(&mut queue, shared(10_000), &limits, &mut pool);
        push(&mut queue, Outgoing::Slice(b"last"), &limits, &mut pool);
        assert_eq!(pool.kept(), 0);
        if sent {
            queue.advance(10_009, &mut pool);
        } else {
            assert_eq!(queue.clear(&mut pool), 10_009);
        }
        assert_eq!(pool.kept(), 2 * (4 << 10));
        assert!(queue.is_empty());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Slice(usize),
    Shared(usize),
    Region { offset: u64, len: u64 },
    Advance { percent: usize },
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..6000usize).prop_map(Op::Slice),
        4 => (1..6000usize).prop_map(Op::Shared),
        4 => (0..1000u64, 1..5000u64).prop_map(|(offset, len)| Op::Region { offset, len }),
        8 => (0..=100usize).prop_map(|percent| Op::Advance { percent }),
        1 => Just(Op::Clear),
    ]
}

/// A queued byte: of memory, or of a region, with its offset and how many bytes are left from
/// there.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Byte {
    Memory(u8),
    File { offset: u64, left: u64 },
}

/// Checks the front of the queue against the front of the list; see [`Front`](super::Front).
fn agrees(queue: &mut Queue, list: &[Byte], limits: &Limits) -> Result<(), TestCaseError> {
    let memory = |byte: &Byte| match byte {
        Byte::Memory(byte) => Some(*byte),
        Byte::File { .. } => None,
    };
    prop_assert_eq!(queue.memory(), list.iter().filter_map(memory).count());
    prop_assert_eq!(queue.pending(), list.len() as u64);
    let leading: Vec<u8> = list.iter().map_while(memory).collect();
    let front = Front::of(queue, limits, usize::MAX, false);
    let sent = gathered(queue, limits);
    prop_assert_eq!(front.memory, sent.len());
    prop_assert_eq!(&sent[..], &leading[..sent.len()]);
    prop_assert!(front.pieces <= limits.gather_pieces);
    prop_assert!(front.pieces == limits.gather_pieces || sent.len() == leading.len());
    prop_assert!(front.pieces == 0 || !first(queue).is_empty());
    prop_assert_eq!(&leading[..first(queue).len()], first(queue));
    match list.get(sent.len()) {
        Some(&Byte::File { offset, left }) => {
            prop_assert_eq!(front.file_left, left);
            prop_assert_eq!(queue.region(front.pieces).map(|region| region.offset), Some(offset));
        }
        _ => {
            prop_assert_eq!(front.file_left, 0);
            prop_assert!(queue.region(front.pieces).is_none());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_queue_agrees_with_a_list(ops in prop::collection::vec(op(), 1..40)) {
        let limits = Limits { gather_pieces: 3, ..Limits::default() };
        let (mut queue, mut pool, mut list) = (Queue::default(), Pool::default(), Vec::new());
        let file = file();
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Slice(len) => {
                    let bytes: Vec<u8> = (0..len).map(|at| (number + at) as u8).collect();
                    push(&mut queue, Outgoing::Slice(&bytes), &limits, &mut pool);
                    list.extend(bytes.into_iter().map(Byte::Memory));
                }
                Op::Shared(len) => {
                    let bytes: Vec<u8> = (0..len).map(|at| (number ^ at) as u8).collect();
                    push(&mut queue, bytes.clone().into(), &limits, &mut pool);
                    list.extend(bytes.into_iter().map(Byte::Memory));
                }
                Op::Region { offset, len } => {
                    push(&mut queue, file.region(offset, len).into(), &limits, &mut pool);
                    list.extend((0..len).map(|at| Byte::File { offset: offset + at, left: len - at }));
                }
                Op::Advance { percent } => {
                    let count = list.len() * percent / 100;
                    queue.advance(count, &mut pool);
                    list.drain(..count);
                }
                Op::Clear => {
                    prop_assert_eq!(queue.clear(&mut pool), list.len() as u64);
                    list.clear();
                }
            }
            agrees(&mut queue, &list, &limits)?;
        }
    }
}
