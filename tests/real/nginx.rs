//! Files as nginx serves them: both servers get the same requests for the same directory. Where
//! they differ, the tables say which answer each gives and why.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_reactor::{Address, Listen, Reactor, Stopper};
use tempfile::{TempDir, tempdir};

use crate::process::{PATIENCE, Process, eventually, has};
use crate::random::noise;

/// When the files were modified: Sun, 09 Sep 2001 01:46:40 GMT.
const MODIFIED: Duration = Duration::from_secs(1_000_000_000);
const AT: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
const AFTER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";

/// The same directory behind both servers.
struct Servers {
    stopper: Stopper,
    _process: Process,
    dir: TempDir,
}

impl Servers {
    /// Starts both, if nginx is installed.
    fn start() -> Option<Servers> {
        if !has("nginx") {
            return None;
        }
        let dir = tempdir().expect("a new directory");
        let root = dir.path().join("root");
        for (name, content) in [
            ("a.txt", &noise(1000, 1)[..]),
            ("empty.txt", b""),
            ("dir/b.txt", b"b"),
            ("page/index.html", b"index"),
            ("style.css", b"the original"),
            ("style.css.gz", b"the compressed one"),
            ("new.css", b"the original"),
            ("new.css.gz", b"an older version"),
            (".hidden", b"hidden"),
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(&path, content).expect("a file");
            let file = File::options().write(true).open(&path).expect("the file");
            let age = Duration::from_secs(u64::from(name == "new.css.gz"));
            file.set_modified(UNIX_EPOCH + MODIFIED - age).expect("its date");
        }
        let stopper = start_ours(&root, &dir.path().join("ours"));
        let process = start_nginx(dir.path(), &dir.path().join("nginx"));
        eventually("nginx", || UnixStream::connect(dir.path().join("nginx")).ok());
        Some(Servers { stopper, _process: process, dir })
    }

    /// Sends the same request to both. `ETAG` in the fields stands for what the server itself has.
    fn ask(&self, line: &str, fields: &str) -> [Answer; 2] {
        ["ours", "nginx"].map(|name| {
            let to = &self.dir.path().join(name);
            let mut fields = fields.to_owned();
            if fields.contains("ETAG") {
                let path = line.split_once(' ').expect("a path").1;
                let answer = ask(to, &format!("HEAD {path}"), "");
                fields = fields.replace("ETAG", answer.field("ETag").expect("a tag"));
            }
            ask(to, line, &fields)
        })
    }

    /// Expects the same answer of both.
    fn compare(&self, line: &str, fields: &str, status: u16) {
        let [ours, nginx] = self.ask(line, fields);
        assert_eq!(nginx.status, status, "nginx: {line} {fields}");
        let is_same = ours.essence() == nginx.essence();
        assert!(is_same, "{line} {fields}\n{}\n{}", ours.head, nginx.head);
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.stopper.stop();
    }
}

fn start_ours(root: &Path, at: &Path) -> Stopper {
    let (root, at) = (root.to_owned(), Address::from_path(at).expect("a short path"));
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut reactor = Reactor::new().expect("a reactor");
        let options = FilesOptions { precompressed: true, ..FilesOptions::default() };
        let files = Files::new(&mut reactor, root, options).expect("the root");
        let site = reactor.register(Http::new(files));
        reactor.listen(at, &Listen::default(), site).expect("a new socket");
        tell.send(reactor.stopper()).expect("the test");
        reactor.run().expect("a run without errors");
    });
    told.recv().expect("a server")
}

fn start_nginx(dir: &Path, at: &Path) -> Process {
    let (place, at) = (dir.display(), at.display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|of| format!("{of}_temp_path {place}/{of};\n")).concat();
    let settings = format!(
        "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log /dev/null;\nevents {{}}\n\
         http {{\n{temporary}access_log off;\nabsolute_redirect off;\n\
         server {{\nlisten unix:{at};\nroot {place}/root;\nautoindex on;\n\
         gzip_static on;\ngzip_vary on;\n}}\n}}\n"
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, settings).expect("a file");
    let mut command = Command::new("nginx");
    Process::spawn(command.arg("-p").arg(dir).arg("-c").arg(file).stderr(Stdio::null()))
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// What does not depend on the server: error pages and boundaries do.
    fn essence(&self) -> (u16, [Option<&str>; 4], Vec<u8>) {
        let names = ["Content-Range", "Content-Encoding", "Location", "Last-Modified"];
        let fields = names.map(|name| self.field(name));
        let body = match self.field("Content-Type").and_then(|field| field.split_once("boundary="))
        {
            _ if !matches!(self.status, 200 | 206) => Vec::new(),
            None => self.body.clone(),
            Some((_, boundary)) => {
                let text: Vec<char> = self.body.iter().map(|byte| char::from(*byte)).collect();
                let text: String = text.into_iter().collect();
                let text = text.replace(boundary, "boundary");
                // The types of the parts are those of the configuration.
                let lines = text.trim_start().split("\r\n");
                let lines = lines.filter(|line| !line.starts_with("Content-Type: "));
                lines.collect::<Vec<_>>().join("\r\n").into_bytes()
            }
        };
        (self.status, fields, body)
    }
}

