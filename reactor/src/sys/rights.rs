//! Passing descriptors to another process over a Unix socket (`SCM_RIGHTS`, `unix(7)`), and knowing
//! who that process is.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use libc::c_int;

use super::Fd;
use super::unix::{check, check_size, owned};

/// The most descriptors of one message: `SCM_MAX_FD` of Linux.
pub(crate) const MOST_RIGHTS: usize = 253;

/// The memory of a control message, aligned for its header: 16 bytes of header at most, and the
/// descriptors.
type Control = [u64; 2 + MOST_RIGHTS.div_ceil(2)];

/// Descriptors that are received do not stay open in programs that this process starts.
#[cfg(target_os = "linux")]
const RECEIVE_FLAGS: c_int = libc::MSG_CMSG_CLOEXEC;
/// Not every other system has the flag, so [`take_rights`] sets it.
#[cfg(not(target_os = "linux"))]
const RECEIVE_FLAGS: c_int = 0;

/// The process at the other end of a Unix socket.
pub(crate) struct PeerProcess {
    /// Its effective user, when it connected or listened.
    pub(crate) user: u32,
    /// Its id, where the system knows it.
    pub(crate) pid: Option<u32>,
}

/// Sends bytes, at least one, together with at most [`MOST_RIGHTS`] descriptors. Returns how many
/// bytes were sent; the descriptors go with the first of them.
pub(crate) fn send_with_rights(
    to: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    assert!(!bytes.is_empty() && descriptors.len() <= MOST_RIGHTS, "one message");
    let mut control: Control = [0; _];
    let mut buffer =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut message = message(&mut buffer, &mut control);
    if descriptors.is_empty() {
        message.msg_controllen = 0;
    } else {
        let size = size_of_val(descriptors) as libc::c_uint;
        // SAFETY: computes a number.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as _;
        // SAFETY: `msg_control` is large enough for a header, and aligned for it.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        // SAFETY: the header is in `control`, which nothing else refers to meanwhile.
        let header = unsafe { &mut *header };
        // SAFETY: computes a number.
        header.cmsg_len = unsafe { libc::CMSG_LEN(size) } as _;
        header.cmsg_level = libc::SOL_SOCKET;
        header.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: computes a place within `control`, which has room for the descriptors there.
        let data = unsafe { libc::CMSG_DATA(header) };
        for (index, descriptor) in descriptors.iter().enumerate() {
            // SAFETY: there are at most `MOST_RIGHTS` descriptors, for which `control` has room.
            let place = unsafe { data.cast::<Fd>().add(index) };
            // SAFETY: the same; the place need not be aligned.
            unsafe { place.write_unaligned(descriptor.as_raw_fd()) };
        }
    }
    // SAFETY: the message refers to `bytes`, which the kernel only reads, and to `control`, with
    // their lengths.
    check_size(unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, NO_SIGNAL) })
}

/// The flag against `SIGPIPE`, where a call has one.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: c_int = 0;

/// Receives bytes, and appends the descriptors that come with them. 0 is the end of the stream.
///
/// # Errors
/// `InvalidData` if there were more descriptors than [`MOST_RIGHTS`], or than this process may
/// open.
pub(crate) fn receive_with_rights(
    from: &UnixStream,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control: Control = [0; _];
    let mut buffer = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = message(&mut buffer, &mut control);
    // SAFETY: the message refers to `bytes` and `control`, which are borrowed exclusively, with
    // their lengths.
    let received = unsafe { libc::recvmsg(from.as_raw_fd(), &raw mut message, RECEIVE_FLAGS) };
    let received = check_size(received)?;
    take_rights(&message, descriptors)?;
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        let text = "more descriptors were passed than this process can take";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(received)
}

