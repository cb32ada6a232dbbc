//! SIGHUP: it ends no example, and `http` opens its log and its directory again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use crate::client::Client;
use crate::process::{Server, eventually, example, run};

#[test]
fn a_hangup_ends_no_example() {
    let dir = tempdir().expect("a new directory");
    let at = dir.path().to_str().expect("a path of characters");
    let to = "127.0.0.1:1";
    for (name, arguments) in [
        ("api", &["--uploads", at][..]),
        ("chat", &[]),
        ("echo", &["--threads", "2"]),
        ("hello", &[]),
        ("http", &[at]),
        ("http", &[at, "--threads", "2", "--access-log", "-"]),
        ("proxy", &["--to", to]),
        ("proxy", &["--http", to, "--threads", "2", "--access-log", "-"]),
    ] {
        let mut server = Server::start(example(name).args(arguments));
        for _ in 0..3 {
            server.signal("HUP");
        }
        drop(server.connect());
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{name} {arguments:?}");
    }
}

/// The requests in a log, in order.
fn logged(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a log");
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| line.split('"').nth(1).expect("a request").to_owned()).collect()
}

#[test]
fn row_38_a_log_that_is_renamed_is_opened_again_at_a_hangup_and_loses_no_line() {
    const ROUNDS: usize = 5;
    const REQUESTS: usize = 100;
    let dir = tempdir().expect("a new directory");
    let (log, site) = (dir.path().join("log"), dir.path().join("site"));
    fs::create_dir(&site).expect("a new directory");
    let mut http = example("http");
    let http = http.arg(&site).args(["--threads", "2", "--access-log"]).arg(&log);
    let mut server = Server::start(http);
    let mut client = Client::new(&server);
    for round in 0..ROUNDS {
        for number in 0..REQUESTS {
            client.get(&format!("/{round}/{number}"));
        }
        fs::rename(&log, dir.path().join(format!("log.{round}"))).expect("a log");
        server.signal("HUP");
        // It is there at once, not at the next request.
        eventually("a new log", || log.exists().then_some(()));
    }
    client.get("/last");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let mut found = Vec::new();
    for round in 0..ROUNDS {
        found.extend(logged(&dir.path().join(format!("log.{round}"))));
    }
    found.extend(logged(&log));
    let expected = (0..ROUNDS)
        .flat_map(|round| (0..REQUESTS).map(move |number| format!("{round}/{number}")))
        .chain(["last".to_owned()])
        .map(|path| format!("GET /{path} HTTP/1.1"));
    assert!(found.into_iter().eq(expected));
}

#[test]
fn a_directory_that_is_replaced_is_served_after_a_hangup_by_every_thread() {
    let dir = tempdir().expect("a new directory");
    for version in ["v1", "v2"] {
        fs::create_dir(dir.path().join(version)).expect("a new directory");
        fs::write(dir.path().join(version).join("file"), version).expect("a file");
    }
    let site = dir.path().join("site");
    symlink("v1", &site).expect("a link");
    let server = Server::start(example("http").arg(&site).args(["--threads", "2"]));
    // Each thread has some of them, in all likelihood.
    let mut clients: Vec<_> = (0..16).map(|_| Client::new(&server)).collect();
    let mut get = || -> Vec<_> { clients.iter_mut().map(|client| client.get("/file").1).collect() };
    assert!(get().iter().all(|body| body == b"v1"));
    fs::remove_file(&site).expect("a link");
    symlink("v2", &site).expect("a link");
    server.signal("HUP");
    eventually("the new directory", || get().iter().all(|body| body == b"v2").then_some(()));
}

#[test]
fn if_one_file_is_wrong_at_a_hangup_nothing_changes() {
    let dir = tempdir().expect("a new directory");
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("site")).expect("a new directory");
    fs::write(path("site/file"), "file").expect("a file");
    fs::write(path("users"), "@/\n").expect("a file");
    let errors = fs::File::create(path("errors")).expect("a file");
    let mut http = example("http");
    http.arg(path("site")).arg("--auth").arg(path("users"));
    http.arg("--access-log").arg(path("log")).stderr(errors);
    let mut server = Server::start(&mut http);
    let mut client = Client::new(&server);
    let lines = || fs::read_to_string(path("errors")).expect("a file").lines().count();
    let breaks_users = || fs::write(path("users"), "no users\n");
    let repairs_users = || fs::write(path("users"), "@/\n");
    let breaks_site = || fs::rename(path("site"), path("elsewhere"));
    let repairs_site = || fs::rename(path("elsewhere"), path("site"));
    // The threads open a site that was repaired a moment after the log, so it is not broken again.
    let cases: [(&dyn Fn() -> _, &dyn Fn() -> _, _); 2] =
        [(&breaks_site, &repairs_site, "site"), (&breaks_users, &repairs_users, "users")];
    for (breaks, repairs, wrong) in cases {
        fs::rename(path("log"), path("old log")).expect("a log");
        breaks().expect("a file");
        let before = lines();
        server.signal("HUP");
        eventually("an error", || (lines() > before).then_some(()));
        let errors = fs::read_to_string(path("errors")).expect("a file");
        let new = errors.lines().last().expect("an error");
        assert!(new.contains(&path(wrong).display().to_string()), "{new}");
        assert!(new.ends_with("; the configuration is unchanged"), "{new}");
        assert_eq!(client.get("/file").0.status, 200);
        assert!(!path("log").exists(), "the log is not opened again");
        repairs().expect("a file");
        server.signal("HUP");
        eventually("a new log", || path("log").exists().then_some(()));
    }
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_log_whose_reader_is_gone_is_an_error_at_a_hangup_and_does_not_block_the_server() {
    let dir = tempdir().expect("a new directory");
    let (log, errors) = (dir.path().join("log"), dir.path().join("errors"));
    assert_eq!(run(Command::new("mkfifo").arg(&log)).code, Some(0));
    // Opening it for both does not wait for a writer.
    let reader = fs::File::options().read(true).write(true).open(&log).expect("a FIFO");
    let mut http = example("http");
    http.arg(dir.path()).arg("--access-log").arg(&log);
    let mut server = Server::start(http.stderr(fs::File::create(&errors).expect("a file")));
    let mut client = Client::new(&server);
    client.get("/line");
    let mut line = String::new();
    BufReader::new(&reader).read_line(&mut line).expect("a line");
    assert!(line.contains("GET /line"), "{line}");
    drop(reader);
    server.signal("HUP");
    let expected = format!("{}: ", log.display());
    eventually("an error", || {
        let errors = fs::read_to_string(&errors).expect("a file");
        let last = errors.lines().last()?;
        (last.contains(&expected) && last.ends_with("; the configuration is unchanged"))
            .then_some(())
    });
    client.get("/errors");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}
