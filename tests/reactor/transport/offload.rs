//! Transports that leave their records to the kernel: bytes take the ways that they take without a
//! transport, and the handler and the peer see what they would see with one.

use sluicegate_reactor::testing::KernelTls;

use super::*;

fn offloaded(probe: Probe, limits: Limits) -> Harness<Probe> {
    let transport = Some(Records::offloaded());
    Harness::with(probe, &Listen { transport, limits, ..Listen::default() })
}

/// The payloads of all records of data.
fn data_of(wire: &[u8]) -> Vec<u8> {
    let (mut rest, mut plain) = (wire, Vec::new());
    while let [kind, high, low, behind @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        plain.extend(behind[..len].iter().filter(|_| *kind == b'd').map(|byte| !byte));
        rest = &behind[len..];
    }
    plain
}

#[test]
fn a_file_leaves_by_sendfile_behind_its_head_and_a_close_ends_the_stream() {
    let content: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    let expected = [&b"head "[..], &content].concat();
    let transport = Some(Records::offloaded());
    let mut h = Harness::build(
        &Listen { transport, ..Listen::default() },
        move |files| files.put_file("/www/file", &content, 0),
        |reactor| {
            let file = reactor.open_dir("/www").unwrap().open("file").unwrap();
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Open => {
                    assert!(cx.is_secure() && cx.transport::<Records>().is_some());
                    cx.send("head ");
                    cx.send(file.region(0, 300_000));
                    cx.close();
                }
                call => call.by_default(cx),
            }))
        },
    );
    let client = open(&mut h);
    let wire = h.sent(client);
    assert!(data_of(&wire) == expected);
    assert!(wire.ends_with(&record(b'e', b"")));
    assert_eq!(h.state(client), State::Shut);
    let ledger = h.ledger();
    assert_eq!((ledger.offloaded, ledger.sendfile_bytes, ledger.sealed_bytes), (1, 300_000, 0));
}

#[test]
fn a_long_relay_is_spliced_and_a_control_record_in_it_is_taken_out() {
    let mut first = None;
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => match first.take() {
            None => first = Some(cx.id()),
            Some(other) => cx.relay_to(other),
        },
        call => call.by_default(cx),
    });
    let limits = Limits { splice_after: 0, ..Limits::default() };
    let mut h = offloaded(probe, limits);
    let (to, from) = (open(&mut h), open(&mut h));
    let (mut fed, mut got) = (Vec::new(), Vec::new());
    for round in 0..40 {
        let part = vec![round; 16 << 10];
        h.feed(from, [record(b'd', &part), record(b'p', b"between")].concat());
        fed.extend(part);
        got.extend(data_of(&h.sent(to)));
    }
    h.feed(from, record(b'e', b""));
    assert!(got == fed);
    assert_eq!(h.sent(from).len(), 8 + 40 * record(b'q', b"between").len());
    assert!(h.ledger().splice_bytes > 100_000, "{}", h.ledger());
    assert_eq!(sent(&mut h, to), ["e "]);
    assert_eq!(h.state(to), State::Shut);
}

#[test]
fn records_that_came_with_the_handshake_are_delivered_and_the_kernel_takes_over_behind_them() {
    let (one, two) = (record(b'd', b"one"), record(b'd', b"two"));
    for cut in 0..=one.len() + two.len() {
        let mut h = offloaded(Probe::echo(), Limits::default());
        let client = h.open();
        let all = [&greeting()[..], &one, &two].concat();
        let (now, later) = all.split_at(greeting().len() + cut);
        h.feed(client, now);
        h.feed(client, later);
        h.feed(client, record(b'd', b"three"));
        assert_eq!(data_of(&h.sent(client)), b"onetwothree", "cut at {cut}");
        // In the middle of a record the kernel could not begin.
        let is_whole = [0, one.len(), one.len() + two.len()].contains(&cut);
        assert_eq!(h.ledger().offloaded, u64::from(is_whole), "cut at {cut}");
        h.finish(client);
    }
}

#[test]
fn an_idle_connection_holds_no_memory_whatever_came_with_its_handshake() {
    for rest in [vec![], record(b'd', b""), record(b'd', b"hello")] {
        let mut h = offloaded(Probe::echo(), Limits::default());
        for _ in 0..100 {
            let client = h.open();
            h.feed(client, [&greeting()[..], &rest].concat());
            h.sent(client);
        }
        assert_eq!(h.ledger().offloaded, 100);
        // Some unused buffers are kept.
        let memory = h.reactor().snapshot().memory;
        assert!(memory < 100 * 1024, "{memory} with {rest:?}");
    }
}

#[test]
fn control_records_between_data_are_answered_and_no_data_is_left_behind_them() {
    let mut h = offloaded(Probe::echo(), Limits::default());
    let client = open(&mut h);
    let wire = [record(b'd', b"1"), record(b'p', b"x"), record(b'd', b"2"), record(b'p', b"y")];
    h.feed(client, wire.concat());
    assert_eq!(data_of(&h.sent(client)), b"12");
    assert_eq!(log(&mut h), ["0 open", "0 data 1", "0 data 2"]);
    h.feed(client, record(b'p', b"z"));
    assert_eq!(sent(&mut h, client), ["q z"]);
    h.feed(client, [&record(b'p', b"again")[..], &record(b'd', b"3")[..2]].concat());
    assert_eq!(sent(&mut h, client), ["q again"]);
    h.feed(client, &record(b'd', b"3")[2..]);
    assert_eq!(sent(&mut h, client), ["d 3"]);
}

