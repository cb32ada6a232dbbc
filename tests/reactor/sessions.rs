//! Messages and timers reach the sessions of their handler, and no others.

use std::time::Duration;

use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_protocols::raw::frames::{FrameHandler, Frames, Framing, Prefix};
use sluicegate_reactor::testing::{Harness, Remote};
use sluicegate_reactor::{
    Address, ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Listen, Payload,
    Reason, Receive, Sent, Sessions, Turn,
};

/// Counts what each connection says, and closes nothing by itself.
#[derive(Default)]
struct Counter {
    opened: Vec<ConnId>,
    log: Vec<String>,
}

/// How many bytes a connection has said.
type Count = usize;

/// A message that does what the test wants with the sessions.
type Act = Box<dyn FnOnce(&mut Counter, &mut Sessions<'_, Count>) + Send>;

impl Handler for Counter {
    type Session = Count;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Count {
        self.opened.push(cx.id());
        0
    }

    fn on_ready(&mut self, _: &mut Context<'_>, count: &mut Count) {
        self.log.push(format!("{count} ready"));
    }

    fn on_data(&mut self, _: &mut Context<'_>, count: &mut Count, input: &mut Input<'_>) {
        *count += input.take().len();
    }

    fn on_received(&mut self, _: &mut Context<'_>, count: &mut Count, bytes: Payload<'_>) {
        self.log.push(format!("{count} received {}", bytes.len()));
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, count: Count, why: Reason) {
        self.log.push(format!("{count} {why:?}"));
    }
}

impl Receive<Act, Count> for Counter {
    fn on_message(&mut self, cx: &mut Sessions<'_, Count>, act: Act) {
        act(self, cx);
    }
}

/// A message that can be sent again and again.
#[derive(Clone, Copy)]
struct Double(ConnId);

impl Receive<Double, Count> for Counter {
    fn on_message(&mut self, cx: &mut Sessions<'_, Count>, Double(id): Double) {
        if let Some((mut cx, count)) = cx.get(id) {
            *count *= 2;
            cx.send(format!("{count} "));
        } else {
            self.log.push("nobody".into());
        }
    }
}

fn act(
    h: &mut Harness<Counter>,
    act: impl FnOnce(&mut Counter, &mut Sessions<'_, Count>) + Send + 'static,
) {
    let act: Act = Box::new(act);
    h.post(act);
}

fn take_log(h: &mut Harness<Counter>) -> Vec<String> {
    std::mem::take(&mut h.handler().log)
}

/// A harness with one connection for each of these counts.
fn counters<const N: usize>(
    counts: [usize; N],
) -> (Harness<Counter>, [sluicegate_reactor::testing::Client; N], [ConnId; N]) {
    let mut h = Harness::new(Counter::default());
    let clients = counts.map(|count| {
        let client = h.open();
        h.feed(client, vec![b'x'; count]);
        client
    });
    let ids = h.handler().opened.clone().try_into().expect("one for each client");
    (h, clients, ids)
}

#[test]
fn a_message_for_a_connection_comes_with_its_session() {
    let (mut h, clients, [_, second]) = counters([3, 5]);
    h.post(Double(second));
    assert_eq!(h.sent(clients[0]), "");
    assert_eq!(h.sent(clients[1]), "10 ");
    h.feed(clients[1], b"y");
    h.post(Double(second));
    assert_eq!(h.sent(clients[1]), "22 ", "the session is the one that callbacks get");
}

#[test]
fn a_timer_for_a_connection_comes_with_its_session() {
    let (mut h, [client], [id]) = counters([3]);
    let counter = h.handler_id();
    let second = Duration::from_secs(1);
    let timer = h.reactor().every(second, counter, Double(id));
    h.reactor().after(second * 3, counter, Double(id));
    h.advance(second * 9 / 2);
    assert_eq!(h.sent(client), "6 12 24 48 96 ");
    h.reactor().cancel_timer(timer);
}

#[test]
fn a_message_for_a_connection_that_is_over_reaches_no_other() {
    let (mut h, [client], [id]) = counters([3]);
    h.reset(client);
    let successor = h.open();
    h.feed(successor, b"x");
    take_log(&mut h);
    h.post(Double(id));
    assert_eq!(take_log(&mut h), ["nobody"]);
    assert_eq!(h.sent(successor), "");
}

#[test]
fn a_session_is_reached_until_on_close_has_it() {
    let (mut h, [client], [id]) = counters([3]);
    act(&mut h, move |_, cx| {
        cx.peer(id).close();
        let (mut cx, count) = cx.get(id).expect("it is told of its end later");
        assert_eq!((*count, cx.is_open(), cx.send("late")), (3, false, Sent::Gone));
    });
    assert_eq!(take_log(&mut h), ["3 Closed"]);
    // The connection lingers: its client has not closed it yet.
    assert_eq!(h.reactor().connections(), 1);
    h.post(Double(id));
    assert_eq!(take_log(&mut h), ["nobody"]);
    h.finish(client);
}

#[test]
fn each_session_is_reached_once_and_those_of_other_handlers_never() {
    let (mut h, _, ids) = counters([1, 2, 3, 4]);
    let other = h.reactor().register(Counter::default());
    let at = h.reactor().listen("127.0.0.1:0", &Listen::default(), other).expect("a free port");
    h.open_at(at);
    let foreign = h.reactor().handler(other).opened[0];
    act(&mut h, move |_, cx| cx.peer(ids[1]).abort());
    h.open();
    act(&mut h, move |counter, cx| {
        assert!(cx.get(foreign).is_none());
        let mut all = Vec::new();
        cx.for_each(|cx, count| all.push((cx.id(), *count)));
        all.sort_unstable_by_key(|(_, count)| *count);
        let new = counter.opened[4];
        assert_eq!(all, [(new, 0), (ids[0], 1), (ids[2], 3), (ids[3], 4)]);
    });
    assert_eq!(h.ledger().panics, 0);
}

/// A harness of a handler that connects to something that answers.
fn connecting() -> (Harness<Counter>, Connector<Counter>, Address) {
    let mut h = Harness::new(Counter::default());
    let connector = h.connector(&Connect::default());
    let upstream = Address::from(std::net::SocketAddr::from(([10, 0, 0, 1], 80)));
    h.set_remote(&upstream, Remote::Listens);
    (h, connector, upstream)
}

#[test]
fn the_session_of_a_connection_that_was_just_asked_for_is_reached() {
    let (mut h, connector, upstream) = connecting();
    act(&mut h, move |_, cx| {
        let id = cx.connect(connector, &upstream, 7);
        assert_eq!(cx.get(id).map(|(_, count)| *count), Some(7));
        let mut all = Vec::new();
        cx.for_each(|cx, count| all.push((cx.id(), std::mem::replace(count, 8))));
        assert_eq!(all, [(id, 7)]);
    });
    assert_eq!(take_log(&mut h), ["8 ready"]);
    assert_eq!(h.ledger().panics, 0);
}

/// Sends the length of what it gets, after the session it was handed.
struct Echo;

impl Handler for Echo {
    type Session = &'static str;

    fn on_open(&mut self, _: &mut Context<'_>) -> &'static str {
        "accepted"
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, session: &mut &'static str) {
        cx.send(*session);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut &'static str, input: &mut Input<'_>) {
        cx.send(input.take().len().to_string());
    }
}

#[test]
fn connections_can_be_handed_over_from_a_message() {
    let (mut h, clients, ids) = counters([1, 2, 3]);
    let echo = h.reactor().register(Echo);
    act(&mut h, move |_, cx| {
        let mut handed = 0;
        cx.for_each(|cx, count| {
            assert!(cx.wants_input(), "another one was handed over");
            if *count != 2 {
                cx.hand_over(echo, "handed ");
                assert!(!cx.wants_input());
                handed += 1;
            }
        });
        assert_eq!(handed, 2);
        assert!(cx.get(ids[0]).is_some(), "it is done when the callback has returned");
    });
    assert_eq!(take_log(&mut h), ["1 HandedOver", "3 HandedOver"]);
    h.post(Double(ids[0]));
    h.post(Double(ids[1]));
    assert_eq!(take_log(&mut h), ["nobody"]);
    h.feed(clients[2], b"four");
    let sent = clients.map(|client| h.sent(client).text().to_owned());
    assert_eq!(sent, ["handed ", "4 ", "handed 4"]);
}

/// Hands a connection over when a timer says so.
struct Late(HandlerId<Echo>);

impl Receive<Late, Count> for Counter {
    fn on_message(&mut self, cx: &mut Sessions<'_, Count>, Late(echo): Late) {
        cx.for_each(|cx, _| cx.hand_over(echo, "late"));
        panic!("as the test wants it");
    }
}

#[test]
fn a_timer_that_hands_over_and_panics_has_handed_over() {
    let (mut h, [client], _) = counters([1]);
    h.expect_panics();
    let echo = h.reactor().register(Echo);
    let counter = h.handler_id();
    h.reactor().after(Duration::from_secs(1), counter, Late(echo));
    h.advance(Duration::from_secs(2));
    assert_eq!(h.sent(client), "late");
    assert_eq!(h.ledger().panics, 1);
}

#[test]
fn a_panic_over_a_message_leaves_the_sessions_in_place() {
    let (mut h, [client], [id]) = counters([3]);
    h.expect_panics();
    act(&mut h, move |_, cx| {
        *cx.get(id).expect("it is open").1 = 4;
        panic!("as the test wants it");
    });
    h.post(Double(id));
    assert_eq!(h.sent(client), "8 ");
}

#[test]
fn what_a_message_asks_of_a_connection_is_done_in_the_same_turn() {
    let (mut h, [client], [id]) = counters([0]);
    act(&mut h, move |_, cx| cx.peer(id).pause());
    h.feed(client, b"12345");
    act(&mut h, move |_, cx| {
        let (mut cx, _) = cx.get(id).expect("it is open");
        cx.discard(1);
        cx.resume();
    });
    act(&mut h, move |_, cx| {
        let (mut cx, count) = cx.get(id).expect("it is open");
        assert_eq!(*count, 4);
        cx.receive_exact(0).expect("within the limit");
    });
    assert_eq!(take_log(&mut h), ["4 received 0"]);
}

/// An application of lines and of frames that knows its last connection.
#[derive(Default)]
struct Nested {
    last: Option<ConnId>,
}

impl Receive<(), String> for Nested {
    fn on_message(&mut self, cx: &mut Sessions<'_, String>, (): ()) {
        cx.for_each(|cx, said| _ = cx.send(format!("each {said} ")));
        let (mut cx, said) = self.last.and_then(|id| cx.get(id)).expect("it is open");
        cx.send(std::mem::take(said));
    }
}

impl LineHandler for Nested {
    type Session = String;

    fn on_open(&mut self, cx: &mut Context<'_>) -> String {
        self.last = Some(cx.id());
        String::new()
    }

    fn on_line(&mut self, _: &mut Context<'_>, said: &mut String, line: &[u8]) -> Next {
        *said = String::from_utf8_lossy(line).into_owned();
        Next::Line
    }
}

impl FrameHandler for Nested {
    type Session = String;

    fn on_open(&mut self, cx: &mut Context<'_>) -> String {
        self.last = Some(cx.id());
        String::new()
    }

    fn on_frame(&mut self, _: &mut Context<'_>, said: &mut String, frame: Payload<'_>) {
        *said = String::from_utf8_lossy(&frame).into_owned();
    }
}

const FRAMING: Framing = Framing::prefixed(Prefix::U8, 100);

#[test]
fn adapters_show_their_applications_own_sessions() {
    let mut lines = Harness::new(Lines::new(Nested::default()));
    let client = lines.open();
    lines.feed(client, b"a line\nhalf");
    lines.post(());
    assert_eq!(lines.sent(client), "each a line a line");
    lines.feed(client, b" of one\n");
    lines.post(());
    assert_eq!(lines.sent(client), "each half of one half of one");

    let mut frames = Harness::new(Frames::new(Nested::default(), FRAMING));
    let client = frames.open();
    frames.feed(client, b"\x05frame");
    frames.post(());
    assert_eq!(frames.sent(client), "each frame frame");
}
