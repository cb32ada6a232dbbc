//! Many lines in the same moment.

use std::time::Duration;

use sluicegate_reactor::MailboxLimits;

use super::example::hub::HELP;
use super::example::outbox::MISSED;
use super::{Chat, DELIVERIES, LINE, NOTICED, REPORTS, frame};

/// Fewer lines than a member can say at once.
const LINES: usize = 19;

#[test]
fn a_thousand_members_who_ask_in_the_same_moment_are_all_answered() {
    let (mut chat, members) = Chat::with(1000);
    let questions = "/help\n".repeat(LINES);
    chat.h.at_once(|h| members.iter().for_each(|member| h.feed(*member, &questions)));
    let answers = HELP.repeat(LINES);
    chat.h.at_once(|h| {
        for (number, member) in members.into_iter().enumerate() {
            assert!(h.sent(member) == answers, "member {number}");
        }
    });
}

#[test]
fn lines_that_are_not_text_are_not_longer_for_those_who_read() {
    let (mut chat, members) = Chat::with(3);
    let line = [&[0xff; LINE][..], b"\n"].concat();
    chat.h.at_once(|h| members[1..].iter().for_each(|member| h.feed(*member, line.repeat(LINES))));
    let heard = chat.hears(members[0]);
    assert_eq!(heard.matches(&format!(": {}\n", "?".repeat(LINE))).count(), 2 * LINES);
    assert!(!heard.contains(MISSED), "{heard}");
}

#[test]
fn members_are_told_that_messages_were_lost_and_hear_the_next_ones() {
    let mailboxes = MailboxLimits { capacity: 8, per_turn: 32 };
    let mut chat = Chat::with_mailboxes(10, &REPORTS, &mailboxes);
    let members = chat.open(2);
    let web = chat.open_web();
    chat.hears(members[1]);
    let lines: String = (1..=16).map(|number| format!("{number}\n")).collect();
    chat.h.feed(members[0], lines);
    let first: String = (1..=8).map(|number| format!("guest1: {number}\n")).collect();
    assert_eq!(chat.hears(members[1]), first);
    // Nobody says anything else.
    chat.h.advance(Duration::from_millis(200));
    assert_eq!(chat.hears(members[1]), MISSED);
    let heard = chat.hears_web(web);
    assert_eq!(heard.last(), Some(&(1, MISSED.into())));
    chat.says(members[0], "still there?");
    assert_eq!(chat.hears(members[1]), "guest1: still there?\n");
    assert_eq!(chat.hears_web(web), [(1, "guest1: still there?\n".into())]);
}

#[test]
fn a_loss_is_told_before_the_next_message() {
    let mailboxes = MailboxLimits { capacity: 8, per_turn: 32 };
    let mut chat = Chat::with_mailboxes(10, &REPORTS, &mailboxes);
    let members = chat.open(2);
    let lines: String = (1..=16).map(|number| format!("{number}\n")).collect();
    chat.h.feed(members[0], lines);
    chat.says(members[1], "what?");
    let heard = chat.hears(members[1]);
    assert!(heard.ends_with(&format!("guest1: 8\n{MISSED}guest2: what?\n")), "{heard}");
}

#[test]
fn a_member_who_leaves_in_a_burst_gives_up_its_nickname_though_nobody_speaks_in_its_room() {
    let reports = MailboxLimits { capacity: 4, per_turn: 4 };
    let mut chat = Chat::with_mailboxes(10, &reports, &DELIVERIES);
    let members = chat.open(2);
    let web = chat.open_web();
    chat.says(members[1], "/join math");
    chat.h.feed(web, frame(1, "/join chess"));
    chat.h.at_once(|h| {
        h.feed(members[0], "x\n".repeat(reports.capacity));
        h.finish(members[1]);
        h.finish(web);
    });
    chat.says(members[0], "/nick guest2");
    assert!(chat.hears(members[0]).ends_with("* somebody else is guest2\n"));
    chat.h.advance(Duration::from_millis(200));
    for name in ["guest2", "guest3"] {
        chat.says(members[0], &format!("/nick {name}"));
        assert!(chat.hears(members[0]).ends_with(&format!(" is now {name}\n")), "{name}");
    }
}

#[test]
fn a_member_who_has_left_is_reported_once_however_much_was_said_before() {
    const MEMBERS: u64 = 100;
    let (mut chat, members) = Chat::with(MEMBERS as usize);
    let before = chat.h.ledger().messages;
    let lines = "hello\n".repeat(LINES);
    chat.h.at_once(|h| {
        for member in members {
            h.feed(member, &lines);
            h.reset(member);
        }
    });
    let said = MEMBERS * LINES as u64;
    // The hub receives each line and each departure; the front receives each line, and the
    // departures from a room of at most `NOTICED` members.
    let messages = chat.h.ledger().messages - before;
    assert!(messages <= 2 * said + MEMBERS + NOTICED as u64, "{messages} messages");
}
