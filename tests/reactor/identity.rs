//! A name of a connection never reaches another one.

use sluicegate_reactor::testing::{Harness, State};

use crate::probe::{Call, Notes, Probe, log};

/// What happens through the first connection's name, with whichever connection gets data.
fn poke(cx: &mut sluicegate_reactor::Context<'_>, notes: &mut Notes) {
    let mut peer = cx.peer(notes.ids[0]);
    let sent = peer.send("for the first");
    peer.pause();
    peer.set_deadline(Some(std::time::Duration::from_secs(1)));
    peer.shutdown();
    peer.close();
    peer.abort();
    notes.add(format_args!("{sent:?}, open {}", cx.peer(notes.ids[0]).is_open()));
}

#[test]
fn a_stale_name_never_reaches_the_connection_in_its_place() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            poke(cx, notes);
        }
        call => call.by_default(cx),
    }));
    let first = h.open();
    h.reset(first);
    let second = h.open();
    log(&mut h);
    h.feed(second, b"x");
    assert_eq!(log(&mut h), ["1 data x", "1 Gone, open false"]);
    h.advance(std::time::Duration::from_secs(10));
    h.feed(second, b"y");
    assert_eq!(log(&mut h), ["1 data y", "1 Gone, open false"]);
    assert_eq!(h.sent(second), "");
    assert_eq!(h.state(second), State::Open);
}

#[test]
fn a_name_of_a_connection_that_only_lingers_is_stale() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) if notes.current == 0 => {
            input.take();
            cx.close();
        }
        Call::Data(input) => {
            input.take();
            poke(cx, notes);
            let long = std::time::Duration::from_secs(1000);
            cx.peer(notes.ids[0]).set_deadline(Some(long));
        }
        call => call.by_default(cx),
    }));
    let (lingers, other) = (h.open(), h.open());
    h.feed(lingers, b"x");
    log(&mut h);
    h.feed(other, b"y");
    assert_eq!(log(&mut h), ["1 data y", "1 Gone, open false"]);
    assert_eq!(h.state(lingers), State::Shut, "not reset");
    h.advance(std::time::Duration::from_secs(10));
    assert_eq!(h.state(lingers), State::Closed, "lingering ended in its own time");
}

#[test]
fn an_event_of_a_closed_connection_is_not_taken_for_its_successor() {
    // The first aborts the second, whose event of the same turn is then stale; and who is accepted
    // next gets the same descriptor.
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            if notes.current == 0 {
                cx.peer(notes.ids[1]).abort();
            }
        }
        call => call.by_default(cx),
    }));
    let (first, second) = (h.open(), h.open());
    log(&mut h);
    let third = h.at_once(|h| {
        h.feed(first, b"kill");
        h.feed(second, b"unheard");
        h.turn();
        h.open()
    });
    assert_eq!(log(&mut h), ["0 data kill", "1 close Aborted", "2 open"]);
    h.feed(third, b"mine");
    assert_eq!(log(&mut h), ["2 data mine"]);
}

#[test]
fn a_connection_accepted_in_the_turn_of_a_close_is_another_one() {
    let mut h = Harness::new(Probe::echo());
    let mut last = h.open();
    for _ in 0..50 {
        let next = h.at_once(|h| {
            h.finish(last);
            h.open()
        });
        h.feed(next, b"you");
        assert_eq!(h.sent(next), "you");
        assert_eq!(h.state(last), State::Closed);
        last = next;
    }
    let ids = &h.handler().notes.ids;
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 51);
}

#[test]
fn a_connection_closed_by_another_in_every_callback_is_called_no_more() {
    for callback in ["open", "data x", "drain", "eof", "timeout Own", "close TimedOut"] {
        let kill = move |cx: &mut sluicegate_reactor::Turn, notes: &Notes| {
            if notes.log.last().unwrap() == &format!("1 {callback}") {
                cx.peer(notes.ids[0]).abort();
            }
        };
        let probe = Probe::new(move |cx, call, notes| {
            kill(cx, notes);
            match call {
                Call::Open => cx.set_deadline(Some(std::time::Duration::from_secs(1))),
                Call::Data(input) => {
                    input.take();
                    cx.send("x");
                    cx.request_drain();
                }
                call => call.by_default(cx),
            }
        });
        let mut h = Harness::new(probe.on_close(move |cx, _, notes| kill(cx, notes)));
        let first = h.open();
        let second = h.open();
        h.at_once(|h| {
            h.feed(second, b"x");
            h.feed(first, b"y");
        });
        if callback == "eof" {
            h.finish(second);
        }
        h.advance(std::time::Duration::from_secs(2));
        let log = log(&mut h);
        let closed = log.iter().position(|line| line == "0 close Aborted");
        let closed = closed.unwrap_or_else(|| panic!("killed in {callback}: {log:?}"));
        assert!(log[closed + 1..].iter().all(|line| !line.starts_with('0')), "{log:?}");
        assert_eq!(h.state(first), State::Reset);
    }
}

#[test]
fn open_connections_have_different_slots_and_a_later_one_may_get_that_of_an_earlier() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| {
        if let Call::Data(input) = call {
            input.take();
            let slot = cx.id().slot();
            notes.add(format_args!("slot {slot}"));
        } else {
            call.by_default(cx);
        }
    }));
    let slot = |h: &mut Harness<Probe>, client| {
        log(h);
        h.feed(client, b"x");
        log(h).pop().expect("a slot").split_once(' ').expect("a number").1.to_owned()
    };
    let (first, second) = (h.open(), h.open());
    let (one, other) = (slot(&mut h, first), slot(&mut h, second));
    assert_ne!(one, other);
    h.reset(first);
    let third = h.open();
    assert_eq!(slot(&mut h, third), one);
}
