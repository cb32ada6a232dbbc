//! The handler of the connections of one reactor.

use std::mem;
use std::time::Duration;

use sluicegate_protocols::line::{Delimiter, LineEof, LineHandler, Lines, Next, Splitter};
use sluicegate_reactor::*;

use super::cache::{Cache, Reply};
use super::command::{self, BAD_FORMAT, Command, Get, MAX_GET_START, Mode, Refused, Stats, Words};
use super::item::{Blob, COPIED, END};
use super::peers::{Message, Peers, Task};
use super::statistics;
use super::store::Store;
use super::waiting::{Complete, Gathered, Spare, Waiting};

/// The longest line: a `get` of tens of thousands of keys. A client can make the server keep as
/// much with a value.
pub(crate) const MAX_LINE: usize = 1 << 20;
/// How many responses of a connection may wait for other reactors before it is paused. Each may
/// hold a value, by reference, that has left the cache since. A `get` can take two places, so a
/// client with 32 of them in flight is not paused.
pub(crate) const MOST_WAITING: usize = 64;
/// How much text of a `get` is collected before it is sent.
const CHUNK: usize = 16 << 10;

/// The longest line of any other command. A connection keeps that of a storage command, and those
/// for keys of other reactors wait in memory.
const MAX_COMMAND: usize = 2 << 10;

/// What ends the response to a `get`.
const GET_END: &str = "END\r\n";
const TOO_LARGE: &str = "SERVER_ERROR object too large for cache\r\n";
const BAD_BLOCK: &str = "CLIENT_ERROR bad data chunk\r\n";
const LONG_LINE: &str = "CLIENT_ERROR line too long\r\n";

/// The size of the cache, and what `stats` says about the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The memory for items in bytes, those of all reactors together.
    pub(crate) memory: usize,
    /// The longest value in bytes.
    pub(crate) max_value: usize,
    pub(crate) max_connections: u32,
    pub(crate) threads: usize,
    pub(crate) pid: u32,
    /// Chooses the hash function. The same for all reactors, and secret.
    pub(crate) seed: u64,
}

/// The part of the cache that belongs to one reactor.
pub(crate) struct Memcached {
    pub(crate) settings: Settings,
    pub(crate) cache: Cache,
    pub(crate) peers: Peers,
    pub(crate) spare: Spare,
    /// When this part began to serve, in seconds. The parts begin within a second.
    started: Option<u64>,
}

/// A second has passed.
#[derive(Clone, Copy)]
pub(crate) struct Tick;

/// How often to send a [`Tick`].
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// The state of a connection.
#[derive(Default)]
pub(crate) struct Session {
    /// The line of a storage command until its block is there, or of a `get` that waits.
    line: Vec<u8>,
    /// The `get` that waits, and where in its line the next key is.
    next_key: Option<(Get, usize)>,
    pub(crate) waiting: Waiting,
    /// Whether to close when nothing waits any more.
    closes: bool,
    paused: bool,
    /// Whether the queue is full, so that `on_drain` will be called.
    full: bool,
}

impl Memcached {
    /// Creates the part with this number. `handles` are the mailboxes of all parts in the order of
    /// their numbers, or none if there is only one.
    pub(crate) fn new(
        settings: Settings,
        number: usize,
        handles: Vec<Handle<Message>>,
    ) -> Lines<Memcached> {
        let store = Store::new(settings.memory / settings.threads, settings.seed);
        let peers = Peers::new(number, settings.seed, handles);
        let (cache, spare) = (Cache::new(store, settings.max_value), Spare::default());
        let server = Memcached { settings, cache, peers, spare, started: None };
        Lines::with(server, Splitter::new(Delimiter::newline(), MAX_LINE))
    }

    /// The limits of a connection.
    pub(crate) fn limits(settings: &Settings) -> Limits {
        let end = END.len();
        Limits {
            max_unread: MAX_LINE + end,
            max_exact: settings.max_value + end,
            // What is received together with the line of a long value has to be copied.
            receive_most: 32 << 10,
            idle: None,
            ..Limits::default()
        }
    }

