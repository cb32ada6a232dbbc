//! Sockets, readiness, descriptors and the clock of the simulated kernel.

use std::ffi::OsStr;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use super::*;

const NOW: Option<Duration> = Some(Duration::ZERO);
const READ_WRITE: Ready = Ready::READ.union(Ready::WRITE);

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

/// A registered stream whose first edge was returned. Its token is 7.
fn stream() -> (World, Fd, Client, Selector) {
    let world = World::new(1);
    let (fd, client) = world.stream().unwrap();
    let mut selector = world.selector(8);
    selector.add(fd, 7).unwrap();
    assert_eq!(events(&mut selector), [(7, Ready::WRITE)]);
    (world, fd, client, selector)
}

fn events(selector: &mut Selector) -> Vec<(u64, Ready)> {
    let count = selector.wait(NOW).unwrap();
    (0..count).map(|i| selector.event(i)).map(|event| (event.token, event.ready)).collect()
}

fn recv(world: &World, fd: Fd, most: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; most];
    let count = world.recv(fd, &mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

pub(super) fn kind<T: fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_client_is_accepted_once_and_then_there_is_nobody() {
    let world = World::new(1);
    let listener = world.listen(address(), 8).unwrap();
    let mut selector = world.selector(8);
    selector.add(listener, 1).unwrap();
    assert_eq!(events(&mut selector), []);

    let client = world.connect(address()).unwrap();
    client.send(b"early");
    assert_eq!(events(&mut selector), [(1, Ready::READ)]);
    let fd = world.accept(listener).unwrap();
    assert_eq!(kind(world.accept(listener)), ErrorKind::WouldBlock);
    assert_eq!(world.local_address(fd).unwrap(), address().into());
    assert_eq!(world.peer_address(fd).unwrap(), client.address());
    selector.add(fd, 2).unwrap();
    assert_eq!(events(&mut selector), [(2, READ_WRITE)]);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"early");
}

#[test]
fn clients_are_refused_without_a_listener_and_at_a_full_backlog() {
    let world = World::new(1);
    assert_eq!(kind(world.connect(address()).map(|_| ())), ErrorKind::ConnectionRefused);
    world.listen(address(), 1).unwrap();
    assert_eq!(kind(world.listen(address(), 1)), ErrorKind::AddrInUse);
    world.connect(address()).unwrap();
    assert_eq!(kind(world.connect(address()).map(|_| ())), ErrorKind::ConnectionRefused);
}

#[test]
fn listeners_on_port_zero_get_ports_of_their_own() {
    let world = World::new(1);
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let one = world.listen(any, 1).unwrap();
    let two = world.listen(any, 1).unwrap();
    let one = world.local_address(one).unwrap();
    assert_ne!(one, world.local_address(two).unwrap());
    world.connect(SocketAddr::from(([127, 0, 0, 1], one.port().unwrap()))).unwrap();
}

#[test]
fn accept_fails_as_scripted_and_loses_no_client() {
    let world = World::new(1);
    let listener = world.listen(address(), 8).unwrap();
    let mut selector = world.selector(8);
    selector.add(listener, 1).unwrap();
    world.connect(address()).unwrap();
    let steps = [Step::Errno(libc::ECONNABORTED), Step::Interrupted, Step::Errno(libc::EMFILE)];
    world.script_accept(&address().into(), steps);
    world.script_accept(&address().into(), [Step::WouldBlock]);
    assert_eq!(kind(world.accept(listener)), ErrorKind::ConnectionAborted);
    assert_eq!(kind(world.accept(listener)), ErrorKind::Interrupted);
    assert_eq!(world.accept(listener).unwrap_err().raw_os_error(), Some(libc::EMFILE));
    events(&mut selector);
    assert_eq!(kind(world.accept(listener)), ErrorKind::WouldBlock);
    assert_eq!(events(&mut selector), [(1, Ready::READ)]);
    world.accept(listener).unwrap();
}

#[test]
fn at_the_descriptor_limit_a_client_stays_in_the_backlog() {
    let world = World::new(1);
    let listener = world.listen(address(), 8).unwrap();
    world.connect(address()).unwrap();
    world.set_descriptor_limit(1);
    assert_eq!(world.accept(listener).unwrap_err().raw_os_error(), Some(libc::EMFILE));
    assert_eq!(world.open_dir(Path::new("/")).unwrap_err().raw_os_error(), Some(libc::EMFILE));
    world.set_descriptor_limit(2);
    world.accept(listener).unwrap();
}

