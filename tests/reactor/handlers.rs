//! Several handlers in one reactor, and connections that reach each other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{
    Connect, Context, Handler, Input, Limits, Listen, Reactor, Receive, Sessions,
};

use crate::probe::{Call, Probe, log};

/// Answers everything with its word.
struct Word(&'static str);

impl Handler for Word {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
        cx.send(self.0);
    }
}

impl Receive<()> for Word {
    fn on_message(&mut self, _: &mut Sessions<'_>, (): ()) {}
}

#[test]
fn each_listener_has_its_own_handler_and_limits() {
    let mut h = Harness::new(Probe::echo());
    let yes = h.reactor().register(Word("yes"));
    let no = h.reactor().register(Word("no"));
    let tight = Listen {
        max_connections: 1,
        limits: Limits { idle: Some(std::time::Duration::from_secs(1)), ..Limits::default() },
        ..Listen::default()
    };
    let at_yes = h.reactor().listen("127.0.0.1:0", &tight, yes).unwrap();
    let at_no = h.reactor().listen("127.0.0.1:0", &Listen::default(), no).unwrap();

    let (echo, yes, no) = (h.open(), h.open_at(at_yes), h.open_at(at_no));
    let waiting = h.open_at(at_yes);
    h.at_once(|h| {
        for client in [echo, yes, no, waiting] {
            h.feed(client, b"?");
        }
    });
    assert_eq!(h.sent(echo), "?");
    assert_eq!(h.sent(yes), "yes");
    assert_eq!(h.sent(no), "no");
    assert_eq!(h.sent(waiting), "", "one at a time");
    h.advance(std::time::Duration::from_secs(2));
    h.finish(yes);
    assert_eq!(h.sent(waiting), "yes");
}

#[test]
fn a_handler_of_another_type_is_not_taken_for_the_one_that_is_named() {
    let mut other = Reactor::new().unwrap();
    let foreign = other.register(Word("yes"));
    // Its number is that of another handler here, which would get the connections or messages.
    let mut reactor = Reactor::new().unwrap();
    reactor.register(Probe::echo());
    let panics = |act: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(act)).is_err();
    assert!(panics(&mut || drop(reactor.listen("127.0.0.1:0", &Listen::default(), foreign))));
    assert!(panics(&mut || {
        reactor.connector(foreign, &Connect::default()).expect("room for a connector");
    }));
    assert!(panics(&mut || drop(reactor.handle::<_, ()>(foreign))));
}

#[test]
fn a_handler_keeps_the_state_its_connections_share() {
    let mut h = Harness::new(Word("first"));
    let client = h.open();
    h.handler().0 = "second";
    h.feed(client, b"?");
    assert_eq!(h.sent(client), "second");
}

#[test]
fn a_connection_can_send_to_one_of_another_handler() {
    let mut h = Harness::new(Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            let bytes = input.take();
            cx.peer(notes.ids[0]).send(bytes);
        }
        call => call.by_default(cx),
    }));
    let first = h.open();
    let id = h.handler().notes.ids[0];
    let other = h.reactor().register(Probe::new(move |cx, call, _| match call {
        Call::Data(input) => {
            cx.peer(id).send(input.take());
        }
        call => call.by_default(cx),
    }));
    let at_other = h.reactor().listen("127.0.0.1:0", &Listen::default(), other).unwrap();
    let second = h.open_at(at_other);
    h.feed(second, b"across");
    assert_eq!(h.sent(first), "across");
    assert_eq!(log(&mut h), ["0 open"], "the first handler was not asked");
}

#[test]
fn what_a_connection_says_to_others_as_it_closes_leaves_in_the_next_turn_at_the_latest() {
    let probe = Probe::new(|cx, call, notes| match call {
        Call::Data(input) => {
            input.take();
            cx.peer(notes.ids[1]).close();
        }
        call => call.by_default(cx),
    });
    let mut h = Harness::new(probe.on_close(|cx, _, notes| {
        cx.peer(notes.ids[0]).send("it has gone");
    }));
    let [stays, _goes, tells] = [h.open(), h.open(), h.open()];
    h.at_once(|h| {
        h.feed(tells, b"x");
        h.turn();
        h.turn();
        assert_eq!(h.sent(stays), "it has gone");
    });
}

#[test]
fn a_listener_can_name_a_handler_that_is_installed_later() {
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let late = reactor.reserve::<Word>();
            let early = reactor.register(Word("early"));
            reactor.listen("127.0.0.1:81", &Listen::default(), late).unwrap();
            reactor.install(late, Word("late"));
            assert_eq!(reactor.handler(early).0, "early");
            late
        },
    );
    let client = h.open();
    h.feed(client, b"?");
    assert_eq!(h.sent(client), "late");
}

#[test]
#[should_panic(expected = "HandlerId(1) was reserved, but no handler was installed")]
fn a_reactor_does_not_run_with_a_place_that_is_only_reserved() {
    let mut h = Harness::new(Word("installed"));
    let _never = h.reactor().reserve::<Word>();
    h.open();
}

#[test]
#[should_panic(expected = "HandlerId(0) already has a handler")]
fn a_place_takes_one_handler() {
    let mut reactor = Reactor::new().unwrap();
    let id = reactor.reserve::<Word>();
    reactor.install(id, Word("first"));
    reactor.install(id, Word("second"));
}

#[test]
#[should_panic(expected = "was reserved, but no handler was installed")]
fn a_handler_that_is_not_installed_cannot_be_looked_at() {
    let mut reactor = Reactor::new().unwrap();
    let id = reactor.reserve::<Word>();
    reactor.handler(id);
}
