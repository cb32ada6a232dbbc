//! `--limits`: a file with limits, which SIGHUP reloads.

use std::fs;
use std::io::{Read, Write};
#[cfg(target_os = "linux")]
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::process::{Server, eventually, example, has, run};

/// `http` with a file of limits.
struct Limited {
    server: Server,
    directory: TempDir,
}

impl Limited {
    fn start(limits: &str, options: &[&str]) -> Limited {
        let directory = tempdir().expect("a new directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("limits"), limits).expect("a file");
        fs::write(path("users"), "@/\n").expect("a file");
        let errors = fs::File::create(path("errors")).expect("a file");
        let mut http = example("http");
        http.arg(directory.path()).args(["--status", "0"]).args(options).stderr(errors);
        http.arg("--limits").arg(path("limits")).arg("--auth").arg(path("users"));
        Limited { server: Server::start(&mut http), directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.path("errors")).expect("a file")
    }

    /// Writes new limits, and reloads them.
    fn reload(&self, limits: &str) {
        fs::write(self.path("limits"), limits).expect("a file");
        self.server.signal("HUP");
    }

    /// The maximum number of connections of all threads together.
    fn maximum(&self) -> u64 {
        let status = self.server.status.expect("a status listener");
        let url = format!("http://{status}/status.json");
        let outcome = run(Command::new("curl").args(["-sS", &url]));
        let sample: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        let address = self.server.address.to_string();
        let listeners = sample["listeners"].as_array().expect("listeners").iter();
        let own = listeners.filter(|listener| listener["address"] == *address);
        own.filter_map(|listener| listener["limit"].as_u64()).sum()
    }
}

#[test]
fn limits_of_a_file_replace_those_of_options_and_change_at_a_hangup_in_every_thread() {
    if !has("curl") {
        return;
    }
    let options = ["--threads", "2", "--max-connections", "50"];
    let mut limited = Limited::start("# few\nmax-connections 1000 # a thousand\n\n", &options);
    assert_eq!(limited.maximum(), 1000);
    limited.reload("max-connections\t 20\n");
    eventually("a smaller maximum", || (limited.maximum() == 20).then_some(()));
    limited.reload("idle-timeout 10s\n");
    eventually("the maximum of the options", || (limited.maximum() == 50).then_some(()));
    limited.server.signal("TERM");
    assert_eq!((limited.server.wait(), limited.errors()), (Some(0), String::new()));
}

#[test]
fn a_maximum_per_client_of_a_file_applies_from_the_next_hangup() {
    let limited = Limited::start("", &[]);
    // Whether each of two connections that are open together is served.
    let served = || {
        let mut streams = [limited.server.connect(), limited.server.connect()];
        streams.each_mut().map(|stream| {
            let asked = stream.write_all(b"GET /limits HTTP/1.1\r\nHost: h\r\n\r\n");
            asked.and_then(|()| stream.read(&mut [0])).is_ok_and(|read| read > 0)
        })
    };
    let mut old = Client::new(&limited.server);
    assert_eq!((served(), old.get("/limits").0.status), ([true; 2], 200));
    // Of which the old client has one.
    limited.reload("per-address 2\n");
    eventually("a limit", || (served() == [true, false]).then_some(()));
    assert_eq!(old.get("/limits").0.status, 200);
    limited.reload("");
    eventually("no limit", || (served() == [true; 2]).then_some(()));
}

#[test]
fn wrong_limits_change_nothing_and_neither_do_those_beside_another_wrong_file() {
    if !has("curl") {
        return;
    }
    let limited = Limited::start("max-connections 100", &[]);
    let cases = [
        ("max-connections many", "line 1: invalid value 'many' for 'max-connections <N>'"),
        ("\nmax-connections 0", "line 2: invalid value '0' for 'max-connections <N>'"),
        ("max-connections 7\nfoo 1", "line 2: there is no limit \"foo\""),
        ("max-connections 7\nport 1", "line 2: there is no limit \"port\""),
        ("max-connections 7\nrate", "line 2: a line is a name and a value"),
        ("when-full never", "[possible values: wait, refuse, shed]"),
        ("when-full shed\nidle-timeout never", "shed closes idle connections, and needs an idle-"),
        ("rate 0", "a rate is at least 1"),
        ("idle-timeout soon", "a time is a number with ms, s, m or h, as in 30s, or `never`"),
        ("idle-timeout 0s", "an idle timeout is longer than 0, or `never`"),
        (&"#".repeat((1 << 20) + 1), "larger than 1 MiB"),
    ];
    let refused = |expected: &str, file: &str| {
        let errors = eventually("an error", || {
            let errors = limited.errors();
            errors.lines().last().filter(|line| line.contains(expected)).map(str::to_owned)
        });
        assert!(errors.contains(&limited.path(file).display().to_string()), "{errors}");
        assert!(errors.ends_with("; the configuration is unchanged"), "{errors}");
        assert_eq!(limited.maximum(), 100);
    };
    for (text, expected) in cases {
        limited.reload(text);
        refused(expected, "limits");
    }
    fs::remove_file(limited.path("limits")).expect("the file");
    assert_eq!(run(Command::new("mkfifo").arg(limited.path("limits"))).code, Some(0));
    limited.server.signal("HUP");
    refused("not a regular file", "limits");
    fs::remove_file(limited.path("limits")).expect("the FIFO");
    fs::write(limited.path("users"), "no users\n").expect("a file");
    limited.reload("max-connections 7");
    refused("users", "users");
    fs::write(limited.path("users"), "@/\n").expect("a file");
    limited.server.signal("HUP");
    eventually("the new maximum", || (limited.maximum() == 7).then_some(()));
}

#[test]
fn a_server_does_not_start_with_wrong_limits_or_without_their_file() {
    let directory = tempdir().expect("a new directory");
    let path = directory.path().join("limits");
    let start = || run(example("echo").args(["--port", "0", "--limits"]).arg(&path));
    for wrong in [None, Some("max-connections none")] {
        if let Some(text) = wrong {
            fs::write(&path, text).expect("a file");
        }
        let outcome = start();
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let expected = format!("error: {}: ", path.display());
        assert!(outcome.stderr.starts_with(&expected), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}

#[test]
fn a_proxy_closes_idle_relays_by_the_time_of_the_last_hangup() {
    let directory = tempdir().expect("a new directory");
    let path = directory.path().join("limits");
    fs::write(&path, "idle-timeout 1ms\n").expect("a file");
    let echo = Server::start(example("echo").args(["--idle-timeout", "1h"]));
    let mut proxy = example("proxy");
    proxy.args(["--to", &echo.address.to_string(), "--limits"]).arg(&path);
    let proxy = Server::start(&mut proxy);
    // Whether a connection lives for some turns of the clock of the proxy.
    let lives = || {
        let mut stream = proxy.connect();
        let mut other = || -> std::io::Result<()> {
            for _ in 0..20 {
                stream.write_all(b"x")?;
                stream.read_exact(&mut [0])?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        };
        other().is_ok()
    };
    assert!(!lives());
    for limits in ["idle-timeout 1h", "idle-timeout never", ""] {
        fs::write(&path, limits).expect("a file");
        proxy.signal("HUP");
        eventually("a longer time", || lives().then_some(()));
        fs::write(&path, "idle-timeout 1ms").expect("a file");
        proxy.signal("HUP");
        eventually("a shorter time", || (!lives()).then_some(()));
    }
}

/// Whether the kernel probes each of the connections with this port in a column of its table:
/// whether their timer is the one of the probes (`get_tcp4_sock` of Linux).
#[cfg(target_os = "linux")]
fn are_probed(column: usize, port: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("a table");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let port = format!(":{port:04X}");
    let rows: Vec<_> =
        rows.filter(|row| row[column].ends_with(&port) && row[3] == ESTABLISHED).collect();
    assert!(!rows.is_empty(), "a connection");
    rows.iter().all(|row| row[5].starts_with("02:"))
}

#[test]
#[cfg(target_os = "linux")]
fn silent_clients_are_probed_where_no_idle_timeout_would_end_them() {
    const LOCAL: usize = 1;
    const REMOTE: usize = 2;
    for (name, options, expected) in [
        ("chat", &[][..], true),
        ("memcached", &[], true),
        ("redis", &[], true),
        ("echo", &["--idle-timeout", "never"], true),
        ("echo", &[], false),
        ("memcached", &["--idle-timeout", "1m"], false),
    ] {
        let server = Server::start(example(name).args(options));
        let _client = server.connect();
        assert_eq!(are_probed(LOCAL, server.address.port()), expected, "{name} {options:?}");
    }
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("its address");
    let options = ["--to", &to.to_string(), "--idle-timeout", "never"];
    let proxy = Server::start(example("proxy").args(options));
    let _client = proxy.connect();
    let _server = target.accept().expect("a connection");
    assert!(are_probed(LOCAL, proxy.address.port()) && are_probed(REMOTE, to.port()));
}
