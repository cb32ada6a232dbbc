//! The proxy for HTTP, with the clients and servers of others around it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;

use socket2::{Domain, Socket, Type};
use tempfile::{TempDir, tempdir};

use crate::client::Client;
use crate::haproxy::{Haproxy, SIZES, connect, get_and_put};
use crate::http_client::Nginx;
use crate::process::{Server, eventually, example, has, run};
use crate::random::noise;

fn proxy_to(origin: impl ToString) -> Server {
    Server::start(example("proxy").args(["--http", &origin.to_string()]))
}

/// A server of a directory, in which some files are.
fn files_in(dir: &Path) -> Server {
    for len in SIZES {
        fs::write(dir.join(len.to_string()), noise(len, 1)).expect("a file");
    }
    Server::start(example("http").arg("--upload").arg(dir))
}

/// Gets files and puts some, on several connections.
fn files_pass(at: SocketAddr, dir: &Path) {
    thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || get_and_put(at, dir, client));
        }
    });
}

#[test]
fn requests_are_divided_among_targets_and_none_fails_when_one_dies() {
    let dirs = [(); 2].map(|()| tempdir().expect("a new directory"));
    let mut targets = [("a", &dirs[0]), ("b", &dirs[1])].map(|(name, dir)| {
        fs::write(dir.path().join("name"), name).expect("a file");
        Server::start(example("http").arg(dir.path()))
    });
    // Connections to a socket that does not listen are refused.
    let dead = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    dead.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    let dead = dead.local_addr().expect("an address").as_socket().expect("an IP address");
    let [a, b] = targets.each_ref().map(|target| target.address);
    let proxy = proxy_to(format!("{a},{dead},{b}"));
    let mut client = Client::new(&proxy);
    let mut names = |count| {
        let mut ask = || {
            let (head, body) = client.get("/name");
            assert_eq!(head.status, 200, "{head:?}");
            String::from_utf8(body).expect("text")
        };
        (0..count).map(|_| ask()).collect::<String>()
    };
    let answered = names(20);
    let from_a = answered.matches('a').count();
    assert!((5..=15).contains(&from_a), "{answered}");
    targets[1].signal("KILL");
    targets[1].wait();
    assert_eq!(names(20), "a".repeat(20));
}

#[test]
fn a_target_whose_checks_fail_gets_no_requests_until_they_succeed() {
    let dirs = [(); 2].map(|()| tempdir().expect("a new directory"));
    let targets = [("a", &dirs[0]), ("b", &dirs[1])].map(|(name, dir)| {
        fs::write(dir.path().join("name"), name).expect("a file");
        Server::start(example("http").arg(dir.path()))
    });
    let write = |dir: &TempDir| fs::write(dir.path().join("healthy"), "").expect("a file");
    write(&dirs[0]);
    let [a, b] = targets.each_ref().map(|target| target.address);
    let to = format!("{a},{b}");
    let checks = [
        "--check",
        "50ms",
        "--check-path",
        "/healthy?of=b",
        "--check-host",
        "x",
        "--rise",
        "1",
        "--fall",
        "1",
    ];
    let proxy = Server::start(example("proxy").args(["--http", &to]).args(checks));
    let mut client = Client::new(&proxy);
    let mut names = || {
        let names = (0..4).map(|_| String::from_utf8(client.get("/name").1).expect("text"));
        names.collect::<String>()
    };
    eventually("requests to a alone", || (names() == "aaaa").then_some(()));
    write(&dirs[1]);
    eventually("requests to both", || names().contains('b').then_some(()));
    fs::remove_file(dirs[0].path().join("healthy")).expect("a file");
    eventually("requests to b alone", || (names() == "bbbb").then_some(()));
}

#[test]
fn the_options_for_fields_reach_both_sides_and_requests_are_logged() {
    let origin = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = origin.local_addr().expect("its address").to_string();
    let dir = tempdir().expect("a new directory");
    let log = dir.path().join("log");
    let mut proxy = example("proxy");
    proxy.args(["--http", &at, "--client-address=X-Real-IP"]);
    proxy.args(["--header-up=Authorization:", "--header-up=X-Frontend: a", "--change-host"]);
    proxy.args(["--header-down=Server:", "--header-down=X-Frame-Options: DENY", "--access-log"]);
    let mut proxy = Server::start(proxy.arg(&log));
    let mut client = Client::new(&proxy);
    client.send(
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YTpi\r\nX-Real-IP: 1.2.3.4\r\n\
          X-Forwarded-For: 1.2.3.4\r\nX-Frontend: b\r\n\r\n",
    );
    let (mut connection, _) = origin.accept().expect("a connection");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("a request");
        request.extend(byte);
    }
    let request = String::from_utf8(request).expect("text");
    let expected = format!(
        "GET /a HTTP/1.1\r\nHost: {at}\r\nX-Frontend: a\r\nVia: 1.1 sluicegate\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n\
         X-Real-IP: 127.0.0.1\r\n\r\n"
    );
    assert_eq!(request, expected);
    let response = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nhi";
    connection.write_all(response).expect("a proxy");
    let (head, body) = client.answer();
    assert_eq!((head.status, &body[..]), (200, &b"hi"[..]));
    assert!(head.fields.contains("X-Frame-Options: DENY\r\n"), "{head:?}");
    assert!(!head.fields.contains("Server"), "{head:?}");
    proxy.signal("TERM");
    assert_eq!(proxy.wait(), Some(0));
    let logged = fs::read_to_string(&log).expect("a log");
    assert!(logged.contains("] \"GET /a HTTP/1.1\" 200 2 "), "{logged}");
}

