//! Connections and the server.

use std::time::Duration;

use log::Level;
use sluicegate_reactor::testing::{Client, State};

use super::{Server, TICK, ask, got, says, serve};
use crate::logged::logged_in;

#[test]
fn a_connection_is_tried_and_closed() {
    let mut h = serve();
    let client = h.open();
    assert_eq!(ask(&mut h, client, "PING"), "+PONG|");
    assert_eq!(ask(&mut h, client, "ping \"a b\""), "$3|a b|");
    assert_eq!(ask(&mut h, client, "ECHO x"), "$1|x|");
    assert_eq!(ask(&mut h, client, "SELECT 0"), "+OK|");
    assert_eq!(ask(&mut h, client, "SELECT 1"), "-ERR DB index is out of range|");
    assert_eq!(ask(&mut h, client, "QUIT"), "+OK|");
    assert_ne!(h.state(client), State::Open);
}

#[test]
fn the_version_of_the_protocol_is_chosen() {
    let mut h = serve();
    let client = h.open();
    let hello = ask(&mut h, client, "HELLO");
    assert!(hello.starts_with("*14|$6|server|$5|redis|$7|version|"), "{hello}");
    assert!(hello.contains("$5|proto|:2|"), "{hello}");
    let hello = ask(&mut h, client, "HELLO 3 SETNAME me");
    assert!(hello.starts_with("%7|$6|server|") && hello.contains("$5|proto|:3|"), "{hello}");
    assert_eq!(ask(&mut h, client, "GET x"), "_|");
    assert_eq!(ask(&mut h, client, "COMMAND INFO nothing"), "*1|_|");
    assert_eq!(ask(&mut h, client, "HELLO 4"), "-NOPROTO unsupported protocol version|");
    assert_eq!(ask(&mut h, client, "HELLO 2 AUTH"), "-ERR syntax error|");
    assert_eq!(ask(&mut h, client, "GET x"), "_|");
}

#[test]
fn each_connection_has_an_id_of_its_own() {
    let mut h = serve();
    let clients = [h.open(), h.open()];
    for (client, id) in clients.into_iter().zip([":1|", ":2|"]) {
        let hello = ask(&mut h, client, "HELLO");
        assert!(hello.contains(&format!("|$2|id|{id}")), "{hello}");
        assert_eq!(ask(&mut h, client, "client id"), id);
    }
}

#[test]
fn a_client_names_its_connection_and_says_which_library_it_uses() {
    let refused = "-ERR a name has at most 128 characters, and no spaces|";
    let unknown = "-ERR unknown subcommand: try CLIENT ID, GETNAME, SETNAME name or SETINFO|";
    let (longest, longer) = ("x".repeat(128), "x".repeat(129));
    says(&[
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK|"),
        ("CLIENT SETINFO LIB-VER 8.1.0", "+OK|"),
        ("CLIENT GETNAME", "$-1|"),
        ("CLIENT SETNAME worker-1", "+OK|"),
        ("CLIENT GETNAME", "$8|worker-1|"),
        ("CLIENT SETNAME \"a b\"", refused),
        ("CLIENT SETNAME \"a\\n\"", refused),
        (&format!("CLIENT SETNAME {longer}"), refused),
        ("HELLO 3 SETNAME \"a b\"", refused),
        ("client getname", "$8|worker-1|"),
        (&format!("CLIENT SETNAME {longest}"), "+OK|"),
        ("CLIENT SETNAME \"\"", "+OK|"),
        ("CLIENT GETNAME", "$-1|"),
        ("CLIENT LIST", unknown),
        ("CLIENT SETNAME", unknown),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command|"),
    ]);
    let mut h = serve();
    let client = h.open();
    ask(&mut h, client, "HELLO 3 SETNAME me");
    assert_eq!(ask(&mut h, client, "CLIENT GETNAME"), "$2|me|");
}

