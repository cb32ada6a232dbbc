//! The status listener of the examples.
//!
//! With the variable `SCREENSHOTS` set to a folder, [`the_page_shows_figures_that_move`] writes
//! pictures of the page there. Those in `docs` are made by
//!
//! ```sh
//! cargo build --all-features --examples
//! SCREENSHOTS=docs cargo test -p sluicegate-tests --all-features --test real status::
//! ```

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::chromium::{Browser, LOWEST_CONTRAST};
use crate::process::{PATIENCE, Server, eventually, example, has, run};

/// Files over HTTP, and what is told about that.
struct Site {
    server: Server,
    status: SocketAddr,
    _files: TempDir,
}

impl Site {
    fn start(threads: &str, options: &[&str]) -> Site {
        let files = tempdir().expect("a new directory");
        for (name, length) in [("small", 100), ("medium", 10_000), ("large", 1 << 20)] {
            fs::write(files.path().join(name), vec![b'.'; length]).expect("a file");
        }
        let mut command = example("http");
        command.args(["--status", "0", "--threads", threads]).args(options).arg(files.path());
        let server = Server::start(&mut command);
        let status = server.status.expect("a status listener");
        Site { server, status, _files: files }
    }

    /// Downloads a file on a connection of its own, and returns how many bytes came.
    fn download(&self, name: &str) -> usize {
        let mut stream = TcpStream::connect(self.server.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a server that reads");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).expect("a whole response");
        response.len()
    }

    /// What curl gets from the status listener.
    fn curl(&self, path: &str, options: &[&str]) -> String {
        let url = format!("http://{}{path}", self.status);
        let outcome = run(Command::new("curl").args(["-sS", "-i"]).args(options).arg(url));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout.replace("\r\n", "\n")
    }

    fn sample(&self) -> Value {
        let response = self.curl("/status.json", &[]);
        let (_, body) = response.split_once("\n\n").expect("a head");
        serde_json::from_str(body).expect("JSON")
    }

    /// The sum of these numbers over all threads of the application's listener.
    fn total(&self, sample: &Value, pointer: &str) -> u64 {
        let address = self.server.address.to_string();
        let listeners = sample["listeners"].as_array().expect("listeners").iter();
        let own = listeners.filter(|listener| listener["address"] == *address);
        own.filter_map(|listener| listener.pointer(pointer)?.as_u64()).sum()
    }
}

#[test]
fn curl_gets_the_health_and_the_metrics_of_a_server() {
    if !has("curl") {
        return;
    }
    let site = Site::start("2", &[]);
    assert!(site.curl("/livez", &[]).starts_with("HTTP/1.1 200 OK\n"));
    assert!(site.curl("/readyz?verbose", &[]).ends_with("\n\n[+] phase: ready\nready\n"));
    let metrics = site.curl("/metrics", &[]);
    assert!(metrics.contains("\nContent-Type: text/plain; version=0.0.4; charset=utf-8\n"));
    for thread in 0..2 {
        let up = format!("\nsluicegate_thread_up{{thread=\"{thread}\"}} 1\n");
        assert!(metrics.contains(&up), "{metrics}");
    }
    let open = site.curl("/metrics", &["-H", "Accept: application/openmetrics-text"]);
    assert!(open.ends_with("\n# EOF\n"));
}

#[test]
fn a_server_that_is_about_to_stop_is_not_ready_but_alive() {
    if !has("curl") {
        return;
    }
    let mut site = Site::start("2", &["--shutdown-delay", "60s"]);
    assert!(site.curl("/readyz", &[]).starts_with("HTTP/1.1 200 OK\n"));
    site.server.signal("TERM");
    eventually("the server is not ready", || {
        site.curl("/readyz", &[]).starts_with("HTTP/1.1 503 ").then_some(())
    });
    assert!(site.curl("/readyz?verbose", &[]).ends_with("[-] phase: draining\nnot ready\n"));
    assert!(site.curl("/livez", &[]).starts_with("HTTP/1.1 200 OK\n"));
    assert_eq!(site.sample()["phase"], "draining");
    assert!(site.download("small") > 100, "it still serves");
    site.server.signal("TERM");
    assert_eq!(site.server.wait(), Some(0));
}

#[test]
fn a_slow_callback_is_counted_and_named_with_its_connection() {
    if !has("curl") {
        return;
    }
    // Every callback takes that long.
    let site = Site::start("1", &["--slow-callback", "0s"]);
    assert!(site.download("small") > 100);
    let sample = site.sample();
    let threads = sample["threads"].as_array().expect("threads").iter();
    let slow = threads.filter_map(|thread| thread["counters"]["slow_callbacks"].as_u64());
    assert!(slow.sum::<u64>() >= 3, "of the download alone: {sample}");
    let warnings = sample["warnings"].as_array().expect("warnings").iter();
    let texts: Vec<_> = warnings.filter_map(|warning| warning["text"].as_str()).collect();
    let (at, what) =
        (format!(" at {}: Http<", site.server.address), "::on_data held the loop for ");
    assert!(texts.iter().any(|text| text.contains(&at) && text.contains(what)), "{texts:?}");
}

#[test]
fn the_figures_of_all_threads_are_what_clients_have_got() {
    if !has("curl") {
        return;
    }
    let site = Site::start("2", &[]);
    let names = ["small", "medium", "large", "missing"];
    let got: usize = (0..40).map(|at| site.download(names[at % 4])).sum();
    // A client sees the end of the stream a little before its server closes the connection.
    let sample = eventually("all connections are closed", || {
        let sample = site.sample();
        (site.total(&sample, "/counters/closed") == 40).then_some(sample)
    });
    assert_eq!(site.total(&sample, "/counters/accepted"), 40);
    assert_eq!(site.total(&sample, "/connections"), 0);
    assert_eq!(site.total(&sample, "/counters/sent"), got as u64);
    let ways = ["joined", "write_through", "gather", "sendfile", "splice", "sealed"];
    let ways = ways.map(|way| site.total(&sample, &format!("/sent/{way}")));
    assert_eq!(ways.iter().sum::<u64>(), got as u64);
    if cfg!(target_os = "linux") {
        assert_eq!(ways[3], 10 << 20, "the large file went by sendfile: {ways:?}");
        assert!(sample["process"]["resident_bytes"].as_u64() > Some(1 << 20));
    }
    let threads = sample["threads"].as_array().expect("threads");
    let responses = |class: &str| -> u64 {
        threads.iter().filter_map(|thread| thread["http"]["responses"][class].as_u64()).sum()
    };
    assert_eq!((responses("2xx"), responses("4xx"), responses("5xx")), (30, 10, 0));
    for thread in threads {
        let turns = &thread["turns"];
        let buckets = turns["buckets"].as_array().expect("buckets").iter();
        let counted: u64 = buckets.filter_map(Value::as_u64).sum();
        assert_eq!(turns["count"], counted);
        assert!(turns["max_seconds"].as_f64() > Some(0.0), "{turns}");
    }
}

#[test]
fn the_page_shows_figures_that_move() {
    if !has("chromium") {
        return;
    }
    let site = Site::start("2", &["--memory", "256M"]);
    let mut browser = Browser::start();
    browser.watch_console();
    browser.set_screen(1280, "light");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for at in 0..60 {
                    site.download(if at == 0 { "large" } else { "medium" });
                }
            }
        });
        browser.open(&format!("http://{}/", site.status));
        browser.wait_for("document.title === 'http: ready'");
        // The first figure of HTTP is how many responses a second there are.
        let responses = "parseFloat(document.querySelector('#http dd').firstChild.textContent)";
        browser.wait_for(&format!("{responses} > 0"));
        let area = "document.querySelector('#sent .w3').getAttribute('d')";
        let before = browser.eval(area);
        assert!(before.as_str().is_some_and(|path| path.starts_with('M')), "{before}");
        browser.wait_for(&format!("{area} !== {before}"));
        browser.wait_for("document.querySelectorAll('#turns rect').length > 0");
        for width in [360, 1280] {
            for scheme in ["light", "dark"] {
                browser.set_screen(width, scheme);
                assert_eq!(browser.eval("document.documentElement.scrollWidth"), width);
                let contrast = browser.eval(LOWEST_CONTRAST).as_f64().expect("a number");
                assert!(contrast >= 4.5, "{scheme}: {contrast}");
                save(&mut browser, &format!("status-{width}-{scheme}.png"));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_page_that_finds_no_place_shows_figures_once_there_is_one() {
    if !has("chromium") {
        return;
    }
    let site = Site::start("1", &[]);
    let watchers: Vec<_> = (0..32)
        .map(|_| {
            let mut watcher = TcpStream::connect(site.status).expect("a connection");
            watcher.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            watcher
                .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .expect("a request");
            let mut status = [0; 12];
            watcher.read_exact(&mut status).expect("a response");
            assert_eq!(&status, b"HTTP/1.1 200");
            watcher
        })
        .collect();
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", site.status));
    browser.wait_for("document.getElementById('ready').textContent === 'no connection'");
    drop(watchers);
    browser.wait_for("document.title === 'http: ready'");
}

/// Writes a picture of the page, if that is wanted. Its charts are almost full by then.
fn save(browser: &mut Browser, name: &str) {
    let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
    for samples in [50, 100] {
        browser.wait_for(&format!("history.length > {samples}"));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    fs::create_dir_all(&root).expect("a folder");
    fs::write(root.join(name), browser.screenshot()).expect("a picture");
}

#[test]
fn the_status_listener_answers_only_to_the_names_that_it_is_given() {
    let site = Site::start("1", &["--status-host", "one.example,two.example"]);
    for (host, status) in [("one.example", 200), ("two.example:80", 200), ("other.example", 421)] {
        let response = site.curl("/metrics", &["-H", &format!("Host: {host}")]);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {response}");
    }
}
