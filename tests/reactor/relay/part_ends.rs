//! How a part of a stream ends early: its source outlives its destination, which does not outlive
//! its source.

use super::parts::{obedient, obey};
use super::*;

#[test]
fn an_end_of_the_source_within_a_part_resets_the_destination_behind_what_has_arrived() {
    for limits in ways() {
        for room in [2, 100] {
            let (mut h, [source, one, _]) = obedient(limits.clone());
            h.set_room(one, room);
            h.feed(source, "1:10;abc");
            h.feed(source, "def");
            h.finish(source);
            let mut got = Vec::new();
            while h.arrived(one) > 0 {
                got.extend(h.take(one));
            }
            assert_eq!(got, b"abcdef");
            assert_eq!((h.state(source), h.state(one)), (State::Closed, State::Reset));
            let log = log(&mut h);
            assert!(log.contains(&"0 eof".into()) && log.contains(&"1 close RelayLost".into()));
            assert!(!log.iter().any(|line| line.contains("relayed")), "{log:?}");
        }
    }
}

#[test]
fn an_end_of_the_source_behind_a_part_comes_after_it_and_concerns_no_destination() {
    for limits in ways() {
        for rest in ["", "2:1;x"] {
            let (mut h, [source, one, _]) = obedient(limits.clone());
            h.at_once(|h| {
                h.feed(source, ["1:6;abcdef", rest].concat());
                h.finish(source);
            });
            let log = log(&mut h);
            assert_eq!(log[log.len() - 3..], ["0 relayed, 0 left", "0 eof", "0 close Closed"]);
            assert_eq!((h.sent(one), h.state(one)), ("abcdef".into(), State::Open));
        }
    }
}

#[test]
fn a_source_that_is_lost_within_a_part_resets_the_destination() {
    for limits in ways() {
        for lose in ["reset", "abort", "close"] {
            let (mut h, [source, one, _]) = obedient(limits.clone());
            let id = h.handler().notes.ids[0];
            h.feed(source, "1:10;abc");
            match lose {
                "reset" => h.reset(source),
                "abort" => h.reactor().peer(id).abort(),
                _ => h.reactor().peer(id).close(),
            }
            h.run();
            assert_eq!((h.take(one), h.state(one)), ("abc".into(), State::Reset), "{lose}");
            assert_eq!(log(&mut h).last().unwrap(), "1 close RelayLost");
        }
    }
}

#[test]
fn a_source_that_is_lost_behind_a_part_concerns_no_destination() {
    for limits in ways() {
        for lose in ["reset", "abort", "close"] {
            // With such a quantum the connection goes on in another turn.
            let limits = Limits { receive_quantum: 1, ..limits.clone() };
            let (mut h, [source, one, _]) = obedient(limits);
            let id = h.handler().notes.ids[0];
            h.set_room(one, 0);
            h.feed(source, "1:3;");
            h.at_once(|h| {
                h.feed(source, "abc");
                h.turn();
                match lose {
                    "reset" => h.reset(source),
                    "abort" => h.reactor().peer(id).abort(),
                    _ => h.reactor().peer(id).close(),
                }
            });
            assert_ne!(h.state(source), State::Open);
            h.set_room(one, 100);
            assert_eq!((h.sent(one), h.state(one)), ("abc".into(), State::Open), "{lose}");
        }
    }
}

#[test]
fn a_source_hears_how_much_of_its_part_a_lost_destination_was_not_given() {
    for limits in ways() {
        for lose in ["reset", "abort", "close"] {
            for count in [10_u64, 1_000_000] {
                let (mut h, [source, one, two]) = obedient(limits.clone());
                let id = h.handler().notes.ids[1];
                h.set_room(one, 100_000);
                h.feed(source, format!("1:{count};"));
                h.feed(source, &pattern(count as usize)[..count as usize - 4]);
                match lose {
                    "reset" => h.reset(one),
                    "abort" => h.reactor().peer(id).abort(),
                    _ => h.reactor().peer(id).close(),
                }
                h.run();
                h.sent(one);
                let left = count - h.ledger().relayed;
                assert!(left >= 4);
                assert_eq!(
                    (h.sent(source), h.state(source)),
                    (format!("[{left}]").as_str().into(), State::Open)
                );
                // What was left is discarded, and the next command follows.
                h.feed(source, "1234");
                h.feed(source, "2:5;hello");
                assert_eq!((h.sent(two), h.sent(source)), ("hello".into(), "[0]".into()));
                assert_eq!(h.unread(source), 0);
                let ledger = h.ledger();
                assert_eq!(ledger.queued, ledger.sent + ledger.dropped);
            }
        }
    }
}

