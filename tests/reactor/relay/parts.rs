//! Parts of a stream: a known number of bytes goes to another connection, and what follows to the
//! handler.

use super::*;
use sluicegate_reactor::HandlerId;

/// Takes a command from the front of some input: `1:5;` relays the next five bytes to the second
/// connection, and `1:;` everything.
pub(super) fn command(input: &[u8]) -> Option<(usize, usize, Option<u64>)> {
    let end = input.iter().position(|byte| *byte == b';')?;
    let (to, count) = std::str::from_utf8(&input[..end]).ok()?.split_once(':')?;
    Some((end + 1, to.parse().ok()?, count.parse().ok()))
}

/// Carries out the commands of its clients, and answers each part with what was left of it.
pub(super) fn obey(cx: &mut Context<'_>, call: Call<'_, '_>, notes: &Notes) {
    match call {
        Call::Data(input) => {
            let Some((consumed, to, count)) = command(input) else { return };
            input.consume(consumed);
            match count {
                Some(count) => cx.relay_part(notes.ids[to], count),
                None => cx.relay_to(notes.ids[to]),
            }
        }
        Call::Relayed(left) => {
            if left > 0 {
                cx.discard(left);
            }
            cx.send(format!("[{left}]"));
        }
        call => call.by_default(cx),
    }
}

/// Three connections that obey commands. The first is the source.
pub(super) fn obedient(limits: Limits) -> (Harness<Probe>, [Client; 3]) {
    let mut h = with_limits(Probe::new(|cx, call, notes| obey(cx, call, notes)), limits);
    let clients = std::array::from_fn(|_| h.open());
    log(&mut h);
    (h, clients)
}

/// Takes everything that arrives at a client with little room.
fn all(h: &mut Harness<Probe>, client: Client) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        match h.take(client) {
            some if some.is_empty() => return got,
            some => got.extend(some),
        }
    }
}

#[test]
fn parts_and_what_is_between_them_are_the_same_at_every_split() {
    for limits in ways() {
        let make = move || {
            let probe = Probe::new(|cx, call, notes| obey(cx, call, notes));
            with_limits(probe, limits.clone())
        };
        let input = b"0:5;hello0:0;0:1;a0:12;to itself it0:;and the rest";
        let outcome = same_at_every_split(make, input);
        assert_eq!(outcome.sent, "hello[0][0]a[0]to itself it[0]and the rest");
        assert_eq!(outcome.state_at_end, State::Closed);
    }
}

#[test]
fn two_parts_go_to_two_destinations_and_the_rest_to_the_first_at_every_split() {
    let input = b"1:9;the first2:10;the second1:;all the rest";
    for limits in ways() {
        for cut in 0..=input.len() {
            for room in [1, 100] {
                let (mut h, [source, one, two]) = obedient(limits.clone());
                h.set_room(one, room);
                h.set_room(two, room);
                h.feed(source, &input[..cut]);
                h.feed(source, &input[cut..]);
                let mut got = [Vec::new(), Vec::new()];
                while h.arrived(one) + h.arrived(two) > 0 {
                    got[0].extend(h.take(one));
                    got[1].extend(h.take(two));
                }
                assert_eq!(got, [&b"the firstall the rest"[..], b"the second"], "cut at {cut}");
                assert_eq!(h.sent(source), "[0][0]");
                h.finish(source);
                assert_eq!((h.state(one), h.state(two)), (State::Shut, State::Open));
            }
        }
    }
}

#[test]
fn parts_of_all_sizes_are_whole_however_little_the_destination_takes() {
    for limits in ways() {
        for count in [1, 4096, 4097, 64 << 10, (64 << 10) + 1, 200_000] {
            for room in [10_000, 1_000_000] {
                let (mut h, [source, one, two]) = obedient(limits.clone());
                h.set_room(one, room);
                h.feed(source, format!("1:{count};"));
                h.feed(source, [&pattern(count), &b"2:4;next"[..]].concat());
                assert!(all(&mut h, one) == pattern(count), "{count} with room for {room}");
                assert_eq!((h.sent(two), h.sent(source)), ("next".into(), "[0][0]".into()));
                assert_eq!(h.ledger().relayed, count as u64 + 4);
                assert_eq!(h.ledger().sent, h.ledger().queued);
            }
        }
    }
}

#[test]
fn a_receive_asks_for_no_more_than_is_left_of_a_part() {
    for limits in ways() {
        for count in [1, 100, 5_000, 100_000, 300_000] {
            let probe = Probe::new(move |cx, call, notes| match call {
                Call::Open if notes.ids.len() == 2 => {
                    cx.peer(notes.ids[0]).relay_part(notes.ids[1], count as u64);
                }
                Call::Relayed(_) => cx.pause(),
                call => call.by_default(cx),
            });
            let mut h = with_limits(probe, limits.clone());
            let (source, to) = (h.open(), h.open());
            h.set_room(to, 1_000_000);
            h.feed(source, pattern(count + 100));
            assert_eq!((h.unread(source), h.arrived(to)), (100, count));
        }
    }
}