fn ask(to: &Path, line: &str, fields: &str) -> Answer {
    let mut stream = UnixStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("room for a request");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer and its end");
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of a head");
    let body = all.split_off(end + 4);
    let head = String::from_utf8(all).expect("characters");
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
    Answer { status, head, body }
}

#[test]
fn ranges_get_the_answers_of_nginx() {
    let Some(servers) = Servers::start() else { return };
    for (ranges, status) in [
        ("bytes=0-0", 206),
        ("bytes=5-", 206),
        ("bytes=-5", 206),
        ("bytes=-5000", 206),
        ("bytes=999-5000", 206),
        ("bytes=0-1,4-5", 206),
        ("bytes=5-6, 0-1,2-3", 206),
        ("bytes=2000-,0-1", 206),
        ("bytes=0-1,2000-,-2", 206),
        ("bytes=1000-", 416),
        ("bytes=-0", 416),
        ("bytes=2000-,3000-", 416),
        ("lines=0-1", 200),
        ("bytes=0-999,0-999", 200),
    ] {
        servers.compare("GET /a.txt", &format!("Range: {ranges}\r\n"), status);
    }
}

#[test]
fn conditions_get_the_answers_of_nginx() {
    let Some(servers) = Servers::start() else { return };
    for (condition, status) in [
        ("If-Range: ETAG", 206),
        (&format!("If-Range: {AT}"), 206),
        ("If-Range: W/ETAG", 200),
        (&format!("If-Range: {BEFORE}"), 200),
        (&format!("If-Range: {AFTER}"), 200),
        ("If-None-Match: ETAG", 304),
        ("If-None-Match: \"x\", W/ETAG", 304),
        ("If-None-Match: *", 304),
        (&format!("If-Modified-Since: {AT}"), 304),
        (&format!("If-Modified-Since: {BEFORE}"), 206),
        (&format!("If-Modified-Since: {AT}\r\nIf-None-Match: \"x\""), 206),
        ("If-Match: ETAG", 206),
        ("If-Match: \"x\"", 412),
        ("If-Match: W/ETAG", 412),
        (&format!("If-Unmodified-Since: {AT}"), 206),
        (&format!("If-Unmodified-Since: {BEFORE}"), 412),
    ] {
        servers.compare("GET /a.txt", &format!("Range: bytes=0-1,3-4\r\n{condition}\r\n"), status);
    }
}

#[test]
fn paths_and_codings_get_the_answers_of_nginx() {
    let Some(servers) = Servers::start() else { return };
    for (path, status) in [
        ("/./a.txt", 200),
        ("//a.txt", 200),
        ("/dir/../a.txt", 200),
        ("/none/../a.txt", 200),
        ("/dir/%2e%2E/%2e/a.txt", 200),
        ("/page/.", 200),
        ("/page/x/..", 200),
        ("/page//", 200),
        ("/%61.txt", 200),
        ("/page", 301),
        ("/page?x=/../y", 301),
        ("/dir/./../page", 301),
        ("/..", 400),
        ("/../a.txt", 400),
        ("/%2e%2e/a.txt", 400),
        ("/dir/../../root/a.txt", 400),
        ("/a%00.txt", 400),
        ("/none", 404),
        ("/a.txt/", 404),
        ("/a.txt/../none", 404),
    ] {
        servers.compare(&format!("GET {path}"), "", status);
    }
    for accept in ["", "gzip", "deflate, gzip;q=0.5", "gzip;q=0", "br", "identity"] {
        servers.compare("GET /style.css", &format!("Accept-Encoding: {accept}\r\n"), 200);
    }
}

#[test]
fn where_nginx_answers_otherwise_the_reason_is_known() {
    let Some(servers) = Servers::start() else { return };
    let many = (0..17).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
    let table = [
        // RFC 9110, section 14.2: a range is of GET only.
        ("HEAD /a.txt", "Range: bytes=0-1".to_owned(), 200, 206),
        // Section 14.2: ranges that overlap, or are many, may get the whole file.
        ("GET /a.txt", "Range: bytes=0-5,3-8".to_owned(), 200, 206),
        ("GET /a.txt", format!("Range: bytes={many}"), 200, 206),
        // Section 14.2: what is malformed may be ignored, and clients get what they can use.
        ("GET /a.txt", "Range: bytes=5-1".to_owned(), 200, 416),
        ("GET /a.txt", "Range: bytes=x".to_owned(), 200, 416),
        // Section 14.1.2: the first byte of an empty file is not there.
        ("GET /empty.txt", "Range: bytes=0-".to_owned(), 416, 200),
        // Section 13.1.3: the file was not modified since that later date.
        ("GET /a.txt", format!("If-Modified-Since: {AFTER}"), 304, 200),
        // Section 13.1.4: an invalid date is ignored.
        ("GET /a.txt", "If-Unmodified-Since: yesterday".to_owned(), 200, 412),
        // nginx sends no ranges of compressed files.
        ("GET /style.css", "Accept-Encoding: gzip\r\nRange: bytes=0-1".to_owned(), 206, 200),
        // No name contains a slash.
        ("GET /dir%2f..%2fa.txt", String::new(), 404, 200),
        // Names with a dot in front are hidden unless that is asked for.
        ("GET /.hidden", String::new(), 404, 200),
    ];
    for (line, field, ours, nginx) in table {
        let fields = if field.is_empty() { field } else { format!("{field}\r\n") };
        let statuses = servers.ask(line, &fields).map(|answer| answer.status);
        assert_eq!(statuses, [ours, nginx], "{line} {fields}");
    }
    // A compressed file that is older than the original has another content.
    let answers = servers.ask("GET /new.css", "Accept-Encoding: gzip\r\n");
    assert_eq!(answers[0].field("Content-Encoding"), None);
    assert_eq!(answers[1].field("Content-Encoding"), Some("gzip"));
    // Section 12.5.3: `*` stands for every coding.
    let answers = servers.ask("GET /style.css", "Accept-Encoding: *\r\n");
    assert_eq!(answers[0].field("Content-Encoding"), Some("gzip"));
    assert_eq!(answers[1].field("Content-Encoding"), None);
}

