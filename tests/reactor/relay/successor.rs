//! What a relay leaves behind does not concern whoever takes its place.

use std::time::Duration;

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Context, Handler, Input, Listen, Receive, Sessions};

/// The first connection relays to the second; the third, when it reads, aborts the second.
#[derive(Default)]
struct Saboteur {
    ids: Vec<ConnId>,
}

/// Lets the third read, and aborts the first.
struct Act;

impl Handler for Saboteur {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.ids.push(cx.id());
        match self.ids[..] {
            [source, destination] => cx.peer(source).relay_to(destination),
            [_, _, _] => cx.pause(),
            _ => {}
        }
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        match self.ids.iter().position(|id| *id == cx.id()) {
            Some(2) => cx.peer(self.ids[1]).abort(),
            _ => _ = cx.send(input.bytes()),
        }
        input.take();
    }
}

impl Receive<Act> for Saboteur {
    fn on_message(&mut self, cx: &mut Sessions<'_, ()>, _: Act) {
        cx.peer(self.ids[2]).resume();
        cx.peer(self.ids[0]).abort();
    }
}

#[test]
fn the_end_of_a_destination_does_not_reach_a_connection_in_the_place_of_its_source() {
    let listen = Listen { max_connections: 3, ..Listen::default() };
    let mut h = Harness::with(Saboteur::default(), &listen);
    let clients = [h.open(), h.open(), h.open()];
    h.feed(clients[2], "now");
    // It is accepted in the place of the first, one turn before the second ends.
    let successor = h.open();
    let handler = h.handler_id();
    h.reactor().after(Duration::from_millis(1), handler, Act);
    h.advance(Duration::from_secs(1));
    assert_eq!([h.state(clients[0]), h.state(clients[1])], [State::Reset; 2]);
    h.feed(successor, "still here");
    assert_eq!(h.sent(successor), "still here");
    assert_eq!(h.state(successor), State::Open);
}
