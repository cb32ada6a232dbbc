use std::process::ExitCode;

use allocation_counter::{AllocationInfo, measure};
use sluicegate_protocols::line::Lines;
use sluicegate_reactor::testing::{Client, Harness, State};
use sluicegate_reactor::{Limits, Listen, mailbox};

#[path = "../../examples/chat.rs"]
mod example;
use example::{Chat, HELP, PATIENCE};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

type Room = Harness<Lines<Chat>>;

/// A room and so many members in its lobby.
fn lobby(members: usize) -> (Room, Vec<Client>) {
    let mut h = Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let (handle, mailbox) = mailbox();
            let chat = reactor.register(Lines::new(Chat::new(0, vec![handle])));
            reactor.attach(mailbox, chat);
            chat
        },
    );
    let mut clients = Vec::new();
    while clients.len() < members {
        h.at_once(|h| clients.extend((clients.len()..members).take(100).map(|_| h.open())));
    }
    (h, clients)
}

fn heard(h: &mut Room, client: Client) -> String {
    let heard = String::from_utf8(h.sent(client).into()).expect("text");
    heard.strip_prefix(HELP).unwrap_or(&heard).to_owned()
}

#[test]
fn a_line_is_heard_in_its_room_and_nowhere_else() {
    let (mut h, clients) = lobby(3);
    let [one, two, three] = clients[..] else { unreachable!() };
    h.feed(one, "/nick Ada\n");
    h.feed(one, "/nick \n/join \x1b[1mmath\r\n");
    h.feed(two, "/nick Ada\nhello\x1b[2J\n");
    h.feed(one, "anybody?\n");
    for line in ["/join [1mmath\n", "yes\n", "/join lobby\n"] {
        h.feed(three, line);
    }
    let named = "* guest#1 is now Ada#1\n";
    let other = "* guest#2 is now Ada#2\n";
    let come = "* guest#3 joined\n";
    let gone = "* Ada#1 left for [1mmath\n";
    let hello = "Ada#2: hello[2J\n";
    let away = "* guest#3 left for [1mmath\n";
    let back = "* guest#3 left for lobby\n";
    let ada = format!("{named}{HELP}* Ada#1 joined\nAda#1: anybody?\n{come}guest#3: yes\n{back}");
    assert_eq!(heard(&mut h, one), ada);
    assert_eq!(heard(&mut h, two), format!("{named}{gone}{other}{hello}{away}{come}"));
    let third = format!("{named}{gone}{other}{hello}{come}guest#3: yes\n{come}");
    assert_eq!(heard(&mut h, three), third);
}

#[test]
fn who_leaves_is_missed() {
    let (mut h, clients) = lobby(2);
    h.feed(clients[0], "/nick Ada\n");
    h.finish(clients[0]);
    let expected = "* guest#1 is now Ada#1\n* Ada#1 left\n";
    assert_eq!(heard(&mut h, clients[1]), expected);
}

/// Lets them take nothing from now on.
fn silence(h: &mut Room, clients: &[Client]) {
    h.at_once(|h| {
        for client in clients {
            h.sent(*client);
            h.set_room(*client, 0);
        }
    });
}

/// What it takes to say a long line once more to so many members who do not listen yet.
fn cost(members: usize) -> AllocationInfo {
    let (mut h, clients) = lobby(members);
    silence(&mut h, &clients);
    let line = "x".repeat(4000) + "\n";
    h.feed(clients[0], &line);
    let cost = measure(|| h.feed(clients[0], &line));
    h.at_once(|h| clients.iter().for_each(|client| h.set_room(*client, 1 << 20)));
    for client in clients {
        let heard = h.at_once(|h| heard(h, client));
        assert_eq!(heard, format!("guest#1: {line}").repeat(2));
    }
    h.stop();
    cost
}

#[test]
fn a_message_is_allocated_once_for_two_thousand_members_as_for_two() {
    let (two, all) = (cost(2), cost(2000));
    assert_eq!((two.count_total, two.bytes_total), (all.count_total, all.bytes_total));
}

#[test]
fn two_thousand_slow_readers_take_little_memory_and_miss_the_rest() {
    const MESSAGES: usize = 100;
    let (mut h, clients) = lobby(2000);
    let (speaker, slow) = clients.split_first().expect("members");
    silence(&mut h, slow);
    let line = "x".repeat(7000) + "\n";
    let cost = measure(|| {
        for _ in 0..MESSAGES {
            h.feed(*speaker, &line);
            h.sent(*speaker);
        }
    });
    // Each of them is owed 64 KiB: 128 MB if they did not share it.
    assert!(cost.bytes_max < 4 << 20, "{cost:?}");
    h.set_room(slow[0], 1 << 20);
    let heard = heard(&mut h, slow[0]);
    let arrived = heard.matches("guest#1: ").count();
    assert!(arrived < 20, "{arrived}");
    assert!(heard.ends_with("* you missed some messages\n"));
    h.stop();
}

#[test]
fn a_slow_reader_is_dropped_when_patience_ends_and_a_fast_one_stays() {
    let (mut h, clients) = lobby(3);
    let [speaker, slow, late] = clients[..] else { unreachable!() };
    silence(&mut h, &[slow, late]);
    for _ in 0..20 {
        h.feed(speaker, "x".repeat(7000) + "\n");
        h.sent(speaker);
    }
    h.advance(PATIENCE / 2);
    h.set_room(late, 1 << 20);
    // What is queued for the other is given its time too.
    h.advance(PATIENCE + Limits::default().write_stall.expect("a limit"));
    let states = [speaker, slow, late].map(|client| h.state(client));
    assert_eq!(states, [State::Open, State::Reset, State::Open]);
    assert_eq!(heard(&mut h, speaker), "* guest#2 left\n");
}