#[test]
fn a_destination_that_its_handler_has_closed_holds_the_source_until_it_has_ended() {
    for limits in ways() {
        let (mut h, [source, one, _]) = obedient(limits);
        let id = h.handler().notes.ids[1];
        h.set_room(one, 2);
        h.feed(source, "1:8;abcd");
        h.reactor().peer(id).close();
        h.feed(source, "efgh");
        assert_eq!((h.sent(source), h.unread(source)), ("".into(), 4));
        assert_eq!([&*h.sent(one), &*h.sent(one)].concat(), b"abcd");
        assert_eq!((h.sent(source), h.unread(source)), ("[4]".into(), 0));
    }
}

#[test]
fn what_a_dying_destination_is_given_last_completes_its_part_or_is_counted() {
    for limits in ways() {
        for (count, told) in [(10_000, "[0]"), (10_001, "[1]")] {
            let (mut h, [source, one, _]) = obedient(limits.clone());
            h.feed(source, format!("1:{count};"));
            h.script_send(one, [Step::Short(3), Step::Errno(libc::EPIPE)]);
            h.feed(source, pattern(10_000));
            assert_eq!((h.sent(source), h.state(source)), (told.into(), State::Open));
            assert_ne!(h.state(one), State::Open);
        }
    }
}

#[test]
fn a_destination_that_is_gone_or_closing_is_told_at_once() {
    for limits in ways() {
        for closing in [false, true] {
            let (mut h, [source, one, _]) = obedient(limits.clone());
            let id = h.handler().notes.ids[1];
            h.set_room(one, 0);
            h.reactor().peer(id).send("waits");
            match closing {
                true => h.reactor().peer(id).close(),
                false => h.reset(one),
            }
            h.run();
            h.feed(source, "1:5;abcde2:1;x");
            assert_eq!((h.sent(source), h.state(source)), ("[5][0]".into(), State::Open));
        }
    }
}

#[test]
fn a_destination_that_cannot_be_reached_leaves_the_whole_part_to_the_source() {
    for limits in ways() {
        for remote in [Remote::Fails(libc::ECONNREFUSED), Remote::Silent] {
            let mut h = proxy_of_parts(&limits);
            h.set_remote(&upstream(), remote);
            let client = h.open();
            h.feed(client, b"hello?");
            h.advance(Connect::default().timeout * 2);
            let log = log(&mut h);
            let told: Vec<_> = log.iter().filter(|line| line.contains("relayed")).collect();
            // What the destination had room for while it was being made is lost with it.
            assert!(
                told == ["0 relayed, 100000 left"] || told == ["0 relayed, 99994 left"],
                "{log:?}"
            );
        }
    }
}

#[test]
fn an_end_of_the_source_behind_that_of_the_destination_comes_second() {
    for limits in ways() {
        let (mut h, [source, one, _]) = obedient(limits);
        h.set_room(one, 1);
        h.feed(source, "1:8;abc");
        h.at_once(|h| {
            h.feed(source, "d");
            h.finish(source);
            h.reset(one);
        });
        let log = log(&mut h);
        assert_eq!(h.state(source), State::Closed);
        let told: Vec<_> = log.iter().filter(|line| line.starts_with('0')).collect();
        assert!(told[1].starts_with("0 relayed"), "{told:?}");
        assert_eq!(told[2..], ["0 eof", "0 close Closed"]);
    }
}

#[test]
fn a_paused_source_hears_of_its_destination_when_it_reads_again() {
    for limits in ways() {
        let (mut h, [source, one, _]) = obedient(limits);
        let id = h.handler().notes.ids[0];
        h.feed(source, "1:8;abc");
        h.reactor().peer(id).pause();
        h.feed(source, "def");
        h.reset(one);
        assert_eq!(h.sent(source), "");
        h.reactor().peer(id).resume();
        h.run();
        assert_eq!((h.sent(source), h.unread(source)), ("[5]".into(), 0));
    }
}

