//! Timers that are cancelled: before they are due, by others that are due, and by themselves.

use std::cell::Cell;
use std::rc::Rc;

use super::{SECOND, TICK, acting, after, came, clock, every};

#[test]
fn a_cancelled_timer_does_not_come() {
    let mut h = clock();
    let once = after(&mut h, SECOND, 1);
    let stays = after(&mut h, SECOND, 2);
    let again = every(&mut h, SECOND, 3);
    assert!(h.reactor().cancel_timer(once));
    assert!(!h.reactor().cancel_timer(once), "cancelled before");
    h.advance(SECOND + TICK);
    assert_eq!(came(&mut h), [2, 3]);
    assert!(!h.reactor().cancel_timer(stays), "it has come");
    assert!(h.reactor().cancel_timer(again));
    h.advance(5 * SECOND);
    assert_eq!(came(&mut h), [0; 0]);
}

#[test]
fn a_stale_id_never_reaches_another_timer() {
    let mut h = clock();
    let stale = after(&mut h, SECOND, 1);
    h.reactor().cancel_timer(stale);
    let other = after(&mut h, SECOND, 2);
    assert_ne!(stale, other);
    assert!(!h.reactor().cancel_timer(stale));
    h.advance(2 * SECOND);
    assert_eq!(came(&mut h), [2]);
}

#[test]
fn a_timer_can_cancel_one_that_is_due_with_it() {
    let second = Rc::new(Cell::new(None));
    let cancels = second.clone();
    let mut h = acting(move |cx, me, message| {
        if message == 1 {
            assert!(cx.cancel_timer(cancels.get().unwrap()));
            // In its place, and not due yet.
            cx.after(SECOND, me, 4);
        }
    });
    after(&mut h, SECOND, 1);
    second.set(Some(after(&mut h, SECOND, 2)));
    after(&mut h, SECOND, 3);
    h.advance(SECOND + TICK);
    assert_eq!(came(&mut h), [1, 3]);
    h.advance(SECOND + TICK);
    assert_eq!(came(&mut h), [4]);
}

#[test]
fn a_repeated_timer_can_cancel_itself() {
    let own = Rc::new(Cell::new(None));
    let (id, mut left) = (own.clone(), 3);
    let mut h = acting(move |cx, _, _| {
        left -= 1;
        if left == 0 {
            assert!(cx.cancel_timer(id.get().unwrap()));
        }
    });
    own.set(Some(every(&mut h, SECOND, 7)));
    h.advance(10 * SECOND);
    assert_eq!((came(&mut h), h.ledger().panics), (vec![7, 7, 7], 0));
}

#[test]
fn a_timer_that_comes_once_is_over_when_it_comes() {
    let own = Rc::new(Cell::new(None));
    let id = own.clone();
    let mut h = acting(move |cx, _, _| assert!(!cx.cancel_timer(id.get().unwrap())));
    own.set(Some(after(&mut h, SECOND, 1)));
    h.advance(10 * SECOND);
    assert_eq!((came(&mut h), h.ledger().panics), (vec![1], 0));
}
