//! A server ends as a whole, whatever ends it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use sluicegate_reactor::{
    ConnId, Context, Handle, Handler, Input, Listen, Receive, Sessions, Spread, mailbox,
};

use super::{ANY_PORT, PATIENCE, Running, Teller, alone, byte, has_ended, threads};

/// Counts the descriptors that this process has open.
#[cfg(all(target_os = "linux", not(sluicegate_libkqueue)))]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Counts the sockets that this process has open. The other descriptors of a queue belong to
/// libkqueue, whose own thread closes them some time after the queue.
#[cfg(sluicegate_libkqueue)]
fn descriptors() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|descriptor| std::fs::read_link(descriptor.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// A server whose second thread waits for a signal, and then calls `then`.
fn held(
    listen: &Listen,
    then: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> (Running, Sender<()>) {
    let mut server = threads(2, Spread::Passed);
    let listener = server.listen(ANY_PORT, listen).unwrap();
    let (go, gone) = channel();
    let (served, gone) = (listener.clone(), Mutex::new(gone));
    let server = Running::start(server, &listener, move |shard| {
        let teller = Teller(shard.index() as u8);
        let teller = shard.register(teller);
        shard.serve(&served, teller)?;
        if shard.index() == 1 {
            gone.lock().unwrap().recv().unwrap();
            then()?;
        }
        Ok(())
    });
    (server, go)
}

/// Runs a server whose second thread fails after the first has a client. Returns the error.
fn fails(fail: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> io::Error {
    let (server, go) = held(&Listen::default(), fail);
    let (mut client, thread) = server.open();
    assert_eq!(thread, 0);
    go.send(()).unwrap();
    assert!(has_ended(&mut client), "the first thread goes on alone");
    drop(client);
    server.wait().expect_err("the second thread has failed")
}

#[test]
fn one_thread_that_fails_ends_all_and_is_named() {
    let _alone = alone();
    let error = fails(|| Err(io::Error::new(ErrorKind::NotFound, "no such thing")));
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (ErrorKind::NotFound, "reactor-1: no such thing")
    );
}

#[test]
fn one_thread_that_panics_ends_all_and_is_named() {
    let _alone = alone();
    let error = fails(|| panic!("on purpose, as the test wants it"));
    assert_eq!(error.to_string(), "reactor-1: panicked: on purpose, as the test wants it");
}

#[test]
fn the_calling_thread_is_one_of_them() {
    let _alone = alone();
    let server = threads(2, Spread::Divided);
    let error = server.run(|shard| match shard.index() {
        0 => panic!("on purpose, as the test wants it"),
        _ => Ok(()),
    });
    let error = error.expect_err("the first thread has panicked").to_string();
    assert_eq!(error, "reactor-0: panicked: on purpose, as the test wants it");
}

#[test]
fn a_thread_that_leaves_a_listener_unserved_is_an_error() {
    let _alone = alone();
    for spread in [Spread::Divided, Spread::Passed] {
        let mut server = threads(2, spread);
        let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
        let error = server.run(|shard| {
            let teller = shard.register(Teller(0));
            if shard.index() == 0 {
                shard.serve(&listener, teller)?;
            }
            Ok(())
        });
        let error = error.expect_err("one thread does not serve").to_string();
        assert_eq!(error, format!("reactor-1: {} is not served", listener.address()));
    }
}

/// Sends one byte, and closes when it receives one, not when the server stops.
struct Stubborn;

impl Handler for Stubborn {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send("x");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
        cx.close();
    }

    fn on_stop(&mut self, _: &mut Context<'_>, (): &mut ()) {}
}

#[test]
fn what_a_thread_that_fails_does_not_serve_ends_before_the_other_threads() {
    let _alone = alone();
    let mut server = threads(2, Spread::Passed);
    let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let (go, gone) = channel();
    let (served, gone) = (listener.clone(), Mutex::new(gone));
    let server = Running::start(server, &listener, move |shard| {
        if shard.index() == 1 {
            gone.lock().unwrap().recv().unwrap();
            return Err(ErrorKind::NotFound.into());
        }
        let stubborn = shard.register(Stubborn);
        shard.serve(&served, stubborn).map(drop)
    });
    let (mut client, _) = server.open();
    // Goes to the thread that does not serve yet. It was passed on once the next one is served.
    let mut waiting = server.connect();
    drop(server.open());
    go.send(()).unwrap();
    assert!(has_ended(&mut waiting), "it waits for a thread that is gone");
    client.write_all(b"x").unwrap();
    assert!(has_ended(&mut client));
    drop(client);
    server.wait().expect_err("the second thread has failed");
}

#[test]
fn a_handler_that_stops_stops_all_threads() {
    let _alone = alone();
    for spread in [Spread::Divided, Spread::Passed] {
        let server = Running::tellers(threads(3, spread), &Listen::default());
        let mut clients: Vec<_> = (0..12).map(|_| server.open().0).collect();
        clients[0].write_all(b"!").unwrap();
        assert_eq!(byte(&mut clients[0]), b'!');
        assert!(clients.iter_mut().all(has_ended));
        drop(clients);
        server.wait().unwrap();
    }
}

#[test]
fn what_was_passed_to_a_thread_is_served_when_the_server_stops() {
    let _alone = alone();
    let listen = Listen { backlog: 8, accept_budget: 1, ..Listen::default() };
    let (server, go) = held(&listen, || Ok(()));
    let mut waiting = Vec::new();
    for _ in 0..20 {
        assert_eq!(server.open().1, 0);
        waiting.push(server.connect());
    }
    // Accepted after all the others.
    assert_eq!(server.open().1, 0);
    server.stopper.stop().unwrap();
    go.send(()).unwrap();
    assert!(waiting.iter_mut().all(|client| byte(client) == 1));
    drop(waiting);
    server.wait().unwrap();
}

#[test]
fn a_server_that_was_stopped_before_it_runs_ends_at_once() {
    let _alone = alone();
    for count in [1, 3] {
        let server = threads(count, Spread::Divided);
        server.stopper().stop().unwrap();
        server.run(|_| Ok(())).unwrap();
    }
}

/// Asks the other thread for the answer to each byte. Says when the server stops, and goes on.
struct Asker {
    other: Handle<Note>,
}

enum Note {
    Question(ConnId),
    Answer(ConnId),
}

impl Handler for Asker {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        for _ in input.take() {
            if self.other.post(Note::Question(cx.id())).is_err() {
                cx.abort();
            }
        }
    }

    fn on_stop(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        cx.send("s");
    }
}

impl Receive<Note> for Asker {
    fn on_message(&mut self, cx: &mut Sessions<'_>, note: Note) {
        match note {
            Note::Question(client) => _ = self.other.post(Note::Answer(client)),
            Note::Answer(client) => _ = cx.peer(client).send("!"),
        }
    }
}

#[test]
fn a_thread_without_connections_answers_the_other_one_until_that_has_none_either() {
    let _alone = alone();
    let mut server = threads(2, Spread::Passed);
    let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let (handles, mailboxes): (Vec<_>, Vec<_>) = [(); 2].map(|()| mailbox()).into_iter().unzip();
    let mailboxes = Mutex::new(mailboxes.into_iter().map(Some).collect::<Vec<_>>());
    let served = listener.clone();
    let server = Running::start(server, &listener, move |shard| {
        let (own, other) = (shard.index(), 1 - shard.index());
        let asker = shard.register(Asker { other: handles[other].clone() });
        let mailbox = mailboxes.lock().unwrap()[own].take();
        shard.attach(mailbox.expect("a thread starts once"), asker);
        // So that the server cannot end because the grace period is over.
        shard.set_drain(Duration::from_secs(3600));
        shard.serve(&served, asker).map(drop)
    });
    let mut client = server.connect();
    server.stopper.stop().unwrap();
    assert_eq!(byte(&mut client), b's');
    for _ in 0..100 {
        client.write_all(b"?").unwrap();
        assert_eq!(byte(&mut client), b'!');
    }
    drop(client);
    server.wait().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn stopping_while_clients_come_and_go_leaves_no_descriptor_open() {
    const CLIENTS: usize = 8;
    let _alone = alone();
    for spread in [Spread::Divided, Spread::Passed] {
        let before = descriptors();
        let server = Running::tellers(threads(2, spread), &Listen::default());
        let (address, busy) = (server.address(), Arc::new(Barrier::new(CLIENTS + 1)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let busy = busy.clone();
                thread::spawn(move || come_and_go(address, &busy))
            })
            .collect();
        busy.wait();
        server.stop().unwrap();
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(descriptors(), before, "{spread:?}");
    }
}

/// Connects, exchanges a byte and disconnects, until connections are refused.
#[cfg(target_os = "linux")]
fn come_and_go(address: std::net::SocketAddr, busy: &Barrier) {
    for round in 0.. {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if round == 20 {
            busy.wait();
        }
        // A stopping server may have closed the connection, or reset it in the backlog. It sends
        // first: otherwise it might not learn that the kernel has forgotten the handshake (see
        // `stop_listening` of the reactor).
        let _ = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0; 2]));
    }
}
