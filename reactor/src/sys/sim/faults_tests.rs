//! Faults keep the contract.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::tests::kind;
use super::*;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// A world in which these faults always happen, and a registered stream whose first edge was
/// returned. Its token is 7.
fn world(faults: Faults) -> (World, Fd, Client, Selector) {
    let world = World::new(1);
    let (fd, client) = world.stream().unwrap();
    let mut selector = world.selector(8);
    selector.add(fd, 7).unwrap();
    selector.wait(NOW).unwrap();
    world.set_faults(faults, 1);
    (world, fd, client, selector)
}

fn events(selector: &mut Selector) -> Vec<(u64, Ready)> {
    let count = selector.wait(NOW).unwrap();
    (0..count).map(|i| selector.event(i)).map(|event| (event.token, event.ready)).collect()
}

#[test]
fn an_edge_follows_what_would_block_without_a_reason() {
    let (world, fd, client, mut selector) = world(Faults { would_block: 1.0, ..Faults::none() });
    client.send(b"abc");
    events(&mut selector);
    assert_eq!(kind(world.recv(fd, &mut [0; 8])), ErrorKind::WouldBlock);
    assert_eq!(events(&mut selector), [(7, Ready::READ.union(Ready::WRITE))]);
    assert_eq!(kind(world.send(fd, b"x", More::No)), ErrorKind::WouldBlock);
    assert_eq!(events(&mut selector), [(7, Ready::READ.union(Ready::WRITE))]);
}

#[test]
fn what_a_short_receive_leaves_makes_an_edge_and_is_not_lost() {
    let (world, fd, client, mut selector) = world(Faults { short: 1.0, ..Faults::none() });
    client.send(b"abcdefgh");
    let mut all: Vec<u8> = Vec::new();
    while all.len() < 8 {
        assert_eq!(events(&mut selector).len(), 1, "after {} bytes", all.len());
        let mut buffer = [0; 8];
        let count = world.recv(fd, &mut buffer).unwrap();
        assert!(count < 8);
        all.extend(&buffer[..count]);
    }
    assert_eq!(all, b"abcdefgh");
    assert_eq!(events(&mut selector), []);
}

#[test]
fn a_late_edge_comes_when_it_is_due() {
    let (world, _, client, mut selector) = world(Faults { late: 1.0, ..Faults::none() });
    client.send(b"abc");
    assert_eq!(events(&mut selector), []);
    let due = world.next_arrival().unwrap();
    world.advance(Duration::from_nanos(due - 1));
    world.run_network();
    assert_eq!(events(&mut selector), []);
    world.advance(Duration::from_nanos(1));
    world.run_network();
    assert_eq!(events(&mut selector), [(7, Ready::READ.union(Ready::WRITE))]);
}

#[test]
fn in_the_manner_of_kqueue_each_direction_has_an_event_and_only_an_error_is_a_hangup() {
    let (_, _, client, mut selector) = world(Faults { kqueue: 1.0, ..Faults::none() });
    let all = |selector: &mut Selector| {
        let mut seen: Vec<_> = events(selector).into_iter().chain(events(selector)).collect();
        seen.sort_by_key(|(_, ready)| !ready.any(Ready::READ));
        seen.into_iter().map(|(_, ready)| ready).collect::<Vec<_>>()
    };
    client.send(b"abc");
    assert_eq!(all(&mut selector), [Ready::READ.union(Ready::URGENT), Ready::WRITE]);
    client.finish();
    assert_eq!(all(&mut selector), [Ready::READ.union(Ready::READ_END), Ready::WRITE]);
    client.reset();
    for ready in all(&mut selector) {
        assert!(ready.any(Ready::READ) && ready.any(Ready::WRITE) && ready.any(Ready::HANGUP));
    }
}

#[test]
fn a_closed_connection_leaves_an_event_with_its_old_token() {
    let (world, fd, client, mut selector) = world(Faults { stale: 1.0, ..Faults::none() });
    world.close(fd);
    assert_eq!(client.state(), State::Closed);
    let (next, _) = world.stream().unwrap();
    assert_eq!(next, fd, "the number is given to the next at once");
    selector.add(next, 8).unwrap();
    world.advance(Duration::from_secs(1));
    world.run_network();
    let tokens = events(&mut selector).into_iter().map(|(token, _)| token);
    assert_eq!(tokens.collect::<Vec<_>>(), [8, 7]);
}

#[test]
fn an_aborted_client_is_gone_and_one_met_without_a_descriptor_waits() {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    for (faults, expected, waits) in [
        (Faults { aborted: 1.0, ..Faults::none() }, libc::ECONNABORTED, false),
        (Faults { exhausted: 1.0, ..Faults::none() }, libc::EMFILE, true),
    ] {
        let world = World::new(1);
        let listener = world.listen(address, 8).unwrap();
        let client = world.connect(address).unwrap();
        world.set_faults(faults, 1);
        let error = world.accept(listener).unwrap_err();
        let errno = error.raw_os_error().unwrap();
        assert!(errno == expected || waits && errno == libc::ENFILE, "{error}");
        assert_eq!((client.state() == State::Open, client.is_spoilt()), (waits, !waits));
        world.set_faults(Faults::none(), 1);
        assert_eq!(world.accept(listener).is_ok(), waits);
    }
}

#[test]
fn a_slow_disk_takes_time_and_the_clock_on_the_wall_jumps() {
    let faults = Faults { slow_disk: 1.0, clock_jump: 1.0, ..Faults::none() };
    let (world, ..) = world(faults);
    world.files().put_file("/f", b"abc", 0);
    let file = world.open_dir("/".as_ref()).unwrap();
    let file = world.open_beneath(file, "f".as_ref()).unwrap();
    let start = world.monotonic();
    assert_eq!(world.read_at(file, &mut [0; 8], 0).unwrap(), 3);
    assert!(world.monotonic() > start);
    assert!(world.realtime().abs_diff(world.realtime()) > 2);
}

#[test]
fn a_sync_fails_like_a_write() {
    let (world, ..) = world(Faults { write: 1.0, ..Faults::none() });
    let root = world.open_dir("/".as_ref()).unwrap();
    world.set_trace(Mode::Kept);
    let errno = world.sync(root).unwrap_err().raw_os_error().unwrap();
    assert!([libc::ENOSPC, libc::EDQUOT, libc::EIO].contains(&errno), "{errno}");
    let trace = world.last_lines();
    assert!(trace.ends_with(&format!("sync({root}) = errno {errno}   <- fault\n")), "{trace}");
}
