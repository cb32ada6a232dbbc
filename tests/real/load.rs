//! Load generators that people measure servers with: they count errors.

use std::fs;
use std::process::Command;

use tempfile::tempdir;

use crate::process::{Outcome, Server, example, has, run};
use crate::random::noise;

/// Runs a tool with a URL of each size of file, and of each example that answers HTTP.
fn each_url(tool: &str, test: impl Fn(&str)) {
    if !has(tool) {
        return;
    }
    let dir = tempdir().expect("a new directory");
    fs::write(dir.path().join("small"), noise(1000, 1)).expect("a file");
    fs::write(dir.path().join("large"), noise(100_000, 2)).expect("a file");
    let hello = Server::start(&mut example("hello"));
    test(&format!("http://{}/", hello.address));
    for flag in [None, Some("--copy")] {
        let server = Server::start(example("http").arg(dir.path()).args(flag));
        test(&format!("http://{}/small", server.address));
        test(&format!("http://{}/large", server.address));
    }
}

/// The first number after a text.
fn number_after(text: &str, outcome: &Outcome) -> u64 {
    let digits = outcome.stdout.split_once(text).map(|(_, after)| after.trim_start());
    let digits = digits.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|d| d.parse().ok()).unwrap_or_else(|| panic!("no {text:?} in {outcome:?}"))
}

#[test]
fn wrk_sees_no_error() {
    each_url("wrk", |url| {
        let outcome = run(Command::new("wrk").args(["-t1", "-c32", "-d1s", "--timeout=60s", url]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(!outcome.stdout.contains("Socket errors"), "{outcome:?}");
        assert!(!outcome.stdout.contains("Non-2xx"), "{outcome:?}");
        assert!(number_after("Requests/sec:", &outcome) > 0, "{outcome:?}");
    });
}

#[test]
fn apache_bench_with_keep_alive_sees_no_error() {
    each_url("ab", |url| {
        let arguments = ["-k", "-q", "-s", "60", "-c", "16", "-n", "5000", url];
        let outcome = run(Command::new("ab").args(arguments));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(number_after("Complete requests:", &outcome), 5000, "{outcome:?}");
        assert_eq!(number_after("Keep-Alive requests:", &outcome), 5000, "{outcome:?}");
        assert_eq!(number_after("Failed requests:", &outcome), 0, "{outcome:?}");
        assert!(!outcome.stdout.contains("Non-2xx"), "{outcome:?}");
    });
}

#[test]
fn h2load_with_pipelined_requests_sees_no_error() {
    each_url("h2load", |url| {
        let outcome = run(Command::new("h2load").args(["--h1", "-m16", "-c8", "-n8000", url]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let all = "8000 total, 8000 started, 8000 done, 8000 succeeded, 0 failed, 0 errored";
        assert!(outcome.stdout.contains(all), "{outcome:?}");
        // It may count the status of one answer twice, whose bytes it counts once (nghttp2 1.52).
        assert!(outcome.stdout.contains("2xx, 0 3xx, 0 4xx, 0 5xx"), "{outcome:?}");
    });
}
