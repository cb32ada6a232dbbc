//! Tests the readiness contract of `sys` with this system's selector.

use std::cmp::Ordering;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::thread;
use std::time::Duration;

use super::super::unix::tests::connection;
use super::super::{Event, Fd, More, Ready, unix};
use super::Selector;

const STREAM: u64 = 0xdead_beef_0000_0001;
const WAKER: u64 = u64::MAX;

/// Waits until the events of `token` have reported all of `wanted`.
fn wait_for(selector: &mut Selector, token: u64, wanted: Ready) -> Ready {
    let mut seen = Ready::default();
    while wanted.without(seen) != Ready::default() {
        let count = selector.wait(None).unwrap();
        for event in (0..count).map(|index| selector.event(index)) {
            assert_eq!(event.token, token);
            seen = seen.union(event.ready);
        }
    }
    seen
}

/// The events that are there without waiting.
fn events_now(selector: &mut Selector) -> Vec<Event> {
    let count = selector.wait(Some(Duration::ZERO)).unwrap();
    (0..count).map(|index| selector.event(index)).collect()
}

#[test]
fn a_change_is_reported_once_and_the_next_one_again() {
    let (ours, mut peer) = connection();
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    wait_for(&mut selector, STREAM, Ready::WRITE);

    peer.write_all(b"a").unwrap();
    wait_for(&mut selector, STREAM, Ready::READ);
    assert_eq!(events_now(&mut selector), []);

    // The first byte is still unread; the second is a change nevertheless.
    peer.write_all(b"b").unwrap();
    wait_for(&mut selector, STREAM, Ready::READ);
    unix::close(ours);
}

#[test]
fn fewer_bytes_than_the_mark_are_no_event_and_the_end_is() {
    let (ours, mut peer) = connection();
    match unix::set_receive_mark(ours, 100) {
        Err(error) if error.kind() == ErrorKind::Unsupported => return unix::close(ours),
        result => result.unwrap(),
    }
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    let readable = |selector: &mut Selector| {
        events_now(selector).into_iter().any(|event| event.ready.any(Ready::READ))
    };
    wait_for(&mut selector, STREAM, Ready::WRITE);
    peer.write_all(&[7; 99]).unwrap();
    assert!(!readable(&mut selector));
    peer.write_all(&[7]).unwrap();
    wait_for(&mut selector, STREAM, Ready::READ);

    // A receive returns all that has arrived, whatever the mark.
    assert_eq!(unix::recv(ours, &mut [0; 60]).unwrap(), 60);
    assert_eq!(unix::recv(ours, &mut [0; 60]).unwrap(), 40);
    peer.write_all(&[7; 10]).unwrap();
    assert!(!readable(&mut selector));
    drop(peer);
    wait_for(&mut selector, STREAM, Ready::READ.union(Ready::READ_END));
    unix::close(ours);
}

