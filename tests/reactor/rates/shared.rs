//! The rate of a listener, which its connections share.

use super::*;

#[test]
fn the_connections_of_a_listener_share_its_rate_evenly() {
    // The last has more in a tick than its three pieces.
    for (rate, count, total) in [(RATE, 2, 1 << 20), (RATE, 10, 1 << 20), (60_000_000, 3, 32 << 20)]
    {
        let listen = Listen { send_rate: Some(rate), ..Listen::default() };
        let (mut h, clients) = downloads(&listen, count, total);
        h.at_once(|h| clients.iter().for_each(|client| h.set_room(*client, total)));
        let piece = (rate as usize / 59).clamp(PIECE, 256 << 10);
        let burst = rate as usize / 14;
        for ticks in 0..80 {
            let sent: Vec<usize> = clients.iter().map(|client| h.arrived(*client)).collect();
            let (all, range) = (sent.iter().sum(), in_time(rate, ticks * TICK, burst, 3 * piece));
            assert!(range.contains(&all), "{all} bytes in {ticks} ticks, {range:?}");
            let (most, least) = (sent.iter().max().unwrap(), sent.iter().min().unwrap());
            assert!(most - least <= 2 * piece, "{sent:?} in {ticks} ticks");
            h.advance(TICK);
        }
    }
}

#[test]
fn a_share_that_is_not_used_goes_to_the_others() {
    let listen = Listen { send_rate: Some(RATE), ..Listen::default() };
    let (mut h, clients) = downloads(&listen, 2, 400_000);
    h.set_room(clients[1], 1000);
    let mut all = 0;
    for _ in 0..100 {
        h.advance(TICK);
        all += h.sent(clients[0]).len();
    }
    let stuck = h.arrived(clients[1]);
    assert!(stuck <= 2 * PIECE + BURST, "{stuck}");
    assert!(in_time(RATE, 100 * TICK, BURST, 4 * PIECE).contains(&(all + stuck)), "{all}");
    h.reset(clients[1]);
    let before = all;
    for _ in 0..100 {
        h.advance(TICK);
        all += h.sent(clients[0]).len();
    }
    assert!(all - before >= 160_000, "{}", all - before);
}

#[test]
fn what_a_connection_had_reserved_goes_to_the_others_when_it_is_over() {
    let listen = Listen { send_rate: Some(RATE), ..Listen::default() };
    let (mut h, clients) = downloads(&listen, 10, 1 << 20);
    h.advance(Duration::from_secs(1));
    // Whose turn is next, with the reservations of all others behind its own.
    let first = (0..10).rev().min_by_key(|number| h.arrived(clients[*number])).unwrap();
    let (next, before) = (clients[first], h.arrived(clients[first]));
    let ids = h.handler().notes.ids.clone();
    for number in (0..10).filter(|number| *number != first) {
        h.reactor().peer(ids[number]).abort();
    }
    h.run();
    h.advance(60 * TICK);
    let sent = h.arrived(next) - before;
    let range = in_time(RATE, 60 * TICK, BURST, 3 * PIECE);
    assert!(range.contains(&sent), "{sent}, {range:?}");
}
