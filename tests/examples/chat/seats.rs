//! The list of members that deliveries share.

use std::collections::BTreeSet;

use allocation_counter::measure;
use sluicegate_reactor::testing::Harness;
use sluicegate_reactor::{ConnId, Context, Handler, Input};

use super::example::seats::Seats;

/// Notes the ids of connections.
struct Noted(Vec<ConnId>);

impl Handler for Noted {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.0.push(cx.id());
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

fn ids(count: usize) -> Vec<ConnId> {
    let mut h = Harness::new(Noted(Vec::new()));
    // No more at a time than the backlog holds.
    for _ in 0..count.div_ceil(100) {
        h.at_once(|h| (0..100).for_each(|_| _ = h.open()));
    }
    std::mem::take(&mut h.handler().0)
}

fn list(ids: &[ConnId]) -> Seats {
    let mut seats = Seats::default();
    ids.iter().for_each(|id| seats.add(*id));
    seats
}

#[test]
fn a_list_has_those_who_were_added_and_not_removed_and_a_copy_stays_as_it_was() {
    let ids = ids(450);
    let mut seats = list(&ids[..250]);
    let before = seats.clone();
    let mut members = ids[..250].iter().copied().collect::<BTreeSet<_>>();
    for (number, new) in ids[250..].iter().enumerate() {
        // From the front, from the back and somewhere between, also one who has left already.
        for old in [ids[number], ids[249 - number], ids[number * 7 % 250]] {
            seats.remove(old);
            members.remove(&old);
        }
        if number % 3 == 0 {
            seats.add(*new);
            members.insert(*new);
        }
        assert_eq!(seats.iter().count(), members.len());
        assert_eq!(seats.iter().collect::<BTreeSet<_>>(), members);
        assert_eq!(seats.is_empty(), members.is_empty());
    }
    assert!(before.iter().eq(ids[..250].iter().copied()));
}

#[test]
fn members_who_come_and_go_between_deliveries_take_little_memory() {
    const CHANGES: usize = 500;
    let ids = ids(4000 + CHANGES);
    let mut seats = list(&ids[..4000]);
    let mut waiting = Vec::with_capacity(CHANGES);
    let cost = measure(|| {
        for number in 0..CHANGES {
            seats.remove(ids[number * 7]);
            seats.add(ids[4000 + number]);
            waiting.push(seats.clone());
        }
    });
    // Copies of the whole list would take 32 KB each.
    assert!(cost.bytes_max < CHANGES as u64 * (4 << 10), "{cost:?}");
}
