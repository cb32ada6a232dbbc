//! Session tickets, and the keys that encrypt them.
//!
//! The ticketer of rustls does not export its keys, so a server could not pass them on when it
//! restarts. This one is like it in other respects: it follows RFC 5077, section 4, but with
//! authenticated encryption. A ticket is
//!
//! ```text
//! name of the key    16 bytes
//! nonce              12 bytes, random
//! session            as encoded by rustls, encrypted with AES-256-GCM
//! tag                16 bytes
//! ```
//!
//! The tag also authenticates the name, and how the server verifies clients.

use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

#[cfg(feature = "tls-aws-lc")]
use aws_lc_rs::{aead, digest, error::Unspecified, rand::SecureRandom, rand::SystemRandom};
#[cfg(not(feature = "tls-aws-lc"))]
use ring::{aead, digest, error::Unspecified, rand::SecureRandom, rand::SystemRandom};
use rustls::pki_types::{TrustAnchor, UnixTime};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::client_certificates::ClientCertificates;

/// How long a key encrypts tickets, in seconds. After that, it decrypts them for the same time.
/// With random nonces, a key must not encrypt more than 2^32 tickets (NIST SP 800-38D, section
/// 8.3), which is 198,000 a second.
pub(super) const PERIOD: u64 = 6 * 60 * 60;

const NAME: usize = 16;
const NONCE: usize = aead::NONCE_LEN;
const TAG: usize = 16;
const SECRET: usize = 32;

/// The first byte of exported keys. Change it with their format or that of tickets.
const FORMAT: u8 = 1;

/// The bytes of an exported key: the longest ticket, the name and the secret.
const EXPORTED: usize = 4 + NAME + SECRET;

/// The ticket keys of a server. They are replaced by time, when a ticket is encrypted or decrypted.
pub(super) struct TicketKeys(RwLock<Keys>);

struct Keys {
    current: Key,
    /// It only decrypts.
    previous: Option<Key>,
    /// When to replace the current key, in seconds since the Unix epoch.
    due: u64,
}

struct Key {
    name: [u8; NAME],
    secret: Zeroizing<[u8; SECRET]>,
    cipher: aead::LessSafeKey,
    /// The length of the longest ticket. A longer one was not encrypted with this key, and is not
    /// decrypted: a ciphertext of AES-GCM can be made such that many keys decrypt it, and is the
    /// longer the more they are (<https://eprint.iacr.org/2020/1491>).
    longest: AtomicUsize,
}

/// A hash of how a server verifies clients.
type Verification = [u8; 32];

impl TicketKeys {
    /// Random keys.
    pub(super) fn new(now: u64) -> io::Result<TicketKeys> {
        let current = Key::random().map_err(no_key)?;
        Ok(TicketKeys(RwLock::new(Keys { current, previous: None, due: now + PERIOD })))
    }

    /// The keys as bytes. They start with the format and the time when the current key is due,
    /// followed by the current key and the previous one, if there is one.
    pub(super) fn export(&self) -> Vec<u8> {
        let keys = self.read();
        let mut bytes = vec![FORMAT];
        bytes.extend(keys.due.to_be_bytes());
        for key in keys.all() {
            bytes.extend((key.longest.load(Ordering::Relaxed) as u32).to_be_bytes());
            bytes.extend(key.name);
            bytes.extend(*key.secret);
        }
        bytes
    }

