//! How a stream ends: by the transport, or by the socket alone.

use std::net::SocketAddr;

use sluicegate_reactor::testing::Remote;
use sluicegate_reactor::{ConnId, Connect, Context, Input, Reason, Target, Turn};

use super::*;

#[test]
fn a_close_ends_the_stream_behind_what_was_queued() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            cx.send(input.take());
            cx.close();
        }
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = h.open();
    h.feed(client, greeting());
    h.set_room(client, 1);
    h.feed(client, record(b'd', b"last"));
    assert_eq!(h.state(client), State::Open);
    assert_eq!(sent(&mut h, client), ["d last", "e "]);
    assert_eq!(h.state(client), State::Shut);
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
    assert_eq!(log(&mut h), ["0 open", "0 data last", "0 close Closed"]);
}

#[test]
fn each_direction_ends_by_itself() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.send("bye");
            cx.shutdown();
        }
        Call::Eof => notes.add(format_args!("cut {}", cx.is_cut())),
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    h.feed(client, record(b'd', b"1"));
    assert_eq!(sent(&mut h, client), ["d bye", "e "]);
    assert_eq!(h.state(client), State::Shut);
    h.feed(client, [record(b'd', b"2"), record(b'e', b"")].concat());
    assert_eq!(h.state(client), State::Closed);
    let expected = ["0 open", "0 data 1", "0 data 2", "0 eof", "0 cut false", "0 close Finished"];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn what_follows_the_end_of_the_stream_is_ignored() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.feed(client, [record(b'd', b"1"), record(b'e', b""), record(b'd', b"2")].concat());
    assert_eq!(log(&mut h), ["0 open", "0 data 1", "0 eof", "0 close Closed"]);
}

#[test]
fn a_stream_that_only_the_socket_ends_is_cut() {
    for half in [0, 2] {
        let probe = Probe::new(|cx, call, notes| match call {
            Call::Eof => {
                notes.add(format_args!("cut {}", cx.is_cut()));
                cx.close();
            }
            call => call.by_default(cx),
        });
        let mut h = sealed(probe, Limits::default());
        let client = open(&mut h);
        h.feed(client, [&record(b'd', b"1"), &record(b'd', b"2")[..half]].concat());
        h.finish(client);
        let expected = ["0 open", "0 data 1", "0 eof", "0 cut true", "0 close Closed"];
        assert_eq!(log(&mut h), expected);
    }
}

#[test]
fn a_relay_of_a_cut_stream_resets_its_destination() {
    for cut in [false, true] {
        let mut first = None;
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => match first.take() {
                None => first = Some(cx.id()),
                Some(other) => {
                    cx.relay_to(other);
                    let id = cx.id();
                    cx.peer(other).relay_to(id);
                }
            },
            call => call.by_default(cx),
        });
        let mut h = sealed(probe, Limits::default());
        let (to, from) = (open(&mut h), open(&mut h));
        h.feed(from, record(b'd', b"1"));
        if !cut {
            h.feed(from, record(b'e', b""));
        }
        h.finish(from);
        assert_eq!(h.state(to), if cut { State::Reset } else { State::Shut });
        // What `to` would still have sent is missing from this stream, so that must not end either.
        assert_eq!(h.state(from), if cut { State::Reset } else { State::Open });
        assert!(!sent(&mut h, from).contains(&"e ".to_owned()));
    }
}

#[test]
fn an_alert_leaves_and_what_came_before_the_error_is_delivered() {
    for at_once in [false, true] {
        let mut h = sealed(Probe::echo(), Limits::default());
        let client = open(&mut h);
        let (good, bad) = (record(b'd', b"good"), record(b'?', b"bad"));
        if at_once {
            h.feed(client, [good, bad, record(b'd', b"more")].concat());
        } else {
            h.feed(client, good);
            h.feed(client, bad);
        }
        assert_eq!(log(&mut h), ["0 open", "0 data good", "0 close Transport"]);
        let sent = sent(&mut h, client);
        assert_eq!(sent.last().map(String::as_str), Some("a "), "{sent:?}");
        assert_eq!(h.state(client), State::Shut, "a reset would overtake the alert");
        h.finish(client);
        assert_eq!(h.state(client), State::Closed);
    }
}

#[test]
fn an_alert_leaves_whole_although_its_sends_are_short_or_interrupted() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = open(&mut h);
    h.script_send(client, [Step::Interrupted, Step::Short(1), Step::Interrupted, Step::Short(1)]);
    h.feed(client, record(b'?', b"bad"));
    assert_eq!(sent(&mut h, client), ["a "]);
}

#[test]
fn an_abort_sends_no_end() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.abort();
        }
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    h.feed(client, record(b'd', b"1"));
    assert_eq!(h.state(client), State::Reset);
    assert_eq!(sent(&mut h, client), [""; 0]);
}

#[test]
fn two_ends_that_are_full_go_on_when_one_of_them_reads() {
    let mut h = sealed(Probe::echo(), Limits::default());
    let client = h.open();
    h.feed(client, greeting());
    h.set_room(client, 1_000);
    let mut fed = 0;
    for _ in 0..100 {
        h.feed(client, record(b'd', &[b'x'; 10_000]));
        fed += 10_000;
    }
    assert!(h.unread(client) > 500_000, "it stops reading");
    let wire = h.sent(client);
    let bytes: usize = records(&wire)
        .iter()
        .map(|record| record.strip_prefix("d of ").map_or(0, |len| len.parse().unwrap()))
        .sum();
    assert_eq!(bytes, fed);
}