#[test]
fn commands_that_do_not_exist_or_lack_arguments_are_errors() {
    says(&[
        ("FROB a", "-ERR unknown command 'FROB'|"),
        ("\"\\xff\\r\\n\"", "-ERR unknown command '\\xff\\r\\n'|"),
        ("GET", "-ERR wrong number of arguments for 'get' command|"),
        ("get a b", "-ERR wrong number of arguments for 'get' command|"),
        ("SET a", "-ERR wrong number of arguments for 'set' command|"),
        ("DEL", "-ERR wrong number of arguments for 'del' command|"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command|"),
        ("FLUSHDB now", "-ERR syntax error|"),
        ("FLUSHALL now", "-ERR syntax error|"),
        ("FLUSHALL ASYNC SYNC", "-ERR syntax error|"),
        ("flushall async", "+OK|"),
    ]);
}

#[test]
fn settings_that_tools_ask_for_have_their_values() {
    says(&[
        ("CONFIG GET save", "*2|$4|save|$0||"),
        ("config get APPENDONLY", "*2|$10|appendonly|$2|no|"),
        ("CONFIG GET no*", "*0|"),
        ("CONFIG GET d* max*", "*4|$9|databases|$1|1|$9|maxmemory|$1|0|"),
        ("CONFIG SET a b", "-ERR unknown subcommand: try CONFIG GET pattern|"),
    ]);
}

#[test]
fn the_server_describes_itself_and_its_commands() {
    let mut h = serve();
    let client = h.open();
    let info = ask(&mut h, client, "INFO");
    assert!(info.contains("# Server|redis_version:") && info.contains("|# Keyspace|"), "{info}");
    ask(&mut h, client, "SET a 1");
    // redis-cli --stat needs the end of the last line, too.
    assert_eq!(ask(&mut h, client, "INFO keyspace"), "$24|# Keyspace|db0:keys=1||");
    let count = ask(&mut h, client, "COMMAND COUNT");
    let count: usize = count.trim_matches([':', '|']).parse().expect("a number");
    let all = ask(&mut h, client, "COMMAND");
    assert!(
        all.starts_with(&format!("*{count}|*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|")),
        "{all}"
    );
    assert!(ask(&mut h, client, "COMMAND DOCS").starts_with(&format!("*{}|", 2 * count)));
    assert_eq!(
        ask(&mut h, client, "COMMAND DOCS get nothing"),
        "*2|$3|get|*4|$7|summary|$16|Returns a value.|$5|group|$6|string|"
    );
    let described = ask(&mut h, client, "COMMAND INFO nothing mset");
    assert!(described.starts_with("*2|$-1|*10|$4|mset|:-3|"), "{described}");
}

#[test]
fn the_server_says_how_long_it_has_served() {
    let mut h = serve();
    h.advance(TICK * 105);
    let client = h.open();
    let info = ask(&mut h, client, "INFO server");
    assert!(info.contains("|uptime_in_seconds:10"), "{info}");
}

#[test]
fn a_command_may_have_a_million_arguments() {
    let mut h = serve();
    let client = h.open();
    ask(&mut h, client, "MSET 99998 a 99999 b");
    let keys: String = (0..100_000).map(|key| format!("$5\r\n{key:05}\r\n")).collect();
    h.feed(client, format!("*100001\r\n$3\r\nDEL\r\n{keys}"));
    assert_eq!(got(&mut h, client), ":2|");
    h.feed(client, format!("*{}\r\n", 1 << 20));
    assert_eq!(got(&mut h, client), "");
    let other = h.open();
    h.feed(other, format!("*{}\r\n", (1 << 20) + 1));
    assert_eq!(got(&mut h, other), "-ERR Protocol error: invalid multibulk length|");
}

#[test]
fn an_inline_command_may_be_as_long_as_in_redis() {
    let mut h = serve();
    let client = h.open();
    let text = "x".repeat((64 << 10) - "ECHO ".len());
    h.feed(client, format!("ECHO {text}"));
    assert_eq!(ask(&mut h, client, ""), format!("${}|{text}|", text.len()));
    let refused = ask(&mut h, client, &format!("ECHO x{text}"));
    assert_eq!(refused, "-ERR Protocol error: too big inline request|");
}

#[test]
fn an_unknown_name_is_repeated_in_part_only() {
    let reply = format!("-ERR unknown command '{}'|", "x".repeat(128));
    says(&[(&"x".repeat(5000), &reply)]);
}

#[test]
fn a_request_of_a_browser_is_refused_with_the_commands_in_its_body() {
    let mut h = serve();
    let client = h.open();
    h.feed(client, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n");
    assert_ne!(h.state(client), State::Open);
    let other = h.open();
    assert_eq!(ask(&mut h, other, "EXISTS a"), ":0|");
}

/// A client that sends a pipeline of this many commands, whose replies have 10,000 bytes each, and
/// one that sets the key `last`. It reads nothing.
fn pipelining(h: &mut Server, commands: usize) -> Client {
    let client = h.open();
    assert_eq!(ask(h, client, &format!("SET a {}", "x".repeat(5000))), "+OK|");
    h.set_room(client, 0);
    h.feed(client, "MGET a a\r\n".repeat(commands) + "SET last 1\r\n");
    client
}

#[test]
fn a_long_pipeline_runs_before_its_client_reads_up_to_a_limit() {
    for (commands, runs) in [(1500, ":1|"), (2000, ":0|")] {
        let mut h = serve();
        let (client, other) = (pipelining(&mut h, commands), h.open());
        assert_eq!(ask(&mut h, other, "EXISTS last"), runs, "{commands} commands");
        h.set_room(client, usize::MAX);
        let replies = h.sent(client);
        let one = "*2\r\n$5000\r\n\r\n$5000\r\n\r\n".len() + 10_000;
        assert_eq!(replies.len(), commands * one + "+OK\r\n".len());
        assert_eq!(ask(&mut h, other, "EXISTS last"), ":1|");
    }
}

#[test]
fn a_client_that_never_reads_is_disconnected_and_the_log_says_why() {
    for (commands, end) in [
        (1000, "10022005 bytes of replies wait for it"),
        (2000, "so that --client-output-buffer-limit keeps it from sending more"),
    ] {
        let mut h = serve();
        let logged = logged_in(Level::Warn, || {
            let client = pipelining(&mut h, commands);
            h.advance(Duration::from_secs(59));
            assert_eq!(h.state(client), State::Open);
            h.advance(Duration::from_secs(2));
            assert_eq!(h.state(client), State::Reset);
        });
        assert_eq!(logged.len(), 1, "{logged:?}");
        let start = "disconnected: the client has read nothing for 60 s";
        assert!(logged[0].contains(start) && logged[0].ends_with(end), "{logged:?}");
    }
}

#[test]
fn a_client_that_still_sends_its_pipeline_is_not_disconnected() {
    let mut h = serve();
    let client = pipelining(&mut h, 1);
    for _ in 0..10 {
        h.advance(Duration::from_secs(20));
        h.feed(client, "PING\r\n");
        assert_eq!(h.state(client), State::Open);
    }
    h.advance(Duration::from_secs(120));
    assert_eq!(h.state(client), State::Reset);
}