#[test]
fn a_destination_that_finishes_or_stalls_for_too_long_leaves_its_source_open() {
    for limits in ways() {
        for stalls in [false, true] {
            let limits = Limits { write_stall: Some(Duration::from_secs(5)), ..limits.clone() };
            let (mut h, [source, one, _]) = obedient(limits);
            if stalls {
                h.set_room(one, 1);
            }
            h.feed(source, "1:8;abc");
            if !stalls {
                h.finish(one);
            }
            h.advance(Duration::from_secs(6));
            assert_eq!((h.sent(source), h.state(source)), ("[5]".into(), State::Open));
            let why = if stalls { "1 close TimedOut" } else { "1 close Closed" };
            assert!(log(&mut h).contains(&why.into()));
        }
    }
}

#[test]
fn a_second_source_of_a_destination_ends_the_part_of_the_first() {
    for limits in ways() {
        for room in [1, 100] {
            let (mut h, [first, to, second]) = obedient(limits.clone());
            h.set_room(to, room);
            h.feed(first, "1:8;abc");
            h.feed(first, "de");
            h.feed(second, "1:3;xyz");
            let left = if room == 1 { "[5]" } else { "[3]" };
            assert_eq!((h.sent(first), h.state(first)), (left.into(), State::Open));
            let mut got = h.take(to).to_vec();
            while h.arrived(to) > 0 {
                got.extend(h.take(to));
            }
            assert_eq!(got, if room == 1 { "abcxyz" } else { "abcdexyz" }.as_bytes());
            assert_eq!((h.sent(second), h.unread(first)), ("[0]".into(), 0));
        }
    }
}

/// A handler that relays a part of what is unread at the end of the stream.
fn at_the_end(limits: &Limits, count: u64) -> (Harness<Probe>, [Client; 2]) {
    let probe = Probe::new(move |cx, call, notes| match call {
        Call::Data(_) => {}
        Call::Eof if cx.unread() > 0 => cx.relay_part(notes.ids[1], count),
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, limits.clone());
    let clients = [h.open(), h.open()];
    h.feed(clients[0], "abcd");
    h.finish(clients[0]);
    (h, clients)
}

#[test]
fn what_is_unread_at_the_end_of_the_stream_can_be_passed_on() {
    for limits in ways() {
        let (mut h, [source, one]) = at_the_end(&limits, 4);
        assert_eq!((h.sent(one), h.state(one)), ("abcd".into(), State::Open));
        assert_eq!(h.state(source), State::Closed);
        let expected = ["0 eof", "0 relayed, 0 left", "0 eof", "0 close Closed"];
        assert_eq!(log(&mut h)[3..], expected);
    }
}

#[test]
fn a_part_that_can_never_be_whole_closes_its_source_and_resets_its_destination() {
    for limits in ways() {
        let (mut h, [source, one]) = at_the_end(&limits, 5);
        assert_eq!((h.state(source), h.state(one)), (State::Closed, State::Reset));
        assert_eq!(log(&mut h)[3..], ["0 eof", "0 close Closed", "1 close RelayLost"]);
    }
}

#[test]
fn the_callback_at_the_end_of_a_part_can_end_everything() {
    type Act = fn(&mut Context<'_>, ConnId);
    let acts: [Act; 7] = [
        |cx, _| cx.close(),
        |cx, _| cx.abort(),
        |cx, to| cx.peer(to).close(),
        |cx, to| cx.peer(to).abort(),
        |cx, to| cx.peer(to).shutdown(),
        |cx, to| cx.relay_to(to),
        |_, _| panic!("as the test wants it"),
    ];
    for limits in ways() {
        for (number, act) in acts.into_iter().enumerate() {
            for lost in [false, true] {
                let probe = Probe::new(move |cx, call, notes| match call {
                    Call::Relayed(_) => act(cx, notes.ids[1]),
                    call => obey(cx, call, notes),
                });
                let mut h = with_limits(probe, limits.clone());
                h.expect_panics();
                let (source, one) = (h.open(), h.open());
                h.set_room(one, 2);
                h.feed(source, "1:8;abcd");
                match lost {
                    true => h.reset(one),
                    false => h.feed(source, "efghand more"),
                }
                while h.arrived(one) > 0 {
                    h.take(one);
                }
                let source_ends = matches!(number, 0 | 1 | 6) || lost && number == 5;
                assert_eq!(h.state(source) != State::Open, source_ends, "{number}, {lost}");
                let ledger = h.ledger();
                assert_eq!(ledger.queued, ledger.sent + ledger.dropped + ledger.pending());
                assert_eq!(log(&mut h).iter().filter(|line| line.contains("relayed")).count(), 1);
            }
        }
    }
}
