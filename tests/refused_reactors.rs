//! A server that cannot start one of its threads, or create the reactor of one, ends at once: the
//! others do not wait until the grace period is over.
//!
//! The limits are those of the whole process, so there is one test here.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use rustix::param::page_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate_reactor::{Reactor, Server, ServerOptions};

/// Longer than anything here takes. Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server of three threads ends under a limit on this.
fn error_under(resource: Resource, limit: u64) -> io::Error {
    let server = Server::new(&ServerOptions { threads: 3, ..ServerOptions::default() });
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(limit), ..before }).expect("a limit");
    let start = Instant::now();
    let result = server.run(|shard| {
        shard.set_drain(PATIENCE);
        Ok(())
    });
    setrlimit(resource, before).expect("the old limit");
    assert!(start.elapsed() < PATIENCE, "a thread waits for the end of the grace period");
    result.expect_err("a thread of it is missing")
}

#[test]
fn a_server_ends_at_once_if_a_thread_or_its_reactor_cannot_be_created() {
    // This comes first, because the stacks of threads that have ended are used again.
    let statm = fs::read_to_string("/proc/self/statm").expect("the size of this process");
    let pages: u64 = statm.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
    // Less than the stack of a thread, 2 MiB, and more than a reactor needs.
    let error = error_under(Resource::As, pages * page_size() as u64 + (3 << 19));
    assert!(error.to_string().starts_with("reactor-1: "), "{error}");

    let reactor = Reactor::new().unwrap();
    // Descriptors get the lowest free numbers. Those below this one are enough for one reactor.
    let most = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    drop(reactor);
    let error = error_under(Resource::Nofile, most);
    assert!(error.to_string().starts_with("reactor-"), "{error}");
}
