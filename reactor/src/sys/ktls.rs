//! TLS in the kernel: once a socket has the keys, plain sends and receives seal and open records
//! (Linux, `Documentation/networking/tls.rst`).
//!
//! The layouts are those of `linux/tls.h`.

use std::io::{self, ErrorKind};
use std::mem::{offset_of, zeroed};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use libc::{c_int, cmsghdr, iovec, msghdr, ssize_t};

use super::errors::is_shortage;
use super::tls::{Cipher, Key, Suite, TlsVersion};
use super::unix::{NO_SIGNAL, check, set_option};
use super::{Direction, Fd};

#[cfg(test)]
mod tests;

/// The suites to try.
fn all_suites() -> Vec<Suite> {
    let of = |version| {
        [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305]
            .map(|cipher| Suite { version, cipher })
    };
    [of(TlsVersion::Tls12), of(TlsVersion::Tls13)].concat()
}

/// The suites that the kernel supports, once that is known.
static SUPPORTED: OnceLock<Vec<Suite>> = OnceLock::new();

/// This is known before a connection gives its keys away: then it cannot do without the kernel.
pub(super) fn supports_tls(suite: Suite) -> io::Result<()> {
    if SUPPORTED.get().is_none() {
        remember(&SUPPORTED, probe());
    }
    let supported = SUPPORTED.get().filter(|supported| supported.contains(&suite));
    supported.map(drop).ok_or(ErrorKind::Unsupported.into())
}

/// Keeps the result of a probe, unless it failed for want of a resource: that says nothing about
/// the kernel, so the next connection probes again.
fn remember(supported: &OnceLock<Vec<Suite>>, probed: io::Result<Vec<Suite>>) {
    let suites = match probed {
        Ok(suites) => {
            let (count, all) = (suites.len(), all_suites().len());
            log::info!("kernel TLS supports {count} of {all} cipher suites");
            suites
        }
        Err(error) if is_shortage(&error) => {
            log::debug!("cannot probe kernel TLS, will try again: {error}");
            return;
        }
        Err(error) => {
            log::info!("kernel TLS is not available (is the module `tls` loaded?): {error}");
            Vec::new()
        }
    };
    // Another thread may have kept the same result first.
    let _ = supported.set(suites);
}

