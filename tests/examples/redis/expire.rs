//! Times to live.

use std::ops::Range;
use std::time::Duration;

use super::{TICK, dialogue, says, serve};

#[test]
fn a_key_expires_when_its_time_is_up_and_not_before() {
    let mut h = serve();
    let client = h.open();
    dialogue(
        &mut h,
        client,
        &[
            ("SET a 1 PX 1000", "+OK|"),
            ("SET b 1 EX 2", "+OK|"),
            ("SET c 1", "+OK|"),
            ("PEXPIRE c 3000", ":1|"),
            ("SET d 1 EX 1", "+OK|"),
            ("SET d 1", "+OK|"),
            ("SET e 1 EX 1", "+OK|"),
            ("SET e 2 KEEPTTL", "+OK|"),
        ],
    );
    h.advance(Duration::from_millis(950));
    dialogue(&mut h, client, &[("EXISTS a b c d e", ":5|")]);
    h.advance(Duration::from_millis(100));
    dialogue(&mut h, client, &[("EXISTS a", ":0|"), ("EXISTS b c d", ":3|"), ("EXISTS e", ":0|")]);
    h.advance(Duration::from_secs(1));
    dialogue(&mut h, client, &[("MGET a b c d", "*4|$-1|$-1|$1|1|$1|1|")]);
    h.advance(Duration::from_secs(100));
    dialogue(&mut h, client, &[("MGET c d", "*2|$-1|$1|1|"), ("DBSIZE", ":1|")]);
}

#[test]
fn keys_that_nobody_asks_for_are_removed() {
    let mut h = serve();
    let client = h.open();
    // More than are removed at a time.
    let sets: String = (0..25_000).map(|i| format!("SET {i} x PX {}\r\n", 1 + i % 500)).collect();
    h.feed(client, sets);
    h.sent(client);
    dialogue(&mut h, client, &[("DBSIZE", ":25000|")]);
    h.advance(Duration::from_secs(1));
    dialogue(&mut h, client, &[("DBSIZE", ":0|")]);
}

#[test]
fn keys_that_have_expired_do_not_accumulate_however_many_are_set() {
    let mut h = serve();
    let client = h.open();
    let mut set = |keys: Range<u32>, options: &str| {
        let sets: String = keys.map(|key| format!("SET {key} x {options}\r\n")).collect();
        h.feed(client, sets);
        h.sent(client);
        h.advance(TICK * 2);
    };
    set(0..100_000, "PX 1");
    set(100_000..150_000, "");
    dialogue(&mut h, client, &[("DBSIZE", ":50000|")]);
}

#[test]
fn the_time_to_live_is_returned() {
    let mut h = serve();
    let client = h.open();
    dialogue(
        &mut h,
        client,
        &[
            ("TTL k", ":-2|"),
            ("SET k v", "+OK|"),
            ("TTL k", ":-1|"),
            ("EXPIRE k 100", ":1|"),
            ("TTL k", ":100|"),
            ("PTTL k", ":100000|"),
        ],
    );
    h.advance(Duration::from_secs(40));
    dialogue(
        &mut h,
        client,
        &[
            ("TTL k", ":60|"),
            ("INCR n", ":1|"),
            ("EXPIRE n 10", ":1|"),
            ("INCR n", ":2|"),
            ("TTL n", ":10|"),
            ("EXPIRE k 10", ":1|"),
        ],
    );
    h.advance(Duration::from_secs(11));
    dialogue(&mut h, client, &[("TTL k", ":-2|"), ("EXPIRE k 10", ":0|"), ("INCR n", ":1|")]);
}

#[test]
fn a_time_that_is_over_removes_the_key_and_one_that_is_too_long_is_refused() {
    says(&[
        ("SET k v", "+OK|"),
        ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command|"),
        ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command|"),
        ("EXPIRE k 1.5", "-ERR value is not an integer or out of range|"),
        ("EXPIRE k 3000000000", ":1|"),
        ("TTL k", ":3000000000|"),
        ("EXPIRE k -1", ":1|"),
        ("GET k", "$-1|"),
        ("EXPIRE k -1", ":0|"),
    ]);
}

#[test]
fn a_time_longer_than_the_wheel_looks_ahead_is_kept() {
    let mut h = serve();
    let client = h.open();
    // Four years, and the wheel looks three ahead.
    let day = Duration::from_secs(24 * 60 * 60);
    let life = (4 * 365 * day).as_secs();
    dialogue(&mut h, client, &[(&format!("SET k v EX {life}"), "+OK|")]);
    // Few steps, as nothing happens in between.
    for _ in 0..4 * 365 / 100 {
        h.stall(100 * day);
    }
    dialogue(&mut h, client, &[("GET k", "$1|v|")]);
    h.stall(100 * day);
    h.advance(Duration::from_secs(1));
    dialogue(&mut h, client, &[("GET k", "$-1|"), ("DBSIZE", ":0|")]);
}
