//! How much memory the cache and its connections take.

use allocation_counter::measure;

use super::*;

/// Keys `0` to `count - 1`, with values of this length.
fn fill(h: &mut Cache, client: Client, count: usize, len: usize) {
    let value = "v".repeat(len);
    for number in 0..count {
        ask(h, client, &format!("set {number} 0 0 {len} noreply\n{value}\n"));
    }
}

fn stat(h: &mut Cache, client: Client, name: &str) -> u64 {
    let stats = ask(h, client, "stats\n");
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {stats}"))
}

#[test]
fn row_12_the_least_recently_used_items_leave_first() {
    let mut h = cache_with(Settings { memory: 1 << 20, ..SETTINGS });
    let client = h.open();
    fill(&mut h, client, 900, 1000);
    assert_eq!(stat(&mut h, client, "evictions"), 0);
    // Used in one way or another.
    ask(&mut h, client, "get 0\ntouch 1 0\nappend 2 0 0 1\nx\nmg 3\ngat 0 4\nadd 5 0 0 1\nx\n");
    ask(&mut h, client, "mg 6 u\n");
    for number in 900..1100 {
        let value = "v".repeat(1000);
        ask(&mut h, client, &format!("set {number} 0 0 1000 noreply\n{value}\n"));
    }
    let evicted = stat(&mut h, client, "evictions");
    assert!(evicted > 100, "{evicted}");
    assert_eq!(stat(&mut h, client, "evicted_unfetched"), evicted);
    assert!(stat(&mut h, client, "bytes") <= 1 << 20);
    let kept = ask(&mut h, client, "mg 0\nmg 1\nmg 2\nmg 3\nmg 4\nmg 5\n");
    assert_eq!(kept, "HD\n".repeat(6));
    // All that are older than the oldest that is left are gone.
    let here: Vec<_> = (6..1100).map(|key| ask(&mut h, client, &format!("mg {key} u\n"))).collect();
    assert!(here.is_sorted_by_key(|answer| answer == "HD\n"));
    assert_eq!(here.iter().filter(|answer| *answer == "EN\n").count() as u64, evicted);
}

#[test]
fn row_12_a_value_that_the_memory_cannot_hold_is_refused() {
    let mut h = cache_with(Settings { memory: 100_000, ..SETTINGS });
    let client = h.open();
    let value = "v".repeat(100_000);
    ask(&mut h, client, "set a 0 0 1\nx\nset b 0 0 1\nx\n");
    let refused = "SERVER_ERROR out of memory storing object\n";
    assert_eq!(ask(&mut h, client, &format!("set a 0 0 100000\n{value}\n")), refused);
    // The old value is gone, since it is out of date.
    assert_eq!(ask(&mut h, client, "get a b\n"), "VALUE b 0 1\nx\nEND\n");
    assert_eq!(ask(&mut h, client, &format!("ms c 100000\n{value}\n")), refused);
    // What was only to be added to does not go.
    assert_eq!(ask(&mut h, client, &format!("append b 0 0 100000\n{value}\n")), refused);
    assert_eq!(ask(&mut h, client, "get b\n"), "VALUE b 0 1\nx\nEND\n");
}

#[test]
fn row_12_what_an_item_costs_is_what_is_counted() {
    for (len, most) in [(10, 1.15), (100, 1.15), (1000, 1.1), (10_000, 1.05)] {
        let mut h = cache();
        let client = h.open();
        fill(&mut h, client, 1, len);
        let before = stat(&mut h, client, "bytes");
        let count = 1 + (1 << 12);
        let cost = measure(|| fill(&mut h, client, count, len));
        let counted = stat(&mut h, client, "bytes") - before;
        // There is one item more than slots are allocated at a time, so as many again are vacant.
        let spare = (count * 64) as f64;
        let taken = cost.bytes_current as f64;
        assert!(taken < counted as f64 * most + spare, "{len}: {taken} of {counted}");
        let overhead = counted as usize / count - len - 4;
        let bound = if len > 4 << 10 { 230 } else { 100 };
        assert!(overhead < bound, "{len}: {overhead}");
    }
}

#[test]
fn row_12_memory_of_what_was_flushed_is_freed_step_by_step() {
    let mut h = cache();
    let client = h.open();
    fill(&mut h, client, 1000, 100);
    let full = stat(&mut h, client, "bytes");
    ask(&mut h, client, "flush_all\nset a 0 0 1\nx\n");
    assert_eq!(stat(&mut h, client, "curr_items"), 1);
    assert!(stat(&mut h, client, "bytes") > full / 2);
    // A second flush does not free the items of the first one at once.
    ask(&mut h, client, "flush_all\nset a 0 0 1\ny\n");
    assert_eq!(stat(&mut h, client, "curr_items"), 1);
    assert!(stat(&mut h, client, "bytes") > full / 2);
    h.advance(TICK * 2);
    assert!(stat(&mut h, client, "bytes") < 1000);
    assert_eq!(ask(&mut h, client, "get a 1\n"), "VALUE a 0 1\ny\nEND\n");
}

