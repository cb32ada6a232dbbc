//! The example `proxy` before several targets.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::chromium::Browser;
use crate::client::Client;
use crate::echo::exchange;
use crate::haproxy::{Haproxy, connect};
use crate::process::{Process, Server, address_in, eventually, example, has, run};
use crate::random::noise;

/// A proxy whose output and log are kept.
struct Proxy {
    process: Process,
    address: SocketAddr,
    threads: usize,
    dir: TempDir,
}

impl Proxy {
    fn start(arguments: &[&str]) -> Proxy {
        Proxy::with_threads(1, arguments)
    }

    fn with_threads(threads: usize, arguments: &[&str]) -> Proxy {
        let dir = tempdir().expect("a new directory");
        let file = |name| File::create(dir.path().join(name)).expect("a file");
        let mut command = example("proxy");
        command
            .args(["--port", "0", "--threads", &threads.to_string()])
            .args(arguments)
            .env_remove("RUST_LOG");
        let process = Process::spawn(command.stdout(file("out")).stderr(file("log")));
        let output = dir.path().join("out");
        let read = || fs::read_to_string(&output).expect("text");
        let address = eventually("a proxy that listens", || address_in(&read()));
        Proxy { process, address, threads, dir }
    }

    /// Where its status listener is.
    fn status(&self) -> SocketAddr {
        let output = self.output();
        let line = output.lines().find(|line| line.starts_with("status on "));
        line.and_then(address_in).expect("a line that says where the status listener is")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("out")).expect("text")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("text")
    }

    /// The rows of the table that SIGUSR1 prints for each thread, in columns: thread, target,
    /// state, connecting, open, connected, failed.
    fn table(&self) -> Vec<Vec<String>> {
        let before = self.output().len();
        self.process.signal("USR1");
        eventually("a table", || {
            let output = self.output();
            let (heads, rows): (Vec<_>, Vec<_>) =
                output[before..].lines().partition(|line| line.starts_with("thread"));
            // Each thread writes its table at once.
            let columns = |row: &str| row.split_whitespace().map(str::to_owned).collect();
            (heads.len() == self.threads).then(|| rows.into_iter().map(columns).collect())
        })
    }

    /// How many connections a target has open, over all threads.
    fn open_at(&self, target: SocketAddr) -> usize {
        let rows = self.table();
        let rows = rows.iter().filter(|row| row[1] == target.to_string());
        rows.map(|row| row[4].parse::<usize>().expect("a number")).sum()
    }
}

/// A connection through which a byte has gone and come back.
fn joined(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    pass(&mut stream).expect("a byte that comes back");
    stream
}

fn pass(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

/// An address where nobody listens as long as the listener is kept.
fn nobody() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("its address").as_socket().expect("one of IP");
    (socket, address)
}

fn echo() -> Server {
    Server::start(&mut example("echo"))
}

#[test]
fn row_20_targets_are_used_in_turn_and_one_that_refuses_is_passed_over() {
    let (first, second) = (echo(), echo());
    let (_taken, refuses) = nobody();
    let targets = [first.address, refuses, second.address].map(|target| target.to_string());
    let proxy = Proxy::start(&["--to", &targets.join(","), "--max-fails", "2"]);
    let pairs: Vec<_> = (0..8).map(|_| joined(proxy.address)).collect();
    assert_eq!(proxy.open_at(first.address) + proxy.open_at(second.address), pairs.len());
    assert!(proxy.open_at(first.address) >= 2 && proxy.open_at(second.address) >= 2);
    let log = proxy.log();
    assert!(log.contains(&format!("cannot connect to {refuses}: connection refused")), "{log}");
    assert!(log.contains(&format!("{refuses} is ejected for 10s")), "{log}");
    let rows = proxy.table();
    assert_eq!(rows[1][1..], [&targets[1], "ejected", "0", "0", "0", "2"]);
}