#[test]
fn room_to_write_is_an_edge_after_would_block() {
    let (ours, mut peer) = connection();
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    wait_for(&mut selector, STREAM, Ready::WRITE);

    let mut sent = 0;
    let refusal = loop {
        match unix::send(ours, &[7; 65_536], More::No) {
            Ok(bytes) => sent += bytes,
            Err(error) => break error,
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::WouldBlock);
    let reader = thread::spawn(move || {
        let mut received = vec![0; sent];
        peer.read_exact(&mut received).unwrap();
        peer
    });
    wait_for(&mut selector, STREAM, Ready::WRITE);
    drop(reader.join().unwrap());
    unix::close(ours);
}

#[test]
fn data_and_fin_in_one_edge_carry_the_end_of_reading() {
    let (ours, mut peer) = connection();
    peer.write_all(b"last words").unwrap();
    drop(peer);
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    let seen = wait_for(&mut selector, STREAM, Ready::READ.union(Ready::READ_END));
    assert!(!seen.any(Ready::HANGUP));

    let mut buffer = [0; 32];
    assert_eq!(unix::recv(ours, &mut buffer).unwrap(), 10);
    assert_eq!(unix::recv(ours, &mut buffer).unwrap(), 0);
    unix::close(ours);
}

#[test]
fn a_reset_is_a_hangup_and_readiness_in_both_directions() {
    let (ours, peer) = connection();
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    wait_for(&mut selector, STREAM, Ready::WRITE);

    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    wait_for(&mut selector, STREAM, Ready::HANGUP.union(Ready::READ).union(Ready::WRITE));
    let error = unix::recv(ours, &mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    unix::close(ours);
}

#[test]
fn ones_own_shutdown_is_not_a_hangup() {
    let (ours, mut peer) = connection();
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    unix::shutdown_write(ours).unwrap();
    peer.write_all(b"go on").unwrap();
    let seen = wait_for(&mut selector, STREAM, Ready::READ);
    assert!(!seen.any(Ready::HANGUP.union(Ready::READ_END)));
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    unix::close(ours);
}

#[test]
fn urgent_data_is_told_with_the_data() {
    let (ours, mut peer) = connection();
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    peer.write_all(b"before").unwrap();
    socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    wait_for(&mut selector, STREAM, Ready::URGENT.union(Ready::READ));
    unix::close(ours);
}

#[test]
fn a_listener_is_ready_for_each_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut selector = Selector::new(8).unwrap();
    selector.add(listener.as_raw_fd(), 3).unwrap();
    assert_eq!(events_now(&mut selector), []);
    for _ in 0..2 {
        let _peer = TcpStream::connect(address).unwrap();
        let seen = wait_for(&mut selector, 3, Ready::READ);
        assert!(!seen.any(Ready::WRITE));
        unix::close(unix::accept(listener.as_raw_fd()).unwrap());
    }
}

#[test]
fn a_closed_descriptor_is_not_heard_of_again() {
    let (ours, mut peer) = connection();
    let mut selector = Selector::new(8).unwrap();
    selector.add(ours, STREAM).unwrap();
    peer.write_all(b"unread").unwrap();
    unix::close(ours);
    assert_eq!(events_now(&mut selector), []);
}

#[test]
fn a_number_that_is_used_again_is_another_descriptor() {
    let mut selector = Selector::new(8).unwrap();
    // Other tests open descriptors, too, and may take the number.
    for attempt in 0..100 {
        let (first, _first_peer) = connection();
        let (original, mut peer) = connection();
        selector.add(first, attempt).unwrap();
        wait_for(&mut selector, attempt, Ready::WRITE);
        unix::close(first);
        if let Some(second) = duplicate_as(original, first) {
            unix::close(original);
            selector.add(second, STREAM).unwrap();
            wait_for(&mut selector, STREAM, Ready::WRITE);
            peer.write_all(b"a").unwrap();
            wait_for(&mut selector, STREAM, Ready::READ);
            unix::close(second);
            return;
        }
        unix::close(original);
    }
    panic!("the number was never free");
}

/// Duplicates a descriptor until the duplicate has this number, if that is free: the kernel gives
/// out the lowest free number each time.
fn duplicate_as(fd: Fd, number: Fd) -> Option<Fd> {
    let mut lower = Vec::new();
    loop {
        let duplicate = unix::borrow(&fd).try_clone_to_owned().unwrap();
        match duplicate.as_raw_fd().cmp(&number) {
            Ordering::Less => lower.push(duplicate),
            Ordering::Equal => return Some(duplicate.into_raw_fd()),
            Ordering::Greater => return None,
        }
    }
}

#[test]
fn many_wakes_make_one_event() {
    let mut selector = Selector::new(8).unwrap();
    let waker = selector.add_waker(WAKER).unwrap();
    assert_eq!(events_now(&mut selector), []);
    for _ in 0..2 {
        for _ in 0..100 {
            waker.wake().unwrap();
        }
        let events = events_now(&mut selector);
        assert!(matches!(events[..], [Event { token: WAKER, ready }] if ready.any(Ready::READ)));
        assert_eq!(events_now(&mut selector), []);
    }
}

#[test]
fn a_wake_from_another_thread_ends_a_wait() {
    let mut selector = Selector::new(8).unwrap();
    let waker = selector.add_waker(WAKER).unwrap();
    let thread = thread::spawn({
        let waker = waker.clone();
        move || waker.wake().unwrap()
    });
    wait_for(&mut selector, WAKER, Ready::READ);
    thread.join().unwrap();
}

#[test]
fn no_more_events_come_than_there_is_capacity_for_and_the_rest_comes_later() {
    let mut selector = Selector::new(2).unwrap();
    let connections: Vec<_> = (0..5).map(|_| connection()).collect();
    for ((ours, peer), token) in connections.iter().zip(0..) {
        selector.add(*ours, token).unwrap();
        (&mut &*peer).write_all(b"a").unwrap();
    }
    let mut seen = [Ready::default(); 5];
    while seen.iter().any(|ready| !(ready.any(Ready::READ) && ready.any(Ready::WRITE))) {
        let count = selector.wait(None).unwrap();
        assert!(count <= 2);
        for event in (0..count).map(|index| selector.event(index)) {
            let ready = &mut seen[event.token as usize];
            *ready = ready.union(event.ready);
        }
    }
    for (ours, _) in connections {
        unix::close(ours);
    }
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let mut selector = Selector::new(2).unwrap();
    assert_eq!(selector.wait(Some(Duration::from_nanos(1))).unwrap(), 0);
}
