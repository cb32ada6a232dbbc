//! The example `api`, as curl and a browser's event source would ask it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use crate::client::Client;
use crate::process::{Server, example, has, run};
use crate::random::noise;

fn start(uploads: &Path) -> Server {
    Server::start(example("api").arg("--uploads").arg(uploads))
}

/// What curl receives in answer to these arguments.
fn curl(arguments: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "60"]).args(arguments);
    let outcome = run(&mut curl);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    outcome.stdout
}

#[test]
fn curl_gets_back_json_of_all_sizes_however_it_sends_it() {
    if !has("curl") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let server = start(dir.path());
    let url = format!("http://{}/echo", server.address);
    for len in [0, 1, 1000, 70_000, 1 << 20] {
        let text: String = noise(len, 7).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let file = dir.path().join("json");
        fs::write(&file, &text).expect("a file");
        let body = format!("@{}", file.display());
        for field in ["X-Plain: 1", "Transfer-Encoding: chunked", "Expect: 100-continue"] {
            let json = ["--header", "Content-Type: application/json", "--header", field];
            let sent = [&json[..], &["--data-binary", &body, &url]].concat();
            assert!(curl(&sent) == text, "{len} bytes with {field}");
        }
    }
}

#[test]
fn curl_gets_queries_slow_answers_and_the_name_of_its_upload() {
    if !has("curl") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let server = start(dir.path());
    let url = |path: &str| format!("http://{}{path}", server.address);
    let found = curl(&["--get", "--data-urlencode", "q=a b&c", &url("/search")]);
    assert_eq!(found, "nothing found for \"a b&c\"\n");
    assert_eq!(curl(&[&url("/slow")]), "714264285\n");
    let file = dir.path().join("from");
    fs::write(&file, noise(200_000, 3)).expect("a file");
    let sent = curl(&["--upload-file", file.to_str().expect("text"), &url("/upload/to")]);
    assert_eq!(sent, "saved to\n");
    assert_eq!(fs::read(dir.path().join("to")).expect("a file"), noise(200_000, 3));
}

#[test]
fn nothing_is_stored_unless_a_directory_for_uploads_is_named() {
    let dir = tempdir().expect("a new directory");
    let server = Server::start(example("api").current_dir(dir.path()));
    let mut client = Client::new(&server);
    client.send(b"PUT /upload/to HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.answer().0.status, 404);
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[test]
fn events_come_in_chunks_for_as_long_as_somebody_listens() {
    let dir = tempdir().expect("a new directory");
    let server = start(dir.path());
    let mut stream = TcpStream::connect(server.address).expect("a server");
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n").expect("a request");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(head.iter().any(|field| field == "Content-Type: text/event-stream"));
    let mut last = 0;
    for _ in 0..2 {
        let chunk: Vec<String> = lines.by_ref().take(4).collect();
        let [size, data, end, after] = &chunk[..] else { panic!("{chunk:?}") };
        let event = format!("{data}\n{end}\n");
        assert_eq!((usize::from_str_radix(size, 16), after.as_str()), (Ok(event.len()), ""));
        let second = data.strip_prefix("data: ").and_then(|second| second.parse().ok());
        assert!(second > Some(last), "{chunk:?}");
        last = second.unwrap_or(0);
    }
}