    fn start(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        line: &[u8],
        command: &Command<'_>,
    ) -> Result<Next, Refused> {
        if line.len() > MAX_COMMAND && !matches!(command, Command::Get(_)) {
            let response = if command.is_silent() { "" } else { LONG_LINE };
            let swallow = command.value_len().map_or(0, |len| (len + END.len()) as u64);
            return Err(Refused { response, swallow });
        }
        match command {
            Command::Get(get) => {
                // Nothing may have been sent before a key is refused.
                if !Words::new(&line[get.keys..]).all(command::is_key) {
                    return Err(BAD_FORMAT.into());
                }
                if let Some(next_key) = self.get(cx, session, line, get, get.keys) {
                    session.line = line.to_vec();
                    session.next_key = Some((*get, next_key));
                }
            }
            Command::Quit => session.closes = true,
            Command::Noop => self.cache.reply.push("MN\r\n"),
            Command::Version => self.cache.reply.push(statistics::VERSION),
            Command::Verbosity { noreply: true } => {}
            Command::Verbosity { .. } => self.cache.reply.push("OK\r\n"),
            Command::Stats(Stats::Empty) => self.cache.reply.push("END\r\n"),
            Command::Stats(Stats::Settings) => {
                statistics::settings(&mut self.cache.reply, &self.settings);
            }
            Command::Stats(Stats::General | Stats::Reset) | Command::FlushAll { .. } => {
                self.run_everywhere(cx, session, line, command);
            }
            _ => {
                if let Some(len) = command.value_len() {
                    return self.expect_value(cx, session, line, command, len);
                }
                self.run(cx, session, line, command, None);
            }
        }
        self.emit(cx, session);
        Ok(Next::Line)
    }

    /// Keeps the line of a storage command until its value is there.
    fn expect_value(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        line: &[u8],
        command: &Command<'_>,
        len: usize,
    ) -> Result<Next, Refused> {
        if len <= self.settings.max_value {
            session.line.clear();
            session.line.extend_from_slice(line);
            return Ok(Next::Whole(len + END.len()));
        }
        self.cache.counters.store_too_large += 1;
        self.drop_old(cx, session, command);
        let response = if command.is_silent() { "" } else { TOO_LARGE };
        Err(Refused { response, swallow: (len + END.len()) as u64 })
    }

    /// Removes the item that a value over the limit was to replace: it is out of date.
    fn drop_old(&mut self, cx: &mut Context<'_>, session: &mut Session, command: &Command<'_>) {
        let key = match command {
            Command::Set(set) if set.mode == Mode::Set && set.cas.is_none() => set.key,
            Command::Meta(meta) if meta.flags.mode == Mode::Set => meta.key(),
            _ => return,
        };
        match self.peers.owner(key) {
            Some(peer) => {
                let to = (cx.id(), session.waiting.wait());
                self.peers.ask(cx, peer, to, &[key], Task::Remove);
            }
            None => self.cache.remove(key),
        }
    }

    /// Runs a command of one key, here or where the key is, with the block that it stores.
    fn run(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        line: &[u8],
        command: &Command<'_>,
        block: Option<Payload<'_>>,
    ) {
        let key = command.key().unwrap_or_default();
        let Some(peer) = self.peers.owner(key) else {
            let blob = block.map(|block| Blob::new(key, command.client_flags(), block));
            return self.cache.run(command, blob);
        };
        let to = (cx.id(), session.waiting.wait());
        match block {
            None => self.peers.ask(cx, peer, to, &[line], Task::Run),
            Some(block) if block.len() <= COPIED => {
                self.peers.ask(cx, peer, to, &[line, &block], Task::Store(block.len()));
            }
            Some(block) => {
                self.peers.ask(cx, peer, to, &[line], Task::StoreLong(block.into_bytes()));
            }
        }
    }

    /// Answers a `get` from the key at `from` on. Returns where to go on once there is room for
    /// more.
    fn get(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        line: &[u8],
        get: &Get,
        from: usize,
    ) -> Option<usize> {
        let mut words = Words::new(&line[from..]);
        let mut start = [0; MAX_GET_START];
        while let Some(key) = words.next() {
            if let Some(peer) = self.peers.owner(key) {
                self.emit(cx, session);
                let to = (cx.id(), session.waiting.wait());
                self.peers.ask(cx, peer, to, &[get.start(&mut start), key], Task::Run);
            } else {
                self.cache.get(get, key);
                if self.cache.reply.value.is_none() && self.cache.reply.text.len() < CHUNK {
                    continue;
                }
                self.emit(cx, session);
            }
            let full = session.full || session.waiting.len() >= MOST_WAITING;
            if full && words.clone().next().is_some() {
                return Some(line.len() - words.rest().len());
            }
        }
        if self.cache.reply.text.is_empty() && !session.waiting.is_empty() {
            session.waiting.add_text(GET_END);
        } else {
            self.cache.reply.push(GET_END);
            self.emit(cx, session);
        }
        None
    }

