//! The PROXY protocol, with HAProxy, nginx and curl on the other side. Clients come from
//! 127.0.0.2, and everything else from 127.0.0.1.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};
use tempfile::tempdir;

use crate::client::Client;
use crate::echo::exchange;
use crate::haproxy::{Haproxy, connect};
use crate::process::{PATIENCE, Process, Server, eventually, example, has, run, skip};

/// A connection from 127.0.0.2.
fn connect_as_client(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).expect("an address of Linux");
    socket.connect(&to.into()).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket.into()
}

/// The text that a client gets from `GET /`.
fn get(to: SocketAddr) -> String {
    let (head, body) = Client::over(connect_as_client(to)).get("/");
    assert_eq!(head.status, 200);
    String::from_utf8(body).expect("text")
}

/// A server of files that accepts headers from 127.0.0.1, and its log.
fn files(dir: &Path) -> Server {
    fs::write(dir.join("index.html"), "the page").expect("a file");
    let log = dir.join("log");
    let mut command = example("http");
    command.arg(dir).args(["--accept-proxy", "127.0.0.1", "--access-log"]).arg(log);
    Server::start(&mut command)
}

/// The addresses in the log once it has this many lines.
fn logged(dir: &Path, count: usize) -> Vec<String> {
    eventually("the log", || {
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        let addresses = log.lines().filter_map(|line| Some(line.split_once(" - ")?.0.to_owned()));
        Some(addresses.collect::<Vec<_>>()).filter(|addresses| addresses.len() == count)
    })
}

#[test]
fn row_19_haproxy_sends_the_address_of_its_client_in_both_versions() {
    if !has("haproxy") {
        return;
    }
    for options in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
        "send-proxy check-send-proxy check",
        "send-proxy-v2 check-send-proxy check",
    ] {
        let dir = tempdir().expect("a new directory");
        let server = files(dir.path());
        let mode = "mode http\nunique-id-format %{+X}o%rt";
        let haproxy = Haproxy::start(&format!("{mode}\nserver back {} {options}", server.address));
        assert_eq!(get(haproxy.address), "the page", "{options}");
        assert_eq!(logged(dir.path(), 1), ["127.0.0.2"], "{options}");
    }
}

#[test]
fn row_19_everything_passes_behind_the_header_of_haproxy() {
    if !has("haproxy") {
        return;
    }
    let echo = Server::start(example("echo").args(["--accept-proxy", "127.0.0.0/8"]));
    for version in ["send-proxy", "send-proxy-v2"] {
        let settings = format!("mode tcp\nserver back {} {version}", echo.address);
        let haproxy = Haproxy::start(&settings);
        exchange(&connect(haproxy.address), 4 << 20, 1);
    }
}

/// A proxy that sends headers.
fn proxy_to(target: impl ToString, version: &str, more: &[&str]) -> Server {
    let target = target.to_string();
    let mut command = example("proxy");
    command.args(["--to", &target, "--send-proxy", version]).args(more);
    Server::start(&mut command)
}

#[test]
fn row_19_haproxy_accepts_the_headers_of_the_proxy() {
    if !has("haproxy") {
        return;
    }
    let echo = Server::start(&mut example("echo"));
    for version in ["v1", "v2"] {
        let answer = "mode http\nhttp-request return status 200 content-type text/plain \
                      lf-string \"%[src] %[dst_port]\"";
        let haproxy = Haproxy::start_with("accept-proxy", answer);
        let proxy = proxy_to(haproxy.address, version, &[]);
        assert_eq!(get(proxy.address), format!("127.0.0.2 {}", proxy.address.port()));

        let settings = format!("mode tcp\nserver back {}", echo.address);
        let haproxy = Haproxy::start_with("accept-proxy", &settings);
        exchange(&proxy_to(haproxy.address, version, &[]).connect(), 4 << 20, 2);
    }
}

#[test]
fn row_19_the_address_passes_through_two_proxies() {
    for (first, second) in [("v1", "v2"), ("v2", "v1")] {
        let dir = tempdir().expect("a new directory");
        let server = files(dir.path());
        let second = proxy_to(server.address, second, &["--accept-proxy", "127.0.0.1"]);
        let first = proxy_to(second.address, first, &[]);
        assert_eq!(get(first.address), "the page");
        assert_eq!(logged(dir.path(), 1), ["127.0.0.2"]);
    }
}

