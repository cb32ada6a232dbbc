//! A handler that yields goes on in the next turn with what it has left.

use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{ConnId, Context, Handler, Input, Limits, Receive, Sessions};

use crate::probe::{Call, Probe, log, with_limits};

/// Sends back one byte a turn.
fn one_at_a_time() -> Probe {
    Probe::new(|cx, call, _| match call {
        Call::Data(input) => {
            cx.send(&input.bytes()[..1]);
            input.consume(1);
            cx.yield_now();
        }
        call => call.by_default(cx),
    })
}

#[test]
fn what_a_yield_leaves_is_offered_again_in_the_next_turn() {
    let mut h = Harness::new(one_at_a_time());
    let (long, short) = (h.open(), h.open());
    log(&mut h);
    h.at_once(|h| {
        h.feed(long, b"abc");
        h.feed(short, b"x");
        h.turn();
        assert_eq!(log(h), ["0 data abc", "1 data x"]);
        assert_eq!((h.arrived(long), h.arrived(short)), (1, 1), "answers leave in their turn");
        h.turn();
        assert_eq!(log(h), ["0 data bc"]);
        h.turn();
        assert_eq!(log(h), ["0 data c"]);
    });
    assert_eq!(log(&mut h), [""; 0]);
    assert_eq!(h.sent(long), "abc");
}

#[test]
fn what_arrives_after_a_yield_comes_behind_what_it_left() {
    let mut h = Harness::new(one_at_a_time());
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, b"abc");
        h.turn();
        h.feed(client, b"def");
    });
    assert_eq!(h.sent(client), "abcdef");
}

#[test]
fn input_left_because_of_a_yield_is_no_overrun() {
    let mut h = with_limits(one_at_a_time(), Limits { max_unread: 3, ..Limits::default() });
    let client = h.open();
    h.feed(client, b"abcdefgh");
    assert_eq!(h.sent(client), "abcdefgh");
    assert_eq!(h.state(client), State::Open);
}

#[test]
fn a_yield_forgives_only_what_its_own_callback_left() {
    let mut first = true;
    let probe = Probe::new(move |cx, call, _| match call {
        Call::Data(_) if std::mem::take(&mut first) => cx.yield_now(),
        Call::Data(_) => {}
        call => call.by_default(cx),
    });
    let mut h = with_limits(probe, Limits { max_unread: 3, ..Limits::default() });
    let client = h.open();
    h.feed(client, b"abcdefgh");
    let expected = ["0 open", "0 data abcdefgh", "0 data abcdefgh", "0 close Overrun"];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn an_end_behind_a_yield_comes_after_the_last_of_the_input() {
    let mut h = Harness::new(one_at_a_time());
    let client = h.open();
    log(&mut h);
    h.at_once(|h| {
        h.feed(client, b"abc");
        h.finish(client);
    });
    let expected = ["0 data abc", "0 data bc", "0 data c", "0 eof", "0 close Closed"];
    assert_eq!(log(&mut h), expected);
}

#[test]
fn a_handler_that_yields_and_pauses_is_not_called_before_the_resume() {
    let mut first = true;
    let probe = Probe::new(move |cx, call, notes| match call {
        Call::Data(_) if notes.current == 0 && std::mem::take(&mut first) => {
            cx.yield_now();
            cx.pause();
        }
        Call::Data(input) if notes.current == 1 => {
            input.take();
            cx.peer(notes.ids[0]).resume();
        }
        call => call.by_default(cx),
    });
    let mut h = Harness::new(probe);
    let (paused, other) = (h.open(), h.open());
    h.feed(paused, b"abc");
    assert_eq!(log(&mut h), ["0 open", "1 open", "0 data abc"]);
    h.feed(other, b"x");
    assert_eq!(log(&mut h), ["1 data x", "0 data abc"]);
}

/// Counts how often its input is offered.
#[derive(Default)]
struct Offers {
    id: Option<ConnId>,
    count: u32,
}

impl Handler for Offers {
    type Session = ();
    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.id = Some(cx.id());
    }
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {
        self.count += 1;
    }
}

impl Receive<ConnId> for Offers {
    fn on_message(&mut self, cx: &mut Sessions<'_>, id: ConnId) {
        let (mut cx, ()) = cx.get(id).expect("it is open");
        cx.yield_now();
    }
}

#[test]
fn a_message_can_make_its_connection_look_at_its_input_again() {
    let mut h = Harness::new(Offers::default());
    let client = h.open();
    h.feed(client, b"abc");
    assert_eq!(h.handler().count, 1);
    let id = h.handler().id.expect("it was opened");
    h.post(id);
    assert_eq!(h.handler().count, 2);
}
