//! Values.

use sluicegate_protocols::testing::same_at_every_split;

use super::{says, serve};

#[test]
fn a_value_is_returned_until_it_is_removed() {
    says(&[
        ("GET k", "$-1|"),
        ("SET k v", "+OK|"),
        ("get k", "$1|v|"),
        ("SET k \"a\\r\\nb\"", "+OK|"),
        ("GET k", "$4|a|b|"),
        ("SET '' ''", "+OK|"),
        ("GET ''", "$0||"),
        ("EXISTS k k x", ":2|"),
        ("DBSIZE", ":2|"),
        ("DEL k x k", ":1|"),
        ("GET k", "$-1|"),
        ("FLUSHALL", "+OK|"),
        ("DBSIZE", ":0|"),
    ]);
}

#[test]
fn several_values_are_set_and_returned_together() {
    says(&[
        ("MSET a 1 b 2 a 3", "+OK|"),
        ("MGET a x b", "*3|$1|3|$-1|$1|2|"),
        ("MSET a", "-ERR wrong number of arguments for 'mset' command|"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command|"),
    ]);
}

#[test]
fn a_set_can_have_conditions_and_return_the_old_value() {
    says(&[
        ("SET k 1 XX", "$-1|"),
        ("SET k 1 NX", "+OK|"),
        ("SET k 2 nx", "$-1|"),
        ("SET k 2 xx", "+OK|"),
        ("SET k 3 GET", "$1|2|"),
        ("SET k 4 NX GET", "$1|3|"),
        ("GET k", "$1|3|"),
        ("SET new 1 GET", "$-1|"),
        ("GET new", "$1|1|"),
        ("SET k 1 NX XX", "-ERR syntax error|"),
        ("SET k 1 EX", "-ERR syntax error|"),
        ("SET k 1 EX 1 PX 1", "-ERR syntax error|"),
        ("SET k 1 EX 1 KEEPTTL", "-ERR syntax error|"),
        ("SET k 1 WHAT", "-ERR syntax error|"),
        ("SET k 1 EX x", "-ERR value is not an integer or out of range|"),
        ("SET k 1 EX 0", "-ERR invalid expire time in 'set' command|"),
        ("SET k 1 PX -5", "-ERR invalid expire time in 'set' command|"),
        ("SET k 1 EX 9223372036854775807", "-ERR invalid expire time in 'set' command|"),
        ("GET k", "$1|3|"),
    ]);
}

#[test]
fn a_number_is_counted_up_and_down() {
    says(&[
        ("INCR n", ":1|"),
        ("INCR n", ":2|"),
        ("GET n", "$1|2|"),
        ("DECR n", ":1|"),
        ("DECR m", ":-1|"),
        ("INCRBY m 43", ":42|"),
        ("DECRBY m 2", ":40|"),
        ("INCRBY m -40", ":0|"),
        ("INCRBY m 1.5", "-ERR value is not an integer or out of range|"),
        ("DECRBY m x", "-ERR value is not an integer or out of range|"),
        ("DECRBY m -9223372036854775808", "-ERR decrement would overflow|"),
        ("SET n 9223372036854775807", "+OK|"),
        ("INCR n", "-ERR increment or decrement would overflow|"),
        ("SET n -9223372036854775808", "+OK|"),
        ("DECR n", "-ERR increment or decrement would overflow|"),
        ("SET n 1x", "+OK|"),
        ("INCR n", "-ERR value is not an integer or out of range|"),
        ("SET n 01", "+OK|"),
        ("INCR n", "-ERR value is not an integer or out of range|"),
        ("SET n +1", "+OK|"),
        ("INCR n", "-ERR value is not an integer or out of range|"),
    ]);
}

#[test]
fn a_reply_has_no_more_values_than_the_server_can_keep() {
    let mut h = serve();
    let client = h.open();
    let value = "v".repeat(1 << 20);
    h.feed(client, format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len()));
    assert_eq!(h.take(client), b"+OK\r\n");
    h.feed(client, format!("MGET{}\r\n", " k".repeat(65)));
    assert_eq!(h.take(client), b"-ERR the values together are longer than 64 MiB\r\n");
}

#[test]
fn a_long_value_is_not_copied_when_it_is_sent() {
    let mut h = serve();
    let client = h.open();
    let value = vec![b'v'; 300_000];
    h.feed(client, format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()));
    h.feed(client, [&value[..], b"\r\n"].concat());
    let joined = h.ledger().joined;
    h.feed(client, "GET k\r\n".repeat(10));
    let replies = h.sent(client);
    assert_eq!(replies.len(), "+OK\r\n".len() + 10 * (value.len() + "$300000\r\n\r\n".len()));
    assert_eq!(h.ledger().joined - joined, 10 * "$300000\r\n\r\n".len() as u64);
}

#[test]
fn row_23_a_session_is_the_same_at_every_split() {
    let input = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\n".to_owned()
        + &"v".repeat(100)
        + "\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nINCR n\r\nMGET n k\r\nHELLO 3\r\nGET x\r\nnone\r\n";
    let outcome = same_at_every_split(serve, input);
    assert!(outcome.sent.starts_with(b"+OK\r\n$100\r\nvvv"), "{outcome:?}");
    assert!(outcome.sent.ends_with(b"_\r\n-ERR unknown command 'none'\r\n"), "{outcome:?}");
}