/// The sum of the metrics of a family that are about a target and have a label, over all threads.
fn sum(metrics: &str, family: &str, target: &str, label: &str) -> u64 {
    let of_target = format!("sluicegate_upstream_{family}{{upstream=\"{target}\",");
    let lines = metrics.lines().filter(|line| line.starts_with(&of_target));
    let of_label = lines.filter(|line| line.contains(label));
    of_label.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// What a status listener answers.
fn get(status: SocketAddr, path: &str) -> String {
    let (head, body) = Client::over(connect(status)).get(path);
    assert_eq!(head.status, 200, "{path}: {head:?}");
    String::from_utf8(body).expect("text")
}

#[test]
fn the_status_listener_shows_the_targets_of_all_threads_and_which_are_avoided() {
    let echo = echo();
    let (_taken, refuses) = nobody();
    let targets = [echo.address, refuses].map(|target| target.to_string());
    let proxy = Proxy::with_threads(
        2,
        &["--to", &targets.join(","), "--max-fails=1", "--fail-timeout=1h", "--status=0"],
    );
    let status = proxy.status();
    let pairs: Vec<_> = (0..12).map(|_| joined(proxy.address)).collect();

    let metrics = get(status, "/metrics");
    let sum = |family: &str, target: &str, label: &str| sum(&metrics, family, target, label);
    assert_eq!(sum("connections", &targets[0], "state=\"open\""), pairs.len() as u64);
    assert_eq!(sum("state", &targets[0], "state=\"up\""), 2, "in each thread");
    let avoiding = sum("state", &targets[1], "state=\"ejected\"");
    assert_eq!(sum("connects_total", &targets[1], "result=\"failed\""), avoiding);
    assert!(avoiding >= 1, "{metrics}");

    let json: Value = serde_json::from_str(&get(status, "/status.json")).expect("JSON");
    let rows = json["upstreams"].as_array().expect("a list");
    assert_eq!(rows.len(), 4, "{rows:?}");
    let ejected = rows.iter().filter(|row| row["state"] == "ejected");
    assert!(ejected.clone().all(|row| row["upstream"] == targets[1]), "{rows:?}");
    assert_eq!(ejected.count() as u64, avoiding);

    if has("chromium") {
        let mut browser = Browser::start();
        browser.watch_console();
        browser.open(&format!("http://{status}/"));
        let cell =
            |at: usize| format!("document.querySelectorAll('#upstreams td')[{at}].textContent");
        browser.wait_for("document.querySelectorAll('#upstreams tbody tr').length === 2");
        assert_eq!(browser.eval(&cell(0)), "up");
        assert_eq!(browser.eval(&cell(1)), "12");
        assert!(browser.eval(&cell(5)).as_str().is_some_and(|state| state.contains("ejected")));
        assert_eq!(browser.complaints(), [""; 0]);
    }
}

#[test]
fn the_status_listener_shows_the_requests_to_the_targets_of_an_http_proxy() {
    const REQUESTS: u64 = 20;
    let hello = Server::start(&mut example("hello"));
    let (_taken, refuses) = nobody();
    let targets = [hello.address, refuses].map(|target| target.to_string());
    let targets = targets.each_ref().map(String::as_str);
    let proxy = Proxy::with_threads(
        2,
        &["--http", &targets.join(","), "--max-fails=1", "--fail-timeout=1h", "--status=0"],
    );
    for _ in 0..REQUESTS {
        let (head, _) = Client::over(connect(proxy.address)).get("/");
        assert_eq!(head.status, 200, "{head:?}");
    }
    let status = proxy.status();
    let metrics = get(status, "/metrics");
    let sum = |family: &str, target: &str, label: &str| sum(&metrics, family, target, label);
    assert_eq!(sum("requests_total", targets[0], "result=\"answered\""), REQUESTS);
    assert_eq!(sum("requests_total", targets[0], "result=\"failed\""), 0);
    assert_eq!(sum("active_requests", targets[0], ""), 0);
    let connected = sum("connects_total", targets[0], "result=\"connected\"");
    assert_eq!(sum("connections", targets[0], "state=\"open\""), connected, "they are kept");
    let avoiding = sum("state", targets[1], "state=\"ejected\"");
    assert!((1..=2).contains(&avoiding), "{metrics}");
    assert_eq!(sum("requests_total", targets[1], "result=\"failed\""), avoiding);
    assert_eq!(sum("connects_total", targets[1], "result=\"failed\""), avoiding);

    let top = run(example("top").args([&*status.to_string(), "--once"]));
    let of_refuses = top.stdout.lines().filter(|line| line.starts_with(targets[1]));
    let failed = of_refuses.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok());
    assert_eq!(failed.sum::<u64>(), avoiding, "{top:?}");

    if has("chromium") {
        let mut browser = Browser::start();
        browser.watch_console();
        browser.open(&format!("http://{status}/"));
        browser.wait_for("document.querySelectorAll('#upstreams tbody tr').length === 2");
        let rows = "[...document.querySelectorAll('#upstreams tr')]
            .map(row => [...row.cells].map(cell => cell.textContent))";
        let rows = browser.eval(rows);
        let head = ["requests", "active", "failed requests"];
        assert_eq!(rows[0].as_array().expect("a head")[6..], head);
        assert_eq!(
            (&rows[1][0], &rows[1][1], &rows[1][8]),
            (&targets[0].into(), &"up".into(), &"0".into())
        );
        let state = rows[2][1].as_str().expect("a state");
        assert!(state.contains("ejected"), "{rows}");
        assert_eq!(rows[2][8], avoiding.to_string());
        assert_eq!(browser.complaints(), [""; 0]);
    }
}

