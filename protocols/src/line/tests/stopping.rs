//! Pausing, closing, and yielding to others.

use sluicegate_reactor::testing::State;

use super::*;

fn lines() -> Harness<Lines<Teller>> {
    tell(Delimiter::newline(), 20)
}

#[test]
fn row_04_a_pause_inside_a_line_stops_delivery_and_a_resume_goes_on_with_what_is_kept() {
    let mut h = lines();
    let client = h.open();
    h.set_room(client, 0);
    h.feed(client, "a\npause\nb\nc");
    h.feed(client, "\n");
    assert_eq!(h.handler().handler().calls, 2, "nothing behind the pause");
    h.set_room(client, 1000);
    assert_eq!(h.sent(client), "<a><pause>(resumed)<b><c>");
}

#[test]
fn row_04_pauses_change_nothing_at_any_split() {
    let input = "pause\npause\na\npause raw\nb!block 3\n123pause\nblock 0\n\npause\n";
    let expected = "<pause>(resumed)<pause>(resumed)<a><pause raw>(resumed)b!<block 3>[123]\
                    <pause>(resumed)<block 0>[]<><pause>(resumed)";
    assert_eq!(told(lines, input), [expected, "Clean"]);
}

#[test]
fn row_04_a_close_inside_a_line_delivers_nothing_behind_it() {
    assert_eq!(told(lines, "a\nclose\nb\nc\n"), ["<a><close>", ""]);
    let mut h = lines();
    let client = h.open();
    h.feed(client, "close\nblock 3\nabc\n");
    assert_eq!((h.handler().handler().calls, h.state(client)), (1, State::Shut));
}

#[test]
fn a_full_queue_stops_delivery_until_it_has_drained() {
    let limits = Limits { send_high: 100, send_low: 50, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let mut h = Harness::with(Lines::new(Teller::new()), &listen);
    let client = h.open();
    h.set_room(client, 0);
    h.feed(client, "12345678\n".repeat(50));
    assert_eq!(h.handler().handler().calls, 10);
    h.set_room(client, 20);
    assert_eq!(h.sent(client), "<12345678>".repeat(50).as_bytes());
}

#[test]
fn how_many_lines_a_turn_takes_can_be_chosen() {
    let mut h = Harness::new(Lines::new(Teller::new()).per_turn(3));
    let client = h.open();
    h.at_once(|h| {
        h.feed(client, "a\nb\nblock 1\n1d\n");
        h.turn();
        assert_eq!(h.sent(client), "<a><b><block 1>");
        h.turn();
        assert_eq!(h.sent(client), "[1]<d>");
    });
}

#[test]
fn a_budget_that_is_used_up_at_the_end_of_the_input_costs_no_turn() {
    let mut h = Harness::new(Lines::new(Teller::new()).per_turn(3));
    let client = h.open();
    h.feed(client, "a\nb\nc\n");
    assert_eq!(h.ledger().yields, 0);
    assert_eq!(h.sent(client), "<a><b><c>");
}
