//! The commands for a connection, and for the server as a whole.

use std::fmt::Write;

use sluicegate_protocols::resp::Version;

use super::glob;
use super::pubsub::is_short;
use super::server::{Call, Redis};

/// The version of Redis whose commands these are.
const REDIS_VERSION: &str = "7.0.0";

/// The maximum length of the name of a connection in bytes.
const MOST_CLIENT_NAME: usize = 128;

/// The settings that `CONFIG GET` returns: those that clients such as redis-benchmark request.
const SETTINGS: &[(&str, &str)] =
    &[("save", ""), ("appendonly", "no"), ("databases", "1"), ("maxmemory", "0"), ("timeout", "0")];

pub(crate) fn ping(_: &mut Redis, call: &mut Call<'_, '_>) {
    let argument = call.command.get(1);
    if call.command.len() > 2 {
        return call.error("ERR wrong number of arguments for 'ping' command");
    }
    if call.session.version == Version::Resp2 && !call.session.subscribed.is_empty() {
        call.reply().array(2).bulk(b"pong").bulk(argument.unwrap_or_default());
        return;
    }
    match argument {
        Some(argument) => call.reply().bulk(argument),
        None => call.reply().simple("PONG"),
    };
}

pub(crate) fn echo(_: &mut Redis, call: &mut Call<'_, '_>) {
    let argument = call.argument(1);
    call.reply().bulk(argument);
}

/// `HELLO [version [SETNAME name]]`
pub(crate) fn hello(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let version = match call.command.get(1) {
        None => call.session.version,
        Some(b"2") => Version::Resp2,
        Some(b"3") => Version::Resp3,
        Some(_) => return call.error("NOPROTO unsupported protocol version"),
    };
    let has_name = call.command.len() == 4 && call.argument(2).eq_ignore_ascii_case(b"SETNAME");
    if call.command.len() > 2 && !has_name {
        return call.syntax_error();
    }
    let name = call.argument(3);
    if has_name && !set_name(call, name) {
        return;
    }
    call.session.version = version;
    redis.subscriptions.set_version(call.cx.id(), &call.session.subscribed, version);
    let id = call.session.id as i64;
    let mut reply = call.reply();
    reply.map(7);
    reply.bulk(b"server").bulk(b"redis").bulk(b"version").bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto").integer(if version == Version::Resp2 { 2 } else { 3 });
    reply.bulk(b"id").integer(id).bulk(b"mode").bulk(b"standalone");
    reply.bulk(b"role").bulk(b"master").bulk(b"modules").array(0);
}

/// `CLIENT ID | GETNAME | SETNAME name | SETINFO attribute value`. Clients send SETINFO when they
/// connect; it is not kept.
pub(crate) fn client(_: &mut Redis, call: &mut Call<'_, '_>) {
    let (first, second) = (call.argument(1).to_ascii_uppercase(), call.argument(2));
    match (&*first, call.command.len()) {
        (b"ID", 2) => {
            let id = call.session.id as i64;
            call.reply().integer(id);
        }
        (b"GETNAME", 2) if call.session.name.is_empty() => _ = call.reply().null(),
        (b"GETNAME", 2) => {
            let name = call.session.name.clone();
            call.reply().bulk(&name);
        }
        (b"SETNAME", 3) => {
            if set_name(call, second) {
                call.reply().simple("OK");
            }
        }
        (b"SETINFO", 4) => _ = call.reply().simple("OK"),
        _ => call.error("ERR unknown subcommand: try CLIENT ID, GETNAME, SETNAME name or SETINFO"),
    }
}

/// Sets the name of the connection; an empty one removes it. Replies with an error and returns
/// `false` if it is invalid.
fn set_name(call: &mut Call<'_, '_>, name: &[u8]) -> bool {
    let is_valid = name.len() <= MOST_CLIENT_NAME && name.iter().all(u8::is_ascii_graphic);
    if is_valid {
        call.session.name = name.to_vec();
    } else {
        call.error(&format!("ERR a name has at most {MOST_CLIENT_NAME} characters, and no spaces"));
    }
    is_valid
}

