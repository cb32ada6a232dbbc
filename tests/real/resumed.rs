//! Uploads to the example `http --upload --resume` that are interrupted: by curl, which continues
//! with `-C`, and from a listing in a browser, which continues by itself.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::tempdir;

use crate::chromium::Browser;
use crate::process::{Outcome, Server, eventually, example, has, run};
use crate::random::noise;

const SIZE: usize = 12 << 20;
/// Where the first upload is interrupted.
const CUT: usize = 5 << 20;
const PARTIALS: &str = ".uploads.0000000000000000.part";

fn start(root: &Path) -> Server {
    Server::start(example("http").args(["--upload", "--resume", "1h"]).arg(root))
}

/// A proxy that cuts the first `cuts` connections on which a client has sent `cut` bytes.
fn start_proxy(server: SocketAddr, cuts: usize, cut: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let left = Arc::new(AtomicUsize::new(cuts));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(server) else { continue };
            let (client, server, left) = (Arc::new(client), Arc::new(server), left.clone());
            let (to, from) = (client.clone(), server.clone());
            thread::spawn(move || {
                let _ = io::copy(&mut &*from, &mut &*to);
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = forward(&client, &server, &left, cut);
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    address
}

/// Forwards what a client sends until one side ends or the connection is to be cut.
fn forward(
    mut client: &TcpStream,
    mut server: &TcpStream,
    left: &AtomicUsize,
    cut: usize,
) -> io::Result<()> {
    let (mut buffer, mut count) = (vec![0; 64 << 10], 0);
    loop {
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        server.write_all(&buffer[..length])?;
        count += length;
        let take = |left: usize| left.checked_sub(1);
        if count >= cut && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            return Ok(());
        }
    }
}

/// Uploads a file with curl, which prints the head of the response.
fn curl(file: &Path, server: SocketAddr, arguments: &[&str]) -> Outcome {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "120", "--dump-header", "-"]);
    curl.args(["--header", "Upload-Token: 8a1f60c95be24d73", "--upload-file"]).arg(file);
    run(curl.args(arguments).arg(format!("http://{server}/a")).stdin(Stdio::null()))
}

/// The offset in a response.
fn offset_in(head: &str) -> usize {
    let mut offsets = head.lines().filter_map(|line| line.strip_prefix("Upload-Offset: "));
    offsets.next().expect("an offset").trim_end().parse().expect("a number")
}

#[test]
fn curl_continues_an_upload_though_another_process_serves_the_directory() {
    if !has("curl") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let file = local.path().join("a");
    fs::write(&file, noise(SIZE, 1)).expect("a file");
    let server = start(dir.path());
    let outcome = curl(&file, start_proxy(server.address, 1, CUT), &[]);
    assert!(!outcome.stdout.contains("HTTP/1.1 2"), "{outcome:?}");
    assert!(!dir.path().join("a").exists());
    drop(server);
    let server = start(dir.path());
    // The same command again tells where to continue.
    let outcome = curl(&file, server.address, &[]);
    assert!(outcome.stdout.contains("HTTP/1.1 409"), "{outcome:?}");
    let offset = offset_in(&outcome.stdout);
    assert!((1..SIZE).contains(&offset), "{offset}");
    let outcome = curl(&file, server.address, &["--continue-at", &offset.to_string()]);
    assert!(outcome.stdout.contains("HTTP/1.1 201"), "{outcome:?}");
    assert!(fs::read(dir.path().join("a")).expect("the upload") == noise(SIZE, 1));
    assert_eq!(fs::read_dir(dir.path().join(PARTIALS)).expect("a directory").count(), 0);
}

/// Uploads a file on the page that the browser shows, and waits until the server of `dir` has it.
fn upload(browser: &mut Browser, dir: &Path) {
    let local = tempdir().expect("a directory");
    let file = local.path().join("a");
    fs::write(&file, noise(SIZE, 1)).expect("a file");
    browser.choose("#files", &[file.to_str().expect("characters")]);
    browser.click("button");
    eventually("the upload", || dir.join("a").exists().then_some(()));
    assert!(fs::read(dir.join("a")).expect("the upload") == noise(SIZE, 1));
}

#[test]
fn a_browser_continues_an_upload_whose_connection_is_cut() {
    if !has("chromium") {
        return;
    }
    let dir = tempdir().expect("a directory");
    let server = start(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", start_proxy(server.address, 1, CUT)));
    // What the page sends, since it is loaded anew at the end.
    browser.eval(
        "{
            const { setRequestHeader } = XMLHttpRequest.prototype;
            sessionStorage.ranges = '';
            XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
                if (name === 'Content-Range') sessionStorage.ranges += `${value};`;
                setRequestHeader.call(this, name, value);
            };
        }",
    );
    upload(&mut browser, dir.path());
    browser.wait_for("document.querySelectorAll('td a').length === 1");
    let ranges = browser.eval("sessionStorage.ranges");
    let ranges: Vec<_> = ranges.as_str().expect("text").split_terminator(';').collect();
    let (last, questions) = ranges.split_last().expect("a part");
    assert!(questions.iter().all(|range| *range == format!("bytes */{SIZE}")), "{ranges:?}");
    let end = format!("-{}/{SIZE}", SIZE - 1);
    let offset = last.strip_prefix("bytes ").and_then(|range| range.strip_suffix(&end));
    let offset: usize = offset.expect("a part").parse().expect("a number");
    assert!((1..SIZE).contains(&offset), "{ranges:?}");
    assert_eq!(fs::read_dir(dir.path().join(PARTIALS)).expect("a directory").count(), 0);
}

#[test]
fn a_browser_continues_an_upload_as_long_as_more_of_it_arrives() {
    if !has("chromium") {
        return;
    }
    let dir = tempdir().expect("a directory");
    let server = start(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", start_proxy(server.address, 6, SIZE / 8)));
    upload(&mut browser, dir.path());
}

#[test]
fn a_folder_is_not_tried_again_and_the_next_file_is_uploaded() {
    if !has("chromium") {
        return;
    }
    let (dir, local) = (tempdir().expect("a directory"), tempdir().expect("a directory"));
    let [folder, file] = ["folder", "file"].map(|name| local.path().join(name));
    fs::create_dir(&folder).expect("a folder");
    fs::write(&file, "content").expect("a file");
    let server = start(dir.path());
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.address));
    browser.drop(&[&folder, &file].map(|path| path.to_str().expect("characters")));
    browser.wait_for("document.querySelectorAll('output')[1]?.textContent === 'done'");
    let state = browser.eval("document.querySelector('output').textContent");
    assert_eq!(state, "cannot be read");
    assert_eq!(fs::read(dir.path().join("file")).expect("the upload"), b"content");
}
