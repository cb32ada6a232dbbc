use std::process::ExitCode;
use std::time::Duration;

use sluicegate_protocols::line::Lines;
use sluicegate_reactor::testing::{Client, Harness};
use sluicegate_reactor::{Listen, ListenerId, MailboxLimits};

mod burst;
mod seats;
mod slow;
mod web;

#[path = "../../examples/chat.rs"]
mod example;
use example::front::{LINE, limits};
use example::hub::{HELP, HISTORY, NOTICED};
use example::lines::LineMembers;
use example::{DELIVERIES, Part, REPORTS};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

struct Chat {
    h: Harness<Lines<LineMembers>>,
    web: ListenerId,
}

const OPEN: &str = "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame of a client. The key is zero, which leaves the payload as it is.
fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let len = payload.len() as u16;
    let mut bytes = vec![0x80 | opcode];
    match len {
        0..126 => bytes.push(0x80 | len as u8),
        _ => bytes.extend([&[0x80 | 126], &len.to_be_bytes()[..]].concat()),
    }
    [&bytes[..], &[0; 4], payload].concat()
}

/// The opcodes and payloads of the frames of a server.
fn payloads(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [first, len, rest @ ..] = bytes {
        let (len, rest) = match (len, rest) {
            (126, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]).into(), rest),
            _ => (usize::from(*len), rest),
        };
        found.push((first & 0xf, rest[..len].to_vec()));
        bytes = &rest[len..];
    }
    found
}

impl Chat {
    fn new(room_size: usize) -> Chat {
        Chat::with_mailboxes(room_size, &REPORTS, &DELIVERIES)
    }

    fn with_mailboxes(
        room_size: usize,
        reports: &MailboxLimits,
        deliveries: &MailboxLimits,
    ) -> Chat {
        let mut web = None;
        let listen = Listen { limits: limits(None), ..Listen::default() };
        let h = Harness::build(
            &listen,
            |_| {},
            |reactor| {
                let part = Part::for_each_thread(1, room_size, reports, deliveries).remove(0);
                let (lines, site) = part.register(reactor, None);
                web = reactor.listen("127.0.0.1:8000", &listen, site).ok();
                lines
            },
        );
        Chat { h, web: web.expect("a listener") }
    }

    /// A chat with members in its lobby, who have heard nothing yet.
    fn with(members: usize) -> (Chat, Vec<Client>) {
        let mut chat = Chat::new(10_000);
        let all = chat.open(members);
        (chat, all)
    }

    /// Opens members in the lobby, who have heard nothing yet.
    fn open(&mut self, members: usize) -> Vec<Client> {
        let mut all = Vec::new();
        while all.len() < members {
            let h = &mut self.h;
            h.at_once(|h| all.extend((all.len()..members).take(100).map(|_| h.open())));
        }
        self.h.at_once(|h| all.iter().for_each(|client| _ = h.sent(*client)));
        all
    }

    fn says(&mut self, client: Client, line: &str) {
        self.h.feed(client, format!("{line}\n"));
    }

    fn hears(&mut self, client: Client) -> String {
        self.h.sent(client).text().to_owned()
    }

    /// A member with a browser.
    fn open_web(&mut self) -> Client {
        let client = self.h.open_at(self.web);
        self.h.feed(client, OPEN);
        let sent = self.h.sent(client);
        let head = sent.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        assert!(sent.starts_with(b"HTTP/1.1 101 "));
        assert_eq!(payloads(&sent[head + 4..])[0], (1, HELP.into()));
        client
    }

    fn hears_web(&mut self, client: Client) -> Vec<(u8, Vec<u8>)> {
        payloads(&self.h.sent(client))
    }
}

#[test]
fn a_member_is_greeted_and_the_others_are_told() {
    let (mut chat, members) = Chat::with(1);
    let new = chat.h.open();
    assert_eq!(chat.hears(new), format!("{HELP}* you are guest2 in lobby; members: 2\n"));
    assert_eq!(chat.hears(members[0]), "* guest2 joined\n");
    chat.h.finish(new);
    assert_eq!(chat.hears(members[0]), "* guest2 left\n");
}

#[test]
fn a_line_is_heard_in_its_room_and_nowhere_else() {
    let (mut chat, members) = Chat::with(3);
    let [one, two, three] = members[..] else { unreachable!() };
    chat.says(one, "/join math\r\nanybody?");
    chat.says(two, "hello\x1b[2J\n\n \n//");
    chat.says(three, "/join math");
    chat.says(three, "yes");
    chat.says(three, "/join math");
    chat.says(three, "/join lobby");
    let first = "* you are guest1 in math; members: 1\nguest1: anybody?\n\
        * guest3 joined\nguest3: yes\n* guest3 left for lobby\n";
    assert_eq!(chat.hears(one), first);
    let left = "* guest1 left for math\n";
    let second = format!("{left}guest2: hello[2J\n{HELP}* guest3 left for math\n* guest3 joined\n");
    assert_eq!(chat.hears(two), second);
    let third = format!(
        "{left}guest2: hello[2J\nguest1: anybody?\n* you are guest3 in math; members: 2\n\
         guest3: yes\n* you are in math\nguest2: hello[2J\n\
         * you are guest3 in lobby; members: 2\n"
    );
    assert_eq!(chat.hears(three), third);
}

