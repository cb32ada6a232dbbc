//! Servers with several threads, on real sockets in this process. Only one test runs at a time,
//! since some count the descriptors or threads of the process.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sluicegate_reactor::{
    Address, Context, Handler, Input, Listen, Server, ServerListener, ServerOptions, Shard, Spread,
    Stopper,
};

mod ends;
mod restart;
mod spread;
#[cfg(target_os = "linux")]
mod workers;

/// Longer than anything here takes. Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

const ANY_PORT: &str = "127.0.0.1:0";

/// Holds off the other tests.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the index of its thread, and then echoes. A `!` stops the server.
struct Teller(u8);

impl Handler for Teller {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send(&[self.0][..]);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        if input.contains(&b'!') {
            cx.stop();
        }
        cx.send(input.take());
    }
}

fn threads(threads: usize, spread: Spread) -> Server {
    Server::new(&ServerOptions { threads, spread, ..ServerOptions::default() })
}

/// A server in a thread.
struct Running {
    thread: Option<JoinHandle<io::Result<()>>>,
    stopper: Stopper,
    address: Address,
}

impl Running {
    fn start(
        server: Server,
        listener: &ServerListener,
        make: impl Fn(&mut Shard<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Running {
        let (stopper, address) = (server.stopper(), listener.address().clone());
        let thread = Some(thread::spawn(move || server.run(make)));
        Running { thread, stopper, address }
    }

    /// A server with a [`Teller`] on each thread.
    fn tellers(mut server: Server, listen: &Listen) -> Running {
        let listener = server.listen(ANY_PORT, listen).unwrap();
        let served = listener.clone();
        Running::start(server, &listener, move |shard| {
            let teller = Teller(shard.index() as u8);
            let teller = shard.register(teller);
            shard.serve(&served, teller).map(drop)
        })
    }

    fn address(&self) -> SocketAddr {
        self.address.ip_and_port().expect("an address of IP")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection, and the thread that serves it.
    fn open(&self) -> (TcpStream, u8) {
        let mut stream = self.connect();
        let thread = byte(&mut stream);
        (stream, thread)
    }

    fn wait(mut self) -> io::Result<()> {
        self.thread.take().expect("waited for once").join().expect("a server does not panic")
    }

    fn stop(self) -> io::Result<()> {
        self.stopper.stop().unwrap();
        self.wait()
    }
}

fn byte(stream: &mut impl Read) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("a byte");
    byte[0]
}

/// Whether a connection has ended, in whatever way.
fn has_ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn one_thread_is_the_calling_one_and_others_have_names() {
    let _alone = alone();
    let mut server = threads(3, Spread::Divided);
    let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let stopper = server.stopper();
    let seen = Mutex::new(Vec::new());
    server
        .run(|shard| {
            let teller = shard.register(Teller(0));
            shard.serve(&listener, teller)?;
            let mut seen = seen.lock().unwrap();
            let current = thread::current();
            seen.push((shard.index(), current.id(), current.name().map(String::from)));
            if seen.len() == 3 {
                stopper.stop()?;
            }
            Ok(())
        })
        .unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_by_key(|(index, ..)| *index);
    assert_eq!(seen[0].1, thread::current().id());
    assert_eq!(seen[1].2.as_deref(), Some("reactor-1"));
    assert_eq!(seen[2].2.as_deref(), Some("reactor-2"));
}

#[test]
fn a_second_server_at_the_same_port_is_an_error_however_many_threads_they_have() {
    let _alone = alone();
    for first in [1, 2] {
        for second in [1, 2] {
            let mut one = threads(first, Spread::Divided);
            let listener = one.listen(ANY_PORT, &Listen::default()).unwrap();
            let address = listener.address().ip_and_port().unwrap();
            let error = threads(second, Spread::Divided)
                .listen(address, &Listen::default())
                .expect_err("the port is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{first} and {second}");
            assert!(error.to_string().contains(&address.to_string()), "{error}");
            drop(one);
            // Nothing of the first is left.
            threads(second, Spread::Divided).listen(address, &Listen::default()).unwrap();
        }
    }
}

#[test]
fn handlers_of_several_threads_know_each_other_by_their_mailboxes() {
    use sluicegate_reactor::{Handle, Receive, Sessions, mailbox};

    /// What one says, all hear.
    struct Chat(Vec<Handle<u8>>);

    impl Handler for Chat {
        type Session = ();
        fn on_open(&mut self, cx: &mut Context<'_>) {
            cx.send("w");
        }
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
            for &byte in input.take() {
                self.0.iter().for_each(|thread| thread.post(byte).unwrap());
            }
        }
    }

    impl Receive<u8> for Chat {
        fn on_message(&mut self, cx: &mut Sessions<'_>, byte: u8) {
            cx.for_each(|cx, ()| _ = cx.send(&[byte][..]));
        }
    }

    let _alone = alone();
    let mut server = threads(3, Spread::Passed);
    let listener = server.listen(ANY_PORT, &Listen::default()).unwrap();
    let address = listener.address().ip_and_port().unwrap();
    let stopper = server.stopper();
    let (handles, mailboxes): (Vec<_>, Vec<_>) = (0..3).map(|_| mailbox()).unzip();
    let run = thread::spawn(move || {
        server.run_with(mailboxes, |shard, mailbox| {
            let chat = shard.register(Chat(handles.clone()));
            shard.attach(mailbox, chat);
            shard.serve(&listener, chat).map(drop)
        })
    });
    let mut clients: Vec<_> = (0..6).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(byte(client), b'w');
    }
    for said in 0..6 {
        clients[usize::from(said)].write_all(&[said]).unwrap();
        for client in &mut clients {
            assert_eq!(byte(client), said);
        }
    }
    stopper.stop().unwrap();
    drop(clients);
    run.join().unwrap().unwrap();
}
