//! What processes in a sandbox cannot do, and what they still do.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{Process, Server, eventually, example, has, path_of, run, skip};
use crate::tls::{authority, missing_tools};
use crate::traced::Traced;

/// Whether the kernel can confine a process; a test that needs it ends if not.
pub(crate) fn kernel_confines() -> bool {
    let mut hello = example("hello");
    hello.args(["--port", "0", "--sandbox=required"]);
    let mut hello = Process::spawn(hello.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut line = String::new();
    BufReader::new(hello.stdout()).read_line(&mut line).expect("a pipe");
    !line.is_empty() || skip("the kernel has no Landlock, or not all of it")
}

/// The kernel's answers.
const ACCESS: &str = "Permission denied (os error 13)";
const PERMISSION: &str = "Operation not permitted (os error 1)";

/// A program that tries to do what it may not, and two directories that it may use.
struct Tries {
    server: Server,
    dir: TempDir,
}

impl Tries {
    fn start(more: &[&str]) -> Tries {
        let dir = tempdir().expect("a new directory");
        for name in ["read", "write", "other"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
            fs::write(dir.path().join(name).join("file"), name).expect("a file");
        }
        symlink("../other/file", dir.path().join("read/link")).expect("a link");
        let mut command = example("sandboxed");
        command.arg(dir.path().join("read")).arg(dir.path().join("write")).args(more);
        Tries { server: Server::start(&mut command), dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// What becomes of an attempt.
    fn attempt(&self, what: &str, path: &str) -> String {
        let (head, body) = Client::new(&self.server).get(&format!("/{what}{path}"));
        assert_eq!(head.status, 200, "{head:?}");
        String::from_utf8(body).expect("text")
    }
}

#[test]
fn a_handler_cannot_do_what_its_sandbox_forbids_and_serving_goes_on() {
    if !kernel_confines() {
        return;
    }
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = format!("/{}", other.local_addr().expect("its address"));
    let tries = Tries::start(&[]);
    for (what, path, expected) in [
        ("read", tries.path("read/file").as_str(), "ok"),
        ("list", &tries.path("read"), "ok"),
        ("write", &tries.path("read/file"), ACCESS),
        ("rename", &tries.path("read/file"), ACCESS),
        ("read", &tries.path("write/file"), "ok"),
        ("write", &tries.path("write/file"), "ok"),
        ("write", &tries.path("write/new"), "ok"),
        ("rename", &tries.path("write/new"), "ok"),
        ("permit", &tries.path("write/file"), PERMISSION),
        ("read", &tries.path("read/link"), ACCESS),
        ("read", &tries.path("read/../other/file"), ACCESS),
        ("list", &tries.path("other"), ACCESS),
        ("write", &tries.path("other/new"), ACCESS),
        ("read", "/etc/passwd", ACCESS),
        ("read", "/proc/self/root/etc/passwd", ACCESS),
        ("list", "/", ACCESS),
        ("read", "/proc/1/status", ACCESS),
        ("read", "/proc/self/status", "ok"),
        ("write", "/proc/self/oom_score_adj", ACCESS),
        ("run", "/bin/sh", PERMISSION),
        ("become", "/bin/sh", PERMISSION),
        ("connect", &other, PERMISSION),
        ("listen", "/", PERMISSION),
        ("signal", "/", PERMISSION),
    ] {
        assert_eq!(tries.attempt(what, path), expected, "{what} {path}");
    }
    assert_eq!(fs::read(tries.dir.path().join("write/file")).expect("a file"), b"written");
}

#[test]
fn a_handler_that_may_connect_looks_names_up_and_does_not_get_more() {
    if !kernel_confines() {
        return;
    }
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("its address").port();
    let tries = Tries::start(&["connect"]);
    for (what, path, expected) in [
        ("look-up", "/localhost:80", "ok"),
        ("connect", &format!("/localhost:{port}"), "ok"),
        ("listen", "/", ACCESS),
        ("read", "/etc/passwd", ACCESS),
        ("run", "/bin/sh", PERMISSION),
        ("signal", "/", PERMISSION),
    ] {
        assert_eq!(tries.attempt(what, path), expected, "{what} {path}");
    }
}

/// The values of a field in `/proc/PID/status` of all threads.
pub(crate) fn of_all_threads(pid: u32, field: &str) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let value = |thread: PathBuf| {
        let status = fs::read_to_string(thread.join("status")).expect("a status");
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.expect("a field").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    threads.map(|entry| value(entry.expect("a thread").path())).collect()
}

/// A directory to serve beside what else an example has: a log, users, sockets.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let dir = tempdir().expect("a new directory");
        for name in ["site", "log", "run", "users"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        fs::write(dir.path().join("site/file"), "a file").expect("a file");
        Place(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The server of files in a sandbox.
    fn http(&self, more: &[&str]) -> Command {
        let mut http = example("http");
        http.arg(self.at("site")).arg("--sandbox=required").args(more);
        http.arg("--access-log").arg(self.at("log/access"));
        http.stderr(
            File::options().append(true).create(true).open(self.at("errors")).expect("a file"),
        );
        http
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.at("errors")).expect("a file")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log/access")).unwrap_or_default()
    }
}

/// Puts a file in the place of another one.
fn replace(path: &Path, content: &[u8]) {
    let new = path.with_added_extension("new");
    fs::write(&new, content).expect("a file");
    fs::rename(new, path).expect("the same directory");
}

#[test]
fn all_threads_of_a_server_are_confined_and_uploads_and_workers_go_on() {
    if !kernel_confines() {
        return;
    }
    let place = Place::new();
    let server =
        Server::start(&mut place.http(&["--upload", "--delete", "--threads", "2", "--stats"]));
    let mut client = Client::new(&server);
    assert_eq!(client.get("/file").1, b"a file");
    client.send(b"PUT /new HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nnew!");
    assert_eq!(client.answer().0.status, 201);
    assert_eq!(fs::read(place.at("site/new")).expect("a file"), b"new!");
    client.ask("DELETE", "/new");
    eventually("the file is gone", || (!place.at("site/new").exists()).then_some(()));
    eventually("lines in the log", || (place.log().lines().count() == 3).then_some(()));
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("threads").count();
    assert!(threads >= 4, "two reactors, the log and the counters: {threads}");
    assert_eq!(of_all_threads(server.pid(), "NoNewPrivs"), BTreeSet::from(["1".to_owned()]));
    assert_eq!(of_all_threads(server.pid(), "Seccomp"), BTreeSet::from(["2".to_owned()]));
    assert_eq!(place.errors(), "");
}

#[test]
fn files_that_were_replaced_are_read_again_in_a_sandbox() {
    if !kernel_confines() || missing_tools() || !has("htpasswd") {
        return;
    }
    let (place, other) = (Place::new(), authority());
    let certificates = authority();
    let users = place.at("users/users");
    let line = |name| run(Command::new("htpasswd").args(["-nbB", name, "secret"])).stdout;
    fs::write(&users, line("alice")).expect("a file");
    let mut http = place.http(&["--threads", "2"]);
    http.arg("--auth").arg(&users).arg("--tls-cert").arg(certificates.path().join("server.pem"));
    let server = Server::start(http.arg("--tls-key").arg(certificates.path().join("server.key")));
    let status = |user: &str, authority: &TempDir| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--ipv4"]);
        curl.arg("--cacert").arg(authority.path().join("ca.pem"));
        curl.args(["--user", &format!("{user}:secret")]);
        run(curl.arg(format!("https://localhost:{}/file", server.address.port()))).stdout
    };
    assert_eq!(status("alice", &certificates), "200");
    fs::rename(place.at("log/access"), place.at("log/access.1")).expect("a log");
    replace(&users, line("bob").as_bytes());
    for name in ["server.pem", "server.key"] {
        let new = fs::read(other.path().join(name)).expect("a file");
        replace(&certificates.path().join(name), &new);
    }
    server.signal("HUP");
    eventually("the new certificate and user", || (status("bob", &other) == "200").then_some(()));
    assert_eq!(status("alice", &other), "401");
    eventually("a line in the new log", || place.log().contains(" - bob [").then_some(()));
    assert_eq!(place.errors(), "");
}

#[test]
fn a_directory_that_leads_elsewhere_since_the_start_is_not_served() {
    if !kernel_confines() {
        return;
    }
    for (arguments, expected) in [(&["--sandbox"][..], "a file"), (&[], "secret")] {
        let place = Place::new();
        fs::create_dir(place.at("elsewhere")).expect("a directory");
        fs::write(place.at("elsewhere/file"), "secret").expect("a file");
        let errors = File::create(place.at("errors")).expect("a file");
        let server =
            Server::start(example("http").arg(place.at("site")).args(arguments).stderr(errors));
        fs::rename(place.at("site"), place.at("before")).expect("a directory");
        symlink("elsewhere", place.at("site")).expect("a link");
        server.signal("HUP");
        match arguments {
            [] => eventually("the new directory", || {
                (Client::new(&server).get("/file").1 == expected.as_bytes()).then_some(())
            }),
            _ => eventually("an error", || {
                place.errors().contains("Permission denied").then_some(())
            }),
        }
        assert_eq!(Client::new(&server).get("/file").1, expected.as_bytes());
    }
}

#[test]
fn a_confined_server_is_taken_over_but_does_not_start_its_successor_and_removes_its_sockets() {
    if !kernel_confines() {
        return;
    }
    let place = Place::new();
    let (control, unix) = (place.at("run/control"), place.at("run/unix"));
    let more =
        ["--control", control.to_str().expect("text"), "--unix", unix.to_str().expect("text")];
    let mut first = Server::start(&mut place.http(&more));
    first.signal("USR2");
    let said = || place.errors().contains("a process in a sandbox cannot start programs");
    eventually("why it does not restart", || said().then_some(()));
    fs::write(place.at("errors"), "").expect("a file");
    let mut second = Server::start(&mut place.http(&more));
    assert_eq!(second.address, first.address);
    assert_eq!(first.wait(), Some(0));
    assert_eq!(Client::new(&second).get("/file").1, b"a file");
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    assert!(!control.exists() && !unix.exists());
    assert_eq!(place.errors(), "");
}

#[test]
fn the_status_listener_knows_the_memory_of_a_confined_process() {
    if !kernel_confines() {
        return;
    }
    let place = Place::new();
    let status = place.at("run/status");
    let server =
        Server::start(&mut place.http(&["--status", &format!("unix:{}", status.display())]));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--unix-socket"]).arg(&status);
    if has("curl") {
        let metrics = run(curl.arg("http://localhost/metrics")).stdout;
        let resident =
            metrics.lines().find_map(|it| it.strip_prefix("process_resident_memory_bytes "));
        assert!(
            resident.is_some_and(|bytes| bytes.parse::<f64>().expect("a number") > 1e6),
            "{metrics}"
        );
    }
    assert_eq!(Client::new(&server).get("/file").0.status, 200);
}

#[test]
fn a_confined_proxy_reaches_a_target_by_its_name() {
    if !kernel_confines() {
        return;
    }
    let hello = Server::start(example("hello").arg("--sandbox=required"));
    let target = format!("localhost:{}", hello.address.port());
    for option in ["--to", "--http"] {
        let mut proxy = example("proxy");
        let proxy = Server::start(proxy.args(["--sandbox=required", option, &target]));
        assert_eq!(Client::new(&proxy).get("/").1, b"Hello, World!", "{option}");
    }
}

#[test]
fn a_kernel_without_landlock_is_an_error_if_it_is_required_and_a_warning_if_not() {
    let inject = ["-e", "inject=landlock_create_ruleset:error=ENOSYS"];
    let Some(traced) = Traced::start(&inject, "hello", &["--sandbox"]) else { return };
    assert_eq!(Client::new(&traced.server).get("/").1, b"Hello, World!");
    assert_eq!(of_all_threads(traced.server.pid(), "Seccomp"), BTreeSet::from(["2".to_owned()]));
    traced.end();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null"]).args(inject).arg(path_of("hello"));
    let refused = run(strace.args(["--port", "0", "--sandbox=required"]));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.starts_with("error: sandbox: Landlock: "), "{refused:?}");
}