#[test]
fn a_nickname_belongs_to_one_member_until_it_leaves() {
    let (mut chat, members) = Chat::with(2);
    let [one, two] = members[..] else { unreachable!() };
    chat.says(one, "/nick Ada");
    assert_eq!(chat.hears(two), "* guest1 is now Ada\n");
    for (name, answer) in [
        ("Ada", "* somebody else is Ada\n"),
        ("aDA", "* somebody else is aDA\n"),
        ("guest1", "* guest2 is now guest1\n"),
        ("Guest1", "* guest1 is now Guest1\n"),
        ("Ada:", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("\u{202e}adA", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("\u{3164}", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("Ada\u{115f}", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("Ada\u{1160}", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("Ada\u{ffa0}", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("\u{13441}", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("Ada\u{13442}", "* a name has 1 to 20 letters, digits, - or _\n"),
        ("anAdaWhoseNameIsLong1", "* a name has 1 to 20 letters, digits, - or _\n"),
    ] {
        chat.says(two, &format!("/nick {name}"));
        assert_eq!(chat.hears(two), answer, "{name}");
    }
    chat.h.finish(one);
    chat.says(two, "/nick Ada");
    assert_eq!(chat.hears(two), "* Ada left\n* Guest1 is now Ada\n");
    // A guest does not get a name that is taken.
    chat.says(two, "/nick guest3");
    let new = chat.h.open();
    assert!(chat.hears(new).contains("you are guest4 in"));
}

#[test]
fn who_lists_the_members_of_a_room() {
    let (mut chat, members) = Chat::with(3);
    chat.says(members[1], "/join math");
    chat.hears(members[2]);
    chat.says(members[2], "/who");
    assert_eq!(chat.hears(members[2]), "* in lobby: guest1, guest3\n");
    let (mut chat, members) = Chat::with(NOTICED + 7);
    chat.says(members[0], "/who");
    let heard = chat.hears(members[0]);
    assert_eq!(heard.matches("guest").count(), NOTICED);
    assert!(heard.ends_with(" and 7 more\n"), "{heard}");
    // In a room of this size, nobody is told who comes and goes.
    chat.h.open();
    assert_eq!(chat.hears(members[0]), "");
    chat.says(members[0], "/nick Ada");
    assert_eq!(chat.hears(members[0]), "* guest1 is now Ada\n");
    assert_eq!(chat.hears(members[1]), "");
}

#[test]
fn who_joins_gets_the_last_messages_of_the_room() {
    let (mut chat, members) = Chat::with(1);
    let words = "x".repeat(600);
    for number in 0..10 {
        chat.says(members[0], &format!("{number} {words}"));
    }
    let new = chat.h.open();
    let heard = chat.hears(new);
    let history = heard.strip_prefix(HELP).expect("a greeting");
    let kept: String = (4..10).map(|number| format!("guest1: {number} {words}\n")).collect();
    assert!(kept.len() <= HISTORY && kept.len() + 611 > HISTORY);
    assert_eq!(history, format!("{kept}* you are guest2 in lobby; members: 2\n"));
    // An empty room is forgotten.
    chat.says(members[0], "/join math");
    chat.says(members[0], "nobody hears this");
    chat.says(members[0], "/join lobby");
    chat.hears(new);
    chat.says(new, "/join math");
    assert_eq!(chat.hears(new), "* you are guest2 in math; members: 1\n");
}

#[test]
fn a_room_has_a_most() {
    let mut chat = Chat::new(2);
    let members: Vec<_> = (0..3).map(|_| chat.h.open()).collect();
    assert!(chat.hears(members[2]).ends_with("* you are guest3 in lobby-2; members: 1\n"));
    chat.says(members[2], "/join lobby");
    assert_eq!(chat.hears(members[2]), "* lobby is full\n");
    chat.h.finish(members[0]);
    chat.says(members[2], "/join lobby");
    assert_eq!(chat.hears(members[2]), "* you are guest3 in lobby; members: 2\n");
}

#[test]
fn a_line_that_is_too_long_is_not_said() {
    let (mut chat, members) = Chat::with(2);
    let longest = "x".repeat(LINE);
    chat.says(members[0], &format!("{longest}\n{longest}x\nshort"));
    assert_eq!(chat.hears(members[1]), format!("guest1: {longest}\nguest1: short\n"));
    assert!(chat.hears(members[0]).contains("* a line has at most 1000 bytes\n"));
}

#[test]
fn a_member_who_talks_too_fast_waits_and_loses_nothing() {
    let (mut chat, members) = Chat::with(2);
    let (talker, web) = (members[0], chat.open_web());
    chat.hears(members[1]);
    chat.says(talker, "x\n".repeat(39).trim_end());
    chat.h.feed(web, frame(1, "y").repeat(40));
    let heard = chat.hears(members[1]);
    let count = |heard: &str| [": x", ": y"].map(|text| heard.matches(text).count());
    assert_eq!(count(&heard), [21, 21]);
    chat.h.advance(Duration::from_millis(1990));
    assert_eq!(count(&chat.hears(members[1])), [9, 9]);
    chat.h.advance(Duration::from_secs(2));
    assert_eq!(count(&chat.hears(members[1])), [9, 10]);
}
