//! Many sizes, and what they cost in calls.

use proptest::prelude::*;

use super::*;

/// Receives pieces of these sizes one after the other, notes whether they were lent, and checks
/// that they are the input.
struct Sizes {
    sizes: Vec<usize>,
    input: Vec<u8>,
    at: usize,
    lent: usize,
    owned: usize,
}

impl Sizes {
    fn new(sizes: impl Into<Vec<usize>>) -> Sizes {
        let mut sizes = sizes.into();
        let input = pattern(sizes.iter().sum());
        sizes.reverse();
        Sizes { sizes, input, at: 0, lent: 0, owned: 0 }
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        if let Some(size) = self.sizes.pop() {
            cx.receive_exact(size).unwrap();
        }
    }
}

impl Handler for Sizes {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.ask(cx);
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {
        panic!("something is asked for");
    }

    fn on_received(&mut self, cx: &mut Context<'_>, (): &mut (), bytes: Payload<'_>) {
        assert!(bytes[..] == self.input[self.at..self.at + bytes.len()]);
        self.at += bytes.len();
        match bytes {
            Payload::Borrowed(_) => self.lent += 1,
            Payload::Owned(bytes) => {
                // Where it begins in a page is chosen, which takes a page.
                let buffer = bytes.try_into_mut().expect("nobody shares it");
                assert!(buffer.capacity() - buffer.len() <= 4096, "no memory is wasted");
                self.owned += 1;
            }
        }
        self.ask(cx);
    }
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..10_usize, 0..5000_usize, 60_000..70_000_usize, 0..300_000_usize]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_sizes_in_any_cut_arrive_in_order_and_once(
        sizes in prop::collection::vec(length(), 1..20),
        cuts in prop::collection::vec(length(), 1..10),
        steps in prop::collection::vec(prop_oneof![
            Just(Step::Interrupted),
            Just(Step::WouldBlock),
            (1..100_000_usize).prop_map(Step::Short),
        ], 0..20),
    ) {
        let mut h = Harness::new(Sizes::new(sizes));
        let client = h.open();
        h.script_recv(client, steps);
        let input = h.handler().input.clone();
        let mut rest = &input[..];
        let least = 1 + input.len() / 200;
        for cut in cuts.into_iter().cycle() {
            let (now, later) = rest.split_at(cut.max(least).min(rest.len()));
            h.feed(client, now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(h.handler().at, input.len());
        prop_assert!(h.handler().sizes.is_empty());
    }
}

#[test]
fn small_messages_are_lent_from_the_receive_that_brought_them() {
    const COUNT: usize = 5000;
    let mut h = Harness::new(Sizes::new([100; COUNT]));
    let client = h.open();
    let before = h.calls().recv;
    let input = h.handler().input.clone();
    h.feed(client, input);
    assert_eq!((h.handler().lent, h.handler().owned), (COUNT, 0));
    assert_eq!(h.ledger().exact_receives, COUNT as u64);
    assert_eq!(h.calls().recv - before, 1);
}

#[test]
fn large_messages_are_received_where_they_stay() {
    const SIZE: usize = 1 << 20;
    let mut h = Harness::new(Sizes::new([4, SIZE, 4, SIZE, 4, SIZE]));
    let client = h.open();
    let input = h.handler().input.clone();
    h.feed(client, input);
    assert_eq!((h.handler().lent, h.handler().owned), (3, 3));
    let ledger = h.ledger();
    assert_eq!((ledger.exact_receives, ledger.kept), (6, 0));
    assert!(ledger.direct_receives >= 3, "{}", ledger.direct_receives);
    // What a receive for the length has brought of the message is copied: once by the first one,
    // which cannot know what follows.
    assert!(ledger.direct_bytes > 2 * SIZE as u64 + SIZE as u64 / 3, "{}", ledger.direct_bytes);
}

#[test]
fn a_message_that_is_there_as_a_whole_is_lent_however_large() {
    let mut h = Harness::new(Sizes::new([4, 300_000]));
    let client = h.open();
    let input = h.handler().input.clone();
    h.feed(client, input);
    assert_eq!((h.handler().lent, h.handler().owned), (2, 0));
}

#[test]
fn a_message_has_a_buffer_of_its_own_if_it_is_many_or_too_much_of_it_has_come() {
    const MANY: usize = 6000;
    let limits = Limits { receive_direct: MANY, ..Limits::default() };
    // The length, what comes first, and how many of all are received where they stay.
    for (length, first, direct) in
        [(MANY, 1, 0), (MANY, 4096, 0), (MANY, 4097, MANY - 4097), (MANY + 1, 1, MANY + 1)]
    {
        let probe = Probe::new(move |cx, call, _| match call {
            Call::Open => cx.receive_exact(length).unwrap(),
            Call::Received(bytes) => {
                cx.send(bytes);
            }
            call => call.by_default(cx),
        });
        let mut h = with_limits(probe, limits.clone());
        let client = h.open();
        let input = pattern(length);
        for part in [&input[..first], &input[first..]] {
            h.feed(client, part);
        }
        assert!(h.sent(client) == input, "{first} and the rest of {length}");
        assert_eq!(h.ledger().direct_bytes, direct as u64, "{first} and the rest of {length}");
    }
}