#[test]
fn a_part_costs_one_send_and_two_receives_of_which_the_second_finds_the_socket_empty() {
    let (mut h, [source, one, _]) = obedient(Limits::default());
    h.feed(source, "1:700;");
    let before = h.calls();
    h.feed(source, pattern(700));
    let after = h.calls();
    // The other send is the answer.
    assert_eq!((after.recv - before.recv, after.send - before.send), (2, 2));
    assert_eq!(h.sent(one), pattern(700));
}

#[test]
fn a_long_part_goes_by_a_pipe_from_its_beginning_and_a_short_one_does_not() {
    let (mut h, [source, one, _]) = obedient(Limits { splice_after: 70_000, ..Limits::default() });
    h.set_room(one, 1_000_000);
    for (count, spliced) in [(69_999, 0), (70_000, 70_000), (100, 70_000), (300_000, 370_000)] {
        h.feed(source, format!("1:{count};"));
        h.feed(source, pattern(count));
        assert!(h.sent(one) == pattern(count), "{count}");
        assert_eq!(h.ledger().splice_bytes, spliced, "{count}");
    }
    assert_eq!(h.sent(source), "[0][0][0][0]");
}

#[test]
fn what_the_handler_sends_when_a_part_is_complete_comes_behind_it() {
    for limits in ways() {
        for (count, room) in [(5, 1), (5, 100), (4097, 500), (300_000, 50_000), (300_000, 1 << 20)]
        {
            let probe = Probe::new(move |cx, call, notes| match call {
                Call::Open if notes.ids.len() == 2 => {
                    cx.peer(notes.ids[0]).relay_part(notes.ids[1], count as u64);
                }
                Call::Relayed(_) => {
                    cx.peer(notes.ids[1]).send("trailer");
                    cx.relay_part(notes.ids[1], 4);
                }
                call => call.by_default(cx),
            });
            let mut h = with_limits(probe, limits.clone());
            let (source, to) = (h.open(), h.open());
            h.set_room(to, room);
            h.feed(source, [&pattern(count), &b"next"[..]].concat());
            let expected = [&pattern(count), &b"trailernexttrailer"[..]].concat();
            assert!(all(&mut h, to) == expected, "{count}, {room}");
        }
    }
}

#[test]
fn a_part_of_no_bytes_is_complete_at_once_whatever_its_destination_does() {
    for limits in ways() {
        let (mut h, [source, full, gone]) = obedient(limits);
        h.set_room(full, 0);
        h.feed(source, "1:5;hello1:0;");
        h.reset(gone);
        h.feed(source, "2:0;1:0;");
        assert_eq!(h.sent(source), "[0][0][0][0]");
        h.set_room(full, 100);
        assert_eq!(h.sent(full), "hello");
        assert_eq!(h.state(full), State::Open);
    }
}

#[test]
fn a_slow_destination_holds_its_source_until_the_part_is_complete() {
    for limits in ways() {
        let (mut h, [source, slow, quick]) = obedient(limits);
        h.set_room(slow, 5);
        h.feed(source, "1:12;hello, ");
        h.feed(source, "world2:5;other");
        // The second piece waits until the first is sent, and with it the next part.
        assert_eq!((h.sent(source), h.sent(quick), h.unread(source)), ("".into(), "".into(), 14));
        assert_eq!(h.take(slow), "hello");
        // Now it is queued.
        assert_eq!((h.sent(source), h.sent(quick)), ("[0][0]".into(), "other".into()));
        assert_eq!(h.sent(slow), ", world");
    }
}

#[test]
fn a_pause_of_the_source_holds_a_part_and_one_of_the_destination_does_not() {
    for limits in ways() {
        let (mut h, [source, one, _]) = obedient(limits);
        let ids = h.handler().notes.ids.clone();
        h.feed(source, "1:6;ab");
        h.reactor().peer(ids[1]).pause();
        h.feed(source, "cd");
        h.reactor().peer(ids[0]).pause();
        h.feed(source, "ef2:1;x");
        assert_eq!((h.sent(one), h.sent(source)), ("abcd".into(), "".into()));
        h.reactor().peer(ids[0]).resume();
        h.run();
        assert_eq!((h.sent(one), h.sent(source)), ("ef".into(), "[0][0]".into()));
    }
}