/// Tries each suite with a connection over the loopback interface. The kernel supports TLS 1.3
/// since Linux 5.1, ChaCha20-Poly1305 since 5.11, and each cipher only if it was built.
fn probe() -> io::Result<Vec<Suite>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut supported = Vec::new();
    for suite in all_suites() {
        let stream = TcpStream::connect(address)?;
        let (socket, len) = (stream.as_raw_fd(), key_len(suite.cipher));
        attach_tls(socket)?;
        let key = Key::new(suite, &[0; 32][..len], [0; 12], 0);
        let set = |direction| set_tls_key(socket, direction, &key);
        match set(Direction::Send).and_then(|()| set(Direction::Receive)) {
            Ok(()) => supported.push(suite),
            Err(error) if is_shortage(&error) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(supported)
}

fn key_len(cipher: Cipher) -> usize {
    if cipher == Cipher::Aes128Gcm { 16 } else { 32 }
}

pub(super) fn attach_tls(socket: Fd) -> io::Result<()> {
    set_option(socket, libc::SOL_TCP, libc::TCP_ULP, b"tls")
}

pub(super) fn set_tls_key(socket: Fd, direction: Direction, key: &Key) -> io::Result<()> {
    let option = match direction {
        Direction::Send => libc::TLS_TX,
        Direction::Receive => libc::TLS_RX,
    };
    let mut info = crypto_info(direction, key)?;
    let result = set_option(socket, libc::SOL_TLS, option, &info);
    info.fill(0);
    std::hint::black_box(&mut info);
    result
}

/// A `tls12_crypto_info_*`, which is also for TLS 1.3: version and cipher, then iv, key, salt and
/// sequence number. They are arrays of bytes, so that there is no padding.
fn crypto_info(direction: Direction, key: &Key) -> io::Result<Vec<u8>> {
    let suite = key.suite;
    let version = match suite.version {
        TlsVersion::Tls12 => libc::TLS_1_2_VERSION,
        TlsVersion::Tls13 => libc::TLS_1_3_VERSION,
    };
    let (cipher, salt_len) = match suite.cipher {
        Cipher::Aes128Gcm => (libc::TLS_CIPHER_AES_GCM_128, 4),
        Cipher::Aes256Gcm => (libc::TLS_CIPHER_AES_GCM_256, 4),
        Cipher::ChaCha20Poly1305 => (libc::TLS_CIPHER_CHACHA20_POLY1305, 0),
        #[cfg(feature = "testing")]
        Cipher::Inverted => return Err(ErrorKind::Unsupported.into()),
    };
    if key.bytes.len() != key_len(suite.cipher) {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut nonce = key.nonce;
    if direction == Direction::Send && suite.version == TlsVersion::Tls12 && salt_len > 0 {
        // The records carry the last 8 bytes of their nonce (RFC 5288, section 3). rustls combines
        // these bytes with the sequence number, while the kernel counts up from them. The other
        // half of the range keeps the kernel from using a nonce again, which would reveal the key.
        nonce[4] ^= 0x80;
    }
    let (salt, iv) = nonce.split_at(salt_len);
    let (version, cipher) = (version.to_ne_bytes(), cipher.to_ne_bytes());
    let sequence = key.sequence.to_be_bytes();
    Ok([&version[..], &cipher, iv, &key.bytes, salt, &sequence].concat())
}

/// The control message with the type of a record (`cmsg(3)`). The alignment gives it the size of
/// `CMSG_SPACE`, also where that of a `cmsghdr` is smaller, as with musl.
#[repr(C, align(8))]
struct RecordType {
    header: cmsghdr,
    kind: u8,
}

// SAFETY: computes a number.
const _: () = assert!(offset_of!(RecordType, kind) == unsafe { libc::CMSG_LEN(0) } as usize);
// SAFETY: computes a number.
const _: () = assert!(size_of::<RecordType>() == unsafe { libc::CMSG_SPACE(1) } as usize);

impl RecordType {
    fn new(kind: c_int, value: u8) -> RecordType {
        // SAFETY: a `cmsghdr` consists of integers, for which zero is valid.
        let mut header: cmsghdr = unsafe { zeroed() };
        (header.cmsg_level, header.cmsg_type) = (libc::SOL_TLS, kind);
        // The types of the lengths depend on the C library.
        header.cmsg_len = (offset_of!(RecordType, kind) + 1) as _;
        RecordType { header, kind: value }
    }

    /// The header of a message with this control message and one piece of memory.
    fn message(&mut self, piece: &mut iovec) -> msghdr {
        // SAFETY: a `msghdr` consists of integers and pointers, for which zero is valid.
        let mut message: msghdr = unsafe { zeroed() };
        (message.msg_iov, message.msg_iovlen) = (piece, 1);
        message.msg_control = (&raw mut *self).cast();
        message.msg_controllen = size_of_val(self) as _;
        message
    }
}

/// The result of a call that returns a count, or -1 for an error.
fn check_size(result: ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

pub(super) fn recv_record(socket: Fd, buffer: &mut [u8]) -> io::Result<Option<(u8, usize)>> {
    let mut record = RecordType::new(0, 0);
    let mut piece = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut message = record.message(&mut piece);
    // SAFETY: the kernel writes to the buffer, which is borrowed exclusively for the call, and to a
    // local, at most their lengths.
    let count = check_size(unsafe { libc::recvmsg(socket, &raw mut message, 0) })?;
    match (record.header.cmsg_level, record.header.cmsg_type, count) {
        (libc::SOL_TLS, libc::TLS_GET_RECORD_TYPE, _) => Ok(Some((record.kind, count))),
        (_, _, 0) => Ok(None),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "the kernel gave a record without a type")),
    }
}

pub(super) fn send_record(socket: Fd, kind: u8, payload: &[u8]) -> io::Result<()> {
    check_writable(socket)?;
    let mut record = RecordType::new(libc::TLS_SET_RECORD_TYPE, kind);
    let mut piece = iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let message = record.message(&mut piece);
    // SAFETY: the kernel only reads, from the payload, which is borrowed for the call, and from a
    // local, with their lengths.
    check_size(unsafe { libc::sendmsg(socket, &raw const message, NO_SIGNAL) }).map(drop)
}

/// Returns `WouldBlock` unless the socket is writable.
///
/// The kernel may hold a part of a record for which TCP had no room, and sends it later
/// (`tls_push_partial_record`). If the socket were shut down before that, the part would be lost,
/// and so would a record after it. A writable socket has room for both.
fn check_writable(socket: Fd) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: socket, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the kernel reads and writes one `pollfd`, which is a local.
    match check(unsafe { libc::poll(&raw mut poll, 1, 0) })? {
        0 => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}