/// Starts nginx with these settings.
fn nginx(dir: &Path, settings: &str) -> Process {
    let place = dir.display();
    let file = dir.join("nginx.conf");
    let general = "daemon off;\nmaster_process off;\nerror_log /dev/null;\nevents {}\n";
    // A module must be loaded before anything else.
    fs::write(&file, format!("{settings}pid {place}/pid;\n{general}")).expect("a file");
    let mut command = Command::new("nginx");
    Process::spawn(command.arg("-p").arg(dir).arg("-c").arg(file).stderr(Stdio::null()))
}

#[test]
fn row_19_nginx_sends_the_address_of_its_client() {
    const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
    if !has("nginx") || !(Path::new(MODULE).is_file() || skip("nginx has no stream module")) {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let server = files(dir.path());
    // Nothing else uses this address, so the port stays free.
    let listener = TcpListener::bind("127.0.0.3:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let settings = format!(
        "load_module {MODULE};\nstream {{\nserver {{\nlisten {address};\nproxy_pass {};\n\
         proxy_protocol on;\n}}\n}}\n",
        server.address
    );
    let _nginx = nginx(dir.path(), &settings);
    eventually("nginx", || TcpStream::connect(address).ok());
    for _ in 0..3 {
        assert_eq!(get(address), "the page");
    }
    assert_eq!(logged(dir.path(), 3), ["127.0.0.2"; 3]);
}

#[test]
fn row_19_nginx_accepts_the_headers_of_the_proxy() {
    if !has("nginx") {
        return;
    }
    let dir = tempdir().expect("a new directory");
    let place = dir.path().display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|of| format!("{of}_temp_path {place}/{of};\n")).concat();
    let settings = format!(
        "http {{\n{temporary}access_log off;\n\
         server {{\nlisten unix:{place}/socket proxy_protocol;\n\
         location / {{\nreturn 200 $proxy_protocol_addr;\n}}\n}}\n}}\n"
    );
    let _nginx = nginx(dir.path(), &settings);
    let socket = dir.path().join("socket");
    eventually("nginx", || UnixStream::connect(&socket).ok());
    for version in ["v1", "v2"] {
        let proxy = proxy_to(format!("unix:{}", socket.display()), version, &[]);
        assert_eq!(get(proxy.address), "127.0.0.2");
    }
}

#[test]
fn row_19_curl_sends_a_header_and_is_only_accepted_where_it_is_trusted() {
    if !has("curl") {
        return;
    }
    for (from, is_trusted) in [("127.0.0.0/8", true), ("10.0.0.0/8,::1,unix", false)] {
        let server = Server::start(example("hello").args(["--accept-proxy", from]));
        let url = format!("http://{}/", server.address);
        let curl = |more: &[&str]| {
            run(Command::new("curl").args(["-sS", "--max-time", "60"]).args(more).arg(&url))
        };
        let outcome = curl(&["--haproxy-protocol"]);
        assert_eq!(outcome.code == Some(0), is_trusted, "{outcome:?}");
        assert_eq!(outcome.stdout, if is_trusted { "Hello, World!" } else { "" });
        let outcome = curl(&[]);
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn a_network_that_is_none_is_an_error_that_says_how_one_is_written() {
    let outcome = run(example("echo").args(["--accept-proxy", "localhost"]));
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("localhost: not a network: an IP address"), "{outcome:?}");
    let outcome = run(example("proxy").args(["--http", "localhost:1", "--send-proxy", "v2"]));
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn a_client_without_a_header_gets_nothing() {
    let echo = Server::start(example("echo").args(["--accept-proxy", "127.0.0.1"]));
    let mut client = echo.connect();
    client.write_all(b"hello").expect("an open connection");
    let mut all = Vec::new();
    // It is a reset if it was faster than our bytes.
    let _ = client.read_to_end(&mut all);
    assert_eq!(all, b"");
}
