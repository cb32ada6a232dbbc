//! Restarts that no client notices: a new process takes over, or one of several servers behind a
//! proxy restarts after the other.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::haproxy::Haproxy;
use crate::process::{PATIENCE, Server, eventually, example, has, run};
use crate::random::noise;
use crate::tls::{authority, missing_tools, s_client, serve};

/// More than the buffers of both ends hold, so that a download lasts until it is read.
const LARGE: usize = 8 << 20;

/// A directory with files to serve, and the place of a control socket.
struct Site {
    dir: TempDir,
    large: Vec<u8>,
}

impl Site {
    fn new() -> Site {
        let dir = tempdir().expect("a new directory");
        let large = noise(LARGE, 7);
        fs::create_dir(dir.path().join("files")).expect("a new directory");
        fs::write(dir.path().join("files/large"), &large).expect("a file");
        fs::write(dir.path().join("files/small"), b"small").expect("a file");
        Site { dir, large }
    }

    fn control(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    fn command(&self, threads: &str, more: &[&str]) -> Command {
        let mut http = example("http");
        http.arg(self.dir.path().join("files")).args(["--threads", threads, "--drain", "600"]);
        http.arg("--control").arg(self.control()).args(more);
        http
    }

    fn start(&self, threads: &str) -> Server {
        Server::start(&mut self.command(threads, &[]))
    }

    /// A download that has begun.
    fn download(&self, server: &Server) -> Client {
        let mut client = Client::new(server);
        client.ask("GET", "/large");
        assert_eq!(client.head().len, LARGE as u64);
        client
    }

    fn finish(&self, mut download: Client) {
        let mut body = vec![0; LARGE];
        download.rest().read_exact(&mut body).expect("a whole body");
        assert!(body == self.large);
    }

    /// The process that has the control socket.
    fn holder(&self) -> Option<u32> {
        let lock = fs::read_to_string(self.control().with_added_extension("lock")).ok()?;
        lock.trim().parse().ok()
    }
}

fn connect(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    Client::over(stream)
}

/// Makes requests until it is told to stop, each on a new connection. Whatever is refused, reset or
/// short panics.
fn load(address: SocketAddr, path: &str, expected: &[u8], stop: &AtomicBool, made: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let (head, body) = connect(address).get(path);
        assert_eq!(head.status, 200, "{head:?}");
        assert!(body == expected, "{} of {} bytes", body.len(), expected.len());
        made.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until some more requests have been made.
fn wait_for_more(made: &AtomicU64) {
    let before = made.load(Ordering::Relaxed);
    eventually("more requests", || (made.load(Ordering::Relaxed) > before + 200).then_some(()));
}

/// How often a server takes over. More need minutes.
fn rounds() -> usize {
    std::env::var("SLUICEGATE_RESTARTS").map_or(4, |rounds| rounds.parse().expect("a number"))
}

#[test]
fn no_request_fails_and_no_download_is_cut_when_servers_with_2_3_and_1_threads_take_over() {
    let site = Site::new();
    let mut server = site.start("2");
    let address = server.address;
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| load(address, "/small", b"small", &stop, &made)))
            .collect();
        for round in 0..rounds() {
            let threads = ["3", "1", "2"][round % 3];
            wait_for_more(&made);
            let downloads: Vec<_> = (0..4).map(|_| site.download(&server)).collect();
            let next = site.start(threads);
            assert_eq!(next.address, address, "it takes over the port that was chosen");
            let mut last = std::mem::replace(&mut server, next);
            let pid = server.pid();
            eventually("the new holder", || (site.holder() == Some(pid)).then_some(()));
            downloads.into_iter().for_each(|download| site.finish(download));
            assert_eq!(last.wait(), Some(0));
        }
        wait_for_more(&made);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("no failed request"));
    });
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!site.control().exists(), "the last server removes it");
}

/// Starts a process that cannot take over. Returns its errors.
fn fails(command: &mut Command) -> String {
    let outcome = run(command.args(["--port", "0"]));
    assert_ne!(outcome.code, Some(0), "{outcome:?}");
    outcome.stderr
}