    /// Sends the reply, or lets it wait for those before it.
    #[inline]
    fn emit(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        let reply = &mut self.cache.reply;
        if reply.text.is_empty() && reply.value.is_none() {
            return;
        }
        if session.waiting.is_empty() {
            session.full |= send(cx, reply) == Sent::Full;
            return;
        }
        // The reply keeps its buffer, which would have to grow again.
        let text = self.spare.copy(&reply.text);
        session.waiting.add(Reply { text, value: reply.value.take() });
        reply.text.clear();
    }

    /// Sends the reply and the complete responses behind it. They are joined, so that the `END` of
    /// a `get` leaves in the same call as its last value.
    pub(crate) fn send_complete(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        let reply = &mut self.cache.reply;
        while let Some(complete) = session.waiting.next() {
            if reply.value.is_some() || reply.text.len() >= CHUNK {
                session.full |= send(cx, reply) == Sent::Full;
            }
            match complete {
                Complete::Reply(next) => {
                    reply.text.extend_from_slice(&next.text);
                    reply.value = next.value;
                    self.spare.keep(next.text);
                }
                Complete::Gathered(Gathered::Text(text)) => reply.push(text),
                Complete::Gathered(Gathered::Counters(counters)) => {
                    let uptime = cx.now().as_secs() - self.started.unwrap_or_default();
                    let time = cx.unix_time();
                    reply.push(&statistics::general(&counters, &self.settings, uptime, time));
                }
            }
        }
        session.full |= send(cx, reply) == Sent::Full;
    }

    /// Continues a `get` that has waited, if the queue has room.
    pub(crate) fn go_on(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        if !session.full
            && let Some((get, from)) = session.next_key.take()
        {
            self.cache.store.set_now(cx.now().as_secs());
            let line = mem::take(&mut session.line);
            if let Some(next_key) = self.get(cx, session, &line, &get, from) {
                (session.line, session.next_key) = (line, Some((get, next_key)));
            }
        }
        self.settle(cx, session);
    }

    /// Pauses, resumes or closes a connection as its state requires.
    #[inline]
    fn settle(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        let waits = session.next_key.is_some();
        if session.closes && !waits && session.waiting.is_empty() {
            return cx.close();
        }
        let pauses = waits || session.closes || session.waiting.len() >= MOST_WAITING;
        if pauses != session.paused {
            session.paused = pauses;
            if pauses { cx.pause() } else { cx.resume() }
        }
    }
}

/// Sends a reply, which is empty after that.
fn send(cx: &mut Context<'_>, Reply { text, value }: &mut Reply) -> Sent {
    let sent = cx.send(&text[..]);
    text.clear();
    value.take().map_or(sent, |value| cx.send(value))
}

impl LineHandler for Memcached {
    type Session = Session;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Session {
        let now = cx.now().as_secs();
        self.started.get_or_insert(now);
        // The first connection may come before the first tick.
        self.cache.store.set_clock(now, cx.unix_time());
        Session::default()
    }

    fn on_line(&mut self, cx: &mut Context<'_>, session: &mut Session, line: &[u8]) -> Next {
        self.cache.store.set_now(cx.now().as_secs());
        let parsed = command::parse(line);
        let next = parsed.and_then(|command| self.start(cx, session, line, &command));
        let next = next.unwrap_or_else(|refused| {
            self.cache.reply.push(refused.response);
            self.emit(cx, session);
            match refused.swallow {
                0 => Next::Line,
                count => Next::Block(count),
            }
        });
        self.settle(cx, session);
        next
    }

    fn on_whole(&mut self, cx: &mut Context<'_>, session: &mut Session, block: Payload<'_>) {
        self.cache.store.set_now(cx.now().as_secs());
        let line = mem::take(&mut session.line);
        match command::parse(&line) {
            Ok(command) if block.ends_with(END) => {
                self.run(cx, session, &line, &command, Some(block));
            }
            Ok(command) if !command.is_silent() => self.cache.reply.push(BAD_BLOCK),
            _ => {}
        }
        session.line = line;
        self.emit(cx, session);
        self.settle(cx, session);
    }

    fn on_too_long(&mut self, cx: &mut Context<'_>, session: &mut Session, _: &[u8]) {
        self.cache.reply.push(LONG_LINE);
        self.emit(cx, session);
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        session.full = false;
        self.go_on(cx, session);
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, session: &mut Session, _: LineEof) {
        session.closes = true;
        self.settle(cx, session);
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, session: &mut Session) {
        session.closes = true;
        self.settle(cx, session);
    }
}

impl Receive<Tick, Session> for Memcached {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, _: Tick) {
        let now = cx.now().as_secs();
        self.started.get_or_insert(now.saturating_sub(TICK.as_secs()));
        self.cache.store.set_clock(now, cx.unix_time());
        self.cache.store.tick();
        self.peers.flush(cx);
    }
}
