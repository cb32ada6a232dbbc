//! The commands of the text protocol: a pure function of a line.
//!
//! Keys and the keys of a `get` are borrowed from the line. The flags of the meta commands are
//! parsed in [`meta`](super::meta).

use std::io::Write;
use std::str::FromStr;

use super::meta::{Meta, Op};

/// The longest key in bytes.
pub(crate) const MAX_KEY: usize = 250;
/// The longest block that a command may announce. A longer one is malformed, not too large.
const MAX_BLOCK: i64 = i32::MAX as i64 - 2;

const ERROR: &str = "ERROR\r\n";
pub(crate) const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format\r\n";
const BAD_EXPTIME: &str = "CLIENT_ERROR invalid exptime argument\r\n";
const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta argument\r\n";
const BAD_DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";

/// A command.
#[derive(Clone, Debug)]
pub(crate) enum Command<'a> {
    Get(Get),
    Set(Set<'a>),
    Delete { key: &'a [u8], noreply: bool },
    Arithmetic { key: &'a [u8], delta: u64, decrement: bool, noreply: bool },
    Touch { key: &'a [u8], exptime: i64, noreply: bool },
    Meta(Meta<'a>),
    FlushAll { delay: i64, noreply: bool },
    Stats(Stats),
    Verbosity { noreply: bool },
    Version,
    Noop,
    Quit,
}

/// `get`, `gets`, `gat` or `gats`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Get {
    /// Whether the response has the CAS numbers.
    pub(crate) cas: bool,
    /// The new expiration time, if it touches.
    pub(crate) exptime: Option<i64>,
    /// Where in the line the keys begin, which are not checked yet.
    pub(crate) keys: usize,
}

/// The longest start of a `get`: `gats`, a number of 20 characters, and two spaces.
pub(crate) const MAX_GET_START: usize = 26;

impl Get {
    /// What precedes the key in the line of a single key. It is short, although the client may have
    /// written any number of spaces and zeros.
    pub(crate) fn start<'a>(&self, buffer: &'a mut [u8; MAX_GET_START]) -> &'a [u8] {
        let Some(exptime) = self.exptime else {
            return if self.cas { b"gets " } else { b"get " };
        };
        let name = if self.cas { "gats" } else { "gat" };
        let mut rest = &mut buffer[..];
        let _ = write!(rest, "{name} {exptime} ");
        let len = MAX_GET_START - rest.len();
        &buffer[..len]
    }
}

/// A storage command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) mode: Mode,
    pub(crate) flags: u32,
    pub(crate) exptime: i64,
    /// The length of the value.
    pub(crate) len: usize,
    /// Store only if the item has this CAS number.
    pub(crate) cas: Option<u64>,
    pub(crate) noreply: bool,
}

/// When a storage command stores, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
}

/// What `stats` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stats {
    General,
    Settings,
    Reset,
    /// Statistics of a slab allocator, which is not used: empty.
    Empty,
}

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The response.
    pub(crate) response: &'static str,
    /// How many bytes after the line belong to it.
    pub(crate) swallow: u64,
}

impl From<&'static str> for Refused {
    fn from(response: &'static str) -> Refused {
        Refused { response, swallow: 0 }
    }
}

impl Command<'_> {
    /// The length of the value that follows the line.
    pub(crate) fn value_len(&self) -> Option<usize> {
        match self {
            Command::Set(set) => Some(set.len),
            Command::Meta(meta) if meta.op == Op::Set => Some(meta.len),
            _ => None,
        }
    }

    /// The client's flags of the item that the command stores.
    pub(crate) fn client_flags(&self) -> u32 {
        match self {
            Command::Set(set) => set.flags,
            Command::Meta(meta) => meta.flags.client_flags,
            _ => 0,
        }
    }

    /// The key of a command with exactly one key.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        match self {
            Command::Set(Set { key, .. })
            | Command::Delete { key, .. }
            | Command::Arithmetic { key, .. }
            | Command::Touch { key, .. } => Some(key),
            Command::Meta(meta) => Some(meta.key()),
            _ => None,
        }
    }

    /// Whether a command gets no response whatever happens.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Command::Set(Set { noreply, .. })
            | Command::Delete { noreply, .. }
            | Command::Arithmetic { noreply, .. }
            | Command::Touch { noreply, .. }
            | Command::FlushAll { noreply, .. }
            | Command::Verbosity { noreply } => *noreply,
            _ => false,
        }
    }
}

