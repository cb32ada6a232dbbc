//! A server in a sandbox whose handler tries what the sandbox forbids, for `sandbox.rs`:
//! `sandboxed READ WRITE [connect]` may read one directory and write another one.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, missing_docs)]

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;
use std::thread;

use rustix::process::{Pid, test_kill_process};
use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
use sluicegate_protocols::sandbox::Sandbox;
use sluicegate_reactor::{Listen, Server, ServerOptions};

/// Tries `/WHAT/path`, on the thread of the reactor and on a new one.
struct Tries;

impl Service for Tries {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let path = request.path().to_owned();
        let here = outcome(&path);
        let there = thread::spawn(move || outcome(&path)).join().expect("no panic");
        assert_eq!(here, there, "a thread that was started later may do the same");
        reply.send(here)
    }
}

fn outcome(path: &str) -> String {
    let (what, rest) = path[1..].split_at(path[1..].find('/').expect("a second part"));
    match attempt(what, rest) {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn attempt(what: &str, path: &str) -> io::Result<()> {
    match what {
        "read" => fs::read(path).map(drop),
        "list" => fs::read_dir(path).map(drop),
        "write" => fs::write(path, "written"),
        // What it needs is the same as for another name, and it can be repeated.
        "rename" => fs::rename(path, path),
        "permit" => fs::set_permissions(path, Permissions::from_mode(0o666)),
        "run" => Command::new(path).spawn().map(drop),
        "become" => Err(Command::new(path).exec()),
        "connect" => TcpStream::connect(&path[1..]).map(drop),
        "look-up" => path[1..].to_socket_addrs().map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "signal" => {
            let parent = Pid::from_raw(parent_id().cast_signed()).expect("a parent");
            Ok(test_kill_process(parent)?)
        }
        _ => panic!("cannot try {what}"),
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().collect();
    let mut server = Server::new(&ServerOptions { threads: 2, ..ServerOptions::default() });
    let listener = server.listen("127.0.0.1:0", &Listen::default())?;
    server.stop_on_signals()?;
    let mut sandbox = Sandbox::new();
    sandbox.read(&arguments[1]).write(&arguments[2]).require();
    if arguments.get(3).is_some_and(|it| it == "connect") {
        sandbox.connect();
    }
    sandbox.confine()?;
    println!("{}", listener.address());
    server.run(|shard| {
        let tries = shard.register(Http::new(Tries));
        shard.serve(&listener, tries).map(drop)
    })
}
