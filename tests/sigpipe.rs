//! Sending to a peer that is gone raises no `SIGPIPE`, although the process handles the signal.
//!
//! Each way of sending has a thread of its own: what one does to the thread's signal mask must not
//! help another.

#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGPIPE;
use sluicegate_reactor::{
    Bytes, ConnId, Context, Handler, Input, Ledger, Limits, Reactor, fs::File,
};

/// Whether a signal has come, in any thread of this process.
fn signalled() -> bool {
    static SIGNALLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = SIGNALLED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGPIPE, flag.clone()).expect("a handler");
        flag
    });
    flag.load(Ordering::SeqCst)
}

/// What is sent as soon as a connection is ready.
enum What {
    Slice,
    Pieces,
    File(File),
    /// Whatever another one receives.
    Nothing,
    RelayTo(ConnId),
}

struct Sender;

impl Handler for Sender {
    type Session = What;

    fn on_open(&mut self, _: &mut Context<'_>) -> What {
        What::Nothing
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, what: &mut What) {
        match what {
            What::Slice => drop(cx.send("hello")),
            What::Pieces => {
                cx.send(Bytes::from(vec![1; 8 << 10]));
                cx.send(Bytes::from(vec![2; 8 << 10]));
            }
            What::File(file) => drop(cx.send(file.region(0, 64 << 10))),
            What::Nothing => {}
            What::RelayTo(to) => cx.relay_to(*to),
        }
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut What, _: &mut Input<'_>) {}
}

/// Lets a reactor send to a peer that is gone; what it has called.
fn send(make: impl FnOnce(&mut Reactor) -> What + Send + 'static) -> Ledger {
    assert!(!signalled());
    let sender = thread::spawn(|| {
        let mut reactor = Reactor::new().expect("a reactor");
        let what = make(&mut reactor);
        let sender = reactor.register(Sender);
        let (ours, peer) = UnixStream::pair().expect("two sockets");
        drop(peer);
        let limits = Limits { small_file: 0, ..Limits::default() };
        reactor.adopt(ours, sender, &limits, what).expect("a stream");
        while reactor.connections() > 0 {
            reactor.turn(None).expect("a turn");
        }
        reactor.ledger()
    });
    let ledger = sender.join().expect("no panic");
    assert_eq!(ledger.sent, 0);
    ledger
}

#[test]
fn a_send_raises_no_sigpipe() {
    assert_eq!(send(|_| What::Slice).send_calls, 1);
    assert!(!signalled());
}

#[test]
fn a_send_of_several_pieces_raises_no_sigpipe() {
    assert_eq!(send(|_| What::Pieces).gather_calls, 1);
    assert!(!signalled());
}

#[test]
fn a_sendfile_raises_no_sigpipe() {
    let directory = tempfile::tempdir().expect("a new directory");
    let path = directory.path().to_owned();
    std::fs::write(path.join("file"), vec![3; 64 << 10]).expect("a file");
    let ledger = send(move |reactor| {
        let directory = reactor.open_dir(path).expect("the directory");
        What::File(directory.open("file").expect("the file"))
    });
    assert_eq!(ledger.sendfile_calls, 1);
    assert!(!signalled());
}

#[test]
#[cfg_attr(
    sluicegate_libkqueue,
    ignore = "the kqueue backend takes any data for urgent, which no splice gets past"
)]
fn a_splice_raises_no_sigpipe() {
    assert!(!signalled());
    let relay = thread::spawn(|| {
        let mut reactor = Reactor::new().expect("a reactor");
        let sender = reactor.register(Sender);
        let limits = Limits { splice_after: 0, splice_least: 0, ..Limits::default() };
        let (ours, to) = UnixStream::pair().expect("two sockets");
        let destination = reactor.adopt(ours, sender, &limits, What::Nothing).expect("a stream");
        let (ours, mut from) = UnixStream::pair().expect("two sockets");
        let what = What::RelayTo(destination);
        reactor.adopt(ours, sender, &limits, what).expect("a stream");
        from.set_nonblocking(true).expect("a socket");
        // Until nothing more goes in: the last of it waits in the pipe.
        let mut full = 0;
        while full < 10 {
            match from.write(&[4; 64 << 10]) {
                Ok(_) => full = 0,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    full += 1;
                }
            }
            reactor.turn(Some(Duration::ZERO)).expect("a turn");
        }
        let before = reactor.ledger().splice_calls;
        drop(to);
        while reactor.connections() == 2 {
            reactor.turn(None).expect("a turn");
        }
        (before, reactor.ledger().splice_calls)
    });
    let (before, after) = relay.join().expect("no panic");
    assert!(before > 0 && after > before, "{before} {after}");
    assert!(!signalled());
}
