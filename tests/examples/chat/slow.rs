//! Members who do not read.

use allocation_counter::{AllocationInfo, measure};
use sluicegate_reactor::Limits;
use sluicegate_reactor::testing::{Client, State};

use super::Chat;
use super::example::front::{LINE, PATIENCE};
use super::example::outbox::MISSED;

/// Lets these members read nothing from now on.
fn silence(chat: &mut Chat, clients: &[Client]) {
    chat.h.at_once(|h| {
        for client in clients {
            h.sent(*client);
            h.set_room(*client, 0);
        }
    });
}

/// Lets ten members say 20 lines of about 1000 bytes each, and reads what they hear.
fn talk(chat: &mut Chat, talkers: &[Client]) {
    let line = format!("{}\n", "x".repeat(LINE - 10));
    for _ in 0..20 {
        chat.h.at_once(|h| talkers.iter().for_each(|talker| h.feed(*talker, &line)));
        chat.h.at_once(|h| talkers.iter().for_each(|talker| _ = h.sent(*talker)));
    }
}

/// What it takes to say a line once more to some members who do not read yet.
fn cost(members: usize) -> AllocationInfo {
    let (mut chat, clients) = Chat::with(members);
    silence(&mut chat, &clients);
    let line = "x".repeat(LINE);
    for _ in 0..3 {
        chat.says(clients[0], &line);
    }
    let fed = format!("{line}\n");
    let cost = measure(|| chat.h.feed(clients[0], &fed));
    chat.h.at_once(|h| clients.iter().for_each(|client| h.set_room(*client, 1 << 20)));
    for client in clients {
        let heard = chat.h.at_once(|h| h.sent(client));
        assert!(heard == *format!("guest1: {line}\n").repeat(4).as_bytes());
    }
    chat.h.stop();
    cost
}

#[test]
fn a_message_is_allocated_once_for_two_thousand_members_as_for_two() {
    let (two, all) = (cost(2), cost(2000));
    assert_eq!((two.count_total, two.bytes_total), (all.count_total, all.bytes_total));
}

#[test]
fn two_thousand_slow_readers_take_little_memory_and_miss_the_rest() {
    let (mut chat, clients) = Chat::with(2010);
    let (talkers, slow) = clients.split_at(10);
    silence(&mut chat, slow);
    let cost = measure(|| talk(&mut chat, talkers));
    // Each of them is owed 64 KiB: 128 MB if they did not share it.
    assert!(cost.bytes_max < 16 << 20, "{cost:?}");
    chat.h.set_room(slow[0], 1 << 20);
    let heard = chat.hears(slow[0]);
    let arrived = heard.matches(": x").count();
    assert!((60..80).contains(&arrived), "{arrived}");
    assert!(heard.ends_with(MISSED));
    chat.h.stop();
}

#[test]
fn a_slow_reader_is_dropped_when_patience_ends_and_a_fast_one_stays() {
    let (mut chat, clients) = Chat::with(12);
    let (talkers, others) = clients.split_at(10);
    let [slow, late] = others[..] else { unreachable!() };
    let web = chat.open_web();
    silence(&mut chat, &[web, slow, late]);
    talk(&mut chat, talkers);
    chat.h.advance(PATIENCE / 2);
    chat.h.set_room(late, 1 << 20);
    assert!(chat.hears(late).ends_with(MISSED));
    chat.h.advance(PATIENCE);
    let states = [talkers[0], late, slow, web].map(|client| chat.h.state(client));
    assert_eq!(states, [State::Open, State::Open, State::Reset, State::Reset]);
    let heard = chat.hears(talkers[0]);
    assert!(heard.ends_with("* guest11 left\n* guest13 left\n"), "{heard}");
    // It hears what is said from now on.
    chat.hears(late);
    chat.says(talkers[0], "still there?");
    assert_eq!(chat.hears(late), "guest1: still there?\n");
}

#[test]
fn five_thousand_members_of_whom_a_hundred_talk_take_bounded_memory() {
    let (mut chat, clients) = Chat::with(5000);
    let (talkers, others) = clients.split_at(100);
    let (slow, fast) = others.split_at(2500);
    silence(&mut chat, slow);
    let line = format!("{}\n", "x".repeat(LINE - 10));
    let most = Limits::default().send_high as u64 + 2 * LINE as u64;
    let cost = measure(|| {
        for some in talkers.chunks(10).cycle().take(20) {
            chat.h.at_once(|h| some.iter().for_each(|talker| h.feed(*talker, &line)));
            let ledger = chat.h.ledger();
            assert!(ledger.queued - ledger.sent <= most * slow.len() as u64);
            chat.h.at_once(|h| talkers.iter().chain(fast).for_each(|client| _ = h.take(*client)));
        }
    });
    // What is on the way to the fast members counts too. The slow ones are owed 160 MB.
    assert!(cost.bytes_max < 80 << 20, "{cost:?}");
    chat.h.advance(PATIENCE * 2);
    let ledger = chat.h.ledger();
    assert_eq!(ledger.queued, ledger.sent + ledger.dropped, "the slow members are gone");
    assert_eq!(chat.h.state(slow[0]), State::Reset);
    chat.h.stop();
}
