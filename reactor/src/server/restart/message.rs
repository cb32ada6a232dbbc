//! The messages between the two processes of a hot restart: lines of text, and the state of the old
//! process as it is.
//!
//! ```text
//! new                     old
//! sluicegate-restart 3
//!                         offer 3 2 96         generation, listeners, bytes of state
//!                         0 1 lock control     index, sockets, and what the listener is
//!                         2 4 - address
//!                         ...                  the state
//! ready 0 2                                    the listeners that it serves
//!                         released
//! ```
//!
//! The descriptors come with the offer: the sockets of each listener in turn, and then the lock of
//! a Unix socket's file, if that file is still there. A listener that the old process has closed is
//! left out. Instead of a line, the old process may say `refused` and why.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::sys::{self, MOST_RIGHTS};

/// The version of the format, which must be the same in both processes. Change it with the format.
pub(super) const VERSION: u32 = 3;

/// The longest line, in bytes.
const LONGEST: u64 = 4096;

/// The maximum number of listeners, and of the sockets of one: more than any server has. The line
/// that names all of them is not longer than [`LONGEST`].
const MOST: usize = 1000;

/// The largest state, in bytes: a new process does not have to store what it is sent without a
/// bound.
pub(super) const LARGEST_STATE: usize = 64 << 10;

/// The message of the old process with its listeners.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) generation: u64,
    pub(super) listeners: Vec<Entry>,
    pub(super) state: Vec<u8>,
}

/// A listener that is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its index among all listeners of the old process.
    pub(super) index: usize,
    pub(super) sockets: usize,
    pub(super) has_lock: bool,
    pub(super) kind: Kind,
}

/// How a listener came about, by which the new process finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is the control socket.
    Control,
    /// The server has listened at its address.
    Address,
    /// The server has listened at port 0.
    AnyPort,
    /// The server has adopted it.
    Adopted,
    /// A service manager has opened it, under this name.
    Activated(String),
}

fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// Refuses a process of another user.
pub(super) fn check_user(stream: &UnixStream) -> io::Result<()> {
    const ROOT: u32 = 0;
    let (user, own) = (sys::peer_process(stream)?.user, sys::own_user());
    if user == own || user == ROOT {
        return Ok(());
    }
    let text = format!("it belongs to user {user}, not {own}");
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}

/// The first line of the new process.
pub(super) fn request() -> String {
    format!("sluicegate-restart {VERSION}\n")
}

/// Checks the first line of a new process.
pub(super) fn check_request(line: &str) -> io::Result<()> {
    let version = line.strip_prefix("sluicegate-restart ");
    let version = version.ok_or_else(|| malformed("it has not requested the listeners"))?;
    if version.parse() == Ok(VERSION) {
        return Ok(());
    }
    Err(malformed(format!("it speaks version {version:?} of the protocol, not {VERSION}")))
}

impl Entry {
    /// `None` if the line does not describe a listener.
    fn parse(line: &str) -> Option<Entry> {
        let mut words = line.splitn(5, ' ');
        let index = words.next()?.parse().ok()?;
        let sockets = words.next()?.parse().ok()?;
        let has_lock = match words.next()? {
            "lock" => true,
            "-" => false,
            _ => return None,
        };
        let kind = match (words.next()?, words.next()) {
            ("control", None) => Kind::Control,
            ("address", None) => Kind::Address,
            ("any-port", None) => Kind::AnyPort,
            ("adopted", None) => Kind::Adopted,
            ("activated", Some(name)) => Kind::Activated(name.to_owned()),
            _ => return None,
        };
        let most = if has_lock { 1 } else { MOST };
        (index < MOST && (1..=most).contains(&sockets)).then_some(Entry {
            index,
            sockets,
            has_lock,
            kind,
        })
    }

    /// How many descriptors it has.
    pub(super) fn descriptors(&self) -> usize {
        self.sockets + usize::from(self.has_lock)
    }
}

