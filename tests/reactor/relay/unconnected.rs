//! The handler of a destination that cannot be connected may still reach the source.

use sluicegate_reactor::testing::{Harness, Remote, State};
use sluicegate_reactor::{ConnId, Connect, Connector, Listen, Reactor, Turn};

use super::upstream;
use crate::probe::{Call, Probe};

/// A proxy that calls `failed` with the client, its connection 0, when the first target cannot be
/// connected.
fn proxy(connect: &Connect, failed: fn(&mut Turn, ConnId, Connector<Probe>)) -> Harness<Probe> {
    let make = |reactor: &mut Reactor| {
        let handler = reactor.reserve();
        let connector = reactor.connector(handler, connect).expect("room for one");
        let mut target = None;
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => {
                let (me, to) = (cx.id(), cx.connect(connector, upstream(), 7));
                cx.relay_to(to);
                cx.peer(to).relay_to(me);
            }
            call => call.by_default(cx),
        });
        let probe = probe.on_close(move |cx, id, notes| {
            if id != notes.ids[0] && *target.get_or_insert(id) == id {
                failed(cx, notes.ids[0], connector);
            }
        });
        reactor.install(handler, probe);
        handler
    };
    let mut h = Harness::build(&Listen::default(), |_| {}, make);
    h.set_remote(&upstream(), Remote::Silent);
    h
}

fn tell(cx: &mut Turn, client: ConnId, _: Connector<Probe>) {
    let _ = cx.peer(client).send("no target\n");
}

#[test]
fn a_client_gets_the_reply_of_a_proxy_whose_target_cannot_be_connected() {
    for early in ["", "early"] {
        for (finishes, end) in [(false, State::Shut), (true, State::Closed)] {
            let mut h = proxy(&Connect::default(), tell);
            let client = h.open();
            h.feed(client, early);
            if finishes {
                h.finish(client);
            }
            h.set_remote(&upstream(), Remote::Fails(libc::ECONNREFUSED));
            assert_eq!(h.sent(client), "no target\n");
            assert_eq!(h.state(client), end, "{early:?}, {finishes}");
        }
    }
}

#[test]
fn a_client_gets_the_reply_of_a_proxy_that_may_not_have_another_target() {
    let mut h = proxy(&Connect { max_connections: 0, ..Connect::default() }, tell);
    let client = h.open();
    assert_eq!(h.sent(client), "no target\n");
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn a_client_may_get_another_target_if_the_first_cannot_be_connected() {
    let mut h = proxy(&Connect::default(), |cx, client, connector| {
        let to = cx.connect(connector, ("10.0.0.2", 80), 8);
        cx.peer(client).relay_to(to);
        cx.peer(to).relay_to(client);
    });
    let client = h.open();
    h.feed(client, "early");
    let second = "10.0.0.2:80".parse().expect("an address");
    h.set_remote(&second, Remote::Listens);
    h.set_remote(&upstream(), Remote::Fails(libc::ECONNREFUSED));
    let target = h.accept(&second);
    // What the client has sent early was queued for the first.
    h.feed(client, "question");
    h.feed(target, "answer");
    assert_eq!((h.sent(target), h.sent(client)), ("question".into(), "answer".into()));
}
