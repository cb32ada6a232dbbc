//! The commands for times to live.

use super::server::{Call, Redis};
use super::strings::{NO_INTEGER, number};

/// The longest time to live in milliseconds: 100,000 years.
const LONGEST: i64 = 100_000 * 365 * 24 * 60 * 60 * 1000;

pub(crate) fn expire(redis: &mut Redis, call: &mut Call<'_, '_>) {
    set_deadline(redis, call, 1000);
}

pub(crate) fn pexpire(redis: &mut Redis, call: &mut Call<'_, '_>) {
    set_deadline(redis, call, 1);
}

/// Sets when a key expires. A time to live that is not positive removes it.
fn set_deadline(redis: &mut Redis, call: &mut Call<'_, '_>, unit: i64) {
    let (key, now) = (call.argument(1), call.now());
    let Some(time) = number(call.argument(2)) else { return call.error(NO_INTEGER) };
    let Some(at) = deadline(now, time, unit) else {
        let name = call.command.name().escape_ascii().to_string().to_lowercase();
        return call.error(&invalid(&name));
    };
    let exists =
        if time > 0 { redis.keys.expire(key, at, now) } else { redis.keys.remove(key, now) };
    call.reply().integer(exists.into());
}

/// The deadline after a time in a unit of milliseconds, unless the time is too long.
pub(crate) fn deadline(now: u64, time: i64, unit: i64) -> Option<u64> {
    let time = time.checked_mul(unit).filter(|time| *time <= LONGEST)?;
    Some(now + time.max(0) as u64)
}

/// The error for a time to live that is too long or not positive.
pub(crate) fn invalid(name: &str) -> String {
    format!("ERR invalid expire time in '{name}' command")
}

pub(crate) fn ttl(redis: &mut Redis, call: &mut Call<'_, '_>) {
    time_to_live(redis, call, 1000);
}

pub(crate) fn pttl(redis: &mut Redis, call: &mut Call<'_, '_>) {
    time_to_live(redis, call, 1);
}

fn time_to_live(redis: &mut Redis, call: &mut Call<'_, '_>, unit: u64) {
    let now = call.now();
    let time = match redis.keys.expiry(call.argument(1), now) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => ((at - now + unit / 2) / unit) as i64,
    };
    call.reply().integer(time);
}