    /// Replaces the keys by exported ones.
    pub(super) fn import(&self, bytes: &[u8], now: u64) -> io::Result<()> {
        let refused = |why| io::Error::new(ErrorKind::InvalidData, format!("ticket keys: {why}"));
        let length = bytes.len();
        let wrong_length = || refused(format!("{length} bytes are not the length of 1 or 2 keys"));
        let (format, bytes) = bytes.split_first().ok_or_else(wrong_length)?;
        if *format != FORMAT {
            return Err(refused(format!("format {format} is unknown; this is {FORMAT}")));
        }
        let (due, bytes) = bytes.split_first_chunk().ok_or_else(wrong_length)?;
        let (keys, []) = bytes.as_chunks::<EXPORTED>() else { return Err(wrong_length()) };
        let (current, previous) = match keys {
            [current] => (current, None),
            [current, previous] => (current, Some(previous)),
            _ => return Err(wrong_length()),
        };
        // If the clock was set back, the key is still replaced in time.
        let due = u64::from_be_bytes(*due).min(now + PERIOD);
        let current = Key::import(current).map_err(no_key)?;
        let previous = previous.map(Key::import).transpose().map_err(no_key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Keys { current, previous, due };
        Ok(())
    }

    /// `None` if there is no randomness.
    pub(super) fn encrypt(
        &self,
        session: &[u8],
        verification: &Verification,
        now: u64,
    ) -> Option<Vec<u8>> {
        self.at(now)?.current.encrypt(session, verification)
    }

    /// `None` if the ticket is damaged, too old, from another server, or from one that verifies
    /// clients differently.
    pub(super) fn decrypt(
        &self,
        ticket: &[u8],
        verification: &Verification,
        now: u64,
    ) -> Option<Vec<u8>> {
        let name = ticket.first_chunk()?;
        let keys = self.at(now)?;
        keys.all().find(|key| key.name == *name)?.decrypt(ticket, verification)
    }

    /// The keys at this time. `None` if a new one is due and there is no randomness.
    fn at(&self, now: u64) -> Option<RwLockReadGuard<'_, Keys>> {
        let keys = self.read();
        if !keys.are_due(now) {
            return Some(keys);
        }
        drop(keys);
        let new = Key::random().ok()?;
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        if keys.are_due(now) {
            let last = mem::replace(&mut keys.current, new);
            // It may have been due for a long time, in which there was no client.
            keys.previous = (now < keys.due.saturating_add(PERIOD)).then_some(last);
            keys.due = now + PERIOD;
        }
        drop(keys);
        Some(self.read())
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_key(_: Unspecified) -> io::Error {
    io::Error::other("ticket keys: the system has no randomness, or the library no AES-256-GCM")
}

impl Keys {
    /// Whether to replace the current key. If the clock was set back, that is not put off by more
    /// than a period: otherwise a key from a wrong date could encrypt tickets for years.
    fn are_due(&self, now: u64) -> bool {
        now >= self.due || self.due - now > 2 * PERIOD
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        [&self.current].into_iter().chain(&self.previous)
    }
}

impl Key {
    fn random() -> Result<Key, Unspecified> {
        let (mut name, mut secret) = ([0; NAME], Zeroizing::new([0; SECRET]));
        let random = SystemRandom::new();
        random.fill(&mut name)?;
        random.fill(&mut *secret)?;
        Key::new(name, secret, 0)
    }

    fn import(bytes: &[u8; EXPORTED]) -> Result<Key, Unspecified> {
        let (longest, bytes) = bytes.split_first_chunk().ok_or(Unspecified)?;
        let (name, bytes) = bytes.split_first_chunk().ok_or(Unspecified)?;
        let mut secret = Zeroizing::new([0; SECRET]);
        secret.copy_from_slice(bytes);
        Key::new(*name, secret, u32::from_be_bytes(*longest) as usize)
    }

    fn new(
        name: [u8; NAME],
        secret: Zeroizing<[u8; SECRET]>,
        longest: usize,
    ) -> Result<Key, Unspecified> {
        let cipher = aead::UnboundKey::new(&aead::AES_256_GCM, &*secret)?;
        let cipher = aead::LessSafeKey::new(cipher);
        Ok(Key { name, secret, cipher, longest: AtomicUsize::new(longest) })
    }

    fn encrypt(&self, session: &[u8], verification: &Verification) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE + session.len() + TAG);
        ticket.extend(self.name);
        ticket.extend(nonce);
        ticket.extend(session);
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let text = &mut ticket[NAME + NONCE..];
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce, self.associated(verification), text)
            .ok()?;
        ticket.extend(tag.as_ref());
        self.longest.fetch_max(ticket.len(), Ordering::Relaxed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8], verification: &Verification) -> Option<Vec<u8>> {
        if ticket.len() > self.longest.load(Ordering::Relaxed) {
            return None;
        }
        let (nonce, text) = ticket.get(NAME..)?.split_first_chunk()?;
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let mut session = text.to_vec();
        let opened =
            self.cipher.open_in_place(nonce, self.associated(verification), &mut session).ok()?;
        let length = opened.len();
        session.truncate(length);
        Some(session)
    }

    /// What the tag authenticates besides the session.
    fn associated(&self, verification: &Verification) -> aead::Aad<[u8; NAME + 32]> {
        let mut bytes = [0; NAME + 32];
        bytes[..NAME].copy_from_slice(&self.name);
        bytes[NAME..].copy_from_slice(verification);
        aead::Aad::from(bytes)
    }
}

/// Encrypts the tickets of a server that verifies clients in one way.
///
/// rustls does not verify the client of a session that it resumes. So a ticket must not be valid
/// where its client might be refused: for one without a certificate if certificates are required,
/// with one whose authority is no longer trusted, or with one that has expired.
pub(super) struct Ticketer {
    keys: Arc<TicketKeys>,
    verification: Verification,
    /// Whether clients may have certificates.
    verifies: bool,
}

impl Ticketer {
    pub(super) fn new(keys: &Arc<TicketKeys>, certificates: &ClientCertificates) -> Ticketer {
        let (kind, roots) = match certificates {
            ClientCertificates::None => (0, None),
            ClientCertificates::Optional(roots) => (1, Some(roots)),
            ClientCertificates::Required(roots) => (2, Some(roots)),
        };
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&[kind]);
        for anchor in roots.iter().flat_map(|roots| &roots.store.roots) {
            let TrustAnchor { subject, subject_public_key_info, name_constraints } = anchor;
            let constraints = name_constraints.as_deref().unwrap_or_default();
            for field in [&**subject, &**subject_public_key_info, constraints] {
                hash.update(&field.len().to_be_bytes());
                hash.update(field);
            }
        }
        let mut verification = [0; 32];
        verification.copy_from_slice(hash.finish().as_ref());
        Ticketer { keys: keys.clone(), verification, verifies: kind != 0 }
    }

    /// How clients are verified at this time. A session that is resumed is renewed, so without a
    /// limit a client could go on after its certificate has expired (RFC 8446, section 4.6.1).
    pub(super) fn verification(&self, now: u64) -> Verification {
        let mut verification = self.verification;
        if self.verifies {
            let period = (now / PERIOD).to_be_bytes();
            verification.iter_mut().zip(period).for_each(|(byte, other)| *byte ^= other);
        }
        verification
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * PERIOD as u32
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let now = UnixTime::now().as_secs();
        self.keys.encrypt(session, &self.verification(now), now)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let now = UnixTime::now().as_secs();
        self.keys.decrypt(ticket, &self.verification(now), now)
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}
