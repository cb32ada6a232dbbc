//! What arrives: each receive strategy goes on over opened bytes, and none of them waits for an
//! event that does not come.

use sluicegate_reactor::fs::CreateOptions;

use super::*;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * at / 7 + at) as u8).collect()
}

fn data(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(16 << 10).flat_map(|part| record(b'd', part)).collect()
}

#[test]
fn records_that_arrive_together_are_delivered_together() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.feed(client, [record(b'd', b"ab"), record(b'd', b"cd"), record(b'd', b"")].concat());
    assert_eq!(log(&mut h), ["0 open", "0 data abcd"]);
    assert_eq!(sent(&mut h, client), ["d abcd"]);
}

#[test]
fn a_handler_that_takes_little_at_a_time_gets_all_of_a_record() {
    let limits = Limits { receive_most: 3, ..Limits::default() };
    let mut h = sealed(Probe::echo(), limits);
    let client = open(&mut h);
    h.feed(client, [record(b'd', b"abcdefgh"), record(b'd', b"ij")].concat());
    assert_eq!(log(&mut h), ["0 open", "0 data abc", "0 data def", "0 data gh", "0 data ij"]);
}

#[test]
fn a_paused_handler_gets_what_is_in_the_transport_when_it_resumes() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            cx.send(input.take());
            cx.pause();
        }
        call => call.by_default(cx),
    });
    let limits = Limits { receive_most: 3, ..Limits::default() };
    let mut h = sealed(probe, limits);
    let client = open(&mut h);
    h.feed(client, record(b'd', b"abcdefgh"));
    assert_eq!(log(&mut h), ["0 open", "0 data abc"]);
    for rest in ["0 data def", "0 data gh"] {
        let id = h.handler().notes.ids[0];
        h.reactor().peer(id).resume();
        h.run();
        assert_eq!(log(&mut h), [rest]);
    }
}

#[test]
fn blocks_of_a_known_length_arrive_whole_across_and_within_records() {
    for (count, direct) in [(10, 0), (100_000, 1)] {
        let probe = Probe::new(move |cx, call, notes| match call {
            Call::Open => cx.receive_exact(count).unwrap(),
            Call::Received(bytes) => {
                assert!(bytes.iter().zip(pattern(count)).all(|(got, sent)| *got == sent));
                notes.add("equal");
                cx.receive_exact(count).unwrap();
            }
            call => call.by_default(cx),
        });
        let mut h = sealed(probe, Limits { receive_low_water: 4_000, ..Limits::default() });
        let client = open(&mut h);
        let wire = data(&[pattern(count), pattern(count), pattern(3)].concat());
        for piece in wire.chunks(7_001) {
            h.feed(client, piece);
        }
        h.finish(client);
        let equal = log(&mut h).iter().filter(|line| *line == "0 equal").count();
        assert_eq!(equal, 2, "blocks of {count}");
        assert_eq!(h.ledger().direct_receives > 0, direct > 0);
        assert_eq!(h.ledger().low_waters, 0, "fewer bytes may be missing on the wire");
    }
}

#[test]
fn a_file_is_received_through_a_transport() {
    for length in [Some(200_000), None] {
        let content = pattern(200_000);
        let transport = Some(Records::factory());
        let limits = Limits { splice_after: 0, ..Limits::default() };
        let mut h = Harness::build(
            &Listen { transport, limits, ..Listen::default() },
            |files| {
                files.set_in_memory();
                files.make_dir("/up");
            },
            |reactor| {
                let dir = reactor.open_dir("/up").unwrap();
                reactor.register(Probe::new(move |cx, call, _| match call {
                    Call::Open => {
                        let file = dir.create("file", &CreateOptions::default()).unwrap();
                        cx.receive_file(file, length);
                    }
                    call => call.by_default(cx),
                }))
            },
        );
        let client = open(&mut h);
        h.feed(client, data(&content));
        h.feed(client, record(b'e', b""));
        h.finish(client);
        assert_eq!(h.files().content("/up/file"), Some(&content[..]), "of {length:?}");
    }
}

#[test]
fn a_file_that_the_end_completes_is_not_kept_if_the_stream_was_cut() {
    let transport = Some(Records::factory());
    let mut h = Harness::build(
        &Listen { transport, ..Listen::default() },
        |files| files.make_dir("/up"),
        |reactor| {
            let dir = reactor.open_dir("/up").unwrap();
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Open => {
                    cx.receive_file(dir.create("file", &CreateOptions::default()).unwrap(), None);
                }
                call => call.by_default(cx),
            }))
        },
    );
    let client = open(&mut h);
    h.feed(client, data(&pattern(50_000)));
    h.finish(client);
    assert_eq!(h.files().content("/up/file"), None);
    assert_eq!(log(&mut h), ["0 open", "0 eof", "0 close Closed"]);
}

