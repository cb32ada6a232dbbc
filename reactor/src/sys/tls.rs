//! The types with which the rooms above and the kernel exchange the state of a TLS connection.

use std::fmt;
use std::hint::black_box;
use std::io;

/// The part of a cipher suite that concerns the records of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// The version of TLS.
    pub version: TlsVersion,
    /// The cipher that encrypts the records.
    pub cipher: Cipher,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2, [RFC 5246](https://www.rfc-editor.org/rfc/rfc5246).
    Tls12,
    /// TLS 1.3, [RFC 8446](https://www.rfc-editor.org/rfc/rfc8446).
    Tls13,
}

/// An authenticated cipher (AEAD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-GCM with a key of 128 bits.
    Aes128Gcm,
    /// AES-GCM with a key of 256 bits.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// The transformation of [`testing::Records`](crate::testing::Records), which only the
    /// simulated kernel supports.
    #[cfg(feature = "testing")]
    Inverted,
}

/// The key of one direction of a connection.
pub struct Key {
    pub(crate) suite: Suite,
    pub(super) bytes: Box<[u8]>,
    pub(super) nonce: [u8; 12],
    pub(super) sequence: u64,
}

impl Key {
    /// Creates a key. `key` is the key of the suite's cipher, `nonce` the 12 bytes that are
    /// combined with the sequence number of a record to form its nonce (`iv` in rustls), and
    /// `sequence` the sequence number of the next record.
    #[must_use]
    pub fn new(suite: Suite, key: &[u8], nonce: [u8; 12], sequence: u64) -> Key {
        Key { suite, bytes: key.into(), nonce, sequence }
    }
}

/// The key and the nonce are overwritten.
impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.fill(0);
        self.nonce.fill(0);
        // Keeps the compiler from leaving out writes that nothing reads.
        black_box((&mut self.bytes, &mut self.nonce));
    }
}

/// Without the key and the nonce.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { suite, sequence, .. } = self;
        let mut debug = f.debug_struct("Key");
        debug.field("suite", suite).field("sequence", sequence).finish_non_exhaustive()
    }
}

/// Why a receive on a socket whose records the kernel opens has brought nothing.
pub(crate) enum HeldUp {
    /// The next record is not data.
    Record,
    /// The next record is damaged.
    Damage,
}

/// The meaning of a receive error if the kernel opens the records; `None` for the errors of any
/// socket.
pub(crate) fn held_up(error: &io::Error) -> Option<HeldUp> {
    match error.raw_os_error()? {
        // From a receive and from a splice.
        libc::EIO | libc::EINVAL => Some(HeldUp::Record),
        libc::EBADMSG | libc::EMSGSIZE => Some(HeldUp::Damage),
        _ => None,
    }
}