#[test]
fn a_connection_that_closes_in_front_of_an_error_ends() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            cx.send(input.take());
            cx.close();
        }
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    h.feed(client, [record(b'd', b"good"), record(b'?', b"bad")].concat());
    assert_eq!(log(&mut h), ["0 open", "0 data good", "0 close Transport"]);
    assert_eq!(sent(&mut h, client).last().map(String::as_str), Some("a "));
}

#[test]
fn a_connection_whose_full_queue_stops_its_input_in_front_of_an_error_ends() {
    let limits = Limits { send_high: 1_000, send_low: 0, ..Limits::default() };
    let mut h = sealed(Probe::echo(), limits);
    let client = open(&mut h);
    h.feed(client, [record(b'd', &[b'x'; 2_000]), record(b'?', b"bad")].concat());
    assert_eq!(log(&mut h), ["0 open", "0 data of 2000", "0 close Transport"]);
}

#[test]
fn nothing_follows_the_end_of_the_stream() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            input.take();
            cx.shutdown();
        }
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    h.feed(client, record(b'd', b"1"));
    h.feed(client, [record(b'p', b"?"), record(b'd', b"2")].concat());
    assert_eq!(sent(&mut h, client), ["e "]);
    assert_eq!(log(&mut h), ["0 open", "0 data 1", "0 data 2"]);
    assert_eq!(h.reactor().connections(), 1);
}

#[test]
fn a_transport_that_cannot_seal_sends_its_alert_and_ends() {
    /// Seals one piece.
    struct Once(bool);
    impl Transport for Once {
        fn open(&mut self, wire: &mut [u8], _: &mut Output<'_>) -> Result<Opened, Error> {
            Ok(Opened::Bytes { consumed: wire.len(), plain: 0..wire.len() })
        }
        fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error> {
            if std::mem::replace(&mut self.0, true) {
                out.put(b"alert");
                return Err("no more keys".into());
            }
            out.put(plain);
            Ok(())
        }
        fn state(&self) -> Phase {
            Phase::Open
        }
    }
    let transport =
        Some(Factory::new(|_: &Address| Ok(Some(Box::new(Once(false)) as Box<dyn Transport>))));
    let mut h = Harness::with(Probe::echo(), &Listen { transport, ..Listen::default() });
    let client = h.open();
    h.feed(client, b"first ");
    h.feed(client, b"second");
    assert_eq!(h.sent(client), "first alert");
    assert_eq!(h.state(client), State::Shut);
    assert_eq!(log(&mut h), ["0 open", "0 data first ", "0 data second", "0 close Transport"]);
}

#[test]
fn a_stream_that_the_end_of_the_grace_period_ends_is_complete() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Stop => {}
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    h.stop();
    h.advance(Duration::from_secs(31));
    assert_eq!(log(&mut h), ["0 open", "0 stop", "0 close Stopped"]);
    assert_eq!(sent(&mut h, client), ["e "]);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn a_stream_that_the_end_of_the_grace_period_cannot_end_is_reset() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Stop => {}
        call => call.by_default(cx),
    });
    let mut h = sealed(probe, Limits::default());
    let client = open(&mut h);
    h.set_room(client, 0);
    h.stop();
    h.advance(Duration::from_secs(31));
    assert_eq!(log(&mut h), ["0 open", "0 stop", "0 close Stopped"]);
    assert_eq!(sent(&mut h, client), Vec::<String>::new());
    assert_eq!(h.state(client), State::Reset, "a plain end would look orderly");
}

#[test]
fn a_handler_has_a_stream_reset_at_the_end_of_the_grace_period() {
    let probe = Probe::new(|cx, call, _| match call {
        Call::Stop => {}
        call => call.by_default(cx),
    });
    let mut h = sealed(probe.on_close(|cx, id, _| cx.peer(id).abort()), Limits::default());
    let client = open(&mut h);
    h.stop();
    h.advance(Duration::from_secs(31));
    assert_eq!(sent(&mut h, client), Vec::<String>::new());
    assert_eq!(h.state(client), State::Reset);
}

/// Notes why its connections end.
#[derive(Default)]
struct Why(Vec<String>);

impl Handler for Why {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        assert!(cx.transport_error(cx.id()).is_none());
        input.take();
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, (): (), why: Reason) {
        let error = cx.transport_error(id).map(ToString::to_string);
        self.0.push(format!("{why:?} {}", error.unwrap_or_default()));
    }
}

#[test]
fn the_handler_learns_why_a_transport_has_failed() {
    let listen = Listen { transport: Some(Records::factory()), ..Listen::default() };
    let mut h = Harness::with(Why::default(), &listen);
    let client = open(&mut h);
    h.feed(client, record(b'd', b"1"));
    h.feed(client, record(b'?', b"bad"));
    assert_eq!(h.handler().0, ["Transport a record of kind 63 and 3 bytes"]);
    let reset = open(&mut h);
    h.reset(reset);
    assert_eq!(h.handler().0[1..], ["Reset "]);
}

#[test]
fn the_handler_learns_why_a_connection_got_no_transport_or_no_handshake() {
    let back = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
    for (fails, expected) in [
        (true, "Unconnected(InvalidInput) no name"),
        (false, "Transport a record of kind 63 and 0 bytes"),
    ] {
        let factory = Factory::new(move |_: &Target| match fails {
            true => Err("no name".into()),
            false => Ok(Some(Box::new(Records::default()) as Box<dyn Transport>)),
        });
        let mut h = Harness::new(Why::default());
        h.set_remote(&back, Remote::Listens);
        let connector = h.connector(&Connect { transport: Some(factory), ..Connect::default() });
        h.connect(connector, &back, ());
        if let Some(far) = h.try_accept(&back) {
            h.feed(far, record(b'?', b""));
        }
        assert_eq!(h.handler().0, [expected]);
    }
}
