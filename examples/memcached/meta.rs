//! The meta commands: their key, which may be in base64, and their flags.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::command::{self, BAD_FORMAT, MAX_KEY, Mode, Refused, Words, number};

const BAD_KEY: &str = "CLIENT_ERROR error decoding key\r\n";
const BAD_FLAG: &str = "CLIENT_ERROR invalid flag\r\n";
const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format\r\n";
const DUPLICATE: &str = "CLIENT_ERROR duplicate flag\r\n";
const LONG_OPAQUE: &str = "CLIENT_ERROR opaque token too long\r\n";
/// The longest opaque token in bytes.
const MAX_OPAQUE: usize = 32;

/// Which meta command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Get,
    Set,
    Delete,
    Arithmetic,
    Debug,
}

impl Op {
    /// The flags that it knows. `P` and `L` are for proxies and are ignored.
    fn flags(self) -> &'static [u8] {
        match self {
            Op::Get => b"bcfhklqstuvCEOPLNRT",
            Op::Set => b"bckqsCEFIMNOPLT",
            Op::Delete => b"bkqxCEIOPLT",
            Op::Arithmetic => b"bckqtvCDEJMNOPLT",
            Op::Debug => b"b",
        }
    }

    fn bad_mode(self) -> &'static str {
        match self {
            Op::Set => "CLIENT_ERROR invalid mode for ms M token\r\n",
            _ => "CLIENT_ERROR invalid mode for ma M token\r\n",
        }
    }
}

/// A meta command.
#[derive(Clone, Debug)]
pub(crate) struct Meta<'a> {
    pub(crate) op: Op,
    /// The key as the client has written it.
    pub(crate) word: &'a [u8],
    /// The key, if it was in base64.
    decoded: Option<Vec<u8>>,
    /// The length of the value that `ms` stores.
    pub(crate) len: usize,
    pub(crate) flags: Flags<'a>,
}

/// The flags of a meta command, with the values of those that have one.
#[derive(Clone, Debug)]
pub(crate) struct Flags<'a> {
    /// All of them, in the order in which the response repeats them.
    pub(crate) words: Words<'a>,
    /// A bit for each letter, from `A`.
    seen: u64,
    pub(crate) compare: Option<u64>,
    pub(crate) new_cas: Option<u64>,
    pub(crate) client_flags: u32,
    pub(crate) ttl: Option<i64>,
    pub(crate) vivify: Option<i64>,
    pub(crate) recache: Option<i64>,
    pub(crate) initial: u64,
    pub(crate) delta: u64,
    pub(crate) mode: Mode,
    pub(crate) decrement: bool,
}

impl<'a> Meta<'a> {
    /// Parses what follows the name.
    pub(crate) fn parse(op: Op, mut words: Words<'a>) -> Result<Meta<'a>, Refused> {
        let Some(word) = words.next() else {
            let error = if op == Op::Debug { BAD_FORMAT } else { "ERROR\r\n" };
            return Err(error.into());
        };
        let (mut len, mut swallow) = (0, 0);
        if op == Op::Set {
            len = command::block(words.next().ok_or(BAD_FORMAT)?)?;
            swallow = len as u64 + 2;
        }
        let refused = |response| Refused { response, swallow };
        let flags = Flags::parse(op, words).map_err(refused)?;
        let decoded = if flags.has(b'b') {
            let key = STANDARD.decode(word).ok().filter(|key| (1..=MAX_KEY).contains(&key.len()));
            Some(key.ok_or(refused(BAD_KEY))?)
        } else if command::is_key(word) {
            None
        } else {
            return Err(refused(BAD_FORMAT));
        };
        Ok(Meta { op, word, decoded, len, flags })
    }

    /// The key under which the item is stored.
    pub(crate) fn key(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or(self.word)
    }
}

impl<'a> Flags<'a> {
    fn parse(op: Op, words: Words<'a>) -> Result<Flags<'a>, &'static str> {
        let mut flags = Flags {
            words: words.clone(),
            seen: 0,
            compare: None,
            new_cas: None,
            client_flags: 0,
            ttl: None,
            vivify: None,
            recache: None,
            initial: 0,
            delta: 1,
            mode: Mode::Set,
            decrement: false,
        };
        for word in words {
            let (letter, token) = (word[0], &word[1..]);
            if !op.flags().contains(&letter) {
                return Err(BAD_FLAG);
            }
            if flags.has(letter) {
                return Err(DUPLICATE);
            }
            flags.seen |= bit(letter);
            flags.set(op, letter, token)?;
        }
        Ok(flags)
    }

    /// Whether a flag is there.
    pub(crate) fn has(&self, letter: u8) -> bool {
        self.seen & bit(letter) != 0
    }

    /// Keeps the token of a flag.
    fn set(&mut self, op: Op, letter: u8, token: &[u8]) -> Result<(), &'static str> {
        match letter {
            b'C' => self.compare = Some(number(token).ok_or(BAD_TOKEN)?),
            b'E' => self.new_cas = Some(number(token).ok_or(BAD_TOKEN)?),
            b'F' => self.client_flags = number(token).ok_or(BAD_FORMAT)?,
            b'T' => self.ttl = Some(number(token).ok_or(BAD_TOKEN)?),
            b'N' => self.vivify = Some(number(token).ok_or(BAD_TOKEN)?),
            b'R' => self.recache = Some(number(token).ok_or(BAD_TOKEN)?),
            b'J' => self.initial = number(token).ok_or(BAD_TOKEN)?,
            b'D' => self.delta = number(token).ok_or(BAD_TOKEN)?,
            b'O' if token.len() > MAX_OPAQUE => return Err(LONG_OPAQUE),
            b'M' if op == Op::Set => self.mode = mode(token).ok_or(op.bad_mode())?,
            b'M' => self.decrement = direction(token).ok_or(op.bad_mode())?,
            _ => {}
        }
        Ok(())
    }
}

/// The bit of a flag. Both cases of a letter are less than 64 apart.
fn bit(letter: u8) -> u64 {
    1 << (letter - b'A')
}

fn mode(token: &[u8]) -> Option<Mode> {
    Some(match token.first()?.to_ascii_uppercase() {
        b'S' => Mode::Set,
        b'E' => Mode::Add,
        b'A' => Mode::Append,
        b'P' => Mode::Prepend,
        b'R' => Mode::Replace,
        _ => return None,
    })
}

/// Whether `ma` decrements.
fn direction(token: &[u8]) -> Option<bool> {
    Some(match token.first()?.to_ascii_uppercase() {
        b'I' | b'+' => false,
        b'D' | b'-' => true,
        _ => return None,
    })
}
