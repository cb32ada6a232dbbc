//! What systemd and the examples say to each other, with this test in the place of systemd.

use std::io::{ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{PATIENCE, Server, eventually, example, path_of, run};

/// The socket to which processes send their state.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Manager {
        let dir = tempdir().expect("a new directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Manager { socket, dir }
    }

    fn hello(&self, more: &[&str]) -> Command {
        let mut hello = example("hello");
        hello.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        hello.arg("--control").arg(self.control()).args(more);
        hello
    }

    fn control(&self) -> std::path::PathBuf {
        self.dir.path().join("control")
    }

    /// The next message.
    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).expect("text")
    }

    /// The next message, and the descriptors that come with it.
    fn next_with_descriptors(&self) -> (String, Vec<OwnedFd>) {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut room);
        let mut text = [0; 4096];
        let mut parts = [IoSliceMut::new(&mut text)];
        let message = recvmsg(&self.socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .expect("a message");
        let descriptors = ancillary.drain().flat_map(|it| match it {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let descriptors = descriptors.collect();
        (String::from_utf8(text[..message.bytes].to_vec()).expect("text"), descriptors)
    }

    /// The sockets that a process stores when it is ready.
    fn next_stored(&self) -> Vec<OwnedFd> {
        assert_eq!(self.next(), EMPTIES_STORE);
        let (text, sockets) = self.next_with_descriptors();
        assert_eq!(text, "FDSTORE=1\nFDNAME=sluicegate-stored");
        assert_eq!(self.next(), "READY=1");
        sockets
    }

    /// The next message but those of the watchdog.
    fn next_state(&self) -> String {
        std::iter::repeat_with(|| self.next())
            .find(|message| message != "WATCHDOG=1")
            .expect("a message")
    }
}

#[test]
fn a_service_manager_hears_of_the_start_a_reload_and_the_end() {
    for threads in ["1", "2"] {
        let manager = Manager::new();
        let mut server = Server::start(&mut manager.hello(&["--threads", threads]));
        assert_eq!(manager.next(), "READY=1");
        server.signal("HUP");
        let reloading = manager.next();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        assert!(time.parse::<u64>().expect("a number") > 0);
        assert_eq!(manager.next(), "READY=1");
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        assert_eq!(manager.next(), "STOPPING=1");
    }
}

#[test]
fn a_service_manager_hears_from_the_watchdog_and_of_a_process_that_takes_over() {
    let manager = Manager::new();
    let watched = |more: &[&str]| {
        let mut hello = manager.hello(more);
        hello.env("WATCHDOG_USEC", "40000");
        hello
    };
    let mut server = Server::start(&mut watched(&["--threads", "2"]));
    assert_eq!(manager.next(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    let mut next = Server::start(&mut watched(&["--threads", "1"]));
    // In this order: systemd ignores what other processes than the main one say.
    assert_eq!(manager.next_state(), format!("MAINPID={}\nWATCHDOG=1", next.pid()));
    assert_eq!(manager.next_state(), "READY=1");
    assert_eq!(server.wait(), Some(0));
    next.signal("TERM");
    assert_eq!(next.wait(), Some(0));
    assert_eq!(manager.next_state(), "STOPPING=1", "the first process goes on in the second");
}

/// A socket that shares its address with others, as `ReusePort=yes` makes them.
fn shared(at: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_port(true).expect("an option");
    socket.bind(&SockAddr::from(at)).expect("an address");
    socket.listen(64).expect("a listener");
    socket.into()
}

/// A shell that becomes `hello`, with at most two sockets of this name from descriptor 3 on.
fn activated(sockets: Vec<OwnedFd>, name: &str, threads: &str) -> Command {
    let names = vec![name; sockets.len()].join(":");
    let script = "exec 3<&0 4<&2 </dev/null 2>/dev/null; \
                  export LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(path_of("hello")).args(["--threads", threads]);
    shell.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    let mut sockets = sockets.into_iter().map(Stdio::from);
    shell.stdin(sockets.next().expect("a socket"));
    shell.stderr(sockets.next().unwrap_or_else(Stdio::null));
    shell
}

#[test]
fn sockets_of_a_service_manager_are_served_by_all_threads_and_by_a_process_that_takes_over() {
    // With 2 threads each has a socket, with 3 the first one passes connections on.
    for (first, second) in [("2", "3"), ("3", "1")] {
        let dir = tempdir().expect("a new directory");
        let control = dir.path().join("control");
        let one = shared("127.0.0.1:0".parse().expect("an address"));
        let address = one.local_addr().expect("its address");
        let sockets = [one, shared(address)].map(OwnedFd::from).into();
        let mut server = activated(sockets, "web", first);
        let mut server = Server::start(server.arg("--control").arg(&control));
        assert_eq!(server.address, address);
        let serves = |server: &Server| {
            for _ in 0..16 {
                assert_eq!(Client::new(server).get("/").1, b"Hello, World!");
            }
        };
        serves(&server);
        // It has no variables, and gets the sockets with their name.
        let mut next = example("hello");
        next.args(["--threads", second, "--control"]).arg(&control);
        let mut next = Server::start(&mut next);
        assert_eq!(next.address, address);
        assert_eq!(server.wait(), Some(0));
        serves(&next);
        next.signal("TERM");
        assert_eq!(next.wait(), Some(0));
        eventually("its end", || (!control.exists()).then_some(()));
    }
}

#[test]
fn the_sockets_of_a_service_manager_still_listen_when_all_servers_have_ended() {
    for takes_over in [false, true] {
        let dir = tempdir().expect("a new directory");
        let control = dir.path().join("control");
        let socket = shared("127.0.0.1:0".parse().expect("an address"));
        let address = socket.local_addr().expect("its address");
        let theirs = socket.try_clone().expect("a copy");
        let mut hello = activated(vec![theirs.into()], "web", "1");
        let mut server = Server::start(hello.arg("--control").arg(&control));
        drop(hello);
        if takes_over {
            let mut next = Server::start(example("hello").arg("--control").arg(&control));
            assert_eq!(next.address, address);
            std::mem::swap(&mut server, &mut next);
            assert_eq!(next.wait(), Some(0));
        }
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        TcpStream::connect(address).expect("a backlog");
        socket.accept().expect("a client for the next server");
    }
}

#[test]
fn a_socket_of_a_service_manager_that_cannot_be_served_is_named() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$; exec \"$0\"";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(path_of("hello")).stdin(OwnedFd::from(socket));
    let outcome = run(shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "names"));
    let expected = "error: socket \"names\" of the service manager: not a stream socket\n";
    assert_eq!((outcome.code, &*outcome.stderr), (Some(1), expected));
}

const STORED: &str = "sluicegate-stored";
const EMPTIES_STORE: &str = "FDSTOREREMOVE=1\nFDNAME=sluicegate-stored";

#[test]
fn sockets_that_a_service_manager_stores_lose_no_client_in_a_crash() {
    for (first, second) in [("1", "2"), ("2", "1"), ("2", "2"), ("2", "3")] {
        let manager = Manager::new();
        let mut hello = manager.hello(&["--threads", first]);
        let mut server = Server::start(hello.env("FDSTORE", "2"));
        let sockets = manager.next_stored();
        assert_eq!(sockets.len().to_string(), first);
        server.signal("KILL");
        assert_eq!(server.wait(), None);
        // They are in the backlogs of the sockets until the next process accepts them.
        let clients = [(); 8].map(|()| TcpStream::connect(server.address).expect("a backlog"));
        let mut next = activated(sockets, STORED, second);
        next.env("NOTIFY_SOCKET", manager.dir.path().join("notify")).env("FDSTORE", "4");
        let mut next = Server::start_at(&mut next, server.address.port());
        assert_eq!(next.address, server.address);
        for client in clients {
            assert_eq!(Client::over(client).get("/").1, b"Hello, World!");
        }
        drop(manager.next_stored());
        next.signal("TERM");
        assert_eq!(next.wait(), Some(0));
        assert_eq!([manager.next(), manager.next()], ["STOPPING=1", EMPTIES_STORE]);
    }
}

#[test]
fn a_process_that_takes_over_stores_its_sockets_and_the_old_one_leaves_them_there() {
    let manager = Manager::new();
    let start = |threads| {
        let mut hello = manager.hello(&["--threads", threads]);
        Server::start(hello.env("FDSTORE", "4"))
    };
    let mut server = start("1");
    assert_eq!(manager.next_stored().len(), 1);
    let mut next = start("2");
    assert_eq!(manager.next(), format!("MAINPID={}\nWATCHDOG=1", next.pid()));
    assert_eq!(manager.next_stored().len(), 2);
    assert_eq!(server.wait(), Some(0));
    next.signal("TERM");
    assert_eq!(next.wait(), Some(0));
    assert_eq!([manager.next(), manager.next()], ["STOPPING=1", EMPTIES_STORE]);
}

#[test]
fn stored_sockets_that_no_listener_wants_or_that_are_too_many_are_not_kept() {
    let manager = Manager::new();
    let old = shared("127.0.0.1:0".parse().expect("an address"));
    let address = old.local_addr().expect("its address");
    let mut hello = activated(vec![old.into()], STORED, "2");
    hello.env("NOTIFY_SOCKET", manager.dir.path().join("notify")).env("FDSTORE", "1");
    let mut server = Server::start(&mut hello);
    drop(hello);
    assert_ne!(server.address, address);
    assert_eq!(manager.next(), EMPTIES_STORE);
    assert_eq!(manager.next(), "READY=1", "two sockets, and there is room for one");
    // A process that another test has just started may still have a copy. An open socket that nobody
    // serves does not refuse clients: they wait once its backlog is full.
    eventually("a port that refuses", || {
        let error = TcpStream::connect_timeout(&address, Duration::from_secs(1)).err()?;
        (error.kind() == ErrorKind::ConnectionRefused).then_some(())
    });
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}