#[test]
fn a_part_keeps_its_quantum() {
    for limits in ways() {
        let limits = Limits { receive_quantum: 1, ..limits };
        let (mut h, [source, one, two]) = obedient(limits);
        h.set_room(one, 10_000_000);
        h.at_once(|h| {
            h.feed(source, [b"1:1000000;", &pattern(1_000_000)[..], b"2:3;end"].concat());
            h.turn();
        });
        assert!(h.sent(one) == pattern(1_000_000));
        assert_eq!((h.sent(two), h.sent(source)), ("end".into(), "[0][0]".into()));
    }
}

#[test]
fn a_part_waits_for_a_destination_in_the_making() {
    for limits in ways() {
        let mut h = proxy_of_parts(&limits);
        h.set_remote(&upstream(), Remote::Silent);
        let client = h.open();
        h.feed(client, [&pattern(100_000), &b"for the handler"[..]].concat());
        h.set_remote(&upstream(), Remote::Listens);
        let far = h.accept(&upstream());
        h.set_room(far, 1_000_000);
        assert!(h.sent(far) == pattern(100_000));
        let mut log = log(&mut h);
        log.sort();
        let expected = ["0 data for the handler", "0 open", "0 relayed, 0 left", "7 ready"];
        assert_eq!(log, expected);
    }
}

#[test]
fn a_destination_with_a_full_queue_drains_when_its_part_is_over() {
    let limits = Limits { send_high: 1000, send_low: 100, ..Limits::default() };
    for room in [10, 10_000] {
        for count in [2000, 5000] {
            let (mut h, [source, one, _]) = obedient(limits.clone());
            h.set_room(one, room);
            h.feed(source, format!("1:{count};"));
            h.feed(source, pattern(count));
            assert_eq!(h.sent(source), "[0]");
            // A short part is still queued when it is over, and the round ends with its flush.
            let drained = log(&mut h).contains(&"1 drain".into());
            assert_eq!(drained, room > count && count <= 4096, "{room}, {count}");
            // It is fed no more, so its own full queue stops its input.
            h.feed(one, "0:1;x");
            assert_eq!(h.unread(one), if room < count { 5 } else { 0 });
            let expected = [&pattern(count), &b"[0]"[..]].concat();
            assert!(all(&mut h, one) == expected, "{room}, {count}");
            assert_eq!((h.unread(one), h.sent(source)), (0, "x".into()));
        }
    }
}

#[test]
fn another_call_of_the_handler_replaces_a_part_without_its_end_being_told() {
    for limits in ways() {
        let (mut h, [source, one, two]) = obedient(limits);
        let ids = h.handler().notes.ids.clone();
        h.feed(source, "1:100;abc");
        h.reactor().peer(ids[0]).relay_part(ids[2], 3);
        h.feed(source, "def2:1;x");
        assert_eq!((h.sent(one), h.sent(two)), ("abc".into(), "defx".into()));
        assert_eq!(h.sent(source), "[0][0]");
        // It has nothing to do with the first any more.
        h.reset(one);
        assert_eq!(h.state(source), State::Open);
    }
}

#[test]
fn a_hand_over_ends_a_part_without_its_end_being_told() {
    for limits in ways() {
        let probe = |to: HandlerId<Probe>| {
            Probe::new(move |cx, call, notes| match call {
                Call::Timeout(_) => cx.hand_over(to, 5),
                Call::Data(input) if notes.current == 5 => drop(input.take()),
                call => obey(cx, call, notes),
            })
        };
        let make = |reactor: &mut Reactor| {
            let handler = reactor.reserve();
            reactor.install(handler, probe(handler));
            handler
        };
        let mut h = Harness::build(&Listen { limits, ..Listen::default() }, |_| {}, make);
        let (source, one) = (h.open(), h.open());
        let id = h.handler().notes.ids[0];
        h.reactor().peer(id).set_deadline(Some(Duration::from_secs(1)));
        h.feed(source, "1:100;abc");
        log(&mut h);
        h.advance(Duration::from_secs(2));
        h.feed(source, "def");
        assert_eq!((h.sent(one), h.state(one)), ("abc".into(), State::Open));
        let expected = ["0 timeout Own", "0 close HandedOver", "5 ready", "5 data def"];
        assert_eq!(log(&mut h), expected);
    }
}

#[test]
fn a_part_is_completed_while_the_reactor_stops_if_its_handler_lets_it() {
    for limits in ways() {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Stop => {}
            call => obey(cx, call, notes),
        });
        let mut h = with_limits(probe, limits);
        let (source, one) = (h.open(), h.open());
        h.feed(source, "1:6;abc");
        h.stop();
        h.feed(source, "def");
        assert_eq!((h.sent(one), h.sent(source)), ("abcdef".into(), "[0]".into()));
        h.finish(source);
        h.finish(one);
        assert!(h.reactor().has_stopped());
    }
}
