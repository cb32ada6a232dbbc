use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::sys::unix::owned;

const RIGHTS: (c_int, c_int) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);

/// A pair of sockets, and a message with three descriptors that is on its way to the second.
fn three_sent() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    let numbers = [near.as_raw_fd(); 3].map(i32::to_ne_bytes);
    let (level, kind) = RIGHTS;
    let message = ControlMessage { level, kind, data: numbers.as_flattened() };
    let mut room = [0; words(12)];
    assert_eq!(send(near.as_raw_fd(), b"x", &message, &mut room).expect("sent"), 1);
    (near, far)
}

fn take<'a>(messages: impl Iterator<Item = ControlMessage<'a>>) -> Vec<usize> {
    let number = |number: &[u8; 4]| drop(owned(i32::from_ne_bytes(*number)));
    let lens = messages.map(|message| {
        assert_eq!((message.level, message.kind), RIGHTS);
        message.data.as_chunks().0.iter().for_each(number);
        message.data.len()
    });
    lens.collect()
}

#[test]
fn a_control_message_arrives_with_its_level_type_and_data() {
    let (_near, far) = three_sent();
    let (mut buffer, mut room) = ([0; 8], [0; words(12)]);
    let (count, messages, is_truncated) =
        recv(far.as_raw_fd(), &mut buffer, &mut room, 0).expect("received");
    assert_eq!((count, buffer[0]), (1, b'x'));
    assert!(!is_truncated);
    assert_eq!(take(messages), [12]);
}

#[test]
fn bytes_without_a_control_message_have_none() {
    let (near, far) = UnixStream::pair().expect("a pair");
    crate::sys::unix::send(near.as_raw_fd(), b"x", crate::sys::More::No).expect("sent");
    let (mut buffer, mut room) = ([0; 8], [0; words(12)]);
    let (count, messages, is_truncated) =
        recv(far.as_raw_fd(), &mut buffer, &mut room, 0).expect("received");
    assert_eq!(count, 1);
    assert!(!is_truncated);
    assert_eq!(take(messages), []);
}

/// Other systems close all descriptors of such a message, or none.
#[cfg(target_os = "linux")]
#[test]
fn data_without_room_is_reported_and_not_read() {
    let (_near, far) = three_sent();
    let (mut buffer, mut room) = ([0; 8], [0; words(4)]);
    let (count, messages, is_truncated) =
        recv(far.as_raw_fd(), &mut buffer, &mut room, 0).expect("received");
    assert_eq!(count, 1);
    assert!(is_truncated);
    assert_eq!(take(messages), [8]);
}

#[test]
#[should_panic(expected = "the room for a control message")]
fn a_room_that_is_too_small_is_not_written_to() {
    let (near, _far) = UnixStream::pair().expect("a pair");
    let message = ControlMessage { level: RIGHTS.0, kind: RIGHTS.1, data: &[0; 12] };
    let _ = send(near.as_raw_fd(), b"x", &message, &mut [0; 2]);
}
