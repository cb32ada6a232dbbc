//! Two parts of a cache, which ask each other for the keys that they do not have.

use sluicegate_reactor::{Context, Handle, Handler, Input, Mailbox, Reactor, Receive, Sessions};

use super::example::peers::{Answer, Batch, MAX_REQUESTS, Message};
use super::example::server::MOST_WAITING;
use super::example::{BATCHES_PER_TURN, mailbox};
use super::*;

const TWO: Settings = Settings { threads: 2, ..SETTINGS };

/// The first part of a cache, which serves the clients, in a reactor with something that gets the
/// messages to the second one.
fn first_of_two(
    second: impl FnOnce(&mut Reactor, Mailbox<Message>, &Vec<Handle<Message>>),
) -> Cache {
    let listen = Listen { limits: Memcached::limits(&TWO), ..Listen::default() };
    Harness::build(
        &listen,
        |_| {},
        |reactor| {
            let ((one, first), (other, mailbox)) = (mailbox(), mailbox());
            let handles = vec![one, other];
            let served = reactor.register(Memcached::new(TWO, 0, handles.clone()));
            reactor.attach(first, served);
            second(reactor, mailbox, &handles);
            served
        },
    )
}

/// Both parts in one reactor.
fn cache_of_two() -> Cache {
    first_of_two(|reactor, mailbox, handles| {
        let other = reactor.register(Memcached::new(TWO, 1, handles.clone()));
        reactor.attach(mailbox, other);
    })
}

/// A second part that answers nothing, and keeps the batches.
struct Busy(Vec<Batch>);

impl Handler for Busy {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
}

impl Receive<Message> for Busy {
    fn on_message(&mut self, _: &mut Sessions<'_>, message: Message) {
        let Message::Batch(batch) = message else { return };
        self.0.push(batch);
    }
}

#[test]
fn a_get_is_answered_in_one_call_wherever_its_key_is() {
    let mut h = cache_of_two();
    let client = h.open();
    let value = "x".repeat(1024);
    for key in 0..16 {
        assert_eq!(ask(&mut h, client, &format!("set {key} 0 0 1024\n{value}\n")), "STORED\n");
        let before = h.ledger().send_calls;
        let answer = ask(&mut h, client, &format!("get {key}\n"));
        assert_eq!(answer, format!("VALUE {key} 0 1024\n{value}\nEND\n"));
        assert_eq!(h.ledger().send_calls, before + 1, "key {key}");
    }
}

#[test]
fn keys_of_both_parts_are_answered_in_order() {
    let mut h = cache_of_two();
    let client = h.open();
    let values: Vec<_> = (0..16).map(|key| format!("{key}").repeat(1 << key)).collect();
    let mut expected = String::new();
    let keys: Vec<_> = (0..16).map(|key| key.to_string()).collect();
    for (key, value) in values.iter().enumerate() {
        let len = value.len();
        assert_eq!(ask(&mut h, client, &format!("set {key} 0 0 {len}\n{value}\n")), "STORED\n");
        expected += &format!("VALUE {key} 0 {len}\n{value}\n");
    }
    let request = format!("get {}\n", keys.join(" ")).repeat(3) + "mn\n";
    let expected = (expected + "END\n").repeat(3) + "MN\n";
    assert!(ask(&mut h, client, &request) == expected);
    // Responses that wait are copied to the buffers of the first ones.
    assert!(ask(&mut h, client, &request) == expected);
}

#[test]
fn row_12_a_get_of_many_keys_of_another_part_waits_for_room() {
    let mut h = cache_of_two();
    let client = h.open();
    let value = "v".repeat(5000);
    let keys = || ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter();
    for key in keys() {
        assert_eq!(ask(&mut h, client, &format!("set {key} 0 0 5000\n{value}\n")), "STORED\n");
    }
    h.set_room(client, 0);
    let many: Vec<_> = keys().cycle().take(8000).collect();
    h.feed(client, crlf(&format!("get {}\nmn\n", many.join(" "))));
    // As many values as may wait for the other part, and a full queue.
    let queued = h.ledger().pending();
    assert!(queued < 65 * 5020 + (128 << 10), "{queued}");
    h.set_room(client, 50_000);
    let expected: String =
        many.iter().map(|key| format!("VALUE {key} 0 5000\n{value}\n")).collect();
    assert!(plain(h.sent(client)) == expected + "END\nMN\n");
}