#[test]
fn row_20_a_target_that_is_killed_under_load_loses_only_what_was_in_flight_on_it() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 10;
    let (mut first, second) = (echo(), echo());
    let [one, other] = [first.address, second.address].map(|target| target.to_string());
    let proxy = Proxy::start(&["--to", &one, "--to", &other, "--max-fails", "1"]);
    let mut quiet: Vec<_> = (0..6).map(|_| joined(proxy.address)).collect();
    let on_first = proxy.open_at(first.address);
    assert_eq!(on_first + proxy.open_at(second.address), quiet.len());
    let (is_dead, exchanged, cut) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (is_dead, exchanged, cut, proxy) = (&is_dead, &exchanged, &cut, &proxy);
            scope.spawn(move || {
                let mut rounds_left = ROUNDS;
                while rounds_left > 0 {
                    let was_dead = is_dead.load(Ordering::SeqCst);
                    let seed = (client * 1000 + exchanged.load(Ordering::SeqCst) + 1) as u64;
                    match exchange_once(proxy.address, seed) {
                        Ok(()) => _ = exchanged.fetch_add(1, Ordering::SeqCst),
                        Err(error) => {
                            assert!(!was_dead, "cut after the death of the target: {error}");
                            cut.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    rounds_left -= usize::from(was_dead);
                }
            });
        }
        eventually("some load", || (exchanged.load(Ordering::SeqCst) > 50).then_some(()));
        first.signal("KILL");
        first.wait();
        is_dead.store(true, Ordering::SeqCst);
    });
    let cut = cut.into_inner();
    assert!(cut <= CLIENTS, "{cut} were cut, and {CLIENTS} in flight");
    let alive = quiet.iter_mut().filter_map(|stream| pass(stream).ok()).count();
    assert_eq!(alive, quiet.len() - on_first);
}

/// Sends and receives on a new connection. What comes back must be what was sent; less is an error.
fn exchange_once(to: SocketAddr, seed: u64) -> std::io::Result<()> {
    let sent = noise(20_000, seed);
    let mut stream = connect(to);
    stream.write_all(&sent)?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while received.len() < sent.len() {
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => received.extend_from_slice(&buffer[..count]),
        }
        assert!(sent.starts_with(&received), "somebody else's bytes");
    }
    Ok(())
}

#[test]
fn row_20_a_target_that_leaves_the_file_finishes_its_connections_and_gets_no_more() {
    let (first, second) = (echo(), echo());
    let dir = tempdir().expect("a new directory");
    let file = dir.path().join("targets");
    let write = |text: &str| fs::write(&file, text).expect("a file");
    write(&format!("# two\n{} # the first\n\n  {}\n", first.address, second.address));
    let path = Path::to_str(&file).expect("text");
    let proxy = Proxy::with_threads(2, &["--to-file", path]);
    let mut pairs: Vec<_> = (0..8).map(|_| joined(proxy.address)).collect();
    assert!(proxy.open_at(first.address) > 0);
    write(&format!("#{}\n{}\n", first.address, second.address));
    proxy.process.signal("HUP");
    eventually("a target that drains", || {
        let rows = proxy.table();
        rows.iter()
            .any(|row| row[1] == first.address.to_string() && row[2] == "draining")
            .then_some(())
    });
    let before = proxy.open_at(first.address);
    pairs.extend((0..6).map(|_| joined(proxy.address)));
    assert_eq!(proxy.open_at(first.address), before);
    pairs.iter_mut().for_each(|pair| pass(pair).expect("a connection that goes on"));

    write("what is this\n");
    proxy.process.signal("HUP");
    eventually("a warning", || {
        let wrong = format!("{path}: line 1: what is this: a port is missing");
        proxy.log().contains(&wrong).then_some(())
    });
    pairs.push(joined(proxy.address));
    drop(pairs);
    eventually("the end of a target", || {
        let rows = proxy.table();
        let is_gone = rows.iter().all(|row| row[1] == second.address.to_string());
        is_gone.then_some(())
    });
}