#[test]
fn row_12_what_was_flushed_never_comes_back() {
    let mut h = cache();
    let client = h.open();
    // More than the sets below remove.
    fill(&mut h, client, 2000, 1);
    for number in 0..300 {
        ask(&mut h, client, "flush_all\nset a 0 0 1\nx\n");
        assert_eq!(stat(&mut h, client, "curr_items"), 1, "after {number} flushes");
        assert_eq!(ask(&mut h, client, "get 1999\n"), "END\n", "after {number} flushes");
    }
}

#[test]
fn row_12_only_a_get_has_a_long_line() {
    let mut h = cache();
    let client = h.open();
    let spaces = " ".repeat(500_000);
    let too_long = "CLIENT_ERROR line too long\n";
    ask(&mut h, client, "set a 0 0 1\nx\n");
    assert_eq!(ask(&mut h, client, &format!("get{spaces}a\n")), "VALUE a 0 1\nx\nEND\n");
    assert_eq!(ask(&mut h, client, &format!("touch{spaces}a 0\n")), too_long);
    // The value is no command.
    assert_eq!(ask(&mut h, client, &format!("set{spaces}a 0 0 9\nflush_all\n")), too_long);
    assert_eq!(ask(&mut h, client, &format!("delete{spaces}a noreply\n")), "");
    assert_eq!(ask(&mut h, client, "get a\n"), "VALUE a 0 1\nx\nEND\n");
}

#[test]
fn row_12_a_client_that_does_not_read_is_not_read_from() {
    let mut h = cache();
    let client = h.open();
    for len in [100, 10_000] {
        fill(&mut h, client, 1, len);
        h.set_room(client, 0);
        let requests = "get 0\n".repeat(10_000);
        let cost = measure(|| h.feed(client, crlf(&requests)));
        assert!(h.unread(client) > 0);
        assert!(cost.bytes_max < 1 << 20, "{cost:?}");
        let expected = format!("VALUE 0 0 {len}\n{}\nEND\n", "v".repeat(len)).repeat(10_000);
        h.set_room(client, 1 << 20);
        assert!(plain(h.sent(client)) == expected);
    }
}

#[test]
fn row_12_a_get_of_many_values_waits_for_room_between_two_of_them() {
    let mut h = cache();
    let client = h.open();
    fill(&mut h, client, 100, 100_000);
    h.set_room(client, 0);
    let keys: Vec<_> = (0..100).map(|key| key.to_string()).collect();
    h.feed(client, crlf(&format!("get {}\nmn\n", keys.join(" "))));
    let queued = h.ledger().pending();
    assert!(queued < 200_000, "{queued}");
    h.set_room(client, 50_000);
    let value = "v".repeat(100_000);
    let expected: String =
        keys.iter().map(|key| format!("VALUE {key} 0 100000\n{value}\n")).collect();
    assert!(plain(h.sent(client)) == expected + "END\nMN\n");
}

#[test]
fn row_13_a_long_value_is_sent_by_reference_and_never_copied() {
    let mut h = cache();
    let client = h.open();
    let value = "v".repeat(1_000_000);
    h.feed(client, "set a 0 0 1000000\r\n");
    h.feed(client, value.clone() + "\r\n");
    h.sent(client);
    h.set_room(client, 0);
    let before = h.ledger();
    let cost = measure(|| h.feed(client, "get a\r\n"));
    assert!(cost.bytes_max < 100_000, "{cost:?}");
    assert!(h.ledger().joined - before.joined < 100);
    h.set_room(client, 1 << 21);
    assert!(
        plain(h.sent(client))
            == format!("STORED\nVALUE a 0 1000000\n{value}\nEND\n")["STORED\n".len()..]
    );
}

#[test]
fn row_13_a_long_value_is_received_where_it_stays() {
    let mut h = cache();
    let client = h.open();
    let value = vec![b'v'; 1_000_000];
    h.feed(client, "set a 0 0 1000000\r\n");
    h.feed(client, &value);
    h.feed(client, "\r\n");
    assert_eq!(h.sent(client), "STORED\r\n");
    assert_eq!((h.ledger().direct_bytes, h.ledger().kept), (1_000_002, 0));
}

#[test]
fn row_13_a_value_that_is_replaced_while_it_is_sent_arrives_as_it_was() {
    let mut h = cache();
    let (reader, writer) = (h.open(), h.open());
    let (old, new) = ("o".repeat(256 << 10), "n".repeat(256 << 10));
    ask(&mut h, writer, &format!("set a 0 0 {}\n{old}\n", old.len()));
    h.set_room(reader, 100_000);
    h.feed(reader, "get a\r\n");
    assert_eq!(ask(&mut h, writer, "delete a\nget a\n"), "DELETED\nEND\n");
    ask(&mut h, writer, &format!("set a 0 0 {}\n{new}\n", new.len()));
    assert!(plain(h.sent(reader)) == format!("VALUE a 0 {}\n{old}\nEND\n", old.len()));
    assert!(ask(&mut h, reader, "get a\n").contains(&new));
}
