//! Whatever is queued when a transport starts, and whatever limits slow it down: what was sent before
//! arrives in the clear, then the handshake, then what was sent afterwards.

use proptest::prelude::*;
use sluicegate_reactor::testing::Files;

use super::*;
use crate::probe::pattern;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Pieces of memory and regions of a file, in any order.
    #[test]
    fn what_is_sent_around_the_start_of_a_transport_arrives_in_order_whatever_the_limits(
        clear in pieces(),
        sealed in pieces(),
        send_rate in prop::option::of(Just(200_000)),
        send_quantum in prop::sample::select(&[1, 4000, 1 << 20][..]),
        room in prop::sample::select(&[0, 1000, 60_000, 1 << 20][..]),
        offloads in any::<bool>(),
        is_early in any::<bool>(),
    ) {
        let content = pattern(100_000);
        let expected = [&clear, &sealed].map(|pieces| {
            pieces.iter().flat_map(|(_, len)| &content[..*len]).copied().collect::<Vec<u8>>()
        });
        let limits = Limits { send_rate, send_quantum, ..Limits::default() };
        let fill = |files: &mut Files| files.put_file("/d/page", &content, 0);
        let mut h = Harness::build(&Listen { limits, ..Listen::default() }, fill, |reactor| {
            let page = reactor.open_dir("/d").unwrap().open("page").unwrap();
            let content = content.clone();
            let send = move |cx: &mut Context<'_>, pieces: &[(bool, usize)]| {
                for &(is_file, len) in pieces {
                    match is_file {
                        true => cx.send(page.region(0, len as u64)),
                        false => cx.send(&content[..len]),
                    };
                }
            };
            let factory = if offloads { Records::offloaded() } else { Records::factory() };
            reactor.register(Probe::new(move |cx, call, _| match call {
                Call::Data(input) => {
                    input.take();
                    send(cx, &clear);
                    cx.start_transport(factory.make(&()).unwrap().unwrap());
                    send(cx, &sealed);
                }
                call => call.by_default(cx),
            }))
        });
        let client = h.open();
        h.set_room(client, room);
        h.feed(client, "start");
        if is_early {
            h.feed(client, greeting());
        }
        h.set_room(client, 1 << 20);
        h.advance(Duration::from_secs(2));
        if !is_early {
            h.feed(client, greeting());
        }
        h.advance(Duration::from_secs(4));
        let wire = h.sent(client);
        let wire = wire.strip_prefix(&expected[0][..]).expect("what was queued");
        prop_assert_eq!(payloads(wire), &expected[1][..]);
        let ledger = h.ledger();
        prop_assert_eq!((ledger.sent, ledger.dropped), (ledger.queued, 0));
    }
}

fn pieces() -> impl Strategy<Value = Vec<(bool, usize)>> {
    let len = prop::sample::select(&[1, 100, 3000, 70_000, 100_000][..]);
    prop::collection::vec((any::<bool>(), len), 0..4)
}

/// The bytes for the handler in records behind the greeting of the server.
fn payloads(wire: &[u8]) -> Vec<u8> {
    let (mut rest, mut bytes) = (wire, Vec::new());
    while let [kind, high, low, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        assert_eq!(*kind == b'g', rest.len() == wire.len(), "the greeting comes first");
        bytes.extend(payload.iter().filter(|_| *kind == b'd').map(|byte| !byte));
        rest = behind;
    }
    bytes
}
