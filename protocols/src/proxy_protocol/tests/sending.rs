//! Connections that are made with a header.

use sluicegate_reactor::testing::{Client, Harness, Records, Remote, State};
use sluicegate_reactor::transport::Transport;
use sluicegate_reactor::{Address, Connect, Connector, Context, Handler, Input, Reactor};

use super::peer::Peer;
use super::{address, pair};
use crate::proxy_protocol::{Header, SendProxy, Version};

/// Sends `question` when it is connected, and keeps the answer.
#[derive(Default)]
struct Asker {
    answer: Vec<u8>,
    is_secure: bool,
    peer: Option<Address>,
}

impl Handler for Asker {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.is_secure = cx.is_secure();
        self.peer = cx.peer_address().ok();
        cx.send("question");
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        self.answer.extend(input.take());
    }
}

/// Connects through a transport. Returns the far end too.
fn connect(transport: Box<dyn Transport>) -> (Harness<Asker>, Client) {
    let mut h = Harness::new(Asker::default());
    let back = address("10.0.0.1:80");
    h.set_remote(&back, Remote::Listens);
    let connector: Connector<Asker> = h.connector(&Connect::default());
    let connect = |reactor: &mut Reactor| reactor.connect_through(connector, &back, transport, ());
    connect(h.reactor());
    h.run();
    let far = h.accept(&back);
    (h, far)
}

#[test]
fn row_19_the_header_comes_before_everything_else() {
    let header = pair("192.0.2.1:1", "192.0.2.2:2");
    for version in [Version::V1, Version::V2] {
        let (mut h, far) = connect(Box::new(SendProxy::new(&header, version)));
        assert_eq!(h.sent(far), [&header.encode(version)[..], b"question"].concat());
        h.feed(far, "answer");
        assert_eq!(h.handler().answer, b"answer");
        // The addresses in the header are those of another connection.
        assert_eq!(h.handler().peer, Some(address("10.0.0.1:80")));
        h.finish(far);
        assert_eq!(h.state(far), State::Closed);
    }
}

#[test]
fn row_19_a_transport_behind_the_header_carries_the_rest() {
    let header = pair("192.0.2.1:1", "192.0.2.2:2");
    let transport = SendProxy::new(&header, Version::V2).then(Box::new(Records::default()));
    let (mut h, far) = connect(Box::new(transport));
    let mut peer = Peer::new();
    let sent = h.sent(far);
    let greeting = sent.strip_prefix(&header.encode(Version::V2)[..]).expect("the header");
    assert_eq!(peer.open(greeting), (String::new(), false));
    h.feed(far, [peer.greeting(), peer.seal("ans")].concat());
    h.feed(far, peer.seal("wer"));
    assert_eq!(peer.open(&h.sent(far)), ("question".to_owned(), false));
    assert!(h.handler().is_secure);
    assert_eq!(h.handler().answer, b"answer");
    h.feed(far, peer.end());
    h.finish(far);
    assert_eq!(peer.open(&h.sent(far)), (String::new(), true));
    assert_eq!(h.state(far), State::Closed);
}

#[test]
fn row_19_a_header_that_the_socket_takes_in_parts_is_sent_whole() {
    let header = Header::new(address("unix:/a"), address("unix:/b"));
    let mut h = Harness::new(Asker::default());
    let back = address("10.0.0.1:80");
    h.set_remote(&back, Remote::Listens);
    let connector: Connector<Asker> = h.connector(&Connect::default());
    let transport = Box::new(SendProxy::new(&header, Version::V2));
    let far = h.at_once(|h| {
        h.reactor().connect_through(connector, &back, transport, ());
        h.turn();
        let far = h.accept(&back);
        h.set_room(far, 1);
        far
    });
    assert_eq!(h.sent(far), [&header.encode(Version::V2)[..], b"question"].concat());
}
