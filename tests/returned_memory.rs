//! What connections held is returned to the system when they have ended.
//!
//! The memory is that of the whole process, so there is one test here.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate_reactor::{Context, Handler, Input, Limits, Reactor};

/// Consumes nothing.
struct Keep;

impl Handler for Keep {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

/// Each has two descriptors here.
const CONNECTIONS: usize = 1500;
/// What a connection holds: somewhat less than a buffer for unread input.
const HELD: usize = 60 << 10;

/// Bytes of memory that this process has for itself.
fn anonymous() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("this process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

#[test]
fn what_connections_held_is_returned_when_they_have_ended() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a limit");
    let mut reactor = Reactor::new().expect("a reactor");
    let keep = reactor.register(Keep);
    let before = anonymous();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (mut client, server) = UnixStream::pair().expect("a pair of sockets");
            reactor.adopt(server, keep, &Limits::default(), ()).expect("a connection");
            client.write_all(&[7; HELD]).expect("room in the socket");
            client
        })
        .collect();
    while reactor.ledger().received < (CONNECTIONS * HELD) as u64 {
        reactor.turn(None).expect("a turn");
    }
    let held = anonymous() - before;
    assert!(held >= CONNECTIONS * HELD, "{held} bytes");
    drop(clients);
    while reactor.connections() > 0 {
        reactor.turn(None).expect("a turn");
    }
    let left = anonymous().saturating_sub(before);
    assert!(left < held / 2, "{left} of {held} bytes are left");
}
