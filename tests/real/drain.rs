//! Being told to stop while clients are served: who is idle is closed, who was promised something
//! gets it.

use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{Server, example};
use crate::random::noise;

const CLIENTS: usize = 200;

/// More than the buffers of both ends hold, so that nobody has it before it is read.
const LARGE: usize = 8 << 20;

/// A server of one large file, and clients of it: those who have the head of an answer and some of
/// its body, and those who have had a whole answer.
struct Busy {
    server: Server,
    loading: Vec<Client>,
    idle: Vec<Client>,
    file: Vec<u8>,
    _dir: TempDir,
}

/// How much of a download is there before the signal.
const READ: usize = 100_000;

impl Busy {
    fn start(flags: &[&str]) -> Busy {
        let dir = tempdir().expect("a new directory");
        let file = put(dir.path());
        let server = Server::start(example("http").arg(dir.path()).args(flags));
        let loading = (0..CLIENTS).map(|_| {
            let mut client = Client::new(&server);
            client.ask("GET", "/large");
            assert_eq!(client.head().len, LARGE as u64);
            let mut some = vec![0; READ];
            client.rest().read_exact(&mut some).expect("some of it");
            assert!(some == file[..READ]);
            client
        });
        let loading = loading.collect();
        let idle = (0..CLIENTS).map(|_| {
            let mut client = Client::new(&server);
            assert_eq!(client.get("/small").0.status, 200);
            client
        });
        let idle = idle.collect();
        Busy { server, loading, idle, file, _dir: dir }
    }
}

fn put(root: &Path) -> Vec<u8> {
    let file = noise(LARGE, 7);
    std::fs::write(root.join("large"), &file).expect("a file");
    std::fs::write(root.join("small"), b"small").expect("a file");
    file
}

#[test]
fn downloads_arrive_whole_and_idle_clients_are_closed_at_once() {
    for threads in ["1", "2"] {
        let mut busy = Busy::start(&["--threads", threads, "--drain", "600"]);
        busy.server.signal("TERM");
        // The downloads wait for the ends of these, so those do not wait for the downloads.
        for mut client in busy.idle {
            let mut rest = Vec::new();
            client.rest().read_to_end(&mut rest).expect("an end in order");
            assert!(rest.is_empty());
        }
        thread::scope(|scope| {
            let file = &busy.file;
            for clients in busy.loading.chunks_mut(CLIENTS / 8) {
                scope.spawn(move || {
                    for client in clients {
                        let mut rest = Vec::with_capacity(LARGE);
                        client.rest().read_to_end(&mut rest).expect("the rest, and the end");
                        assert!(rest == file[READ..], "{} of {LARGE} bytes", READ + rest.len());
                    }
                });
            }
        });
        drop(busy.loading);
        assert_eq!(busy.server.wait(), Some(0));
    }
}

#[test]
fn downloads_that_do_not_fit_the_time_are_cut_and_it_is_still_a_success() {
    let mut busy = Busy::start(&["--threads", "2", "--drain", "0"]);
    busy.server.signal("TERM");
    assert_eq!(busy.server.wait(), Some(0));
    for mut client in busy.loading {
        let mut rest = Vec::new();
        let cut = client.rest().read_to_end(&mut rest);
        assert!(cut.is_err(), "what is cut must not look complete");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for threads in ["1", "2"] {
        let mut busy = Busy::start(&["--threads", threads, "--drain", "600"]);
        busy.server.signal("TERM");
        // The first was taken when somebody idle is gone.
        let mut rest = Vec::new();
        busy.idle[0].rest().read_to_end(&mut rest).expect("an end in order");
        busy.server.signal("INT");
        assert_eq!(busy.server.wait(), Some(130));
    }
}

#[test]
fn with_a_shutdown_delay_new_clients_are_served_until_it_ends() {
    for threads in ["1", "2"] {
        let start = |delay: &str| {
            let arguments = ["--threads", threads, "--shutdown-delay", delay];
            Server::start(example("hello").args(arguments))
        };
        let mut ends_by_itself = start("50ms");
        ends_by_itself.signal("TERM");
        let mut server = start("600s");
        server.signal("TERM");
        // In all likelihood, each thread has some of them.
        for _ in 0..8 {
            assert_eq!(Client::new(&server).get("/").0.status, 200);
        }
        server.signal("INT");
        assert_eq!(server.wait(), Some(0), "the second signal ends the delay, not the process");
        assert_eq!(ends_by_itself.wait(), Some(0));
    }
}

#[test]
fn an_access_log_of_several_threads_has_whole_lines() {
    use std::process::Stdio;

    use crate::process::Process;

    const REQUESTS: usize = 500;
    let dir = tempdir().expect("a new directory");
    put(dir.path());
    let log = dir.path().join("log");
    let mut http = example("http");
    let http = http.arg(dir.path()).args(["--threads", "4", "--access-log", "-", "--port", "0"]);
    let out = std::fs::File::create(&log).expect("a log");
    let mut process = Process::spawn(http.stdout(Stdio::from(out)));
    let address = crate::process::eventually("a line that says where it listens", || {
        crate::process::address_in(&std::fs::read_to_string(&log).ok()?)
    });
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                let stream = std::net::TcpStream::connect(address).expect("a connection");
                stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
                let mut client = Client::over(stream);
                for _ in 0..REQUESTS {
                    assert_eq!(client.get(&format!("/small?{number}")).0.status, 200);
                }
            });
        }
    });
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    let log = std::fs::read_to_string(&log).expect("a log");
    for number in 0..8 {
        let request = format!("\"GET /small?{number} HTTP/1.1\" 200 5 \"-\" \"-\"");
        let lines = log
            .lines()
            .filter(|line| line.starts_with("127.0.0.1 - - [") && line.ends_with(&request));
        assert_eq!(lines.count(), REQUESTS);
    }
    assert_eq!(log.lines().count(), 1 + 8 * REQUESTS);
}

#[test]
fn an_access_log_that_nobody_reads_does_not_keep_the_server() {
    use std::io::{BufRead, BufReader};

    use crate::process::Process;

    /// Their lines are longer than what the pipe holds.
    const REQUESTS: usize = 2_000;
    let dir = tempdir().expect("a new directory");
    put(dir.path());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut http = example("http");
    let http = http.arg(dir.path()).args(["--access-log", "-", "--port", "0"]);
    let mut process = Process::spawn(http.stdout(writer));
    let mut first = String::new();
    let mut reader = BufReader::new(reader);
    reader.read_line(&mut first).expect("a line");
    let address = crate::process::address_in(&first).expect("where it listens");
    let stream = std::net::TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut client = Client::over(stream);
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/small").0.status, 200);
    }
    drop(client);
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
}
