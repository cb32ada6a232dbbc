//! Servers that have more clients, or hold more for them, than they may.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;

use socket2::{Domain, Socket, Type};

use crate::chromium::Browser;
use crate::process::{PATIENCE, Process, Server, address_in, eventually, example, has, run};

fn echo(options: &[&str]) -> Server {
    Server::start(example("echo").args(options))
}

/// Whether a client gets its bytes back.
fn is_served(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = [0; 5];
    client.write_all(b"hello").is_ok()
        && client.read_exact(&mut answer).is_ok()
        && answer == *b"hello"
}

#[test]
fn a_full_server_refuses_further_clients_if_it_is_told_to() {
    let server = echo(&["--max-connections", "1", "--when-full", "refuse"]);
    let mut first = server.connect();
    assert!(is_served(&mut first));
    let mut further = server.connect();
    further.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let error = further.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(is_served(&mut first));
}

#[test]
fn a_full_server_closes_idle_connections_for_further_clients_if_it_is_told_to() {
    let server = echo(&["--max-connections", "1", "--when-full", "shed"]);
    let mut first = server.connect();
    assert!(is_served(&mut first));
    let mut next = server.connect();
    assert!(is_served(&mut next), "the first is idle a second later");
    assert_eq!(first.read(&mut [0]).expect("an orderly end"), 0);
}

/// A client with a small window, so that the kernel holds little for it.
fn slow_reader(server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4 << 10).expect("an option");
    socket.connect(&server.into()).expect("a connection");
    socket.set_nonblocking(true).expect("an option");
    socket.into()
}

/// The sum of the metrics whose lines begin like this.
fn metric(status: SocketAddr, name: &str) -> u64 {
    let mut stream = TcpStream::connect(status).expect("a status listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a server that reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("metrics");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// A server with a memory budget, after clients that do not read have used it up.
struct Exhausted {
    server: SocketAddr,
    status: SocketAddr,
    /// The most memory that was in use, in bytes.
    most: u64,
    _clients: Vec<TcpStream>,
    _process: Process,
}

/// Less than the clients can hold: 64 KiB each.
const BUDGET: u64 = 8 << 20;

/// Uses up the memory budget of a server until it has aborted connections.
fn exhausted() -> Exhausted {
    const CLIENTS: usize = 200;

    let mut command = example("echo");
    command.args(["--port", "0", "--status", "0", "--memory", "8M"]);
    let mut process = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut lines = BufReader::new(process.stdout()).lines().map_while(Result::ok);
    let [server, status] = [(); 2].map(|()| {
        address_in(&lines.next().expect("a line that says where it listens")).expect("an address")
    });
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| slow_reader(server)).collect();
    let (piece, mut most) = ([b'x'; 64 << 10], 0);
    eventually("aborts", || {
        for client in &mut clients {
            // The server has aborted it, or does not read from it any more.
            while client.write(&piece).is_ok() {}
        }
        most = most.max(metric(status, "sluicegate_memory_bytes"));
        let aborted = "sluicegate_connections_shed_total{listener=\"127";
        (metric(status, aborted) > 0).then_some(())
    });
    Exhausted { server, status, most, _clients: clients, _process: process }
}

#[test]
fn clients_that_do_not_read_do_not_exhaust_the_memory_budget() {
    /// What eight connections may receive before the server looks.
    const AT_ONCE: u64 = 4 << 20;

    let Exhausted { server, most, .. } = &exhausted();
    assert!(*most <= BUDGET + AT_ONCE, "{most} bytes");
    assert!(is_served(&mut TcpStream::connect(server).expect("a connection")));
}

#[test]
fn the_page_and_top_show_the_memory_budget_and_what_was_aborted_for_it() {
    let Exhausted { status, .. } = &exhausted();
    let top = run(example("top").args([&*status.to_string(), "--once"]));
    let mut lines = top.stdout.lines().skip_while(|line| !line.starts_with("MEMORY"));
    let names = lines.next().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        names.unwrap_or_default(),
        ["MEMORY", "in", "use", "budget", "shortages", "aborted"]
    );
    let figures: Vec<_> = lines.next().expect("figures").split_whitespace().collect();
    assert_eq!(figures[2..4], ["8.0", "MiB"], "{top:?}");
    assert!(figures[4..6].iter().all(|count| *count != "0"), "{top:?}");

    if has("chromium") {
        let mut browser = Browser::start();
        browser.watch_console();
        browser.open(&format!("http://{status}/"));
        browser.wait_for("document.title === 'echo: ready'");
        let now = "Object.fromEntries([...document.querySelectorAll('#now div')]
            .map(({children: [term, figure]}) => [term.textContent, figure.textContent]))";
        let now = browser.eval(now);
        let text = |name: &str| now[name].as_str().unwrap_or_else(|| panic!("{name} in {now}"));
        assert!(text("connection memory").ends_with(" of 8 MiB"), "{now}");
        for name in ["memory shortages", "aborted for memory"] {
            assert!(text(name).ends_with(" in all") && !text(name).starts_with("0 "), "{now}");
        }
        let share = "document.querySelector('#threads td:last-child').style.cssText";
        assert!(browser.eval(share).as_str().is_some_and(|style| style.starts_with("--share: ")));
        assert_eq!(browser.complaints(), [""; 0]);
    }
}
