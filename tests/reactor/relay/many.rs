//! Many relays that receive little in the same turn: each passes on what is its own.

use sluicegate_reactor::Limits;
use sluicegate_reactor::testing::{Client, Harness, State, Step};

use super::{join_last, joiner};
use crate::probe::{Call, Probe, log, pattern, with_limits};

/// Pairs of clients whose connections relay to each other, all through memory.
fn pairs(probe: Probe, count: usize) -> (Harness<Probe>, Vec<[Client; 2]>) {
    let mut h = with_limits(probe, Limits { splice_after: usize::MAX, ..Limits::default() });
    let pairs = (0..count).map(|_| [h.open(), h.open()]).collect();
    log(&mut h);
    (h, pairs)
}

/// Joins pairs. Any other input sends this to the first destination.
fn meddler(pairs: usize, words: Vec<u8>) -> Probe {
    Probe::new(move |cx, call, notes| match call {
        Call::Open if notes.ids.len() <= 2 * pairs => join_last(cx, notes),
        Call::Data(input) => {
            input.take();
            cx.peer(notes.ids[1]).send(&words[..]);
        }
        Call::Stop => {}
        call => call.by_default(cx),
    })
}

fn assert_books(h: &Harness<Probe>) {
    let ledger = h.ledger();
    assert_eq!(ledger.queued, ledger.sent + ledger.dropped + ledger.pending());
}

#[test]
fn each_gets_what_was_meant_for_it_in_one_call_each() {
    let (mut h, pairs) = pairs(joiner(), 20);
    let message = |number: usize, turn: usize| pattern(1 + (number * 1031 + turn * 97) % 4096);
    for turn in 0..5 {
        let before = h.calls();
        h.at_once(|h| {
            for (number, [left, right]) in pairs.iter().enumerate() {
                h.feed(*left, message(number, turn));
                h.feed(*right, message(number + 50, turn));
            }
        });
        let after = h.calls();
        assert_eq!((after.recv - before.recv, after.send - before.send), (40, 40));
        for (number, [left, right]) in pairs.iter().enumerate() {
            assert_eq!(h.sent(*right), message(number, turn));
            assert_eq!(h.sent(*left), message(number + 50, turn));
        }
    }
    assert_eq!(h.ledger().relayed, h.ledger().sent);
}

#[test]
fn what_one_socket_refuses_waits_and_holds_its_source_alone() {
    for room in 0..8 {
        let (mut h, pairs) = pairs(joiner(), 3);
        h.set_room(pairs[1][1], room);
        for words in ["little ", "by ", "little"] {
            h.at_once(|h| pairs.iter().for_each(|[left, _]| h.feed(*left, words)));
        }
        assert_eq!(h.arrived(pairs[1][1]), room);
        let unread: Vec<usize> = pairs.iter().map(|[left, _]| h.unread(*left)).collect();
        assert_eq!(unread, [0, if room < 7 { 9 } else { 6 }, 0], "{room}");
        assert_books(&h);
        h.set_room(pairs[1][1], 100);
        for [_, right] in &pairs {
            assert_eq!(h.sent(*right), "little by little", "{room}");
        }
    }
}

#[test]
fn an_interrupted_or_failed_send_concerns_its_own_relay() {
    let (mut h, pairs) = pairs(joiner(), 3);
    h.script_send(pairs[0][1], [Step::Interrupted, Step::Short(2)]);
    h.script_send(pairs[1][1], [Step::Short(1), Step::Errno(libc::EPIPE)]);
    h.at_once(|h| pairs.iter().for_each(|[left, _]| h.feed(*left, b"message")));
    assert_eq!(h.sent(pairs[0][1]), "message");
    assert_eq!(h.sent(pairs[2][1]), "message");
    assert_eq!(log(&mut h), ["3 close Reset", "2 close RelayLost"]);
    assert_eq!((h.ledger().sent, h.ledger().dropped), (15, 6));
}

#[test]
fn what_a_callback_sends_keeps_its_place_among_what_is_relayed() {
    // Long ones go to the socket at once, others through the queue.
    for words in [b"meddled ".to_vec(), pattern(10_000)] {
        for (queued, first) in [(false, false), (false, true), (true, false), (true, true)] {
            let (mut h, pairs) = pairs(meddler(2, words.clone()), 2);
            let other = h.open();
            if queued {
                // With something in its queue it is driven in another way.
                h.set_room(other, 0);
                let id = *h.handler().notes.ids.last().unwrap();
                h.reactor().peer(id).send("waits");
                h.run();
            }
            h.at_once(|h| {
                if first {
                    h.feed(other, b"now");
                }
                h.feed(pairs[0][0], b"relayed ");
                h.feed(pairs[1][0], b"elsewhere");
                if !first {
                    h.feed(other, b"now");
                }
            });
            let relayed = b"relayed ".to_vec();
            let expected = if first { [&words[..], &relayed] } else { [&relayed[..], &words] };
            assert_eq!(h.sent(pairs[0][1]), expected.concat(), "queued {queued}, first {first}");
            assert_eq!(h.sent(pairs[1][1]), "elsewhere");
        }
    }
}