/// The words of a line, which spaces separate.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Words<'a> {
        Words { rest: line }
    }

    /// What follows the words so far.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| *byte != b' ')?;
        let rest = &self.rest[start..];
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// Parses a line, which has no delimiter. Errors in a line that asks for no response are not
/// reported: the client would take them for the response to its next command.
pub(crate) fn parse(line: &[u8]) -> Result<Command<'_>, Refused> {
    parse_words(line).map_err(|refused| match asks_for_silence(line) {
        true => Refused { response: "", ..refused },
        false => refused,
    })
}

/// Whether a line, which may be wrong, is one that can be silent and says so in its last word.
fn asks_for_silence(line: &[u8]) -> bool {
    let mut words = Words::new(line);
    let name = words.next().unwrap_or_default();
    let can_be_silent = matches!(
        name,
        b"set"
            | b"add"
            | b"replace"
            | b"append"
            | b"prepend"
            | b"cas"
            | b"delete"
            | b"incr"
            | b"decr"
            | b"touch"
            | b"flush_all"
            | b"verbosity"
    );
    can_be_silent && words.last() == Some(b"noreply")
}

fn parse_words(line: &[u8]) -> Result<Command<'_>, Refused> {
    let mut words = Words::new(line);
    let Some(name) = words.next() else { return Err(ERROR.into()) };
    match name {
        b"get" => get(line, words, false, false),
        b"gets" => get(line, words, true, false),
        b"gat" => get(line, words, false, true),
        b"gats" => get(line, words, true, true),
        b"set" => set(words, Mode::Set, false),
        b"add" => set(words, Mode::Add, false),
        b"replace" => set(words, Mode::Replace, false),
        b"append" => set(words, Mode::Append, false),
        b"prepend" => set(words, Mode::Prepend, false),
        b"cas" => set(words, Mode::Set, true),
        b"delete" => delete(words),
        b"incr" => arithmetic(words, false),
        b"decr" => arithmetic(words, true),
        b"touch" => touch(words),
        b"mg" => Meta::parse(Op::Get, words).map(Command::Meta),
        b"ms" => Meta::parse(Op::Set, words).map(Command::Meta),
        b"md" => Meta::parse(Op::Delete, words).map(Command::Meta),
        b"ma" => Meta::parse(Op::Arithmetic, words).map(Command::Meta),
        b"me" => Meta::parse(Op::Debug, words).map(Command::Meta),
        b"mn" => Ok(Command::Noop),
        b"flush_all" => flush_all(words),
        b"stats" => stats(words),
        b"verbosity" => verbosity(words),
        b"version" => Ok(Command::Version),
        b"quit" => Ok(Command::Quit),
        // A browser that was tricked into connecting must not go on to send commands in its body.
        _ if words.last().is_some_and(|word| word.starts_with(b"HTTP/")) => Ok(Command::Quit),
        _ => Err(ERROR.into()),
    }
}

/// Parses a whole word as a number.
pub(crate) fn number<T: FromStr>(word: &[u8]) -> Option<T> {
    str::from_utf8(word).ok()?.parse().ok()
}

/// Whether these bytes can be a key: 1 to 250 without control characters. A line cannot have
/// spaces in it.
pub(crate) fn is_key(word: &[u8]) -> bool {
    (1..=MAX_KEY).contains(&word.len()) && !word.iter().any(u8::is_ascii_control)
}

fn key(word: &[u8]) -> Result<&[u8], Refused> {
    if is_key(word) { Ok(word) } else { Err(BAD_FORMAT.into()) }
}

/// The last words of a command that may be silent.
fn noreply(mut words: Words<'_>) -> Result<bool, Refused> {
    match (words.next(), words.next()) {
        (None, _) => Ok(false),
        (Some(b"noreply"), None) => Ok(true),
        _ => Err(ERROR.into()),
    }
}

