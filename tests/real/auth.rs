//! Passwords of the example `http`, as htpasswd writes them and curl sends them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::{TempDir, tempdir};

use crate::process::{Server, eventually, example, has, run};

/// A site with users: alice may do everything, bob reads `/docs` and writes `/in`, everyone reads
/// `/public`.
struct Site {
    dir: TempDir,
    server: Server,
}

/// The line of a user, as htpasswd writes it.
fn line(name: &str, password: &str) -> String {
    let outcome = run(Command::new("htpasswd").args(["-nbB", name, password]));
    outcome.stdout.trim().to_owned()
}

fn write_users(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let (alice, bob) = (line("alice", "wonder land"), line("bob", "p:\u{e4}ss"));
    writeln!(file, "# users\n{alice}\n{bob}@/docs,/in:rw\n@/public").expect("room");
}

impl Site {
    fn start(flags: &[&str]) -> Site {
        let dir = tempdir().expect("a new directory");
        for name in ["docs", "in", "public"] {
            fs::create_dir_all(dir.path().join("site").join(name)).expect("a directory");
            fs::write(dir.path().join("site").join(name).join("file"), name).expect("a file");
        }
        write_users(&dir.path().join("users"));
        let mut http = example("http");
        http.arg(dir.path().join("site"))
            .args(["--upload", "--auth"])
            .arg(dir.path().join("users"));
        let errors = File::create(dir.path().join("errors")).expect("a file");
        let server = Server::start(http.args(flags).stderr(errors));
        Site { dir, server }
    }

    /// The status that curl gets.
    fn curl(&self, path: &str, arguments: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        let url = format!("http://{}{path}", self.server.address);
        run(curl.args(["--path-as-is", "--max-time", "60"]).args(arguments).arg(url)).stdout
    }
}

#[test]
fn curl_gets_and_puts_what_its_user_may() {
    if !has("curl") || !has("htpasswd") {
        return;
    }
    let site = Site::start(&["--threads", "2"]);
    let large = site.dir.path().join("large");
    fs::write(&large, vec![b'x'; 8 << 20]).expect("a file");
    let put = ["--upload-file", large.to_str().expect("a path of characters")];
    let (alice, bob) = (["--user", "alice:wonder land"], ["--user", "bob:p:\u{e4}ss"]);
    for (path, user, expected) in [
        ("/public/file", &[][..], "200"),
        ("/docs/file", &[], "401"),
        ("/docs/file", &["--user", "bob:wrong"], "401"),
        ("/docs/file", &["--user", "eve:wrong"], "401"),
        ("/docs/file", &bob, "200"),
        ("/", &bob, "403"),
        ("/", &alice, "200"),
        ("/public/../docs/file", &[], "401"),
        ("/docs%2f..%2fin/file", &bob, "403"),
    ] {
        assert_eq!(site.curl(path, user), expected, "{path} {user:?}");
    }
    for (path, user, expected) in [
        ("/public/new", &[][..], "401"),
        ("/in/new", &["--user", "bob:wrong"], "401"),
        ("/docs/new", &bob, "403"),
        ("/in/new", &bob, "201"),
        ("/docs/new", &alice, "201"),
    ] {
        assert_eq!(site.curl(path, &[&put[..], user].concat()), expected, "{path} {user:?}");
    }
    for path in ["in/new", "docs/new"] {
        let len = fs::metadata(site.dir.path().join("site").join(path)).expect("a file").len();
        assert_eq!(len, 8 << 20, "{path}");
    }
}

#[test]
fn users_are_read_again_at_a_hangup_unless_they_are_invalid() {
    if !has("curl") || !has("htpasswd") {
        return;
    }
    let site = Site::start(&[]);
    let (alice, carol) = (["--user", "alice:wonder land"], ["--user", "carol:x"]);
    assert_eq!(site.curl("/", &alice), "200");
    let users = site.dir.path().join("users");
    fs::write(&users, "carol:x").expect("a file");
    site.server.signal("HUP");
    let errors = || fs::read_to_string(site.dir.path().join("errors")).expect("a file");
    eventually("a warning", || {
        errors().contains("line 1: the password of \"carol\"").then_some(())
    });
    assert_eq!(site.curl("/", &alice), "200");
    fs::write(&users, line("carol", "x")).expect("a file");
    site.server.signal("HUP");
    eventually("the new user", || (site.curl("/", &carol) == "200").then_some(()));
    assert_eq!(site.curl("/", &alice), "401");
}

#[test]
fn a_file_of_users_that_is_invalid_is_one_line_and_code_1() {
    let dir = tempdir().expect("a new directory");
    let users = dir.path().join("users");
    fs::write(&users, "\nalice:secret\n").expect("a file");
    let outcome = run(example("http").args(["--port", "0", "--auth"]).arg(&users));
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{outcome:?}");
    let expected = format!("error: {}: line 2: the password of \"alice\"", users.display());
    assert!(outcome.stderr.starts_with(&expected), "{outcome:?}");
    assert!(!outcome.stderr.contains("secret"), "{outcome:?}");
}
