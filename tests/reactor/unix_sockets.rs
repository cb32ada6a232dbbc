//! Connections of Unix sockets.

use sluicegate_reactor::testing::{Client, Harness, Step};
use sluicegate_reactor::{Address, Listen};

use crate::probe::{Call, Probe, log};

/// A harness whose handler listens on a Unix socket too, and a client of that.
fn unix(probe: Probe) -> (Harness<Probe>, Client) {
    let address = Address::from_path("/run/probe.sock").unwrap();
    let mut at = None;
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let probe = reactor.register(probe);
            at = Some(reactor.listen(&address, &Listen::default(), probe).unwrap());
            probe
        },
    );
    let client = h.open_at(at.unwrap());
    (h, client)
}

#[test]
fn a_receive_that_stops_at_a_passed_descriptor_is_not_the_last() {
    let (mut h, client) = unix(Probe::echo());
    // No edge tells of what such a receive leaves.
    h.script_recv(client, [Step::Short(3), Step::Short(1), Step::Short(2)]);
    h.feed(client, b"abcdefghi");
    assert_eq!(h.sent(client), "abcdefghi");
    assert_eq!(log(&mut h), ["0 open", "0 data abc", "0 data d", "0 data ef", "0 data ghi"]);
}

#[test]
fn so_it_is_while_a_closed_connection_lingers() {
    let (mut h, client) = unix(Probe::new(|cx, call, _| match call {
        Call::Open => cx.close(),
        call => call.by_default(cx),
    }));
    h.script_recv(client, [Step::Short(1), Step::Short(1)]);
    h.feed(client, b"too late");
    assert_eq!(h.unread(client), 0);
    h.finish(client);
    assert_eq!(h.reactor().connections(), 0);
}

#[test]
fn clients_have_no_name_and_the_server_its_path() {
    let (mut h, client) = unix(Probe::new(|cx, call, notes| match call {
        Call::Open => {
            let (peer, local) = (cx.peer_address().unwrap(), cx.local_address().unwrap());
            notes.add(format_args!("{peer} at {local}"));
        }
        call => call.by_default(cx),
    }));
    assert_eq!(log(&mut h), ["0 open", "0 unix: at unix:/run/probe.sock"]);
    assert!(h.address(client).is_unix());
}

#[test]
fn an_address_in_use_is_an_error() {
    let (mut h, _) = unix(Probe::echo());
    let other = h.reactor().register(Probe::echo());
    let address = Address::from_path("/run/probe.sock").unwrap();
    let error = h.reactor().listen(&address, &Listen::default(), other).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