#[test]
fn a_destination_that_is_reset_in_the_same_turn_takes_its_source_along_and_nobody_else() {
    for first in [false, true] {
        let (mut h, pairs) = pairs(joiner(), 3);
        h.at_once(|h| {
            if first {
                h.reset(pairs[1][1]);
            }
            pairs.iter().for_each(|[left, _]| h.feed(*left, b"message"));
            if !first {
                h.reset(pairs[1][1]);
            }
        });
        assert_eq!(log(&mut h), ["3 close Reset", "2 close RelayLost"]);
        assert_eq!(h.state(pairs[1][0]), State::Reset);
        for [_, right] in [pairs[0], pairs[2]] {
            assert_eq!(h.sent(right), "message");
        }
        assert_books(&h);
    }
}

#[test]
fn ends_and_resets_of_sources_come_behind_their_last_words() {
    let (mut h, pairs) = pairs(joiner(), 3);
    for [left, _] in &pairs {
        h.script_recv(*left, [Step::Short(4)]);
    }
    h.at_once(|h| {
        pairs.iter().for_each(|[left, _]| h.feed(*left, b"last words"));
        h.finish(pairs[0][0]);
        h.reset(pairs[1][0]);
    });
    for ([_, right], state) in pairs.iter().zip([State::Shut, State::Reset, State::Open]) {
        assert_eq!((h.take(*right), h.state(*right)), ("last words".into(), state));
    }
}

#[test]
fn more_than_fits_into_the_buffer_arrives_whole() {
    let (mut h, pairs) = pairs(joiner(), 40);
    let message = |number: usize| pattern(4096 + number)[number..].to_vec();
    h.at_once(|h| {
        for (number, [left, _]) in pairs.iter().enumerate() {
            h.feed(*left, message(number));
        }
    });
    for (number, [_, right]) in pairs.iter().enumerate() {
        assert_eq!(h.sent(*right), message(number));
    }
    assert_eq!((h.ledger().sent, h.ledger().relayed), (40 * 4096, 40 * 4096));
}

#[test]
fn much_and_little_in_one_turn_do_not_mix() {
    for room in [0, 10, 1_000_000] {
        let (mut h, pairs) = pairs(joiner(), 4);
        h.set_room(pairs[1][1], room);
        let lens = [100, 50_000, 4097, 4096];
        h.at_once(|h| {
            for ([left, _], len) in pairs.iter().zip(lens) {
                h.feed(*left, pattern(len));
            }
        });
        h.set_room(pairs[1][1], 1_000_000);
        for ([_, right], len) in pairs.iter().zip(lens) {
            assert_eq!(h.sent(*right), pattern(len));
        }
    }
}

#[test]
fn those_that_relay_to_themselves_get_back_what_they_have_sent() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Open => cx.relay_to(notes.ids[notes.current]),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, Limits::default());
    let clients: Vec<Client> = (0..5).map(|_| h.open()).collect();
    h.set_room(clients[2], 1);
    h.at_once(|h| {
        for (number, client) in clients.iter().enumerate() {
            h.feed(*client, vec![b'a' + number as u8; 1 + number]);
        }
    });
    h.set_room(clients[2], 100);
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(h.sent(*client), vec![b'a' + number as u8; 1 + number]);
    }
}

#[test]
fn one_that_fails_by_what_is_relayed_to_it_takes_nothing_more() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Open if notes.ids.len() == 2 => {
            cx.receive_exact(4).unwrap();
            let to = cx.id();
            cx.peer(notes.ids[0]).relay_to(to);
        }
        call => call.by_default(cx),
    }));
    let (source, destination) = (h.open(), h.open());
    log(&mut h);
    h.script_send(destination, [Step::Errno(libc::ENOBUFS)]);
    h.at_once(|h| {
        h.feed(source, b"12345");
        h.feed(destination, b"abcd");
    });
    let log = log(&mut h);
    assert!(!log.iter().any(|line| line.contains("abcd")), "{log:?}");
    assert_ne!(h.state(destination), State::Open);
    assert_books(&h);
}
