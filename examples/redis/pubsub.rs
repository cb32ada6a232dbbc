//! The commands for messages between clients.

use sluicegate_reactor::Bytes;

use super::server::{Call, Redis};
use super::subscriptions::Kind;

/// The maximum length of the name of a channel, and of a pattern, in bytes. Matching takes time
/// proportional to the product of both lengths.
const LONGEST_NAME: usize = 1 << 10;

/// The maximum number of patterns of a client: each PUBLISH matches all of them.
pub(crate) const MOST_PATTERNS: usize = 1000;

/// Replies with an error and returns `false` if the name of a channel or a pattern is too long.
pub(crate) fn is_short(call: &mut Call<'_, '_>, name: &[u8]) -> bool {
    let is_short = name.len() <= LONGEST_NAME;
    if !is_short {
        call.error(&format!("ERR a channel or pattern has at most {LONGEST_NAME} bytes"));
    }
    is_short
}

pub(crate) fn publish(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let (channel, message) = (call.argument(1), call.argument(2));
    if !is_short(call, channel) {
        return;
    }
    let count = redis.subscriptions.publish(call.cx, channel, message);
    call.reply().integer(count as i64);
}

pub(crate) fn subscribe(redis: &mut Redis, call: &mut Call<'_, '_>) {
    begin(redis, call, Kind::Channel, b"subscribe");
}

pub(crate) fn psubscribe(redis: &mut Redis, call: &mut Call<'_, '_>) {
    begin(redis, call, Kind::Pattern, b"psubscribe");
}

pub(crate) fn unsubscribe(redis: &mut Redis, call: &mut Call<'_, '_>) {
    end(redis, call, Kind::Channel, b"unsubscribe");
}

pub(crate) fn punsubscribe(redis: &mut Redis, call: &mut Call<'_, '_>) {
    end(redis, call, Kind::Pattern, b"punsubscribe");
}

fn begin(redis: &mut Redis, call: &mut Call<'_, '_>, kind: Kind, name: &[u8]) {
    let (id, version) = (call.cx.id(), call.session.version);
    let longest = call.command.arguments().max_by_key(|name| name.len()).unwrap_or_default();
    if !is_short(call, longest) {
        return;
    }
    let count = call.session.subscribed.of(kind).len() + call.command.arguments().count();
    if kind == Kind::Pattern && count > MOST_PATTERNS {
        return call.error(&format!("ERR a client has at most {MOST_PATTERNS} patterns"));
    }
    for what in call.command.arguments().map(Bytes::copy_from_slice) {
        redis.subscriptions.add(kind, &what, id, version);
        call.session.subscribed.of(kind).insert(what.clone());
        confirm(call, name, Some(&what));
    }
}

/// Ends the subscriptions that the command names, or all.
fn end(redis: &mut Redis, call: &mut Call<'_, '_>, kind: Kind, name: &[u8]) {
    let mut ended: Vec<_> = call.command.arguments().map(Bytes::copy_from_slice).collect();
    if ended.is_empty() {
        ended = call.session.subscribed.of(kind).iter().cloned().collect();
        if ended.is_empty() {
            confirm(call, name, None);
        }
    }
    for what in ended {
        redis.subscriptions.remove(kind, &what, call.cx.id());
        call.session.subscribed.of(kind).remove(&what);
        confirm(call, name, Some(&what));
    }
}

/// Tells the client what has begun or ended, and how many subscriptions it has now.
fn confirm(call: &mut Call<'_, '_>, name: &[u8], what: Option<&Bytes>) {
    let count = call.session.subscribed.len();
    call.reply().push(3).bulk(name).bulk_or_null(what).integer(count as i64);
}