#[test]
fn closing_a_listener_resets_who_waits_in_it() {
    let world = World::new(1);
    let listener = world.listen(address(), 8).unwrap();
    let client = world.connect(address()).unwrap();
    world.close(listener);
    assert_eq!(client.state(), State::Reset);
    assert_eq!(world.open_descriptors(), OpenDescriptors::default());
}

#[test]
fn data_and_end_that_come_together_are_one_event() {
    let (world, fd, client, mut selector) = stream();
    client.send(b"ab");
    client.send(b"c");
    client.finish();
    assert_eq!(events(&mut selector), [(7, READ_WRITE.union(Ready::READ_END))]);
    assert_eq!(events(&mut selector), []);
    assert_eq!(recv(&world, fd, 2).unwrap(), b"ab");
    assert_eq!(recv(&world, fd, 10).unwrap(), b"c");
    assert_eq!(recv(&world, fd, 10).unwrap(), b"");
}

#[test]
fn an_event_says_what_is_so_when_it_is_taken() {
    let (world, fd, client, mut selector) = stream();
    client.set_send_capacity(1);
    client.send(b"a");
    recv(&world, fd, 10).unwrap();
    world.send(fd, b"x", More::No).unwrap();
    assert_eq!(events(&mut selector), [], "neither readable nor writable any more");
}

#[test]
fn bytes_that_were_left_make_no_second_edge() {
    let (world, fd, client, mut selector) = stream();
    client.send(b"abc");
    events(&mut selector);
    assert_eq!(recv(&world, fd, 1).unwrap(), b"a");
    assert_eq!(events(&mut selector), []);
}

#[test]
fn events_beyond_the_capacity_stay_in_order_for_the_next_wait() {
    let world = World::new(1);
    let mut selector = world.selector(2);
    for token in 0..3 {
        let (fd, _) = world.stream().unwrap();
        selector.add(fd, token).unwrap();
    }
    assert_eq!(events(&mut selector), [(0, Ready::WRITE), (1, Ready::WRITE)]);
    assert_eq!(events(&mut selector), [(2, Ready::WRITE)]);
}

#[test]
fn a_descriptor_is_registered_once() {
    let (_world, fd, _client, mut selector) = stream();
    assert_eq!(kind(selector.add(fd, 8)), ErrorKind::AlreadyExists);
}

#[test]
fn a_reset_is_reported_once_after_the_bytes_before_it() {
    let (world, fd, client, mut selector) = stream();
    client.send(b"ab");
    client.reset();
    let all = READ_WRITE.union(Ready::READ_END).union(Ready::HANGUP);
    assert_eq!(events(&mut selector), [(7, all)]);
    assert_eq!(kind(world.peer_address(fd)), ErrorKind::NotConnected);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"ab");
    assert_eq!(kind(recv(&world, fd, 10)), ErrorKind::ConnectionReset);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"");
    assert_eq!(kind(world.send(fd, b"x", More::No)), ErrorKind::BrokenPipe);
}

#[test]
fn a_reset_after_the_end_breaks_the_pipe_only() {
    let (world, fd, client, _selector) = stream();
    client.finish();
    client.reset();
    assert_eq!(recv(&world, fd, 10).unwrap(), b"");
    assert_eq!(kind(world.send(fd, b"x", More::No)), ErrorKind::BrokenPipe);
}

#[test]
fn a_receive_stops_at_an_urgent_byte_without_another_edge() {
    let (world, fd, client, mut selector) = stream();
    client.send(b"ab");
    client.send_urgent();
    client.send(b"cd");
    assert_eq!(events(&mut selector), [(7, READ_WRITE.union(Ready::URGENT))]);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"ab");
    assert_eq!(events(&mut selector), []);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"cd");
    assert_eq!(kind(recv(&world, fd, 10)), ErrorKind::WouldBlock);
}

