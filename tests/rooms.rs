//! The rooms of the code, and the direction in which they may import each other.
//!
//! Every file belongs to the room that is named by its first folder. A room may import rooms to its
//! right in the lists below, never one to its left: an arrow that runs the other way is how a knot
//! begins.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `reactor/src`, the highest first.
const REACTOR: &[&str] = &[
    "testing",
    "server",
    "turn",
    "handler",
    "listen",
    "connect",
    "threads",
    "inbound",
    "transport",
    "outbound",
    "time",
    "core",
    "fs",
    "sys",
];

/// The rooms of `protocols/src`, the highest first.
const PROTOCOLS: &[&str] = &[
    "testing",
    "ops",
    "access_log",
    "auth",
    "files",
    "forward",
    "websocket",
    "http",
    "resp",
    "line",
    "upstreams",
    "raw",
    "proxy_protocol",
    "tls",
    "sandbox",
    "quantum",
    "unconnected",
    "warnings",
];

/// Where callbacks are called. A message is opened by the turn, but its type is only known where it
/// was sent.
const CALLERS: &[&str] = &["turn/dispatch.rs", "handler/receive.rs"];

/// All source files beneath a folder, with the code they have outside of comments and tests.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let name = path.strip_prefix(&root).expect("beneath the root").to_owned();
                found.push((name, code(&text)));
            }
        }
    }
    assert!(found.len() > 10, "{folder} has sources");
    found.retain(|(name, _)| !is_test(name));
    found
}

/// Whether a file holds tests, or models for tests.
fn is_test(name: &Path) -> bool {
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    name.iter().any(|part| part == "tests") || stem.ends_with("tests") || stem == "models"
}

/// The lines before the first test module, without comments.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The room that a file belongs to, if it is in one.
fn room(name: &Path) -> Option<&str> {
    let first = name.iter().next()?.to_str()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|room| *room != "lib")
}

/// The rooms that a file imports, by `crate::room` anywhere in its code.
fn imports(code: &str) -> impl Iterator<Item = &str> {
    code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// The imports that run up.
fn wrong_arrows(folder: &str, rooms: &[&str]) -> Vec<String> {
    let rank = |room: &str| rooms.iter().position(|known| *known == room);
    let mut wrong = Vec::new();
    for (name, code) in sources(folder) {
        let Some(own) = room(&name) else { continue };
        let Some(floor) = rank(own) else {
            wrong.push(format!("{}: {own} is no room", name.display()));
            continue;
        };
        let up = imports(&code).filter(|room| rank(room).is_some_and(|other| other < floor));
        wrong.extend(up.map(|room| format!("{} imports {room}", name.display())));
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

#[test]
fn the_rooms_of_the_reactor_import_downwards_only() {
    assert_eq!(wrong_arrows("reactor/src", REACTOR), [""; 0]);
}

#[test]
fn the_rooms_of_the_protocols_import_downwards_only() {
    assert_eq!(wrong_arrows("protocols/src", PROTOCOLS), [""; 0]);
}

#[test]
fn only_the_turn_calls_a_handler() {
    const CALLBACKS: [&str; 11] = [
        "open", "ready", "data", "received", "saved", "drain", "eof", "timeout", "stop", "close",
        "message",
    ];
    for (name, code) in sources("reactor/src") {
        if CALLERS.iter().any(|caller| name == Path::new(caller)) || name.starts_with("testing") {
            continue;
        }
        for callback in CALLBACKS {
            let call = format!(".on_{callback}(");
            assert!(!code.contains(&call), "{} calls a handler: {call}", name.display());
        }
    }
}

#[test]
fn an_arrow_that_runs_up_is_noticed() {
    let found: Vec<&str> = imports("use crate::turn::drive;\nlet x = crate::sys::NO_FD;").collect();
    assert_eq!(found, ["turn", "sys"]);
}