#[test]
fn each_direction_ends_by_itself_and_a_stream_that_only_the_socket_ends_is_cut() {
    for (wire, cut) in [(record(b'e', b""), false), (vec![], true), (vec![b'd', 0], true)] {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Data(input) => {
                cx.send(input.take());
                cx.shutdown();
            }
            Call::Eof => notes.add(format_args!("cut {}", cx.is_cut())),
            call => call.by_default(cx),
        });
        let mut h = offloaded(probe, Limits::default());
        let client = open(&mut h);
        h.feed(client, record(b'd', b"last"));
        assert_eq!(sent(&mut h, client), ["d last", "e "]);
        assert_eq!(h.state(client), State::Shut);
        h.feed(client, wire);
        h.finish(client);
        let cut = format!("0 cut {cut}");
        let expected = ["0 open", "0 data last", "0 eof", &cut, "0 close Finished"];
        assert_eq!(log(&mut h), expected);
    }
}

#[test]
fn the_end_of_the_stream_waits_for_room_and_nothing_is_shut_down_before_it() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            cx.send(input.take());
            cx.close();
        }
        call => call.by_default(cx),
    });
    let mut h = offloaded(probe, Limits::default());
    let client = open(&mut h);
    h.sent(client);
    h.set_room(client, 4);
    h.feed(client, record(b'd', b"last"));
    assert_eq!(h.state(client), State::Open, "there is no room for the end");
    assert_eq!(sent(&mut h, client), ["d last", "e "]);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn an_alert_or_a_damaged_record_ends_the_connection_and_what_came_before_is_delivered() {
    for (bad, answer) in
        [(record(b'a', b""), ""), (record(b'?', b""), "a "), (record(b'x', b""), "a ")]
    {
        let mut h = offloaded(Probe::echo(), Limits::default());
        let (other, client) = (open(&mut h), open(&mut h));
        h.feed(client, [&record(b'd', b"good")[..], &bad].concat());
        assert_eq!(log(&mut h)[2..], ["1 data good", "1 close Transport"]);
        let sent = sent(&mut h, client);
        assert_eq!(sent.get(1).map_or("", String::as_str), answer);
        assert_eq!(h.state(client), State::Shut, "a reset would overtake the alert");
        h.feed(other, record(b'd', b"well"));
        assert_eq!(data_of(&h.sent(other)), b"well");
    }
}

#[test]
fn a_peer_may_update_its_key_and_ask_for_an_update() {
    let mut h = offloaded(Probe::echo(), Limits::default());
    let client = open(&mut h);
    for round in 0..3 {
        h.feed(client, [record(b'k', b""), record(b'd', b"own")].concat());
        h.feed(client, [record(b'k', b"!"), record(b'd', b"both")].concat());
        assert_eq!(sent(&mut h, client), ["d own", "k ", "d both"], "round {round}");
    }
}

#[test]
fn a_peer_that_asks_for_updates_and_reads_no_answer_is_cut_off() {
    let mut h = offloaded(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.sent(client);
    h.set_room(client, 0);
    h.feed(client, record(b'k', b"!"));
    assert_eq!(log(&mut h), ["0 open"]);
    h.feed(client, record(b'k', b"!"));
    assert_eq!(log(&mut h), ["0 close Transport"]);
}

#[test]
fn a_kernel_that_cannot_update_keys_ends_the_connection_with_an_alert() {
    let mut h = offloaded(Probe::echo(), Limits::default());
    h.set_kernel_tls(KernelTls::FixedKeys);
    let client = open(&mut h);
    h.feed(client, [record(b'd', b"1"), record(b'k', b"!"), record(b'd', b"2")].concat());
    assert_eq!(sent(&mut h, client), ["d 1", "a "]);
    assert_eq!(log(&mut h), ["0 open", "0 data 1", "0 close Transport"]);
}

#[test]
fn without_a_kernel_that_can_the_transport_does_its_work() {
    let mut h = offloaded(Probe::echo(), Limits::default());
    h.set_kernel_tls(KernelTls::Missing);
    let client = open(&mut h);
    h.feed(client, record(b'd', b"hello"));
    assert_eq!(sent(&mut h, client), ["d hello"]);
    assert_eq!((h.ledger().offloaded, h.ledger().sealed_bytes), (0, 5));
}

#[test]
fn what_is_queued_and_the_end_leave_when_the_reactor_stops() {
    let mut h = offloaded(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.sent(client);
    h.set_room(client, 10);
    h.feed(client, record(b'd', &[b'x'; 1_000]));
    h.stop();
    assert_eq!(sent(&mut h, client).last().map(String::as_str), Some("e "));
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
}