#[test]
fn room_makes_an_edge_only_after_a_refused_send() {
    let (world, fd, client, mut selector) = stream();
    client.set_send_capacity(3);
    assert_eq!(world.send(fd, b"abcd", More::No).unwrap(), 3);
    assert_eq!(client.take(), b"abc");
    assert_eq!(events(&mut selector), []);

    assert_eq!(world.send(fd, b"efgh", More::No).unwrap(), 3);
    assert_eq!(kind(world.send(fd, b"h", More::No)), ErrorKind::WouldBlock);
    assert_eq!(events(&mut selector), []);
    client.take();
    assert_eq!(events(&mut selector), [(7, Ready::WRITE)]);

    client.set_send_capacity(0);
    assert_eq!(kind(world.send(fd, b"h", More::No)), ErrorKind::WouldBlock);
    client.set_send_capacity(usize::MAX);
    assert_eq!(events(&mut selector), [(7, Ready::WRITE)]);
}

#[test]
fn gathered_pieces_are_cut_where_the_room_ends() {
    let (world, fd, client, _selector) = stream();
    client.set_send_capacity(5);
    let pieces = [&b"abc"[..], b"", b"def", b"g"].map(IoSlice::new);
    assert_eq!(world.send_gather(fd, &pieces, More::Yes).unwrap(), 5);
    assert!(world.stream_status(fd).1);
    assert_eq!(client.untaken(), 5);
    assert_eq!(client.take(), b"abcde");
    world.send(fd, b"", More::No).unwrap();
    assert!(!world.stream_status(fd).1);
    let too_many = vec![IoSlice::new(b"x"); 1025];
    let refused = world.send_gather(fd, &too_many, More::No).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn scripted_receives_are_used_up_one_a_call() {
    let (world, fd, client, mut selector) = stream();
    client.send(b"abcdef");
    client.script_recv([Step::Interrupted, Step::Normal, Step::Short(2), Step::WouldBlock]);
    events(&mut selector);
    assert_eq!(kind(recv(&world, fd, 1)), ErrorKind::Interrupted);
    assert_eq!(recv(&world, fd, 1).unwrap(), b"a");
    assert_eq!(events(&mut selector), []);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"bc");
    assert_eq!(events(&mut selector), [(7, READ_WRITE)], "the rest counts as new");
    assert_eq!(kind(recv(&world, fd, 10)), ErrorKind::WouldBlock);
    assert_eq!(events(&mut selector), [(7, READ_WRITE)], "it would block no more");
    assert_eq!(recv(&world, fd, 10).unwrap(), b"def");
}

#[test]
fn scripted_sends_are_used_up_by_every_kind_of_send() {
    let (world, fd, client, mut selector) = stream();
    world.files().put_file("/f", b"file", 0);
    let dir = world.open_dir(Path::new("/")).unwrap();
    let file = world.open_beneath(dir, OsStr::new("f")).unwrap();
    client.script_send([Step::Short(1), Step::Short(2), Step::Short(3)]);
    client.script_send([Step::WouldBlock, Step::Errno(libc::EPIPE)]);
    assert_eq!(world.send(fd, b"abc", More::No).unwrap(), 1);
    assert_eq!(world.send_gather(fd, &[IoSlice::new(b"bcd")], More::No).unwrap(), 2);
    assert_eq!(world.sendfile(fd, file, 0, 4).unwrap(), 3);
    assert_eq!(events(&mut selector), []);
    assert_eq!(kind(world.send(fd, b"x", More::No)), ErrorKind::WouldBlock);
    assert_eq!(events(&mut selector), [(7, Ready::WRITE)]);
    assert_eq!(kind(world.send(fd, b"x", More::No)), ErrorKind::BrokenPipe);
    assert_eq!(client.take(), b"abcfil");
}

#[test]
fn a_file_is_sent_from_its_offset_to_its_end() {
    let (world, fd, client, _selector) = stream();
    world.files().put_file("/f", b"0123456789", 0);
    let dir = world.open_dir(Path::new("/")).unwrap();
    let file = world.open_beneath(dir, OsStr::new("f")).unwrap();
    client.set_send_capacity(6);
    assert_eq!(world.sendfile(fd, file, 2, 3).unwrap(), 3);
    assert_eq!(world.sendfile(fd, file, 5, 100).unwrap(), 3);
    assert_eq!(kind(world.sendfile(fd, file, 8, 2)), ErrorKind::WouldBlock);
    assert_eq!(client.take(), b"234567");
    for past in [10, 11, u64::MAX] {
        assert_eq!(world.sendfile(fd, file, past, 1).unwrap(), 0);
    }
    assert_eq!(world.calls().sendfile, 6);
}

