//! Passing descriptors to another process over a Unix socket (`SCM_RIGHTS`, `unix(7)`), and knowing
//! who that process is.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::unix::{NO_SIGNAL, check};

/// The maximum number of descriptors of one message: `SCM_MAX_FD` of Linux. OpenBSD needs 16 bytes
/// for each of them in a buffer of 2048 (`unp_internalize`).
pub(crate) const MOST_RIGHTS: usize = if cfg!(target_os = "openbsd") { 127 } else { 253 };

/// The room for a control message with as many descriptors.
const ROOM: usize = rustix::cmsg_space!(ScmRights(MOST_RIGHTS));

/// Descriptors that are received do not stay open in programs that this process starts.
#[cfg(target_os = "linux")]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Not every other system has the flag, so [`receive_with_rights`] sets it.
#[cfg(not(target_os = "linux"))]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

/// The process at the other end of a Unix socket.
pub(crate) struct PeerProcess {
    /// Its effective user, when it connected or listened.
    pub(crate) user: u32,
    /// Its id, where the system knows it.
    pub(crate) pid: Option<u32>,
}

/// Sends bytes, at least one, together with 1 to [`MOST_RIGHTS`] descriptors. Returns how many
/// bytes were sent; the descriptors go with the first of them.
pub(crate) fn send_with_rights(
    to: &impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    assert!(!bytes.is_empty() && (1..=MOST_RIGHTS).contains(&descriptors.len()), "one message");
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut control = SendAncillaryBuffer::new(&mut room);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)), "one message");
    let flags = SendFlags::from_bits_retain(NO_SIGNAL.cast_unsigned());
    Ok(sendmsg(to, &[IoSlice::new(bytes)], &mut control, flags)?)
}

/// Receives bytes, and appends the descriptors that come with them. 0 is the end of the stream.
///
/// # Errors
/// `InvalidData` if there were more descriptors than [`MOST_RIGHTS`], or than this process may
/// open. Those that were received are closed.
pub(crate) fn receive_with_rights(
    from: &UnixStream,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let message = recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut control, RECEIVE_FLAGS)?;
    let rights = control.drain().filter_map(|it| match it {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    let mut received: Vec<_> = rights.flatten().collect();
    // Linux also says so of descriptors that the process may not open.
    if message.flags.contains(ReturnFlags::CTRUNC) {
        let text = "more descriptors were passed than this process can take";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    if RECEIVE_FLAGS.is_empty() {
        for descriptor in &received {
            fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
        }
    }
    descriptors.append(&mut received);
    Ok(message.bytes)
}

/// Who is at the other end: `SO_PEERCRED` of `unix(7)`.
///
/// Linux reports the id 0 for a process of a PID namespace that this one cannot see, which the type
/// that `rustix` has for the result cannot hold.
#[cfg(target_os = "linux")]
pub(crate) fn peer_process(socket: &UnixStream) -> io::Result<PeerProcess> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of_val(&who) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: the kernel writes at most `size` bytes to a local, and the length to another.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut who).cast(), &raw mut size)
    })?;
    let pid = u32::try_from(who.pid).ok().filter(|pid| *pid > 0);
    Ok(PeerProcess { user: who.uid, pid })
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
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    use rustix::io::fcntl_getfd;

    use super::*;

    #[test]
    fn descriptors_arrive_with_the_first_byte_of_their_message() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"contents").unwrap();
        file.rewind().unwrap();
        let sent = send_with_rights(&ours, b"two", &[file.as_fd(), ours.as_fd()]).unwrap();
        assert_eq!(sent, 3);
        (&ours).write_all(b"none").unwrap();
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
        for descriptor in &descriptors {
            assert!(fcntl_getfd(descriptor).unwrap().contains(FdFlags::CLOEXEC));
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
