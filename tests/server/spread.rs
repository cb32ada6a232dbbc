//! How connections are spread over threads.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use sluicegate_reactor::{
    Address, ConnId, Context, Handler, Input, Listen, ListenerId, Reason, Receive, Sessions,
    Spread, Turn,
};

use super::{ANY_PORT, PATIENCE, Running, Teller, alone, byte, threads};

#[test]
fn connections_that_are_passed_on_go_to_one_thread_after_the_other() {
    let _alone = alone();
    let server = Running::tellers(threads(3, Spread::Passed), &Listen::default());
    let opened: Vec<_> = (0..30).map(|_| server.open()).collect();
    let served: Vec<_> = opened.iter().map(|(_, thread)| *thread).collect();
    assert_eq!(served, [0, 1, 2].repeat(10));
    for (mut stream, _) in opened {
        stream.write_all(b"x").unwrap();
        assert_eq!(byte(&mut stream), b'x');
    }
    server.stop().unwrap();
}

#[test]
fn the_kernel_divides_many_connections_evenly() {
    const CONNECTIONS: usize = 2000;
    let _alone = alone();
    let server = Running::tellers(threads(2, Spread::Divided), &Listen::default());
    let mut served = [0_usize; 2];
    for _ in 0..CONNECTIONS {
        served[usize::from(server.open().1)] += 1;
    }
    // Half of them each, with the standard deviation of that many coin tosses, 22. Seven of these
    // are 155: once in 10^11 runs.
    let half = CONNECTIONS / 2;
    assert!(served.iter().all(|count| count.abs_diff(half) <= 155), "{served:?}");
    server.stop().unwrap();
}

#[test]
fn unix_and_adopted_sockets_are_served_by_all_threads() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut server = threads(2, Spread::Divided);
    let unix = Address::from_path(&path).unwrap();
    let unix = server.listen(&unix, &Listen::default()).unwrap();
    let made = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let tcp = server.adopt_listener(made, &Listen::default()).unwrap();
    let both = [unix, tcp.clone()];
    let server = Running::start(server, &tcp, move |shard| {
        let teller = Teller(shard.index() as u8);
        let teller = shard.register(teller);
        both.iter().try_for_each(|listener| shard.serve(listener, teller).map(drop))
    });
    let mut streams = Vec::new();
    for expected in [0, 1, 0, 1] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(byte(&mut stream), expected);
        streams.push(stream);
        assert_eq!(server.open().1, expected);
    }
    drop(streams);
    server.stop().unwrap();
    assert!(!path.exists(), "the file of the socket is left");
}

/// Closes its thread's share of each listener, and says whether it was open.
struct Closer(Vec<ListenerId>, Sender<bool>);

impl Handler for Closer {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<()> for Closer {
    fn on_message(&mut self, cx: &mut Sessions<'_>, (): ()) {
        for id in &self.0 {
            self.1.send(cx.close_listener(*id)).expect("a test that waits");
        }
    }
}

#[test]
fn a_socket_is_closed_once_all_threads_have_closed_their_shares() {
    let _alone = alone();
    for spread in [Spread::Divided, Spread::Passed] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let mut server = threads(2, spread);
        let unix = Address::from_path(&path).unwrap();
        let unix = server.listen(&unix, &Listen::default()).unwrap();
        let tcp = server.listen(ANY_PORT, &Listen::default()).unwrap();
        let served = [unix, tcp.clone()];
        let (sender, closed) = channel();
        let server = Running::start(server, &tcp, move |shard| {
            let closer = shard.reserve();
            let ids: io::Result<Vec<_>> =
                served.iter().map(|listener| shard.serve(listener, closer)).collect();
            shard.install(closer, Closer(ids?, sender.clone()));
            shard.after(Duration::ZERO, closer, ());
            Ok(())
        });
        let closed: Vec<_> = (0..4).map(|_| closed.recv_timeout(PATIENCE).unwrap()).collect();
        assert_eq!(closed, [true; 4]);
        let refused = TcpStream::connect(server.address()).expect_err("a closed listener");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{spread:?}");
        assert!(!path.exists(), "the file of the socket is left");
        server.stop().unwrap();
    }
}

/// Counts the connections of all threads.
struct Counted {
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Handler for Counted {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let now = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        cx.send("x");
    }

    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        input.take();
    }

    fn on_close(&mut self, _: &mut Turn, _: ConnId, (): (), _: Reason) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn the_most_connections_are_those_of_all_threads_together() {
    let _alone = alone();
    for spread in [Spread::Divided, Spread::Passed] {
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut server = threads(2, spread);
        let listen = Listen { max_connections: 4, ..Listen::default() };
        let listener = server.listen(ANY_PORT, &listen).unwrap();
        let (served, highest) = (listener.clone(), most.clone());
        let server = Running::start(server, &listener, move |shard| {
            let counted = Counted { open: open.clone(), most: most.clone() };
            let counted = shard.register(counted);
            shard.serve(&served, counted).map(drop)
        });
        let address = server.address();
        let clients: Vec<_> = (0..40)
            .map(|_| {
                thread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    assert_eq!(byte(&mut stream), b'x');
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        let highest = highest.load(Ordering::SeqCst);
        assert!((1..=4).contains(&highest), "{highest} at once, {spread:?}");
        server.stop().unwrap();
    }
}