#[test]
fn a_name_is_a_target_for_each_of_its_addresses_if_it_is_looked_up() {
    let echo = echo();
    let name = format!("localhost:{}", echo.address.port());
    let proxy = Proxy::start(&["--to", &name, "--resolve", "1h"]);
    joined(proxy.address);
    joined(proxy.address);
    let rows = proxy.table();
    assert!(rows.iter().all(|row| row[1] == name && row[2].starts_with('(')), "{rows:?}");
    assert!(rows.iter().any(|row| row[2] == format!("({})", echo.address)), "{rows:?}");
}

#[test]
fn a_file_without_targets_and_options_that_need_targets_are_refused() {
    let dir = tempdir().expect("a new directory");
    let file = dir.path().join("targets");
    fs::write(&file, "# none\n").expect("a file");
    let path = file.to_str().expect("text");
    for (arguments, code, expected) in [
        (&["--to-file", path][..], 1, "there is no target"),
        (&["--to-file", "/no/such/file"], 1, "/no/such/file: "),
        (&["--to", "a:1", "--to-file", path], 2, "cannot be used with"),
        (&["--http", "a:1", "--check", "1s", "--check-path", "a b"], 1, "\"a b\" cannot be"),
        (&["--to", "a:1", "--check", "1s", "--check-path", "/"], 2, "cannot be used with"),
        (&["--http", "a:1", "--check-path", "/"], 2, "required arguments"),
        (&["--http", "a:1", "--http", "https://b"], 1, "either all targets"),
        (&["--http", "https://unix:/path"], 2, "a target has no path"),
        (&["--sni", "a=b:1", "--balance", "source-hash"], 2, "cannot be used with"),
        (&["--sni", "a=b:1", "--check", "1s"], 2, "cannot be used with"),
        (&["--to", "a:1", "--access-log", "-"], 1, "needs --http"),
        (&["--http", "https://x/path"], 2, "a target has no path"),
        (&["--http", "http://x:80/path/"], 2, "a target has no path"),
        (&["--to", "a:1", "--check", "0"], 2, "longer than zero"),
        (&["--to", "a:1", "--port", "0", "--when-full", "shed"], 1, "never count as idle"),
        (&["--sni", "a=b:1", "--port", "0", "--when-full", "shed"], 1, "never count as idle"),
    ] {
        let outcome = run(example("proxy").args(arguments));
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
}

#[test]
fn row_20_haproxy_stands_before_and_behind_it() {
    if !has("haproxy") {
        return;
    }
    let echo = echo();
    let behind = || Haproxy::start(&format!("mode tcp\nserver back {}", echo.address));
    let behind = [behind(), behind()];
    let targets = behind.each_ref().map(|haproxy| haproxy.address.to_string()).join(",");
    let proxy = Proxy::start(&["--to", &targets, "--balance", "least-connections"]);
    // It checks the proxy, which closes as the check does.
    let before = Haproxy::start(&format!("mode tcp\nserver back {} check inter 50", proxy.address));
    thread::scope(|scope| {
        for seed in 1..=6 {
            let to = before.address;
            scope.spawn(move || exchange(&connect(to), 1 << 20, seed));
        }
    });
    let rows = proxy.table();
    for row in &rows {
        let connected: usize = row[5].parse().expect("a number");
        assert!(connected >= 3 && row[6] == "0", "{rows:?}");
    }
}

#[test]
fn more_clients_than_there_is_room_for_wait_for_each_other() {
    let echo = echo();
    let target = echo.address.to_string();
    let proxy = Proxy::start(&["--to", &target, "--per-target", "2"]);
    let held = [joined(proxy.address), joined(proxy.address)];
    thread::scope(|scope| {
        let waiting: Vec<_> = (1..=6)
            .map(|seed| {
                let to = proxy.address;
                scope.spawn(move || exchange(&connect(to), 50_000, seed))
            })
            .collect();
        assert_eq!(proxy.open_at(echo.address), 2);
        drop(held);
        waiting.into_iter().for_each(|client| client.join().expect("an exchange"));
    });
}