#[test]
fn a_relay_passes_opened_bytes_on_and_seals_them_for_the_other_side() {
    let mut first = None;
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => match first.take() {
            None => first = Some(cx.id()),
            Some(other) => cx.relay_to(other),
        },
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let (to, from) = (open(&mut h), open(&mut h));
    let content = pattern(1_000_000);
    let mut got = Vec::new();
    for piece in data(&content).chunks(90_000) {
        h.feed(from, piece);
        got.extend_from_slice(&h.sent(to));
    }
    h.feed(from, record(b'e', b""));
    h.finish(from);
    got.extend_from_slice(&h.sent(to));
    let mut plain = Vec::new();
    let mut rest = &got[..];
    while let [kind, high, low, behind @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        plain.extend(behind[..len].iter().filter(|_| *kind == b'd').map(|byte| !byte));
        rest = &behind[len..];
    }
    assert!(plain == content);
    assert!(got.ends_with(&record(b'e', b"")));
    assert_eq!(h.ledger().relayed, content.len() as u64);
}

#[test]
fn bulk_is_not_spliced_past_a_transport_on_either_side() {
    for seals_source in [false, true] {
        let transport = Some(Factory::new(move |address: &Address| {
            let is_sealed = address.ip().is_some_and(|ip| ip.is_ipv4()) == seals_source;
            Ok(is_sealed.then(|| Box::new(Records::default()) as Box<dyn Transport>))
        }));
        let mut first = None;
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => match first.take() {
                None => first = Some(cx.id()),
                Some(other) => cx.relay_to(other),
            },
            call => call.by_default(cx),
        });
        let limits = Limits { splice_after: 0, ..Limits::default() };
        let mut h = Harness::with(probe, &Listen { transport, limits, ..Listen::default() });
        let to = h.open_from("::1".parse().unwrap());
        if !seals_source {
            h.feed(to, greeting());
        }
        let from = h.open();
        if seals_source {
            h.feed(from, [greeting(), record(b'd', b"relayed")].concat());
            assert_eq!(h.sent(to), "relayed");
        } else {
            h.feed(from, b"relayed");
            assert_eq!(sent(&mut h, to), ["d relayed"]);
        }
    }
}

#[test]
fn a_relay_goes_on_behind_what_the_transport_of_its_destination_has_sent() {
    let mut first = None;
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => match first.take() {
            None => first = Some(cx.id()),
            Some(other) => cx.relay_to(other),
        },
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let to = h.open();
    h.feed(to, greeting());
    h.set_room(to, 2);
    h.feed(to, record(b'p', b"12345"));
    let from = open(&mut h);
    h.feed(from, record(b'd', b"relayed"));
    assert_eq!(sent(&mut h, to), ["q 12345", "d relayed"]);
}

#[test]
fn a_transport_that_opens_bytes_in_its_handshake_has_failed() {
    /// Opens what it gets, and never says that the handshake is over.
    struct Early;
    impl Transport for Early {
        fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
            Ok(Opened::Bytes { consumed: wire.len(), plain: 0..wire.len() })
        }
        fn seal(&mut self, _: &[u8], _: &mut Output<'_>) -> Result<(), Error> {
            unreachable!("it is never open")
        }
        fn state(&self) -> Phase {
            Phase::Handshake
        }
    }
    let transport =
        Some(Factory::new(|_: &Address| Ok(Some(Box::new(Early) as Box<dyn Transport>))));
    let mut h = Harness::with(Probe::echo(), &Listen { transport, ..Listen::default() });
    let client = h.open();
    h.feed(client, b"early");
    h.feed(client, b"data");
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(h.ledger().handshake_failures, 1);
}

#[test]
fn a_unit_that_never_ends_is_refused() {
    /// Waits for a line that has no end.
    struct Endless;
    impl Transport for Endless {
        fn open(&mut self, _: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
            Ok(Opened::Incomplete)
        }
        fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
            out.put(plain);
            Ok(())
        }
        fn state(&self) -> Phase {
            Phase::Open
        }
    }
    let transport =
        Some(Factory::new(|_: &Address| Ok(Some(Box::new(Endless) as Box<dyn Transport>))));
    let mut h = Harness::with(Probe::echo(), &Listen { transport, ..Listen::default() });
    let client = h.open();
    h.feed(client, vec![0; 128 << 10]);
    assert_eq!(h.state(client), State::Open);
    h.feed(client, [0]);
    assert_eq!(log(&mut h), ["0 open", "0 close Transport"]);
}