#[test]
fn row_10_a_value_over_the_limit_removes_the_old_one_and_counts_no_command() {
    let mut h = cache_of_two();
    let client = h.open();
    let large = format!("{}\n", "v".repeat((1 << 20) + 1));
    for key in 0..8 {
        ask(&mut h, client, &format!("set {key} 0 0 1\nx\n"));
        let refused = ask(&mut h, client, &format!("set {key} 0 0 1048577\n{large}"));
        assert_eq!(refused, "SERVER_ERROR object too large for cache\n");
        assert_eq!(ask(&mut h, client, &format!("get {key}\n")), "END\n", "key {key}");
    }
    let stats = ask(&mut h, client, "stats\n");
    for line in ["cmd_meta 0", "delete_hits 0", "delete_misses 0", "store_too_large 8"] {
        assert!(stats.contains(&format!("STAT {line}\n")), "{line} in {stats}");
    }
}

#[test]
fn row_12_silent_commands_wait_for_a_part_that_is_busy() {
    let mut busy = None;
    let mut h = first_of_two(|reactor, mailbox, _| {
        let other = reactor.register(Busy(Vec::new()));
        reactor.attach(mailbox, other);
        busy = Some(other);
    });
    let commands: String = (0..10).map(|key| format!("incr {key} 1 noreply\n")).collect();
    let commands = crlf(&commands.repeat(1000));
    let clients: Vec<_> = (0..20).map(|_| h.open()).collect();
    h.at_once(|h| clients.iter().for_each(|client| h.feed(*client, &commands)));
    for client in &clients {
        assert!(h.unread(*client) > commands.len() / 2);
    }
    let batches = h.reactor().handler(busy.expect("a second part")).0.iter();
    let requests: Vec<_> = batches.map(|batch| batch.requests.len()).collect();
    assert_eq!(requests.iter().sum::<usize>(), clients.len() * MOST_WAITING);
    assert!(requests.iter().all(|requests| *requests <= MAX_REQUESTS), "{requests:?}");
}

#[test]
fn row_12_the_spaces_of_a_long_get_are_not_sent_with_each_of_its_keys() {
    let mut busy = None;
    let mut h = first_of_two(|reactor, mailbox, _| {
        let other = reactor.register(Busy(Vec::new()));
        reactor.attach(mailbox, other);
        busy = Some(other);
    });
    let client = h.open();
    let (spaces, zeros) = (" ".repeat(100_000), "0".repeat(100_000));
    let keys = "a b c d e f g h ".repeat(1000);
    h.feed(client, crlf(&format!("{spaces}gats{spaces}{zeros}7 {keys}\n")));
    let batches = &h.reactor().handler(busy.expect("a second part")).0;
    let text: Vec<_> = batches.iter().flat_map(|batch| batch.text.clone()).collect();
    assert_eq!(text.len(), MOST_WAITING * "gats 7 a".len());
    assert!(text.starts_with(b"gats 7 "));
}

#[test]
fn row_12_connections_are_served_between_the_batches_of_another_part() {
    let mut own = None;
    let mut h = first_of_two(|reactor, mailbox, handles| {
        let other = reactor.register(Busy(Vec::new()));
        reactor.attach(mailbox, other);
        own = Some(handles[0].clone());
    });
    let own = own.expect("a handle");
    for _ in 0..BATCHES_PER_TURN + 1 {
        assert!(own.post(Message::Batch(Batch::default())).is_ok());
    }
    h.turn();
    assert_eq!(h.ledger().messages, BATCHES_PER_TURN as u64);
    h.run();
}

#[test]
fn row_08_a_server_that_stops_waits_for_the_answers_of_another_part() {
    let (mut own, mut busy) = (None, None);
    let mut h = first_of_two(|reactor, mailbox, handles| {
        let other = reactor.register(Busy(Vec::new()));
        reactor.attach(mailbox, other);
        (own, busy) = (Some(handles[0].clone()), Some(other));
    });
    let client = h.open();
    h.feed(client, crlf("get a b c d e f g h\n"));
    h.stop();
    h.advance(TICK * 10);
    assert_eq!((h.state(client), plain(h.sent(client))), (State::Open, String::new()));
    let batches = h.reactor().handler(busy.expect("a second part")).0.drain(..);
    let requests = batches.flat_map(|batch| batch.requests);
    let answer = |to| Answer { to, text: 0..0, value: None, counters: None };
    let answers: Vec<_> = requests.map(|request| answer(request.to)).collect();
    assert!(!answers.is_empty());
    let batch = Batch { from: 1, answers, ..Batch::default() };
    assert!(own.expect("a handle").post(Message::Batch(batch)).is_ok());
    h.run();
    assert_eq!((h.state(client), plain(h.sent(client))), (State::Shut, "END\n".to_owned()));
}
