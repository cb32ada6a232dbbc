//! Two parts of a cache, which ask each other for the keys that they do not have.

use sluicegate_reactor::mailbox;

use super::example::peers::Message;
use super::*;

/// Both parts in one reactor. Clients are served by the first.
fn cache_of_two() -> Cache {
    let settings = Settings { threads: 2, ..SETTINGS };
    let listen = Listen { limits: Memcached::limits(&settings), ..Listen::default() };
    Harness::build(
        &listen,
        |_| {},
        |reactor| {
            let (handles, [first, second]) = {
                let (one, first) = mailbox::<Message>();
                let (other, second) = mailbox::<Message>();
                (vec![one, other], [first, second])
            };
            let served = reactor.register(Memcached::new(settings, 0, handles.clone()));
            let other = reactor.register(Memcached::new(settings, 1, handles));
            reactor.attach(first, served);
            reactor.attach(second, other);
            served
        },
    )
}

#[test]
fn a_get_is_answered_in_one_call_wherever_its_key_is() {
    let mut h = cache_of_two();
    let client = h.open();
    let value = "x".repeat(1024);
    for key in 0..16 {
        assert_eq!(ask(&mut h, client, &format!("set {key} 0 0 1024\n{value}\n")), "STORED\n");
        let before = h.ledger().send_calls;
        let answer = ask(&mut h, client, &format!("get {key}\n"));
        assert_eq!(answer, format!("VALUE {key} 0 1024\n{value}\nEND\n"));
        assert_eq!(h.ledger().send_calls, before + 1, "key {key}");
    }
}

#[test]
fn keys_of_both_parts_are_answered_in_order() {
    let mut h = cache_of_two();
    let client = h.open();
    let values: Vec<_> = (0..16).map(|key| format!("{key}").repeat(1 << key)).collect();
    let mut expected = String::new();
    let keys: Vec<_> = (0..16).map(|key| key.to_string()).collect();
    for (key, value) in values.iter().enumerate() {
        let len = value.len();
        assert_eq!(ask(&mut h, client, &format!("set {key} 0 0 {len}\n{value}\n")), "STORED\n");
        expected += &format!("VALUE {key} 0 {len}\n{value}\n");
    }
    let request = format!("get {}\n", keys.join(" ")).repeat(3) + "mn\n";
    let expected = (expected + "END\n").repeat(3) + "MN\n";
    assert!(ask(&mut h, client, &request) == expected);
    // Responses that wait are copied to the buffers of the first ones.
    assert!(ask(&mut h, client, &request) == expected);
}

#[test]
fn row_12_a_get_of_many_keys_of_another_part_waits_for_room() {
    let mut h = cache_of_two();
    let client = h.open();
    let value = "v".repeat(5000);
    let keys = || ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter();
    for key in keys() {
        assert_eq!(ask(&mut h, client, &format!("set {key} 0 0 5000\n{value}\n")), "STORED\n");
    }
    h.set_room(client, 0);
    let many: Vec<_> = keys().cycle().take(8000).collect();
    h.feed(client, crlf(&format!("get {}\nmn\n", many.join(" "))));
    // As many values as may wait for the other part, and a full queue.
    let queued = h.ledger().pending();
    assert!(queued < 65 * 5020 + (128 << 10), "{queued}");
    h.set_room(client, 50_000);
    let expected: String =
        many.iter().map(|key| format!("VALUE {key} 0 5000\n{value}\n")).collect();
    assert!(plain(h.sent(client)) == expected + "END\nMN\n");
}

#[test]
fn row_10_a_value_over_the_limit_removes_the_old_one_and_counts_no_command() {
    let mut h = cache_of_two();
    let client = h.open();
    let large = format!("{}\n", "v".repeat((1 << 20) + 1));
    for key in 0..8 {
        ask(&mut h, client, &format!("set {key} 0 0 1\nx\n"));
        let refused = ask(&mut h, client, &format!("set {key} 0 0 1048577\n{large}"));
        assert_eq!(refused, "SERVER_ERROR object too large for cache\n");
        assert_eq!(ask(&mut h, client, &format!("get {key}\n")), "END\n", "key {key}");
    }
    let stats = ask(&mut h, client, "stats\n");
    for line in ["cmd_meta 0", "delete_hits 0", "delete_misses 0", "store_too_large 8"] {
        assert!(stats.contains(&format!("STAT {line}\n")), "{line} in {stats}");
    }
}
