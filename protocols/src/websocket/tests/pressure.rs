//! Peers that do not read, and messages to many.

use super::*;

#[test]
fn row_21_a_flood_of_pings_is_not_read_faster_than_the_answers_are() {
    let mut h = site(&WebSocketLimits::default(), false, &Log::default());
    let client = open(&mut h);
    h.set_room(client, 1000);
    let count = 20_000;
    let pings: Vec<u8> =
        (0..count).flat_map(|n: u32| frames(&[(0x89, &n.to_be_bytes())])).collect();
    pings.chunks(10_000).for_each(|piece| h.feed(client, piece));
    let pending = h.ledger().pending();
    assert!(pending <= (Limits::default().send_high + 1000) as u64, "{pending}");
    assert!(h.unread(client) > 0, "the rest is not received");
    let expected: Vec<u8> =
        (0..count).flat_map(|n| [&[0x8a, 4][..], &n.to_be_bytes()].concat()).collect();
    assert_eq!(h.sent(client), expected);
}

#[test]
fn a_pause_within_a_message_stops_delivery_until_the_queue_has_drained() {
    let log = Log::default();
    let mut h = site(&WebSocketLimits::default(), false, &log);
    let client = open(&mut h);
    h.set_room(client, 3);
    h.feed(client, frames(&[(0x81, b"pause"), (0x81, b"next"), (0x89, b"p")]));
    assert_eq!(h.arrived(client), 3);
    assert_eq!(take(&mut h, client), "text paused, text next, pong p");
    assert_eq!(log.take(), ["drained"]);
}

#[test]
fn a_frame_is_sent_to_every_connection_and_only_while_it_is_open() {
    let log = Log::default();
    let mut h = site(&WebSocketLimits::default(), false, &log);
    let clients = [(); 3].map(|()| open(&mut h));
    h.feed(clients[2], frames(&[(0x81, b"close")]));
    let echo = h.handler().service().echo;
    h.reactor().handle(echo).post(Say("to all")).expect("a reactor that runs");
    h.run();
    assert_eq!(
        clients.map(|client| take(&mut h, client)),
        ["text to all", "text to all", "close 1000 enough"]
    );
}

#[test]
fn a_thousand_messages_in_one_receive_keep_nobody_waiting() {
    let mut h = site(&WebSocketLimits::default(), false, &Log::default());
    let [busy, other] = [(); 2].map(|()| open(&mut h));
    let before = h.ledger().turns;
    h.at_once(|h| {
        h.feed(busy, frames(&[(0x81, b"")]).repeat(5000));
        h.feed(other, frames(&[(0x81, b"me")]));
    });
    assert!(h.ledger().turns - before >= 5, "a turn delivers a bounded number");
    assert_eq!(take(&mut h, other), "text me");
    assert_eq!(h.sent(busy), b"\x81\x00".repeat(5000));
}
