//! Buckets and meters, in numbers.

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

#[test]
fn a_piece_is_what_comes_in_a_tick_within_reason() {
    for (rate, piece) in [
        (1, 1),
        (1000, 1000),
        (100_000, 4096),
        (1_000_000, 16_777),
        (10_000_000, 167_772),
        (1 << 40, 256 << 10),
    ] {
        assert_eq!(Bucket::of_bytes(rate).piece(), piece, "at {rate} bytes a second");
    }
}

#[test]
fn what_comes_in_while_nobody_takes_it_is_kept_for_four_ticks() {
    let mut bucket = Bucket::of_bytes(100_000);
    bucket.take(SECOND, 0);
    // 2^26 ns, at 10 us a byte.
    assert!(bucket.ready_at(6710) <= SECOND);
    assert!(bucket.ready_at(6711) > SECOND);
}

#[test]
fn what_is_left_of_a_piece_goes_back_and_what_was_sealed_before_is_taken_from_all_buckets() {
    for (sent, left) in [(400, 600), (100, 900), (0, 1000), (500, 500)] {
        let mut shared = Bucket::of_bytes(1000);
        let mut meter = Meter::new(Some(1000));
        let mut metered = Metered { meter: &mut meter, shared: Some(&mut shared) };
        assert_eq!(metered.ask(400, SECOND, 1), 400);
        metered.settle(sent, SECOND);
        assert_eq!(meter.reserved, 0);
        let own = meter.own.expect("it has a rate of its own");
        for bucket in [own, shared] {
            let ready = (bucket.ready_at(left), bucket.ready_at(left + 1));
            assert_eq!(ready, (SECOND, SECOND + MS), "{sent}");
        }
    }
}

#[test]
fn one_piece_a_turn_and_nothing_while_it_is_held() {
    let mut meter = Meter::new(Some(1000));
    let mut metered = Metered { meter: &mut meter, shared: None };
    assert_eq!(metered.ask(600, SECOND, 1), 600);
    metered.settle(600, SECOND);
    assert_eq!(metered.ask(1, SECOND, 1), 0, "it has had its piece");
    assert_eq!(metered.meter.ready, None);
    assert_eq!(metered.ask(400, SECOND, 2), 400);
    metered.settle(400, SECOND);
    assert_eq!(metered.ask(100, SECOND, 3), 0, "the bucket is empty");
    assert_eq!(metered.meter.ready, Some(SECOND + 100 * MS));
    assert_eq!(metered.ask(100, SECOND, 4), 0, "it is held, though it has a reservation");
    metered.meter.ready = None;
    assert_eq!(metered.ask(300, SECOND + 100 * MS, 5), 100, "what it has waited for");
}

#[test]
fn what_is_due_this_very_moment_needs_no_hold() {
    let mut meter = Meter::new(Some(1000));
    let mut metered = Metered { meter: &mut meter, shared: None };
    assert_eq!(metered.ask(1000, SECOND, 1), 1000);
    metered.settle(1000, SECOND);
    assert_eq!(metered.ask(500, SECOND + 500 * MS, 2), 500);
    assert_eq!(metered.meter.ready, None);
}
