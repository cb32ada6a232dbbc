//! A file for which no worker thread can be started fails; the reactor does not write it itself.
//!
//! The limit is that of the whole process, so there is one test here.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use rustix::fs::statfs;
use rustix::param::page_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate_reactor::fs::{CreateOptions, NotSaved, Saved};
use sluicegate_reactor::{Context, Handler, Input, Listen, Reactor};
use tempfile::TempDir;

const LEN: usize = 10;

/// `TMPFS_MAGIC` (`statfs(2)`).
const TMPFS: i64 = 0x0102_1994;

/// Receives a file from each connection and notes what became of it.
struct Upload {
    dir: TempDir,
    saved: Vec<Result<Saved, NotSaved>>,
}

impl Handler for Upload {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let dir = cx.open_dir(self.dir.path()).unwrap();
        let file = dir.create("f", &CreateOptions::default()).unwrap();
        cx.receive_file(file, Some(LEN as u64));
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}

    fn on_saved(&mut self, cx: &mut Context<'_>, (): &mut (), saved: Result<Saved, NotSaved>) {
        self.saved.push(saved);
        cx.close();
    }
}

/// Limits the address space of the process to `more` bytes than it uses.
fn limit_memory(more: u64) {
    let statm = fs::read_to_string("/proc/self/statm").expect("the size of this process");
    let pages: u64 = statm.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
    let current = Some(pages * page_size() as u64 + more);
    setrlimit(Resource::As, Rlimit { current, ..getrlimit(Resource::As) }).expect("a limit");
}

#[test]
fn a_file_fails_if_no_thread_can_be_started_and_the_next_one_is_saved() {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    if statfs(dir.path()).unwrap().f_type == TMPFS {
        // The reactor writes files in memory itself.
        return;
    }
    let mut reactor = Reactor::new().unwrap();
    let upload = reactor.register(Upload { dir, saved: Vec::new() });
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), upload).unwrap();
    let address = reactor.listener_address(listener).unwrap().ip_and_port().unwrap();
    // Less than the stack of a thread, 2 MiB, and more than all else needs.
    for (more, expected) in [(1 << 20, false), (1 << 30, true)] {
        limit_memory(more);
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(&[7; LEN]).unwrap();
        while reactor.handler(upload).saved.is_empty() {
            reactor.turn(None).unwrap();
        }
        let saved = reactor.handler(upload).saved.remove(0);
        assert_eq!(saved.is_ok(), expected, "{saved:?}");
        if let Err(refused) = saved {
            let error = refused.error.to_string();
            assert!(error.starts_with("start a worker thread: "), "{error}");
        }
    }
}
