//! Sending and receiving bytes together with control messages (`cmsg(3)`).
//!
//! The caller provides the room for the control messages. It consists of words of 8 bytes, which
//! are aligned for a header on all systems. The pointers into it stay raw: a reference to a header
//! would not cover the data after it.

use std::{io, iter, mem, slice};

use libc::{c_int, c_uint, cmsghdr, iovec, msghdr};

use super::Fd;
use super::unix::{NO_SIGNAL, check_size};

#[cfg(test)]
mod tests;

/// The words of room that one control message needs for `len` bytes of data: a header has at most
/// 16 bytes, on all systems.
pub(super) const fn words(len: usize) -> usize {
    2 + len.div_ceil(size_of::<u64>())
}

/// A control message: its level (`cmsg_level`), its type (`cmsg_type`) and its data.
pub(super) struct ControlMessage<'a> {
    pub(super) level: c_int,
    pub(super) kind: c_int,
    pub(super) data: &'a [u8],
}

/// Sends bytes with one control message, and returns how many bytes were sent.
///
/// # Panics
/// If the room is too small.
pub(super) fn send(
    socket: Fd,
    bytes: &[u8],
    message: &ControlMessage<'_>,
    room: &mut [u64],
) -> io::Result<usize> {
    let mut piece = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut header = header(&mut piece, room);
    write(&mut header, room, message);
    // SAFETY: the kernel only reads, from `bytes` and from the room, which are borrowed for the
    // call, with their lengths.
    check_size(unsafe { libc::sendmsg(socket, &raw const header, NO_SIGNAL) })
}

/// Receives bytes. Returns how many, the control messages that came with them, and whether there
/// were more, or data of them, for which there was no room (`MSG_CTRUNC`): Linux also says so of
/// descriptors that the process may not open.
pub(super) fn recv<'a>(
    socket: Fd,
    buffer: &mut [u8],
    room: &'a mut [u64],
    flags: c_int,
) -> io::Result<(usize, impl Iterator<Item = ControlMessage<'a>> + use<'a>, bool)> {
    let mut piece = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut header = header(&mut piece, room);
    // SAFETY: the kernel writes to the buffer and to the room, which are borrowed exclusively for
    // the call, at most their lengths.
    let count = check_size(unsafe { libc::recvmsg(socket, &raw mut header, flags) })?;
    // SAFETY: `msg_control` is the room, of which the kernel has written `msg_controllen` bytes.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // The types depend on the system.
    let written: usize = header.msg_controllen as _;
    let end = header.msg_control.addr() + written;
    let messages = iter::from_fn(move || {
        let place = next;
        if place.is_null() {
            return None;
        }
        // SAFETY: the place is a complete header in the room, and aligned.
        let head = unsafe { place.read() };
        // SAFETY: the place is a header of this message.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, place) };
        // SAFETY: the place is a complete header, so the result is in the room or at its end.
        let data = unsafe { libc::CMSG_DATA(place) }.cast_const();
        // SAFETY: computes a number.
        let empty = unsafe { libc::CMSG_LEN(0) } as usize;
        // The BSDs truncate the data, but not the length in its header.
        let (len, left): (usize, usize) = (head.cmsg_len as _, end.saturating_sub(data.addr()));
        let len = len.saturating_sub(empty).min(left);
        // SAFETY: these bytes are in the part of the room that the kernel has written, and the room
        // is borrowed exclusively for `'a`.
        let data: &'a [u8] = unsafe { slice::from_raw_parts(data, len) };
        Some(ControlMessage { level: head.cmsg_level, kind: head.cmsg_type, data })
    });
    Ok((count, messages, header.msg_flags & libc::MSG_CTRUNC != 0))
}

/// The header of a message with one piece of memory, and with the whole room.
fn header(piece: &mut iovec, room: &mut [u64]) -> msghdr {
    // SAFETY: a `msghdr` consists of integers and pointers, for which zero is valid.
    let mut header: msghdr = unsafe { mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (piece, 1);
    header.msg_control = room.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(room) as _;
    header
}

/// Writes the control message to the room, and reduces the room of the header to it.
fn write(header: &mut msghdr, room: &mut [u64], message: &ControlMessage<'_>) {
    let len = c_uint::try_from(message.data.len()).expect("the data of a control message");
    // SAFETY: computes a number.
    let space = unsafe { libc::CMSG_SPACE(len) } as usize;
    assert!(space <= size_of_val(room), "the room for a control message");
    header.msg_control = room.as_mut_ptr().cast();
    header.msg_controllen = space as _;
    // SAFETY: a `cmsghdr` consists of integers, for which zero is valid.
    let mut head: cmsghdr = unsafe { mem::zeroed() };
    (head.cmsg_level, head.cmsg_type) = (message.level, message.kind);
    // SAFETY: computes a number.
    head.cmsg_len = unsafe { libc::CMSG_LEN(len) } as _;
    // SAFETY: `msg_control` and `msg_controllen` have just been set to the room.
    let place = unsafe { libc::CMSG_FIRSTHDR(&raw const *header) };
    // SAFETY: the place is the start of the room, which is aligned and has space for a header.
    unsafe { place.write(head) };
    // SAFETY: the place is a header, behind which the room has space for the data.
    let data = unsafe { libc::CMSG_DATA(place) };
    // SAFETY: the room has space for `len` bytes there, and does not overlap the borrowed data.
    unsafe { data.copy_from_nonoverlapping(message.data.as_ptr(), message.data.len()) };
}
