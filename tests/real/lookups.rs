//! The example `proxy` while lookups are not answered.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use tempfile::{TempDir, tempdir};

use crate::process::{PATIENCE, Server, eventually, has, path_of, run};

const MOUNT: &str = "mount --bind \"$1\" /etc/hosts";

/// A command that runs in a mount namespace of its own, after a script.
fn private(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

/// Where `/etc/hosts` is a pipe, so that a lookup waits until somebody writes to it.
struct Silent {
    dir: TempDir,
}

impl Silent {
    /// Not every user may mount.
    fn new() -> Option<Silent> {
        let silent = Silent { dir: tempdir().expect("a new directory") };
        let hosts = silent.path("hosts");
        assert_eq!(run(Command::new("mkfifo").arg(&hosts)).code, Some(0));
        let may = has("unshare") && run(private(MOUNT).arg("sh").arg(&hosts)).code == Some(0);
        may.then_some(silent)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The proxy, which takes options.
    fn proxy(&self) -> Command {
        let mut command = private(&format!("{MOUNT} && shift && exec \"$0\" \"$@\""));
        command.arg(path_of("proxy")).arg(self.path("hosts")).stderr(Stdio::null());
        command
    }
}

/// The options for checks, and how many of them to wait for: meanwhile many lookups begin, if they
/// do not wait for each other.
const CHECKS: [&str; 2] = ["--check", "5ms"];
const MANY: usize = 20;

fn await_checks(target: &TcpListener) {
    target.set_nonblocking(true).expect("an option");
    (0..MANY).for_each(|_| drop(eventually("a check", || target.accept().ok())));
    target.set_nonblocking(false).expect("an option");
}

#[test]
fn targets_can_be_replaced_while_lookups_are_not_answered() {
    let Some(silent) = Silent::new() else { return };
    let targets = silent.path("targets");
    let old = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = old.local_addr().expect("its address");
    fs::write(&targets, format!("name.test:80\n{address}\n")).expect("a file");
    let mut command = silent.proxy();
    command.arg("--to-file").arg(&targets).args(["--resolve", "1ms"]).args(CHECKS);
    let has_started = AtomicBool::new(false);
    let proxy = thread::scope(|scope| {
        scope.spawn(|| {
            while !has_started.load(Ordering::Relaxed) {
                // It fails if the reader has left already.
                let _ = fs::write(silent.path("hosts"), "127.0.0.1 name.test\n");
            }
        });
        let proxy = Server::start(&mut command);
        has_started.store(true, Ordering::Relaxed);
        proxy
    });
    await_checks(&old);
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    fs::write(&targets, target.local_addr().expect("its address").to_string()).expect("a file");
    proxy.signal("HUP");
    target.set_nonblocking(true).expect("an option");
    eventually("a connection to the new target", || {
        proxy.connect();
        target.accept().ok()
    });
}

#[test]
fn a_name_whose_lookups_are_not_answered_leaves_clients_the_others() {
    let Some(silent) = Silent::new() else { return };
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // Text that is looked up, but needs no file.
    let other = format!("127.1:{}", target.local_addr().expect("its address").port());
    let mut command = silent.proxy();
    command.args(["--to", "name.test:80", "--to", &other]);
    let proxy = Server::start(command.args(CHECKS).args(["--connect-timeout", "100ms"]));
    await_checks(&target);
    let mut client = proxy.connect();
    client.write_all(b"x").expect("an open connection");
    let (end, told) = channel();
    thread::spawn(move || {
        // The checks send nothing.
        let joined = |stream: &TcpStream| matches!((&*stream).read(&mut [0]), Ok(1));
        target.incoming().map_while(Result::ok).find(joined).and_then(|_| end.send(()).ok())
    });
    told.recv_timeout(PATIENCE).expect("a client that is joined to the other target");
}
