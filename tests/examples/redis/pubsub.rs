//! Messages between clients.

use sluicegate_reactor::testing::State;

use super::{ask, dialogue, got, serve};

#[test]
fn a_message_reaches_the_subscribers_of_its_channel_and_of_patterns() {
    let mut h = serve();
    let (a, b, c) = (h.open(), h.open(), h.open());
    dialogue(
        &mut h,
        a,
        &[("SUBSCRIBE news x", "*3|$9|subscribe|$4|news|:1|*3|$9|subscribe|$1|x|:2|")],
    );
    dialogue(&mut h, b, &[("PSUBSCRIBE n*s", "*3|$10|psubscribe|$3|n*s|:1|")]);
    dialogue(&mut h, c, &[("PUBLISH news hello", ":2|"), ("PUBLISH nothing x", ":0|")]);
    assert_eq!(got(&mut h, a), "*3|$7|message|$4|news|$5|hello|");
    assert_eq!(got(&mut h, b), "*4|$8|pmessage|$3|n*s|$4|news|$5|hello|");
    dialogue(&mut h, a, &[("UNSUBSCRIBE news", "*3|$11|unsubscribe|$4|news|:1|")]);
    dialogue(&mut h, c, &[("PUBLISH news again", ":1|")]);
    assert_eq!(got(&mut h, a), "");
}

#[test]
fn a_client_of_resp3_gets_pushes_and_can_use_all_commands() {
    let mut h = serve();
    let client = h.open();
    ask(&mut h, client, "HELLO 3");
    dialogue(
        &mut h,
        client,
        &[
            ("SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|"),
            ("GET k", "_|"),
            ("PING", "+PONG|"),
            ("PUBLISH a hi", ">3|$7|message|$1|a|$2|hi|:1|"),
        ],
    );
    // Its subscriptions follow when it changes the version.
    ask(&mut h, client, "HELLO 2");
    let other = h.open();
    dialogue(&mut h, other, &[("PUBLISH a hi", ":1|")]);
    assert_eq!(got(&mut h, client), "*3|$7|message|$1|a|$2|hi|");
}

#[test]
fn a_subscriber_of_resp2_can_only_use_commands_whose_replies_it_can_tell() {
    let mut h = serve();
    let client = h.open();
    ask(&mut h, client, "SUBSCRIBE a");
    let refused = ask(&mut h, client, "GET k");
    assert!(refused.starts_with("-ERR Can't execute 'get': only (P)SUBSCRIBE"), "{refused}");
    dialogue(
        &mut h,
        client,
        &[
            ("PING", "*2|$4|pong|$0||"),
            ("PING x", "*2|$4|pong|$1|x|"),
            ("PUNSUBSCRIBE", "*3|$12|punsubscribe|$-1|:1|"),
            ("UNSUBSCRIBE", "*3|$11|unsubscribe|$1|a|:0|"),
            ("GET k", "$-1|"),
        ],
    );
}

#[test]
fn names_of_channels_and_patterns_have_a_maximum_length() {
    let mut h = serve();
    let client = h.open();
    let (longest, longer) = ("a".repeat(1024), "a".repeat(1025));
    let refused = "-ERR a channel or pattern has at most 1024 bytes|";
    dialogue(
        &mut h,
        client,
        &[
            (&format!("SUBSCRIBE b {longer} c"), refused),
            (&format!("PSUBSCRIBE {longer}"), refused),
            (&format!("PUBLISH {longer} hi"), refused),
            (&format!("PUBLISH {longest} hi"), ":0|"),
            (&format!("PSUBSCRIBE {longest}"), &format!("*3|$10|psubscribe|$1024|{longest}|:1|")),
        ],
    );
}

#[test]
fn whoever_has_left_is_not_counted() {
    let mut h = serve();
    let (a, b) = (h.open(), h.open());
    ask(&mut h, a, "SUBSCRIBE x y");
    ask(&mut h, a, "PSUBSCRIBE *");
    h.finish(a);
    assert_eq!(h.state(a), State::Closed);
    dialogue(&mut h, b, &[("PUBLISH x hi", ":0|")]);
    assert!(ask(&mut h, b, "INFO stats").contains("pubsub_channels:0|pubsub_patterns:0"));
}

#[test]
fn a_subscriber_that_does_not_read_is_disconnected_and_costs_bounded_memory() {
    let mut h = serve();
    let (slow, publisher) = (h.open(), h.open());
    ask(&mut h, slow, "SUBSCRIBE a");
    h.set_room(slow, 0);
    let publish = format!("PUBLISH a {}", "x".repeat(8000));
    let mut published = 0;
    while ask(&mut h, publisher, &publish) == ":1|" {
        published += 1;
    }
    assert!((4000..4300).contains(&published), "{published} messages of 8 KB");
    assert_eq!(h.state(slow), State::Reset);
}

#[test]
fn a_subscriber_that_was_disconnected_receives_nothing_more_in_the_same_turn() {
    let mut h = serve();
    let (slow, publisher) = (h.open(), h.open());
    ask(&mut h, slow, "PSUBSCRIBE a* *a a** **a a*** ***a a**** ****a");
    h.set_room(slow, 0);
    let message = "x".repeat(8 << 20);
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n${}\r\n{message}\r\n", 8 << 20);
    h.feed(publisher, publish);
    // The fourth copy exceeds the limit.
    assert_eq!(got(&mut h, publisher), ":4|");
    assert_eq!(h.state(slow), State::Reset);
}

#[test]
fn the_longest_messages_reach_a_subscriber_that_reads() {
    let mut h = serve();
    let (reader, publisher) = (h.open(), h.open());
    ask(&mut h, reader, "SUBSCRIBE a");
    let message = "x".repeat(16_000_000);
    h.feed(publisher, format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$16000000\r\n{message}\r\n"));
    assert_eq!(got(&mut h, publisher), ":1|");
    assert_eq!(got(&mut h, reader), format!("*3|$7|message|$1|a|$16000000|{message}|"));
}

#[test]
fn a_client_has_a_maximum_number_of_patterns() {
    let mut h = serve();
    let client = h.open();
    let names: String = (0..999).map(|number| format!(" {number}*")).collect();
    assert!(ask(&mut h, client, &format!("PSUBSCRIBE{names}")).ends_with("|:999|"));
    let refused = "-ERR a client has at most 1000 patterns|";
    assert_eq!(ask(&mut h, client, "PSUBSCRIBE a* b*"), refused);
    assert!(ask(&mut h, client, "PSUBSCRIBE a*").ends_with("|:1000|"));
    // Channels do not count.
    assert!(ask(&mut h, client, "SUBSCRIBE a").ends_with("|:1001|"));
}
