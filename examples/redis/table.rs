//! The commands: how they are called, and what runs them.

use sluicegate_protocols::resp::Encoder;
use sluicegate_reactor::Context;

use super::server::{Call, Redis};
use super::{connection, expire, pubsub, strings};

pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The number of arguments with the name, or the negated least number.
    arity: i32,
    /// The first and the last argument that is a key, and how far apart they are; a negative number
    /// counts from the end.
    keys: (i32, i32, i32),
    flags: &'static [&'static str],
    summary: &'static str,
    pub(crate) run: fn(&mut Redis, &mut Call<'_, '_>),
}

const NONE: (i32, i32, i32) = (0, 0, 0);
const ONE: (i32, i32, i32) = (1, 1, 1);
const ALL: (i32, i32, i32) = (1, -1, 1);
const PAIRS: (i32, i32, i32) = (1, -1, 2);

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "denyoom", "fast"];
const DELETE: &[&str] = &["write", "fast"];
const CONNECTION: &[&str] = &["fast", "loading"];
const PUBSUB: &[&str] = &["pubsub", "loading"];

type Run = fn(&mut Redis, &mut Call<'_, '_>);

const fn entry(
    name: &'static str,
    arity: i32,
    keys: (i32, i32, i32),
    flags: &'static [&'static str],
    summary: &'static str,
    run: Run,
) -> Entry {
    Entry { name, arity, keys, flags, summary, run }
}

/// All commands, those that are used most first.
#[rustfmt::skip]
static COMMANDS: &[Entry] = &[
    entry("GET", 2, ONE, READ, "Returns a value.", strings::get),
    entry("SET", -3, ONE, WRITE, "Sets a value, with or without a time to live.", strings::set),
    entry("INCR", 2, ONE, WRITE, "Adds one to a number.", strings::incr),
    entry("DECR", 2, ONE, WRITE, "Subtracts one from a number.", strings::decr),
    entry("INCRBY", 3, ONE, WRITE, "Adds to a number.", strings::incr_by),
    entry("DECRBY", 3, ONE, WRITE, "Subtracts from a number.", strings::decr_by),
    entry("MGET", -2, ALL, READ, "Returns several values.", strings::mget),
    entry("MSET", -3, PAIRS, WRITE, "Sets several values.", strings::mset),
    entry("DEL", -2, ALL, DELETE, "Removes keys.", strings::del),
    entry("EXISTS", -2, ALL, READ, "Counts which of the keys exist.", strings::exists),
    entry("EXPIRE", 3, ONE, DELETE, "Sets a time to live in seconds.", expire::expire),
    entry("PEXPIRE", 3, ONE, DELETE, "Sets a time to live in milliseconds.", expire::pexpire),
    entry("TTL", 2, ONE, READ, "Returns a time to live in seconds.", expire::ttl),
    entry("PTTL", 2, ONE, READ, "Returns a time to live in milliseconds.", expire::pttl),
    entry("PUBLISH", 3, NONE, PUBSUB, "Sends a message to a channel.", pubsub::publish),
    entry("SUBSCRIBE", -2, NONE, PUBSUB, "Receives the messages to channels.", pubsub::subscribe),
    entry("UNSUBSCRIBE", -1, NONE, PUBSUB, "Ends subscriptions to channels.", pubsub::unsubscribe),
    entry("PSUBSCRIBE", -2, NONE, PUBSUB, "Receives messages by pattern.", pubsub::psubscribe),
    entry("PUNSUBSCRIBE", -1, NONE, PUBSUB, "Ends subscriptions by pattern.", pubsub::punsubscribe),
    entry("PING", -1, NONE, CONNECTION, "Returns PONG or the argument.", connection::ping),
    entry("ECHO", 2, NONE, CONNECTION, "Returns the argument.", connection::echo),
    entry("HELLO", -1, NONE, CONNECTION, "Chooses the protocol version.", connection::hello),
    entry("CLIENT", -2, NONE, CONNECTION, "Names the connection.", connection::client),
    entry("SELECT", 2, NONE, CONNECTION, "Chooses the only database, 0.", connection::select),
    entry("QUIT", -1, NONE, CONNECTION, "Closes the connection.", connection::quit),
    entry("DBSIZE", 1, NONE, READ, "Counts the keys.", connection::dbsize),
    entry("FLUSHALL", -1, NONE, DELETE, "Removes all keys.", connection::flush_all),
    entry("FLUSHDB", -1, NONE, DELETE, "Removes all keys of the only database.", connection::flush_all),
    entry("INFO", -1, NONE, CONNECTION, "Describes the server.", connection::info),
    entry("CONFIG", -2, NONE, CONNECTION, "CONFIG GET returns settings.", connection::config),
    entry("COMMAND", -1, NONE, CONNECTION, "Describes the commands.", command),
];

/// Finds a command by its name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Entry {
    /// Whether the command can have this many arguments.
    pub(crate) fn takes(&self, arguments: usize) -> bool {
        let most = if self.arity < 0 { usize::MAX } else { self.arity as usize };
        (self.arity.unsigned_abs() as usize..=most).contains(&arguments)
    }

    /// Whether clients of RESP2 can use the command while they receive messages.
    pub(crate) fn is_for_subscribers(&self) -> bool {
        self.name.ends_with("SUBSCRIBE") || matches!(self.name, "PING" | "QUIT")
    }

    /// The reply to `COMMAND`.
    fn describe(&self, to: &mut Encoder<'_, Context<'_>>) {
        to.array(10).bulk(self.lowercase().as_bytes()).integer(self.arity.into());
        to.set(self.flags.len());
        self.flags.iter().for_each(|flag| _ = to.simple(flag));
        let (first, last, step) = self.keys;
        to.integer(first.into()).integer(last.into()).integer(step.into());
        // Categories of access, hints, specifications of keys, and commands within this one.
        to.set(0).array(0).array(0).array(0);
    }

    /// The reply to `COMMAND DOCS`.
    fn document(&self, to: &mut Encoder<'_, Context<'_>>) {
        to.bulk(self.lowercase().as_bytes()).map(2);
        to.bulk(b"summary").bulk(self.summary.as_bytes());
        to.bulk(b"group").bulk(match self.flags {
            PUBSUB => b"pubsub",
            CONNECTION => b"connection",
            _ => b"string",
        });
    }

    fn lowercase(&self) -> String {
        self.name.to_lowercase()
    }
}

/// `COMMAND`, `COMMAND COUNT`, and `COMMAND DOCS` or `INFO` with the names of commands.
fn command(_: &mut Redis, call: &mut Call<'_, '_>) {
    let command = call.command;
    let asked = command.arguments().skip(1).map(find);
    let entries: Vec<_> =
        if command.len() > 2 { asked.collect() } else { COMMANDS.iter().map(Some).collect() };
    let part = call.argument(1);
    let mut reply = call.reply();
    if command.len() == 1 || part.eq_ignore_ascii_case(b"INFO") {
        reply.array(entries.len());
        for entry in entries {
            match entry {
                Some(entry) => entry.describe(&mut reply),
                None => _ = reply.null(),
            }
        }
    } else if part.eq_ignore_ascii_case(b"DOCS") {
        let known: Vec<_> = entries.into_iter().flatten().collect();
        reply.map(known.len());
        known.iter().for_each(|entry| entry.document(&mut reply));
    } else if part.eq_ignore_ascii_case(b"COUNT") {
        reply.integer(COMMANDS.len() as i64);
    } else {
        reply.error("ERR unknown subcommand: try COMMAND COUNT, DOCS or INFO");
    }
}