#[test]
fn closing_with_unread_bytes_is_a_reset() {
    let (world, fd, client, _selector) = stream();
    client.send(b"ab");
    recv(&world, fd, 1).unwrap();
    assert_eq!(client.unread(), 1);
    world.close(fd);
    assert_eq!(client.state(), State::Reset);

    let (fd, client) = world.stream().unwrap();
    client.send(b"ab");
    recv(&world, fd, 2).unwrap();
    world.send(fd, b"bye", More::No).unwrap();
    world.close(fd);
    assert_eq!(client.state(), State::Closed);
    assert_eq!(client.take(), b"bye");
    client.send(b"too late");
    assert_eq!(client.unread(), 0);

    let (fd, client) = world.stream().unwrap();
    world.reset(fd);
    assert_eq!(client.state(), State::Reset);
}

#[test]
fn after_its_own_end_the_server_still_receives() {
    let (world, fd, client, mut selector) = stream();
    world.shutdown_write(fd).unwrap();
    assert_eq!(client.state(), State::Shut);
    assert_eq!(events(&mut selector), [(7, Ready::WRITE)]);
    assert_eq!(kind(world.send(fd, b"x", More::No)), ErrorKind::BrokenPipe);
    client.send(b"a");
    client.finish();
    let all = READ_WRITE.union(Ready::READ_END).union(Ready::HANGUP);
    assert_eq!(events(&mut selector), [(7, all)]);
    assert_eq!(recv(&world, fd, 10).unwrap(), b"a");
    assert_eq!(recv(&world, fd, 10).unwrap(), b"");
    assert_eq!(kind(world.shutdown_write(fd)), ErrorKind::NotConnected);
    assert_eq!(kind(world.peer_address(fd)), ErrorKind::NotConnected);
}

#[test]
fn closing_takes_back_edges_but_not_events() {
    let (world, fd, client, mut selector) = stream();
    client.send(b"a");
    assert_eq!(selector.wait(NOW).unwrap(), 1);
    client.send(b"b");
    world.close(fd);
    assert_eq!(selector.event(0).token, 7, "handed out before: now it is stale");

    let (again, _) = world.stream().unwrap();
    assert_eq!(again, fd, "the lowest free number");
    assert_eq!(events(&mut selector), [], "the registration was of the old one");
}

#[test]
fn misuse_of_a_descriptor_panics_and_is_remembered() {
    let (world, fd, _client, _selector) = stream();
    let dir = world.open_dir(Path::new("/")).unwrap();
    world.close(fd);
    assert_eq!(world.misuse(), None);
    catch_unwind(AssertUnwindSafe(|| world.shutdown_write(fd))).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| world.shutdown_write(dir))).unwrap_err();
    catch_unwind(AssertUnwindSafe(|| world.close(fd))).unwrap_err();
    assert_eq!(world.misuse().unwrap(), format!("descriptor {fd} used after close"));
}

#[test]
fn only_waiting_and_the_test_move_the_clock() {
    let (world, _fd, client, mut selector) = stream();
    assert_eq!((world.monotonic(), world.realtime()), (1_000_000_000, 784_111_777));
    client.spurious_edge();
    let second = Duration::from_secs(1);
    assert_eq!(selector.wait(Some(second)).unwrap(), 1, "and no time passes");
    assert_eq!(selector.wait(Some(second)).unwrap(), 0);
    world.advance(Duration::from_millis(999));
    assert_eq!((world.monotonic(), world.realtime()), (2_999_000_000, 784_111_778));
    world.advance(Duration::MAX);
    assert!(world.monotonic() > 1 << 60);
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let [a, b, other] = [1, 1, 2].map(|seed| {
        let world = World::new(seed);
        [world.random(), world.random()]
    });
    assert_eq!(a, b);
    assert_ne!(a, other);
    assert_ne!(a[0], a[1]);
    // The first output of the published generator for the state 0.
    assert_eq!(World::new(0).random(), 0xe220_a839_7b1d_cdaf);
}
