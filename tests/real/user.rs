//! Servers that start as root and run as another user.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{Server, eventually, path_of, run, skip};
use crate::sandbox::{kernel_confines, of_all_threads};

/// The user without rights, and its group, which have this number on Linux.
pub(crate) const NOBODY: &str = "nobody:65534";
const NUMBER: u32 = 65534;

/// Whether this process may become another user; a test that needs it ends if not.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").expect("this process").uid() == 0 || skip("this is not root")
}

/// A directory that belongs to the other user, with a program that it can start.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let dir = tempdir().expect("a new directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("a directory");
        for name in ["site", "run", "log"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
            chown(dir.path().join(name), Some(NUMBER), Some(NUMBER)).expect("root");
        }
        fs::write(dir.path().join("site/file"), "a file").expect("a file");
        // Another test that starts a process while this one writes would keep the file open for
        // writing in it, and a program that is open for writing cannot be started.
        let copied = run(Command::new("cp").arg(path_of("http")).arg(dir.path()));
        assert_eq!(copied.code, Some(0), "{copied:?}");
        Place(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn http(&self, more: &[&str]) -> Command {
        let mut http = Command::new(self.at("http"));
        http.arg(self.at("site")).args(["--threads", "2", "--user", NOBODY]).args(more);
        http.arg("--access-log").arg(self.at("log/access"));
        http.arg("--control").arg(self.at("run/control"));
        http
    }

    /// The process that has the control socket.
    fn holder(&self) -> Option<u32> {
        let lock = fs::read_to_string(self.at("run/control.lock")).ok()?;
        lock.trim().parse().ok()
    }
}

/// A free port that only root may use, unless the kernel is told otherwise. Tests run at the same
/// time, and look in ranges of their own.
fn low_port(mut range: Range<u16>) -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    range.find(is_free).expect("a free port")
}

fn set<const N: usize>(values: [&str; N]) -> BTreeSet<String> {
    values.map(str::to_owned).into()
}

/// Checks that no thread of a process has any rights of root.
fn has_no_rights(pid: u32) {
    let numbers = vec![NUMBER.to_string(); 4].join(" ");
    for (field, expected) in [
        ("Uid", numbers.as_str()),
        ("Gid", &numbers),
        ("Groups", &NUMBER.to_string()),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(of_all_threads(pid, field), set([expected]), "{field}");
    }
}

#[test]
fn a_server_binds_a_low_port_as_root_and_no_thread_of_it_runs_as_root() {
    if !is_root() || !kernel_confines() {
        return;
    }
    for (sandbox, mode) in [(&[][..], "0"), (&["--sandbox=required"], "2")] {
        let place = Place::new();
        let port = low_port(600..800);
        let more = [&["--upload", "--stats"], sandbox].concat();
        let server = Server::start_at(&mut place.http(&more), port);
        assert_eq!(server.address.port(), port);
        let mut client = Client::new(&server);
        assert_eq!(client.get("/file").1, b"a file");
        client.send(b"PUT /new HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nnew!");
        assert_eq!(client.answer().0.status, 201);
        has_no_rights(server.pid());
        assert_eq!(of_all_threads(server.pid(), "Seccomp"), set([mode]));
        for file in ["site/new", "log/access", "run/control"] {
            let owner = fs::metadata(place.at(file)).expect("a file").uid();
            assert_eq!(owner, NUMBER, "{file}");
        }
    }
}

#[test]
fn a_server_of_another_user_takes_over_from_itself_and_from_root() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let port = low_port(800..1024);
    let mut first = Server::start_at(&mut place.http(&[]), port);
    first.signal("USR2");
    let next = eventually("a successor", || place.holder().filter(|pid| *pid != first.pid()));
    assert_eq!(first.wait(), Some(0));
    has_no_rights(next);
    let mut last = Server::start_at(&mut place.http(&[]), port);
    eventually("the new holder", || (place.holder() == Some(last.pid())).then_some(()));
    eventually("the end of the second", || {
        (!Path::new(&format!("/proc/{next}/exe")).exists()).then_some(())
    });
    assert_eq!(Client::new(&last).get("/file").1, b"a file");
    last.signal("TERM");
    assert_eq!(last.wait(), Some(0));
    assert!(!place.at("run/control").exists());
}

#[test]
fn what_the_user_cannot_read_is_an_error_at_the_start() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.at("site"), Permissions::from_mode(0o700)).expect("a directory");
    chown(place.at("site"), Some(0), Some(0)).expect("root");
    let outcome = run(place.http(&[]).args(["--port", "0"]));
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("Permission denied"), "{outcome:?}");
}

#[test]
fn a_user_that_does_not_exist_or_may_not_be_used_is_named() {
    let unknown =
        run(Command::new(path_of("echo")).args(["--port", "0", "--user", "no-such-user"]));
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there is no user \"no-such-user\""), "{unknown:?}");
    if !is_root() {
        return;
    }
    let place = Place::new();
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let other = run(other.arg(place.at("http")).args(["--port", "0", "--user", "root"]));
    assert_eq!(other.code, Some(1), "{other:?}");
    let expected = "error: cannot run as root: Operation not permitted (os error 1)\n";
    assert_eq!(other.stderr, expected);
}
