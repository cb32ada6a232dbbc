//! The commands for values.

use sluicegate_reactor::Bytes;

use super::expire;
use super::keys::Life;
use super::server::{Call, Redis};

pub(crate) const NO_INTEGER: &str = "ERR value is not an integer or out of range";

pub(crate) fn get(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let value = redis.keys.get(call.argument(1), call.now());
    call.reply().bulk_or_null(value);
}

/// The maximum length of all values in a reply, in bytes: a command can name a long one many times.
const MOST_VALUES: usize = 64 << 20;

pub(crate) fn mget(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let (command, now) = (call.command, call.now());
    let len = |key| redis.keys.get(key, now).map_or(0, Bytes::len);
    if command.arguments().map(len).sum::<usize>() > MOST_VALUES {
        return call.error("ERR the values together are longer than 64 MiB");
    }
    let mut reply = call.reply();
    reply.array(command.len() - 1);
    command.arguments().for_each(|key| _ = reply.bulk_or_null(redis.keys.get(key, now)));
}

/// Which keys a `SET` may set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Absent,
    Present,
}

/// The options of a `SET`.
struct SetOptions {
    life: Life,
    only: Option<Only>,
    returns_old: bool,
}

impl SetOptions {
    /// Parses the options, or returns the error for the client.
    fn parse(call: &Call<'_, '_>) -> Result<SetOptions, String> {
        const SYNTAX: &str = "ERR syntax error";
        let mut options = SetOptions { life: Life::Unlimited, only: None, returns_old: false };
        let mut words = call.command.arguments().skip(2);
        while let Some(word) = words.next() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("GET") {
                options.returns_old = true;
            } else if is("NX") && options.only.is_none_or(|only| only == Only::Absent) {
                options.only = Some(Only::Absent);
            } else if is("XX") && options.only.is_none_or(|only| only == Only::Present) {
                options.only = Some(Only::Present);
            } else if options.life != Life::Unlimited {
                return Err(SYNTAX.to_owned());
            } else if is("KEEPTTL") {
                options.life = Life::Keep;
            } else if is("EX") || is("PX") {
                let unit = if is("EX") { 1000 } else { 1 };
                let time = words.next().ok_or(SYNTAX)?;
                let time = number(time).ok_or(NO_INTEGER)?;
                let until = expire::deadline(call.now(), time, unit).filter(|_| time > 0);
                options.life = Life::Until(until.ok_or_else(|| expire::invalid("set"))?);
            } else {
                return Err(SYNTAX.to_owned());
            }
        }
        Ok(options)
    }
}

pub(crate) fn set(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let Some(value) = call.command.to_bytes(2) else { return };
    let (key, now) = (call.argument(1), call.now());
    if call.command.len() == 3 {
        redis.keys.set(key, value, Life::Unlimited, now);
        call.reply().simple("OK");
        return;
    }
    let options = match SetOptions::parse(call) {
        Ok(options) => options,
        Err(error) => return call.error(&error),
    };
    let old = redis.keys.get(key, now).cloned();
    let sets = options.only.is_none_or(|only| (only == Only::Present) == old.is_some());
    if sets {
        redis.keys.set(key, value, options.life, now);
    }
    if options.returns_old {
        call.reply().bulk_or_null(old.as_ref());
    } else if sets {
        call.reply().simple("OK");
    } else {
        call.reply().null();
    }
}

pub(crate) fn mset(redis: &mut Redis, call: &mut Call<'_, '_>) {
    if call.command.len().is_multiple_of(2) {
        return call.error("ERR wrong number of arguments for 'mset' command");
    }
    let now = call.now();
    for index in (1..call.command.len()).step_by(2) {
        if let Some(value) = call.command.to_bytes(index + 1) {
            redis.keys.set(call.argument(index), value, Life::Unlimited, now);
        }
    }
    call.reply().simple("OK");
}

pub(crate) fn incr(redis: &mut Redis, call: &mut Call<'_, '_>) {
    add(redis, call, 1);
}

pub(crate) fn decr(redis: &mut Redis, call: &mut Call<'_, '_>) {
    add(redis, call, -1);
}

pub(crate) fn incr_by(redis: &mut Redis, call: &mut Call<'_, '_>) {
    match number(call.argument(2)) {
        Some(difference) => add(redis, call, difference),
        None => call.error(NO_INTEGER),
    }
}

pub(crate) fn decr_by(redis: &mut Redis, call: &mut Call<'_, '_>) {
    match number(call.argument(2)).map(i64::checked_neg) {
        Some(Some(difference)) => add(redis, call, difference),
        Some(None) => call.error("ERR decrement would overflow"),
        None => call.error(NO_INTEGER),
    }
}

fn add(redis: &mut Redis, call: &mut Call<'_, '_>, difference: i64) {
    let (key, now) = (call.argument(1), call.now());
    let Some(old) = redis.keys.get(key, now).map_or(Some(0), |value| number(value)) else {
        return call.error(NO_INTEGER);
    };
    let Some(new) = old.checked_add(difference) else {
        return call.error("ERR increment or decrement would overflow");
    };
    redis.keys.set(key, Bytes::from(new.to_string()), Life::Keep, now);
    call.reply().integer(new);
}

pub(crate) fn del(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let now = call.now();
    let removed = call.command.arguments().filter(|key| redis.keys.remove(key, now)).count();
    call.reply().integer(removed as i64);
}

pub(crate) fn exists(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let now = call.now();
    let exists = |key: &&[u8]| redis.keys.get(key, now).is_some();
    let count = call.command.arguments().filter(exists).count();
    call.reply().integer(count as i64);
}

/// Parses an integer as Redis does: digits, with a minus sign if it is negative.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    let number: i64 = text.parse().ok()?;
    let is_short = text.len() == 1 || !text.trim_start_matches('-').starts_with('0');
    is_short.then_some(number)
}
