//! The example `proxy` with targets whose names it looks up, while lookups are not answered.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::tempdir;

use crate::process::{Server, eventually, has, path_of, run};

/// A command that runs in a mount namespace of its own, after a script.
fn private(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

#[test]
fn targets_can_be_replaced_while_lookups_are_not_answered() {
    let dir = tempdir().expect("a new directory");
    let (hosts, targets) = (dir.path().join("hosts"), dir.path().join("targets"));
    fs::write(&targets, "name.test:80\n").expect("a file");
    // A lookup waits until somebody writes to the pipe.
    assert_eq!(run(Command::new("mkfifo").arg(&hosts)).code, Some(0));
    let mount = "mount --bind \"$1\" /etc/hosts";
    // Not every user may mount.
    if !has("unshare") || run(private(mount).arg("sh").arg(&hosts)).code != Some(0) {
        return;
    }
    let mut command = private(&format!("{mount} && shift && exec \"$0\" \"$@\""));
    command.arg(path_of("proxy")).arg(&hosts).arg("--to-file").arg(&targets);
    command.args(["--resolve", "1ms"]).stderr(Stdio::null());
    let has_started = AtomicBool::new(false);
    let proxy = thread::scope(|scope| {
        scope.spawn(|| {
            while !has_started.load(Ordering::Relaxed) {
                // It fails if the reader has left already.
                let _ = fs::write(&hosts, "127.0.0.1 name.test\n");
            }
        });
        let proxy = Server::start(&mut command);
        has_started.store(true, Ordering::Relaxed);
        proxy
    });
    // Many lookups would be waiting now if they did not wait for each other.
    thread::sleep(Duration::from_millis(100));
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    fs::write(&targets, target.local_addr().expect("its address").to_string()).expect("a file");
    proxy.signal("HUP");
    target.set_nonblocking(true).expect("an option");
    eventually("a connection to the new target", || {
        proxy.connect();
        target.accept().ok()
    });
}