/// Takes the descriptors out of a received message.
fn take_rights(message: &libc::msghdr, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
    // SAFETY: the kernel has written the control messages, and their length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: a header that is not null is within the control messages.
    while let Some(header) = unsafe { next.as_ref() } {
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: computes a number.
            let empty = unsafe { libc::CMSG_LEN(0) } as usize;
            // The type depends on the system.
            let length: usize = header.cmsg_len as _;
            // SAFETY: computes a place within the control message.
            let data = unsafe { libc::CMSG_DATA(header) };
            let count = length.saturating_sub(empty) / size_of::<Fd>();
            for index in 0..count {
                // SAFETY: the length in the header covers this descriptor.
                let place = unsafe { data.cast::<Fd>().add(index) };
                // SAFETY: the same; the place need not be aligned.
                let descriptor = unsafe { place.read_unaligned() };
                // It is new, and nothing else knows it.
                descriptors.push(owned(descriptor));
                if RECEIVE_FLAGS == 0 {
                    // SAFETY: numbers go in, no memory is touched.
                    check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) })?;
                }
            }
        }
        // SAFETY: `header` is a header of this message.
        next = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    Ok(())
}

/// A message of one buffer with room for descriptors.
fn message(buffer: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: a `msghdr` consists of integers and pointers, for which zero is valid.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = buffer;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(control) as _;
    message
}

/// Who is at the other end: `SO_PEERCRED` of `unix(7)`.
#[cfg(target_os = "linux")]
pub(crate) fn peer_process(socket: &UnixStream) -> io::Result<PeerProcess> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of_val(&who) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: the kernel writes at most `size` bytes to a local, and the length to another.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut who).cast(), &raw mut size)
    })?;
    Ok(PeerProcess { user: who.uid, pid: u32::try_from(who.pid).ok() })
}

/// Who is at the other end: `getpeereid(3)`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_process(socket: &UnixStream) -> io::Result<PeerProcess> {
    let (mut user, mut group) = (0, 0);
    // SAFETY: the function writes to two locals.
    check(unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut user, &raw mut group) })?;
    Ok(PeerProcess { user, pid: None })
}

/// The effective user of this process.
pub(crate) fn own_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn descriptors_arrive_with_the_first_byte_of_their_message() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"contents").unwrap();
        file.rewind().unwrap();
        let sent = send_with_rights(&ours, b"two", &[file.as_fd(), ours.as_fd()]).unwrap();
        assert_eq!(sent, 3);
        assert_eq!(send_with_rights(&ours, b"none", &[]).unwrap(), 4);
        let (mut bytes, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive_with_rights(&theirs, &mut bytes, &mut descriptors).unwrap(), 3);
        assert_eq!(descriptors.len(), 2);
        assert_eq!(receive_with_rights(&theirs, &mut bytes, &mut descriptors).unwrap(), 4);
        assert_eq!((&bytes[..4], descriptors.len()), (&b"none"[..], 2));
        let mut text = String::new();
        File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "contents");
        // The copy keeps the stream open.
        drop((ours, descriptors));
        assert_eq!(receive_with_rights(&theirs, &mut bytes, &mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn as_many_descriptors_as_a_message_has_all_arrive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let all = vec![ours.as_fd(); MOST_RIGHTS];
        assert_eq!(send_with_rights(&ours, b"x", &all).unwrap(), 1);
        let mut descriptors = Vec::new();
        assert_eq!(receive_with_rights(&theirs, &mut [0; 4], &mut descriptors).unwrap(), 1);
        assert_eq!(descriptors.len(), MOST_RIGHTS);
        #[cfg(target_os = "linux")]
        for descriptor in &descriptors {
            let info = format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd());
            let info = std::fs::read_to_string(info).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let flags = c_int::from_str_radix(flags, 8).unwrap();
            assert_ne!(flags & libc::O_CLOEXEC, 0, "close-on-exec");
        }
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = peer_process(&ours).unwrap();
        assert_eq!(peer.user, own_user());
        if cfg!(target_os = "linux") {
            assert_eq!(peer.pid, Some(std::process::id()));
        }
    }
}