/// Follows the links of a listing to its entries, and returns what the files contain, and the
/// links that lead to no file.
fn follow(to: &Path, path: &str) -> (BTreeSet<Vec<u8>>, Vec<String>) {
    let listing = String::from_utf8_lossy(&ask(to, &format!("GET {path}"), "").body).into_owned();
    let links =
        listing.split("href=\"").skip(1).map(|rest| rest.split('"').next().expect("an end"));
    let (mut contents, mut others) = (BTreeSet::new(), Vec::new());
    for link in links.filter(|link| !link.starts_with("../") && !link.starts_with('?')) {
        let link = link.trim_start_matches("./");
        let answer = ask(to, &format!("GET {path}{link}"), "");
        if answer.status == 200 && !link.ends_with('/') {
            assert!(contents.insert(answer.body), "{link} is listed twice");
        } else {
            others.push(link.to_owned());
        }
    }
    others.sort();
    (contents, others)
}

#[test]
fn listings_lead_to_the_files_that_those_of_nginx_lead_to() {
    let Some(servers) = Servers::start() else { return };
    let dir = servers.dir.path().join("root/list");
    fs::create_dir_all(dir.join("sub")).expect("a directory");
    let long = "n".repeat(200);
    let names = ["a b", "a&b<c>\"d'", "c:d", "50%", "%41", "q?x#y", "a;b+c", "\\", "\u{e4}", &long];
    let names = names.into_iter().map(str::as_bytes).chain([&b"\xff\xfe"[..], b"\n"]);
    for name in names.chain([&b".hidden"[..]]) {
        fs::write(dir.join(OsStr::from_bytes(name)), name).expect("a file");
    }
    fs::write(servers.dir.path().join("outside"), "outside").expect("a file");
    fs::write(servers.dir.path().join("root/linked"), "linked").expect("a file");
    for (to, name) in [("../linked", "link"), ("nowhere", "broken"), ("../../outside", "out")] {
        symlink(to, dir.join(name)).expect("a link");
    }
    let _socket = UnixListener::bind(dir.join("socket")).expect("a socket");
    let [ours, nginx] =
        ["ours", "nginx"].map(|name| follow(&servers.dir.path().join(name), "/list/"));
    // Links that leave the root are not followed.
    let mut expected = nginx.0;
    assert!(expected.remove(&b"outside"[..]));
    assert_eq!(ours.0, expected);
    // What is not served is not listed.
    assert_eq!(ours.1, ["sub/"]);
    assert_eq!(nginx.1, ["broken", "socket", "sub/"]);
}

#[test]
fn requests_for_listings_get_the_statuses_of_nginx_or_the_reason_is_known() {
    let Some(servers) = Servers::start() else { return };
    let (before, after) = (
        &*format!("If-Unmodified-Since: {BEFORE}\r\n"),
        &*format!("If-Modified-Since: {AFTER}\r\n"),
    );
    for (line, fields, ours, nginx) in [
        ("HEAD /dir/", "", 200, 200),
        ("GET /dir/?x", "", 200, 200),
        ("GET /dir//", "", 200, 200),
        ("GET /dir/index.html", "", 404, 404),
        ("GET /dir/", "Range: bytes=0-1\r\n", 200, 200),
        ("GET /dir/", "If-Match: \"x\"\r\n", 412, 412),
        ("GET /dir/", "If-None-Match: *\r\n", 304, 304),
        ("GET /dir/", after, 200, 200),
        // RFC 9110, section 13.1.4: a listing has no date, so the condition is ignored.
        ("GET /dir/", before, 200, 412),
        // RFC 9110, section 15.5.6: another method is allowed.
        ("POST /dir/", "Content-Length: 0\r\n", 405, 403),
        // RFC 9110, section 9.3.7.
        ("OPTIONS /dir/", "", 204, 405),
    ] {
        let statuses = servers.ask(line, fields).map(|answer| answer.status);
        assert_eq!(statuses, [ours, nginx], "{line} {fields}");
    }
}
