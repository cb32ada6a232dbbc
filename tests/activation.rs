//! Sockets that were there when the process started, on a real kernel.
//!
//! The test starts itself again as the process that was given them.

#![allow(missing_docs)]

use std::env;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sluicegate_reactor::{
    ConnId, Context, Handler, Input, Listen, Reactor, Reason, Turn, activation,
};

const TEST: &str = "sockets_that_a_service_manager_has_opened_are_served";

/// Answers with the name of the socket, and ends with its first connection.
struct Named(String);

impl Handler for Named {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send(self.0.as_str());
        cx.close();
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: (), _: Reason) {
        cx.stop();
    }
}

/// What the started process does.
fn serve() {
    let mut reactor = Reactor::new().expect("a reactor");
    let inherited = activation::listeners().expect("sockets");
    assert_eq!(inherited.len(), 1);
    for socket in inherited {
        let handler = reactor.register(Named(socket.name));
        reactor.adopt_listener(socket.socket, &Listen::default(), handler).expect("a listener");
    }
    let error = activation::listeners().expect_err("they were taken");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    reactor.run().expect("a run");
}

/// A process that is killed at the end of its scope.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts this test with a socket as descriptor 3.
fn start(socket: OwnedFd, variables: &str) -> Process {
    // The shell becomes the test, so that its number is that of the process.
    let script = format!("exec 3<&0 </dev/null; export {variables}; exec \"$0\" --exact {TEST}");
    let test = env::current_exe().expect("the path of this test");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]).arg(test).stdin(Stdio::from(socket)).stdout(Stdio::null());
    Process(command.spawn().expect("a shell"))
}

#[test]
fn sockets_that_a_service_manager_has_opened_are_served() {
    if env::var_os("LISTEN_FDS").is_some() {
        return serve();
    }
    for (variables, name) in [
        ("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=echo", "echo"),
        ("LISTEN_PID=$$ LISTEN_FDS=1", "unknown"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        // It waits in the backlog until the process has started.
        let mut client = TcpStream::connect(address).expect("a connection");
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let mut process = start(listener.into(), variables);
        let mut received = String::new();
        client.read_to_string(&mut received).expect("an answer");
        assert_eq!(received, name);
        client.shutdown(Shutdown::Both).expect("a connection");
        assert!(process.0.wait().expect("its end").success());
    }
}

#[test]
fn without_the_variables_there_are_no_sockets() {
    assert!(activation::listeners().expect("none").is_empty());
}