impl Offer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (listeners, state) = (self.listeners.len(), self.state.len());
        let mut text = format!("offer {} {listeners} {state}\n", self.generation);
        for Entry { index, sockets, has_lock, kind } in &self.listeners {
            let lock = if *has_lock { "lock" } else { "-" };
            let kind = match kind {
                Kind::Control => "control",
                Kind::Address => "address",
                Kind::AnyPort => "any-port",
                Kind::Adopted => "adopted",
                Kind::Activated(name) => &format!("activated {name}"),
            };
            text += &format!("{index} {sockets} {lock} {kind}\n");
        }
        [text.as_bytes(), &self.state].concat()
    }

    /// Receives an offer and its descriptors.
    pub(super) fn receive(from: &mut Lines<'_>) -> io::Result<(Offer, Vec<OwnedFd>)> {
        let line = from.answer()?;
        let wrong = || malformed(format!("{line:?} is not an offer"));
        let numbers = line.strip_prefix("offer ").ok_or_else(wrong)?.split(' ').map(str::parse);
        let numbers = numbers.collect::<Result<Vec<u64>, _>>().map_err(|_| wrong())?;
        let [generation, count, length] = numbers[..] else { return Err(wrong()) };
        if count > MOST as u64 || length > LARGEST_STATE as u64 {
            return Err(wrong());
        }
        let entry = |_| {
            let line = from.answer()?;
            Entry::parse(&line)
                .ok_or_else(|| malformed(format!("{line:?} does not describe a listener")))
        };
        let listeners: Vec<_> = (0..count).map(entry).collect::<io::Result<_>>()?;
        let state = from.take(length as usize)?;
        let announced: usize = listeners.iter().map(Entry::descriptors).sum();
        let descriptors = std::mem::take(&mut from.0.get_mut().descriptors);
        if descriptors.len() != announced {
            let text = format!("{announced} descriptors are announced, not {}", descriptors.len());
            return Err(malformed(text));
        }
        Ok((Offer { generation, listeners, state }, descriptors))
    }
}

/// The line of a new process that serves these listeners.
pub(super) fn ready(adopted: &[usize]) -> String {
    let numbers = adopted.iter().map(|index| format!(" {index}"));
    format!("ready{}\n", numbers.collect::<String>())
}

/// The listeners, of `count`, that a new process serves.
pub(super) fn parse_ready(line: &str, count: usize) -> io::Result<Vec<usize>> {
    let wrong = || malformed(format!("{line:?} does not say which listeners it serves"));
    let numbers = line.strip_prefix("ready").ok_or_else(wrong)?.split(' ').skip(1);
    let parse = |number: &str| number.parse().ok().filter(|index| *index < count);
    numbers.map(|number| parse(number).ok_or_else(wrong)).collect()
}

/// Reports that the old process keeps running, and why.
pub(super) fn refuse(to: &UnixStream, why: &str) {
    let text = format!("refused {}\n", why.replace('\n', " "));
    // The other process may have ended.
    let _ = send(to, &text, &[]);
}

/// Sends a message, with descriptors.
pub(super) fn send(
    mut to: &UnixStream,
    message: impl AsRef<[u8]>,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut rest = message.as_ref();
    // Descriptors are sent with at least one byte, and a message is longer than their number.
    for some in descriptors.chunks(MOST_RIGHTS) {
        let sent = sys::send_with_rights(to, &rest[..1], some)?;
        rest = &rest[sent..];
    }
    to.write_all(rest)
}

/// Reads lines, and keeps the descriptors that come with them.
pub(super) struct Lines<'s>(BufReader<Incoming<'s>>);

struct Incoming<'s> {
    stream: &'s UnixStream,
    descriptors: Vec<OwnedFd>,
}

impl Read for Incoming<'_> {
    /// The end of the stream is an error of kind `UnexpectedEof`.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match sys::receive_with_rights(self.stream, buffer, &mut self.descriptors) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it has closed the connection")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(io::Error::new(ErrorKind::TimedOut, "it did not answer in time"))
            }
            other => other,
        }
    }
}

impl Lines<'_> {
    pub(super) fn of(stream: &UnixStream) -> Lines<'_> {
        Lines(BufReader::new(Incoming { stream, descriptors: Vec::new() }))
    }

    /// The next line, without its end. An error of kind `UnexpectedEof` if the other process has
    /// ended.
    pub(super) fn next(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(malformed("a line is too long"));
        }
        String::from_utf8(line).map_err(|_| malformed("a line is not text"))
    }

    /// The next `count` bytes. The same error as that of [`next`](Lines::next).
    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next line of the old process, or why it refuses.
    pub(super) fn answer(&mut self) -> io::Result<String> {
        let line = self.next()?;
        match line.strip_prefix("refused ") {
            Some(why) => Err(io::Error::new(ErrorKind::ConnectionRefused, why)),
            None => Ok(line),
        }
    }
}

#[cfg(test)]
mod tests;
