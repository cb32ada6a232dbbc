//! Uploads to the example `http --upload`, by curl and by raw sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::client::Client;
use crate::process::{Outcome, Server, eventually, example, has, path_of, run};
use crate::random::noise;

fn start(root: &Path) -> Server {
    Server::start(example("http").arg("--upload").arg(root))
}

/// Uploads with curl, which prints the status of each answer and the number of connections it
/// opened for it.
fn curl(arguments: &[&str]) -> Outcome {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "120", "--output", "/dev/null"]);
    curl.args(["--write-out", "%{http_code} %{num_connects}\n"]).args(arguments);
    run(curl.stdin(Stdio::null()))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("a name").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn curl_puts_files_of_all_sizes_on_one_connection() {
    const SIZES: [usize; 5] = [0, 1, 5000, 100_000, 8 << 20];
    if !has("curl") {
        return;
    }
    let (from, to) = (tempdir().expect("a new directory"), tempdir().expect("a new directory"));
    let server = start(to.path());
    for len in SIZES {
        fs::write(from.path().join(len.to_string()), noise(len, 1)).expect("a file");
    }
    for (flags, status) in [
        (&[][..], 201),
        (&["--header", "Expect: 100-continue"], 204),
        (&["--header", "Transfer-Encoding: chunked"], 204),
    ] {
        let mut arguments: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        // curl does not send the last chunk if it knows that there is no other.
        let chunked = flags.iter().any(|flag| flag.contains("chunked"));
        let sizes = &SIZES[usize::from(chunked)..];
        for len in sizes {
            let file = from.path().join(len.to_string());
            let url = format!("http://{}/{len}", server.address);
            let file = file.to_str().expect("text").to_owned();
            arguments.extend(["--upload-file".to_owned(), file, url]);
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let outcome = curl(&arguments);
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(lines[0], format!("{status} 1"), "{outcome:?}");
        assert_eq!(lines[1..], vec![format!("{status} 0"); sizes.len() - 1], "{outcome:?}");
        for &len in sizes {
            let there = fs::read(to.path().join(len.to_string())).expect("it was put");
            assert!(there == noise(len, 1), "{len} bytes with {flags:?}");
        }
    }
    assert_eq!(names(to.path()), ["0", "1", "100000", "5000", "8388608"]);
}

#[test]
fn a_client_that_sends_all_of_a_refused_upload_first_gets_the_answer() {
    let dir = tempdir().expect("a new directory");
    // Without --upload.
    let server = Server::start(example("http").arg(dir.path()));
    let mut client = Client::new(&server);
    let body = vec![b'x'; 20 << 20];
    client.send(
        format!("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
    );
    client.send(&body);
    assert_eq!(client.head().status, 405);
}

#[test]
fn what_curl_reads_from_a_pipe_is_put_without_a_length() {
    if !has("curl") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let server = start(dir.path());
    let url = format!("http://{}/piped", server.address);
    let piped = "head --bytes 3000000 /dev/zero | curl --silent --upload-file - \
                 --output /dev/null --write-out '%{http_code}' \"$0\"";
    let outcome = run(Command::new("sh").args(["-c", piped, &url]));
    assert_eq!(outcome.stdout, "201", "{outcome:?}");
    let there = fs::read(dir.path().join("piped")).expect("it was put");
    assert!(there.len() == 3_000_000 && there.iter().all(|byte| *byte == 0));
}

/// Uploads `len` bytes and returns the status. The server may answer before it has all of them.
fn put(server: &Server, path: &str, len: usize) -> u16 {
    let mut stream = server.connect();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("a server that reads");
    let mut writer = stream.try_clone().expect("a clone");
    let sending = std::thread::spawn(move || {
        // The server closes the connection early if it has no room.
        let _ = writer.write_all(&noise(len, 2));
    });
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    sending.join().expect("no panic");
    String::from_utf8_lossy(&answer[9..]).parse().expect("a status")
}

/// Asserts that a server with room for less than 8 MiB refuses long files and stores short ones.
fn assert_says_that_it_is_full(server: &Server, root: &str) {
    for _ in 0..3 {
        assert_eq!(put(server, "/large", 8 << 20), 507);
        assert_eq!(put(server, "/small", 100_000) / 100, 2);
    }
    let mut client = Client::new(server);
    assert_eq!(client.get("/small").1.len(), 100_000);
    let visible = fs::read_dir(root).map(Iterator::count).ok();
    assert_eq!(client.get("/large").0.status, 404, "of {visible:?} names");
}

/// A write beyond the limit raises `SIGXFSZ`, which by default ends the process.
#[test]
fn a_file_beyond_the_limit_of_the_process_is_507_and_the_server_goes_on() {
    if !has("prlimit") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let mut command = Command::new("prlimit");
    command.arg("--fsize=4000000").arg(path_of("http")).arg("--upload").arg(dir.path());
    let mut server = Server::start(command.stderr(Stdio::null()));
    assert_says_that_it_is_full(&server, &dir.path().to_string_lossy());
    assert_eq!(names(dir.path()), ["small"]);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

/// A server that stores uploads in a file system in memory of its own, with these options, and the
/// path to it. `None` if this user may not mount.
#[cfg(target_os = "linux")]
fn start_in_memory(options: &str, dir: &Path) -> Option<(Server, String)> {
    let private = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let mount = format!("mount -t tmpfs -o {options} none \"$1\"");
    // Not every user may mount. The simulated kernel has a test of a full disk as well.
    if !has("unshare") || run(private(&mount).arg("sh").arg(dir)).code != Some(0) {
        return None;
    }
    let script = format!("{mount} && shift && exec \"$0\" \"$@\"");
    let mut command = private(&script);
    command.arg(path_of("http")).arg(dir).arg("--upload").arg(dir);
    let server = Server::start(command.stderr(Stdio::null()));
    let root = format!("/proc/{}/root{}", server.pid(), dir.display());
    Some((server, root))
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_507_and_the_server_goes_on() {
    let dir = tempdir().expect("a new directory");
    let Some((server, root)) = start_in_memory("size=3m", dir.path()) else { return };
    assert_says_that_it_is_full(&server, &root);
    assert_eq!(names(Path::new(&root)), ["small"]);
}

/// Sends a form with these files, and returns the status.
#[cfg(target_os = "linux")]
fn post(server: &Server, names: &[&str]) -> u16 {
    let part = |name: &&str| {
        let fields = format!("Content-Disposition: form-data; name=f; filename=\"{name}\"");
        format!("--b\r\n{fields}\r\n\r\nsome bytes\r\n")
    };
    let body = names.iter().map(part).collect::<String>() + "--b--\r\n";
    let mut client = Client::new(server);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b";
    client.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    client.answer().0.status
}

#[test]
#[cfg(target_os = "linux")]
fn a_form_whose_files_cannot_be_created_is_refused_and_the_server_goes_on() {
    let dir = tempdir().expect("a new directory");
    // The root and one file.
    let Some((server, root)) = start_in_memory("nr_inodes=2", dir.path()) else { return };
    assert_eq!(post(&server, &["first", "second"]), 507);
    assert_eq!(names(Path::new(&root)), ["first"]);
    assert_eq!(post(&server, &["second"]), 507);
    fs::remove_file(Path::new(&root).join("first")).expect("it was saved");
    assert_eq!(post(&server, &["second"]), 303);
    assert_eq!(names(Path::new(&root)), ["second"]);

    let (server, root) = start_in_memory("ro", dir.path()).expect("it could mount");
    assert_eq!(post(&server, &["first"]), 403);
    assert_eq!(names(Path::new(&root)), [""; 0]);
}

/// `SLUICEGATE_UPLOADS=10000` sets the number of clients.
#[test]
#[cfg(target_os = "linux")]
fn a_thousand_clients_that_leave_in_the_middle_leave_neither_file_nor_descriptor() {
    let uploads =
        std::env::var("SLUICEGATE_UPLOADS").map_or(1000, |n| n.parse().expect("a number"));
    let descriptors = |server: &Server| {
        fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a process").count()
    };
    let dir = tempdir().expect("a new directory");
    let server = start(dir.path());
    // A client that stays. Once it has its answer, the server has opened everything it keeps open.
    let mut stays = Client::new(&server);
    stays.send(b"PUT /there HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(stays.answer().0.status, 201);
    let idle = descriptors(&server);
    for number in 0..uploads {
        let mut stream = server.connect();
        let length = if number % 2 == 0 { "Content-Length: 100000" } else { CHUNKED };
        let head = format!("PUT /there HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n10\r\nhello");
        stream.write_all(head.as_bytes()).expect("a server that reads");
        if number % 3 == 0 {
            stream.shutdown(Shutdown::Write).expect("a connection");
        }
    }
    // Accepted after all the others, so the server has opened their files before.
    let mut last = Client::new(&server);
    assert_eq!(last.get("/there").1.len(), 10);
    eventually("the end of all uploads", || (descriptors(&server) == idle + 1).then_some(()));
    assert_eq!(names(dir.path()), ["there"]);
    assert_eq!(stays.get("/there").1.len(), 10);
}

#[cfg(target_os = "linux")]
const CHUNKED: &str = "Transfer-Encoding: chunked";

/// `SLUICEGATE_UPLOAD_MIB=1024` sends a GiB.
#[test]
#[cfg(target_os = "linux")]
fn a_long_upload_takes_no_memory() {
    let mib = std::env::var("SLUICEGATE_UPLOAD_MIB").map_or(64, |mib| mib.parse().expect("MiB"));
    let dir = tempdir().expect("a new directory");
    let server = start(dir.path());
    let mut stream = server.connect();
    let len = mib << 20;
    let head = format!("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("a server that reads");
    let part = noise(1 << 20, 3);
    let mut most = 0;
    for _ in 0..mib {
        stream.write_all(&part).expect("a server that reads");
        most = most.max(crate::memory::anonymous(server.pid()));
    }
    let mut client = Client::over(stream);
    assert_eq!(client.head().status, 201);
    assert_eq!(fs::metadata(dir.path().join("a")).expect("it was put").len(), len);
    assert!(most < 8 << 20, "{most} bytes of memory for {mib} MiB");
}
