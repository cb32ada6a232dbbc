//! What is sent: the same plan, sealed.

use sluicegate_reactor::{Bytes, Sent};

use super::*;

/// Sends what `act` sends when it is opened.
fn sender(mut act: impl FnMut(&mut Context<'_>) + 'static) -> Probe {
    Probe::new(move |cx, call, _| match call {
        Call::Open => act(cx),
        call => call.by_default(cx),
    })
}

#[test]
fn pieces_are_joined_to_full_records_and_leave_in_one_call() {
    let probe = sender(|cx| {
        for _ in 0..20 {
            cx.send(Bytes::from(vec![b'x'; 2_000]));
        }
        cx.send("end");
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    assert_eq!(sent(&mut h, client), ["d of 16384", "d of 16384", "d of 7235"]);
    // The greeting, and the records.
    assert_eq!(h.ledger().send_calls, 2);
    assert_eq!(h.ledger().sealed_bytes, 40_003);
}

#[test]
fn sealed_bytes_stay_queued_until_all_of_them_have_left() {
    let probe = sender(|cx| {
        assert_eq!(cx.send(vec![b'x'; 50_000]), Sent::Accepted);
        cx.request_drain();
    });
    let mut h = sealed(probe, Limits::default());
    let client = h.open();
    h.set_room(client, 10_000);
    h.feed(client, greeting());
    let id = h.handler().notes.ids[0];
    let mut wire = h.take(client).to_vec();
    assert_eq!(h.reactor().peer(id).pending(), 50_000);
    assert_eq!(log(&mut h), ["0 open"]);
    wire.extend_from_slice(&h.sent(client));
    assert_eq!(records(&wire.into()), ["d of 16384", "d of 16384", "d of 16384", "d of 848"]);
    assert_eq!(log(&mut h), ["0 drain"]);
}

#[test]
fn a_region_of_a_file_is_read_and_sealed() {
    for len in [1_000, 300_000] {
        let content: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let expected = content.clone();
        let transport = Some(Records::factory());
        let mut h = Harness::build(
            &Listen { transport, ..Listen::default() },
            move |files| files.put_file("/www/file", &content, 0),
            |reactor| {
                let file = reactor.open_dir("/www").unwrap().open("file").unwrap();
                reactor.register(sender(move |cx| {
                    cx.send("head ");
                    cx.send(file.region(0, len as u64));
                    cx.close();
                }))
            },
        );
        let client = open(&mut h);
        let wire = h.sent(client);
        let (mut rest, mut plain) = (&wire[..], Vec::new());
        while let [kind, high, low, behind @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            plain.extend(behind[..len].iter().filter(|_| *kind == b'd').map(|byte| !byte));
            rest = &behind[len..];
        }
        assert!(plain == [&b"head "[..], &expected].concat(), "of {len}");
        assert!(wire.ends_with(&record(b'e', b"")));
        assert_eq!(h.ledger().sendfile_calls, 0);
    }
}

#[test]
fn what_a_transport_sends_for_itself_leaves_when_nothing_else_does() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.feed(client, record(b'p', b"1"));
    assert_eq!(sent(&mut h, client), ["q 1"]);
    h.feed(client, [record(b'd', b"a"), record(b'p', b"2")].concat());
    assert_eq!(sent(&mut h, client), ["q 2", "d a"]);
    assert_eq!(log(&mut h), ["0 open", "0 data a"]);
    assert_eq!(h.reactor().connections(), 1);
}

#[test]
fn what_a_transport_sends_for_itself_waits_for_room() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = h.open();
    h.feed(client, greeting());
    h.set_room(client, 2);
    h.feed(client, record(b'p', b"12345"));
    assert_eq!(sent(&mut h, client), ["q 12345"]);
}

#[test]
fn a_peer_that_asks_for_answers_and_reads_none_is_cut_off() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.set_room(client, 0);
    for _ in 0..20 {
        h.feed(client, record(b'p', &[0; 16_000]));
    }
    assert_eq!(log(&mut h), ["0 open", "0 close Transport"]);
}

#[test]
fn a_peer_that_takes_nothing_of_its_records_stalls() {
    let limits = Limits { write_stall: Some(Duration::from_secs(5)), ..Limits::default() };
    let mut h = sealed(sender(|cx| _ = cx.send(vec![0; 50_000])), limits);
    let client = h.open();
    h.set_room(client, 10_000);
    h.feed(client, greeting());
    for _ in 0..4 {
        h.advance(Duration::from_secs(4));
        assert_eq!(h.take(client).len(), 10_000, "slow, but not stalled");
    }
    h.advance(Duration::from_secs(6));
    assert_eq!(log(&mut h), ["0 open", "0 timeout WriteStall", "0 close TimedOut"]);
}

#[test]
fn a_send_rate_holds_through_a_transport() {
    let limits = Limits { send_rate: Some(100_000), ..Limits::default() };
    let mut h = sealed(sender(|cx| _ = cx.send(vec![0; 60_000])), limits);
    let client = open(&mut h);
    assert!(h.ledger().sent < 30_000);
    h.advance(Duration::from_secs(1));
    assert_eq!(h.ledger().sent, 60_000);
    let wire = h.sent(client);
    assert_eq!(h.ledger().wire_sent, wire.len() as u64);
}

#[test]
fn messages_to_many_connections_are_sealed_for_each() {
    let mut all = Vec::new();
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Open => all.push(cx.id()),
        Call::Data(input) => {
            let bytes = Bytes::copy_from_slice(input.take());
            for id in &all {
                cx.peer(*id).send(&bytes);
            }
        }
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let clients = [(); 100].map(|()| open(&mut h));
    h.feed(clients[7], record(b'd', b"to all"));
    for client in clients {
        assert_eq!(sent(&mut h, client), ["d to all"]);
    }
}

#[test]
fn a_transport_that_puts_nothing_out_yet_is_given_the_bytes_once() {
    /// Puts its bytes out in blocks of eight, and the rest at the end.
    #[derive(Default)]
    struct Blocks(Vec<u8>);
    impl Transport for Blocks {
        fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
            Ok(Opened::Bytes { consumed: wire.len(), plain: 0..wire.len() })
        }
        fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
            self.0.extend(plain);
            let whole = self.0.len() / 8 * 8;
            out.put(&self.0.drain(..whole).collect::<Vec<u8>>());
            Ok(())
        }
        fn close(&mut self, out: &mut Output<'_>) {
            out.put(&self.0);
        }
        fn state(&self) -> Phase {
            Phase::Open
        }
    }
    let transport = Some(Factory::new(|_: &Address| {
        Ok(Some(Box::new(Blocks::default()) as Box<dyn Transport>))
    }));
    let mut h = Harness::with(Probe::echo(), &Listen { transport, ..Listen::default() });
    let client = h.open();
    h.feed(client, b"first ");
    assert_eq!(h.sent(client), "");
    h.feed(client, b"second");
    assert_eq!(h.sent(client), "first se");
    h.finish(client);
    assert_eq!(h.sent(client), "cond");
    assert_eq!(h.ledger().sent, 12);
}