#[test]
fn files_of_all_sizes_pass_in_both_directions() {
    let dir = tempdir().expect("a new directory");
    let server = files_in(dir.path());
    let proxy = proxy_to(server.address);
    files_pass(proxy.address, dir.path());
}

#[test]
fn files_pass_with_haproxy_before_or_behind_the_proxy() {
    if !has("haproxy") {
        return;
    }
    let haproxy_to = |to: SocketAddr| Haproxy::start(&format!("mode http\nserver back {to}"));
    let dir = tempdir().expect("a new directory");
    let server = files_in(dir.path());
    let proxy = proxy_to(server.address);
    let before = haproxy_to(proxy.address);
    files_pass(before.address, dir.path());
    let dir = tempdir().expect("a new directory");
    let server = files_in(dir.path());
    let behind = haproxy_to(server.address);
    let proxy = proxy_to(behind.address);
    files_pass(proxy.address, dir.path());
}

#[test]
fn curl_gets_and_puts_files_of_nginx_through_the_proxy() {
    if !has("nginx") || !has("curl") {
        return;
    }
    let nginx = Nginx::start();
    let proxy = proxy_to(&nginx.address);
    let dir = tempdir().expect("a new directory");
    let (file, copy) = (dir.path().join("file"), dir.path().join("copy"));
    for (number, len) in SIZES.into_iter().enumerate() {
        fs::write(&file, noise(len, 2)).expect("a file");
        // curl does not end an empty body that is chunked.
        let framings = ["Expect: 100-continue", "Transfer-Encoding: chunked"];
        for framing in &framings[..1 + usize::from(len > 0)] {
            let name = format!("{number}-{}", framing.len());
            let url = format!("http://{}/{name}", proxy.address);
            let mut put = Command::new("curl");
            put.args(["-sS", "-f", "-H", framing, "-T"]).arg(&file).arg(&url);
            let put = run(&mut put);
            assert_eq!(put.code, Some(0), "{put:?}");
            assert!(fs::read(nginx.path(&name)).expect("it was put") == noise(len, 2), "{name}");
            // Twice on one connection.
            let mut get = Command::new("curl");
            get.args(["-sS", "-f", "-o"]).arg(&copy).arg(&url).arg("-o").arg(&copy).arg(&url);
            let got = run(&mut get);
            assert_eq!(got.code, Some(0), "{got:?}");
            assert!(fs::read(&copy).expect("a copy") == noise(len, 2), "{name}");
        }
    }
    let mut missing = Command::new("curl");
    missing.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]);
    let missing = run(missing.arg(format!("http://{}/missing", proxy.address)));
    assert_eq!(missing.stdout, "404");
}

#[test]
fn an_upgraded_connection_passes_any_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let origin = listener.local_addr().expect("its address");
    let echo = thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("the proxy");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nContent-Length: 0\r\n\r\nfirst";
        peer.write_all(agreed.as_bytes()).expect("the proxy reads");
        let mut echo = [0; 4096];
        while let Ok(count @ 1..) = peer.read(&mut echo) {
            peer.write_all(&echo[..count]).expect("the proxy reads");
        }
        String::from_utf8(head).expect("text")
    });
    let proxy = proxy_to(origin);
    let mut client = Client::over(connect(proxy.address));
    client.send(
        b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.rest().read_exact(&mut byte).expect("a response");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("Upgrade: websocket\r\n") && !head.contains("Length"), "{head}");
    let mut first = [0; 5];
    client.rest().read_exact(&mut first).expect("the origin speaks first");
    assert_eq!(&first, b"first");
    for seed in 1..20 {
        let sent = noise(10_000, seed);
        client.send(&sent);
        let mut received = vec![0; sent.len()];
        client.rest().read_exact(&mut received).expect("an echo");
        assert!(received == sent);
    }
    drop(client);
    let request = echo.join().expect("an origin that ends");
    assert!(request.contains("\r\nUpgrade: websocket\r\n"), "{request}");
    assert!(request.ends_with("\r\nConnection: Upgrade\r\n\r\n"), "{request}");
}