pub(crate) fn select(_: &mut Redis, call: &mut Call<'_, '_>) {
    match call.argument(1) {
        b"0" => _ = call.reply().simple("OK"),
        _ => call.error("ERR DB index is out of range"),
    }
}

pub(crate) fn quit(_: &mut Redis, call: &mut Call<'_, '_>) {
    call.reply().simple("OK");
    call.cx.close();
}

pub(crate) fn dbsize(redis: &mut Redis, call: &mut Call<'_, '_>) {
    call.reply().integer(redis.keys.len() as i64);
}

/// `FLUSHALL [ASYNC | SYNC]`
pub(crate) fn flush_all(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let is_mode =
        |mode: &[u8]| [&b"ASYNC"[..], b"SYNC"].iter().any(|m| mode.eq_ignore_ascii_case(m));
    if call.command.len() > 2 || !call.command.get(1).is_none_or(is_mode) {
        return call.syntax_error();
    }
    redis.keys.clear();
    call.reply().simple("OK");
}

pub(crate) fn config(_: &mut Redis, call: &mut Call<'_, '_>) {
    let command = call.command;
    if !call.argument(1).eq_ignore_ascii_case(b"GET") || command.len() < 3 {
        return call.error("ERR unknown subcommand: try CONFIG GET pattern");
    }
    let longest = command.arguments().max_by_key(|pattern| pattern.len()).unwrap_or_default();
    if !is_short(call, longest) {
        return;
    }
    let is_asked = |(name, _): &&(&str, &str)| {
        let name = name.as_bytes();
        command.arguments().skip(1).any(|p| glob::matches(&p.to_ascii_lowercase(), name))
    };
    let asked: Vec<_> = SETTINGS.iter().filter(is_asked).collect();
    let mut reply = call.reply();
    reply.map(asked.len());
    for (name, value) in asked {
        reply.bulk(name.as_bytes()).bulk(value.as_bytes());
    }
}

/// `INFO [section...]`
pub(crate) fn info(redis: &mut Redis, call: &mut Call<'_, '_>) {
    let mut text = String::new();
    for (name, lines) in sections(redis, call) {
        let all: [&[u8]; 3] = [b"all", b"default", b"everything"];
        let is_asked = |asked: &[u8]| {
            asked.eq_ignore_ascii_case(name.as_bytes())
                || all.iter().any(|all| asked.eq_ignore_ascii_case(all))
        };
        let mut asked = call.command.arguments();
        if asked.len() == 0 || asked.any(is_asked) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{gap}# {name}\r\n");
            for (name, value) in lines {
                let _ = write!(text, "{name}:{value}\r\n");
            }
        }
    }
    call.reply().verbatim(*b"txt", &text);
}

type Section = (&'static str, Vec<(&'static str, String)>);

fn sections(redis: &Redis, call: &Call<'_, '_>) -> [Section; 4] {
    let subscriptions = &redis.subscriptions;
    let (ledger, uptime) = (call.cx.ledger(), redis.uptime(call.cx.now()));
    let mut keys = Vec::new();
    if redis.keys.len() > 0 {
        keys.push(("db0", format!("keys={}", redis.keys.len())));
    }
    [
        (
            "Server",
            vec![
                ("redis_version", REDIS_VERSION.to_owned()),
                ("redis_mode", "standalone".to_owned()),
                ("server_name", "sluicegate".to_owned()),
                ("uptime_in_seconds", uptime.as_secs().to_string()),
            ],
        ),
        ("Clients", vec![("connected_clients", call.cx.connections().to_string())]),
        (
            "Stats",
            vec![
                ("total_connections_received", redis.connections.to_string()),
                ("total_commands_processed", redis.commands.to_string()),
                ("total_net_input_bytes", ledger.received.to_string()),
                ("total_net_output_bytes", ledger.sent.to_string()),
                ("pubsub_channels", subscriptions.channels().to_string()),
                ("pubsub_patterns", subscriptions.patterns().to_string()),
            ],
        ),
        ("Keyspace", keys),
    ]
}