fn get<'a>(
    line: &'a [u8],
    mut words: Words<'a>,
    cas: bool,
    touches: bool,
) -> Result<Command<'a>, Refused> {
    let mut exptime = None;
    if touches {
        exptime = Some(number(words.next().ok_or(ERROR)?).ok_or(BAD_EXPTIME)?);
    }
    let keys = line.len() - words.rest().len();
    // As in memcached, no keys are none to touch, but nothing to get is an error.
    if !touches && words.rest().iter().all(|byte| *byte == b' ') {
        return Err(ERROR.into());
    }
    Ok(Command::Get(Get { cas, exptime, keys }))
}

fn set(mut words: Words<'_>, mode: Mode, compares: bool) -> Result<Command<'_>, Refused> {
    let mut next = || words.next();
    let (Some(word), Some(flags), Some(exptime), Some(len)) = (next(), next(), next(), next())
    else {
        return Err(ERROR.into());
    };
    let len = block(len)?;
    // What follows is the value, whatever is wrong with the rest of the line.
    let refused = |response| Refused { response, swallow: len as u64 + 2 };
    let mut cas = None;
    if compares {
        cas = Some(words.next().and_then(number).ok_or(refused(BAD_FORMAT))?);
    }
    let numbers = number(flags).zip(number(exptime)).filter(|_| is_key(word));
    let (flags, exptime) = numbers.ok_or(refused(BAD_FORMAT))?;
    let noreply = noreply(words).map_err(|error| refused(error.response))?;
    Ok(Command::Set(Set { key: word, mode, flags, exptime, len, cas, noreply }))
}

/// The length of a block.
pub(crate) fn block(word: &[u8]) -> Result<usize, Refused> {
    let len = number(word).filter(|len| (0..=MAX_BLOCK).contains(len));
    len.map(|len: i64| len as usize).ok_or(BAD_FORMAT.into())
}

fn delete(mut words: Words<'_>) -> Result<Command<'_>, Refused> {
    let key = key(words.next().ok_or(ERROR)?)?;
    let mut after = words.clone();
    // Early clients send a time, which has to be zero.
    if after.next() == Some(b"0") {
        words = after;
    }
    let noreply = noreply(words).map_err(|_| BAD_DELETE)?;
    Ok(Command::Delete { key, noreply })
}

fn arithmetic(mut words: Words<'_>, decrement: bool) -> Result<Command<'_>, Refused> {
    let (word, delta) = (words.next().ok_or(ERROR)?, words.next().ok_or(ERROR)?);
    let (key, noreply) = (key(word)?, noreply(words)?);
    let delta = number(delta).ok_or(BAD_DELTA)?;
    Ok(Command::Arithmetic { key, delta, decrement, noreply })
}

fn touch(mut words: Words<'_>) -> Result<Command<'_>, Refused> {
    let (word, exptime) = (words.next().ok_or(ERROR)?, words.next().ok_or(ERROR)?);
    let (key, noreply) = (key(word)?, noreply(words)?);
    let exptime = number(exptime).ok_or(BAD_EXPTIME)?;
    Ok(Command::Touch { key, exptime, noreply })
}

fn flush_all(mut words: Words<'_>) -> Result<Command<'_>, Refused> {
    let mut after = words.clone();
    let mut delay = 0;
    if let Some(word) = after.next().filter(|word| *word != b"noreply") {
        delay = number(word).ok_or(BAD_EXPTIME)?;
        words = after;
    }
    Ok(Command::FlushAll { delay, noreply: noreply(words)? })
}

fn stats(mut words: Words<'_>) -> Result<Command<'_>, Refused> {
    let stats = match words.next() {
        None => Stats::General,
        Some(b"settings") => Stats::Settings,
        Some(b"reset") => Stats::Reset,
        Some(b"items" | b"slabs" | b"sizes" | b"conns") => Stats::Empty,
        Some(_) => return Err(ERROR.into()),
    };
    Ok(Command::Stats(stats))
}

fn verbosity(mut words: Words<'_>) -> Result<Command<'_>, Refused> {
    let level = words.next().ok_or(ERROR)?;
    if level == b"noreply" {
        return Ok(Command::Verbosity { noreply: true });
    }
    number::<u32>(level).ok_or(BAD_FORMAT)?;
    Ok(Command::Verbosity { noreply: noreply(words)? })
}