#[test]
fn a_server_goes_on_if_the_new_process_fails() {
    let site = Site::new();
    let unix = site.dir.path().join("unix");
    let unix = unix.to_str().expect("a path of characters");
    let server = Server::start(&mut site.command("2", &["--unix", unix]));
    let mode = fs::metadata(site.control()).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let serves = || {
        assert_eq!(Client::new(&server).get("/small").0.status, 200);
        let mut client = UnixStream::connect(unix).expect("a connection");
        client.write_all(b"GET /small HTTP/1.0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("small"), "{answer}");
        assert_eq!(site.holder(), Some(server.pid()));
    };
    fails(&mut site.command("1", &["--unix", unix, "--no-such-flag"]));
    serves();
    let missing = ["--unix", unix, "--tls-cert", "/missing", "--tls-key", "/missing"];
    let errors = fails(&mut site.command("3", &missing));
    assert!(errors.contains("/missing"), "{errors}");
    serves();
    // It has opened all other listeners by then.
    let taken = std::net::TcpListener::bind("127.0.0.2:0").expect("a free port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let other = ["--unix", unix, "--bind", "127.0.0.1,127.0.0.2"];
    let outcome = run(site.command("3", &other).args(["--port", &port]));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    serves();
    // Whoever says nothing keeps nobody else from taking over.
    let _silent = UnixStream::connect(site.control()).expect("a connection");
    let mut stranger = UnixStream::connect(site.control()).expect("a connection");
    stranger.write_all(b"sluicegate-restart 99\n").expect("a request");
    let mut answer = String::new();
    stranger.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer, "refused it speaks version \"99\" of the protocol, not 3\n");
    serves();
    let mut server = server;
    let mut next = Server::start(&mut site.command("1", &["--unix", unix]));
    assert_eq!(server.wait(), Some(0));
    assert!(Path::new(unix).exists());
    next.signal("TERM");
    assert_eq!(next.wait(), Some(0));
    assert!(!Path::new(unix).exists());
}

#[test]
fn a_server_that_another_has_taken_over_from_goes_on_draining_at_the_first_signal_only() {
    let site = Site::new();
    let mut server = site.start("1");
    let mut idle = Client::new(&server);
    assert_eq!(idle.get("/small").0.status, 200);
    let [finished, _cut] = [(); 2].map(|()| site.download(&server));
    let _next = site.start("1");
    assert_eq!(idle.rest().read(&mut [0]).expect("the end of an idle connection"), 0);
    server.signal("TERM");
    site.finish(finished);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(128 + 15));
}

#[test]
fn what_has_replaced_the_file_of_a_unix_socket_belongs_to_no_process_that_takes_over() {
    let site = Site::new();
    let unix = site.dir.path().join("unix");
    let start = || {
        let mut http = site.command("1", &["--unix"]);
        Server::start(http.arg(&unix).stderr(Stdio::null()))
    };
    for replaces in [true, false] {
        let mut server = start();
        fs::remove_file(&unix).expect("a socket");
        if replaces {
            fs::write(&unix, "precious").expect("a file");
        }
        let before = fs::metadata(&unix).map(|file| file.permissions().mode()).ok();
        let mut next = start();
        assert_eq!(server.wait(), Some(0));
        assert_eq!(Client::new(&next).get("/small").0.status, 200);
        next.signal("TERM");
        assert_eq!(next.wait(), Some(0));
        let after = fs::metadata(&unix).map(|file| file.permissions().mode()).ok();
        assert_eq!((after, after.is_some()), (before, replaces));
        let _ = fs::remove_file(&unix);
    }
}

#[test]
fn a_control_socket_that_was_left_behind_is_replaced() {
    let site = Site::new();
    let mut killed = site.start("1");
    killed.signal("KILL");
    assert_eq!(killed.wait(), None);
    assert!(site.control().exists());
    let mut server = site.start("1");
    assert_eq!(Client::new(&server).get("/small").0.status, 200);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn sigusr2_starts_the_program_again_and_it_takes_over() {
    let site = Site::new();
    let mut server = site.start("2");
    let download = site.download(&server);
    let first = server.pid();
    server.signal("USR2");
    let next = eventually("a successor", || site.holder().filter(|pid| *pid != first));
    // Not even of the process that has started it: a service manager hears of its own children
    // only.
    let status = fs::read_to_string(format!("/proc/{next}/status")).expect("it runs");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).expect("it has one");
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    assert_ne!(program(parent), program(&next.to_string()));
    // A thread of the first process may still accept this client.
    assert_eq!(Client::new(&server).get("/small").0.status, 200);
    site.finish(download);
    assert_eq!(server.wait(), Some(0));
    assert_eq!(Client::new(&server).get("/small").0.status, 200, "the successor serves it");
    let killed = run(Command::new("kill").args(["-s", "TERM", &next.to_string()]));
    assert_eq!(killed.code, Some(0), "{killed:?}");
    eventually("its end", || (!site.control().exists()).then_some(()));
}

#[test]
fn the_first_process_of_a_container_takes_over_and_is_not_replaced_at_sigusr2() {
    let private = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child"]);
        command
    };
    // Not every user may do this.
    if !has("unshare") || run(private().arg("true")).code != Some(0) {
        return;
    }
    let site = Site::new();
    let errors = site.dir.path().join("errors");
    let logged = |text: &str| {
        let is_there = || fs::read_to_string(&errors).is_ok_and(|log| log.contains(text));
        eventually(text, || is_there().then_some(()));
    };
    let mut outside = site.start("1");
    let (http, mut inside) = (site.command("1", &[]), private());
    inside.arg(http.get_program()).args(http.get_args()).env("RUST_LOG", "info");
    let server = Server::start(inside.stderr(fs::File::create(&errors).expect("a file")));
    assert_eq!(outside.wait(), Some(0));
    // It cannot see the other one.
    logged("has taken over 2 listeners from the previous process");
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let first = fs::read_to_string(children).expect("a child");
    let killed = run(Command::new("kill").args(["-s", "USR2", first.trim()]));
    assert_eq!(killed.code, Some(0), "{killed:?}");
    logged("restart: this is the first process of its container");
    assert_eq!(Client::new(&server).get("/small").0.status, 200);
}

