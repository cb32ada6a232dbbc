//! When items expire.

use std::time::Duration;

use super::*;

/// The longest relative time.
const MONTH: u64 = 60 * 60 * 24 * 30;

/// Stores an item that expires at `exptime`, and returns after how many seconds it is gone: a
/// number up to `most`.
fn lifetime(exptime: &str, most: u64) -> Option<u64> {
    let mut h = cache();
    let client = h.open();
    // Not on the boundary of a second.
    h.advance(Duration::from_millis(300));
    assert_eq!(ask(&mut h, client, &format!("set a 0 {exptime} 1\nx\n")), "STORED\n");
    let mut gone = |after| {
        let gone = ask(&mut h, client, "get a\n") == "END\n";
        h.advance(TICK);
        gone.then_some(after)
    };
    (0..=most).find_map(&mut gone)
}

fn unix_time() -> u64 {
    cache().reactor().unix_time()
}

#[test]
fn row_11_relative_times_are_up_to_30_days() {
    assert_eq!(lifetime("0", 5), None);
    assert_eq!(lifetime("3", 5), Some(3));
    assert_eq!(lifetime("-1", 5), Some(0));
    assert_eq!(lifetime("-9223372036854775808", 5), Some(0));
    assert_eq!(lifetime(&MONTH.to_string(), 5), None);
}

#[test]
fn row_11_times_past_30_days_are_absolute() {
    let now = unix_time();
    assert_eq!(lifetime(&(MONTH + 1).to_string(), 5), Some(0));
    assert_eq!(lifetime(&(now - 1).to_string(), 5), Some(0));
    assert_eq!(lifetime(&(now + 1000).to_string(), 5), None);
    assert_eq!(lifetime("9223372036854775807", 5), None);
    let after = lifetime(&(now + 4).to_string(), 10).expect("it expires");
    assert!((3..=5).contains(&after), "after {after} s");
}

#[test]
fn row_11_touching_sets_the_time_anew() {
    for touch in ["touch a 10\n", "gat 10 a\n", "gats 10 a\n", "mg a T10\n"] {
        let mut h = cache();
        let client = h.open();
        ask(&mut h, client, "set a 0 2 1\nx\n");
        ask(&mut h, client, touch);
        h.advance(TICK * 9);
        assert_eq!(ask(&mut h, client, "mg a v\n"), "VA 1\nx\n", "{touch}");
        h.advance(TICK);
        assert_eq!(ask(&mut h, client, "mg a v\n"), "EN\n", "{touch}");
    }
    let mut h = cache();
    let client = h.open();
    ask(&mut h, client, "set a 0 2 1\nx\ntouch a 0\n");
    h.advance(TICK * 100);
    assert_eq!(ask(&mut h, client, "touch a -1\nget a\n"), "TOUCHED\nEND\n");
}

#[test]
fn row_11_appending_and_counting_keep_the_time() {
    let mut h = cache();
    let client = h.open();
    ask(&mut h, client, "set a 0 3 1\n1\nappend a 0 0 1\n2\nincr a 1\n");
    h.advance(TICK * 2);
    assert_eq!(ask(&mut h, client, "get a\n"), "VALUE a 0 2\n13\nEND\n");
    h.advance(TICK);
    assert_eq!(ask(&mut h, client, "get a\nadd a 0 0 1\nx\n"), "END\nSTORED\n");
}

#[test]
fn row_11_items_that_expire_free_their_memory_unasked() {
    let mut h = cache();
    let client = h.open();
    for number in 0..100 {
        ask(&mut h, client, &format!("set {number} 0 {} 1\nx\n", 1 + number % 5));
    }
    ask(&mut h, client, "set a 0 0 1\nx\n");
    h.advance(TICK * 7);
    let stats = ask(&mut h, client, "stats\n");
    assert!(stats.contains("STAT curr_items 1\n"), "{stats}");
    assert!(stats.contains("STAT expired_unfetched 100\n"), "{stats}");
}

#[test]
fn row_11_an_expired_slot_that_is_used_again_is_not_swept() {
    let mut h = cache();
    let client = h.open();
    h.advance(Duration::from_millis(500));
    ask(&mut h, client, "set a 0 1 1\nx\nset b 0 1 1\nx\n");
    h.advance(Duration::from_millis(600));
    // Found dead, and its slot is taken.
    assert_eq!(ask(&mut h, client, "get a\nset c 0 0 1\ny\n"), "END\nSTORED\n");
    h.advance(TICK * 3);
    assert_eq!(ask(&mut h, client, "get a b c\n"), "VALUE c 0 1\ny\nEND\n");
}

#[test]
fn row_08_a_delayed_flush_removes_what_is_there_by_then() {
    let mut h = cache();
    let client = h.open();
    assert_eq!(
        ask(&mut h, client, "set a 0 0 1\nx\nflush_all 2\nget a\n"),
        "STORED\nOK\nVALUE a 0 1\nx\nEND\n"
    );
    h.advance(TICK);
    assert_eq!(ask(&mut h, client, "set b 0 0 1\nx\nget b\n"), "STORED\nVALUE b 0 1\nx\nEND\n");
    h.advance(TICK);
    assert_eq!(ask(&mut h, client, "get a b\nset a 0 0 1\ny\n"), "END\nSTORED\n");
    h.advance(TICK * 5);
    assert_eq!(ask(&mut h, client, "get a\n"), "VALUE a 0 1\ny\nEND\n");
}
