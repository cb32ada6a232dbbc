//! What systemd and the examples say to each other, with this test in the place of systemd.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{PATIENCE, Server, eventually, example, path_of};

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
    let mut said = [manager.next_state(), manager.next_state()];
    assert_eq!(server.wait(), Some(0));
    said.sort();
    assert_eq!(said, [format!("MAINPID={}", next.pid()), "READY=1".to_owned()]);
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

/// A shell that becomes `hello`, with two sockets as descriptors 3 and 4.
fn activated(sockets: [TcpListener; 2], control: &Path, threads: &str) -> Command {
    let script = "exec 3<&0 4<&2 </dev/null 2>/dev/null; \
                  export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:web; exec \"$0\" \"$@\"";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).arg(path_of("hello")).args(["--threads", threads]);
    shell.arg("--control").arg(control);
    let [first, second] = sockets.map(|socket| Stdio::from(OwnedFd::from(socket)));
    shell.stdin(first).stderr(second);
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
        let mut server = Server::start(&mut activated([one, shared(address)], &control, first));
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
