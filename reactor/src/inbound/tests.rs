//! What a connection owns while it receives, and when it gives that back.

use crate::testing::Harness;
use crate::{Context, Handler, Input, Payload};

/// A handler that leaves incomplete lines. A line says what happens to the bytes after it. The
/// first line `later` is taken in the next turn.
struct Lines(bool);

impl Handler for Lines {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        match input.bytes() {
            b"discard\n" => cx.discard(5),
            b"exactly\n" => cx.receive_exact(5).unwrap(),
            b"later\n" if !self.0 => {
                self.0 = true;
                return cx.yield_now();
            }
            line if !line.ends_with(b"\n") => return,
            _ => {}
        }
        input.take();
    }

    fn on_received(&mut self, _: &mut Context<'_>, (): &mut (), _: Payload<'_>) {}
}

#[test]
fn a_connection_that_waits_for_nothing_owns_nothing() {
    let mut h = Harness::new(Lines(false));
    let client = h.open();
    let owns = |h: &mut Harness<Lines>| {
        let (_, c) = h.reactor().turn.core.connections.iter().next().expect("a connection");
        c.special.is_some()
    };
    for (first, then) in [("li", "ne\n"), ("discard\n", "12345"), ("exactly\n", "12345")] {
        assert!(!owns(&mut h), "before {first:?}");
        h.feed(client, first);
        assert!(owns(&mut h), "after {first:?}");
        h.feed(client, then);
        assert!(!owns(&mut h), "after {first:?} and {then:?}");
    }
    h.feed(client, "later\n");
    assert!(h.handler().0);
    assert!(!owns(&mut h), "after what waited for the next turn");
}
