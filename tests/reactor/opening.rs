//! Listening, and the end of it, from within a callback.

use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{
    Address, ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Limits, Listen,
    ListenerId, Reason, Turn,
};

/// Listens, and stops to listen, when a connection says so.
struct Porter {
    own: HandlerId<Porter>,
    connector: Connector<Porter>,
    /// How it listens.
    listen: Listen,
    /// All listeners that it has opened.
    opened: Vec<ListenerId>,
    log: Vec<String>,
}

impl Porter {
    /// Listens, and says what came of it.
    fn listen(&mut self, cx: &mut Turn) -> Option<Address> {
        match cx.listen("127.0.0.1:0", &self.listen, self.own) {
            Ok(listener) => {
                self.opened.push(listener);
                self.log.push("listens".into());
                cx.listener_address(listener).cloned()
            }
            Err(error) => {
                self.log.push(error.to_string());
                None
            }
        }
    }
}

impl Handler for Porter {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {
        self.log.push("open".into());
    }

    fn on_ready(&mut self, _: &mut Context<'_>, (): &mut ()) {
        self.log.push("ready".into());
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        match input.take() {
            b"listen" => _ = self.listen(cx),
            b"connect" => {
                let address = self.listen(cx).expect("a free port");
                cx.connect(self.connector, &address, ());
            }
            number => {
                let number = usize::from(number[0] - b'0');
                let closed = cx.close_listener(self.opened[number]);
                self.log.push(format!("closed {number}: {closed}"));
            }
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.listen(cx);
        cx.close();
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, (): (), _: Reason) {
        if cx.is_stopping() {
            self.listen(cx);
        }
    }
}

/// A harness and its first client.
fn porter(listen: Listen) -> (Harness<Porter>, Client) {
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let own = reactor.reserve();
            let connector = reactor.connector(own, &Connect::default()).expect("room");
            let (opened, log) = (Vec::new(), Vec::new());
            reactor.install(own, Porter { own, connector, listen, opened, log });
            own
        },
    );
    let client = h.open();
    take_log(&mut h);
    (h, client)
}

fn take_log(h: &mut Harness<Porter>) -> Vec<String> {
    std::mem::take(&mut h.handler().log)
}

fn last(h: &mut Harness<Porter>) -> ListenerId {
    *h.handler().opened.last().expect("it has listened")
}

#[test]
fn a_listener_opened_by_a_callback_accepts_in_a_later_turn() {
    let (mut h, client) = porter(Listen::default());
    let log = h.at_once(|h| {
        h.feed(client, b"connect");
        h.turn();
        take_log(h)
    });
    // The connection to it waits in its backlog since.
    assert_eq!(log, ["listens"]);
    let mut log = take_log(&mut h);
    log.sort_unstable();
    assert_eq!(log, ["open", "ready"]);
    assert_eq!(h.ledger().accepted, 2);
}

#[test]
fn a_listener_closed_by_a_callback_resets_what_waits_and_leaves_what_was_accepted() {
    let (mut h, client) = porter(Listen { accept_budget: 1, ..Listen::default() });
    h.feed(client, b"listen");
    let listener = last(&mut h);
    let [accepted, waiting] = h.at_once(|h| {
        let clients = [(); 2].map(|()| h.open_at(listener));
        // The reactor accepts one of them in the turn in which it closes the listener.
        h.feed(client, b"0");
        clients
    });
    assert_eq!(take_log(&mut h), ["listens", "closed 0: true", "open"]);
    assert_eq!([accepted, waiting].map(|client| h.state(client)), [State::Open, State::Reset]);
    h.feed(accepted, b"listen");
    assert_eq!(take_log(&mut h), ["listens"]);
    assert_eq!(h.reactor().listener_address(listener), None);
}

#[test]
fn the_id_of_a_listener_that_was_closed_closes_no_other() {
    let (mut h, client) = porter(Listen::default());
    for said in ["listen", "0", "listen", "0"] {
        h.feed(client, said);
    }
    assert_eq!(take_log(&mut h), ["listens", "closed 0: true", "listens", "closed 0: false"]);
    let successor = last(&mut h);
    assert!(h.reactor().listener_address(successor).is_some());
    h.open_at(successor);
    assert_eq!(take_log(&mut h), ["open"]);
}

#[test]
fn the_limits_of_a_listener_opened_by_a_callback_hold() {
    let limits = Limits { idle: Some(std::time::Duration::from_secs(5)), ..Limits::default() };
    let (mut h, client) = porter(Listen { max_connections: 1, limits, ..Listen::default() });
    h.feed(client, b"listen");
    let listener = last(&mut h);
    let first = h.open_at(listener);
    h.open_at(listener);
    assert_eq!(take_log(&mut h), ["listens", "open"], "one at a time");
    assert_eq!(h.reactor().snapshot().listeners[1].ledger.full_pauses, 1);
    h.advance(std::time::Duration::from_secs(6));
    assert_eq!(h.state(client), State::Open);
    assert_eq!(h.state(first), State::Shut);
    h.finish(first);
    assert_eq!(take_log(&mut h), ["open"]);
}

#[test]
fn to_listen_while_the_reactor_stops_is_an_error() {
    let (mut h, _) = porter(Listen::default());
    h.stop();
    let error = "the reactor is stopping and has closed its listeners";
    let log = take_log(&mut h);
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log.iter().all(|line| line.ends_with(error)), "{log:?}");
}