/// The old process, one that was started to take over, and one that this one has started.
#[test]
fn a_process_that_takes_over_resumes_the_tls_sessions_of_the_last_one() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let start = || serve("http", dir.path(), &["--control", "control", "--threads", "2"]);
    let connect = |server: &Server, expected: &str, version: &str, files: [&str; 2]| {
        let arguments = [files[0], files[1], &format!("-tls{version}"), "-ign_eof"];
        let request = b"GET /ca.pem HTTP/1.0\r\n\r\n";
        let text = s_client(server, dir.path(), &arguments, request);
        assert!(text.contains(expected) && text.contains("200 OK"), "{version}: {text}");
    };
    let resume_each = |server: &Server| {
        connect(server, "Reused, TLS", "1_2", ["-sess_in", "1_2"]);
        connect(server, "Reused, TLS", "1_3", ["-sess_in", "1_3"]);
    };
    let mut first = start();
    connect(&first, "New, TLS", "1_2", ["-sess_out", "1_2"]);
    connect(&first, "New, TLS", "1_3", ["-sess_out", "1_3"]);
    let mut second = start();
    assert_eq!(first.wait(), Some(0));
    resume_each(&second);
    second.signal("USR2");
    assert_eq!(second.wait(), Some(0));
    resume_each(&second);
    let third = fs::read_to_string(dir.path().join("control.lock")).expect("a process");
    let killed = run(Command::new("kill").args(["-s", "TERM", third.trim()]));
    assert_eq!(killed.code, Some(0), "{killed:?}");
    eventually("its end", || (!dir.path().join("control").exists()).then_some(()));
}

/// What HAProxy knows about a server.
fn is_up(haproxy: SocketAddr, index: usize) -> bool {
    let (head, body) = connect(haproxy).get(&format!("/is-up/{index}"));
    assert_eq!(head.status, 200, "{head:?}");
    body == b"1"
}

/// Restarts three servers behind HAProxy one after the other, while clients make requests. HAProxy
/// asks the status listeners who is ready. It sends no request twice, and none to another server
/// than the first that it has chosen.
fn roll(command: impl Fn() -> Command, requests: &[(&str, &[u8])]) {
    if !has("haproxy") {
        return;
    }
    let start = |port: u16, status: u16| {
        let mut command = command();
        // It is ended by the second signal, when HAProxy has noticed the first.
        command.args(["--shutdown-delay", "1h", "--status", &status.to_string()]);
        Server::start_at(&mut command, port)
    };
    let mut servers: Vec<_> = (0..3).map(|_| start(0, 0)).collect();
    let statuses: Vec<_> = servers.iter().map(|it| it.status.expect("a status listener")).collect();
    let mut settings =
        "mode http\nbalance roundrobin\nretries 0\noption httpchk GET /readyz\n".to_owned();
    for (index, (server, status)) in servers.iter().zip(&statuses).enumerate() {
        let (address, port) = (server.address, status.port());
        let check = format!("check port {port} inter 20ms fall 1 rise 1");
        settings += &format!(
            "server s{index} {address} {check}\n\
             http-request return status 200 content-type text/plain \
             lf-string %[srv_is_up(it/s{index})] if {{ path /is-up/{index} }}\n"
        );
    }
    let haproxy = Haproxy::start(&settings);
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let (address, stop, made) = (haproxy.address, &stop, &made);
    thread::scope(|scope| {
        let clients: Vec<_> = requests
            .iter()
            .map(|(path, expected)| scope.spawn(move || load(address, path, expected, stop, made)))
            .collect();
        for (index, server) in servers.iter_mut().enumerate() {
            wait_for_more(made);
            server.signal("TERM");
            eventually("a server that is taken out", || (!is_up(address, index)).then_some(()));
            server.signal("TERM");
            assert_eq!(server.wait(), Some(0));
            *server = start(server.address.port(), statuses[index].port());
            eventually("a server that is back", || is_up(address, index).then_some(()));
        }
        wait_for_more(made);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("no failed request"));
    });
}

#[test]
fn no_request_fails_while_servers_behind_haproxy_restart_one_after_the_other() {
    let hello = || {
        let mut hello = example("hello");
        hello.args(["--threads", "2"]);
        hello
    };
    roll(hello, &[("/", b"Hello, World!".as_slice()); 3]);
    let site = Site::new();
    let http = || {
        let mut http = example("http");
        http.arg(site.dir.path().join("files"));
        http
    };
    roll(http, &[("/small", b"small"), ("/small", b"small"), ("/large", &site.large)]);
}
