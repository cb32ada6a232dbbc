//! TLS on either side of the example `proxy`, and through it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::haproxy::Haproxy;
use crate::process::{Outcome, Server, eventually, example, has, run};
use crate::tls::{authority, missing_tools, serve};

/// A proxy with these options, which writes its log to a file.
fn proxy(dir: &Path, options: &[&str]) -> Server {
    let mut command = example("proxy");
    command.current_dir(dir).args(options);
    let log = File::create(dir.join("log")).expect("a new file");
    Server::start(command.stderr(log))
}

fn curl(dir: &Path, arguments: &[&str], url: String) -> Outcome {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--ipv4"]);
    run(curl.current_dir(dir).args(arguments).arg(url))
}

/// A server of files over TLS, and a directory with its certificate and the file `name`, which says
/// its name.
fn files(name: &str, more: &[&str]) -> (TempDir, Server) {
    let dir = authority();
    fs::write(dir.path().join("name"), name).expect("a file");
    let server = serve("http", dir.path(), more);
    (dir, server)
}

/// The log once it has a line with this text.
fn logged(dir: &Path, text: &str) {
    eventually(text, || {
        let log = fs::read_to_string(dir.join("log")).expect("the log");
        log.contains(text).then_some(())
    });
}

#[test]
fn tls_may_be_on_each_side_and_on_both() {
    if missing_tools() {
        return;
    }
    let (dir, back) = files("back", &[]);
    let dir = dir.path();
    let plain = Server::start(example("http").arg(dir));
    let ca = ["--upstream-ca", "ca.pem"];
    let front = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let (to, encrypted) = (plain.address.to_string(), format!("localhost:{}", back.address.port()));
    let (tls, https) = (format!("tls://{encrypted}"), format!("https://{encrypted}/"));
    for (option, target, is_encrypted) in [
        ("--to", &tls, true),
        ("--http", &https, true),
        ("--to", &to, false),
        ("--http", &to, false),
    ] {
        for is_front_encrypted in [false, true] {
            let mut options = vec![option, target.as_str()];
            options.extend(ca.iter().filter(|_| is_encrypted));
            options.extend(front.iter().filter(|_| is_front_encrypted));
            let proxy = proxy(dir, &options);
            let scheme = if is_front_encrypted { "https" } else { "http" };
            let url = format!("{scheme}://localhost:{}/name", proxy.address.port());
            let got = curl(dir, &["--cacert", "ca.pem"], url);
            assert_eq!((got.stdout.as_str(), got.code), ("back", Some(0)), "{options:?} {got:?}");
            let shown = target.trim_end_matches('/');
            assert!(proxy.line.trim_end().ends_with(&format!(" to {shown}")), "{}", proxy.line);
            let is_url = proxy.line.contains(&format!("{scheme}://127.0.0.1"));
            assert_eq!(is_url, option == "--http", "{}", proxy.line);
        }
    }
}

#[test]
fn a_target_that_is_not_verified_gets_nothing_and_the_log_says_why() {
    if missing_tools() {
        return;
    }
    let (dir, back) = files("back", &[]);
    let (dir, stranger) = (dir.path(), authority());
    fs::copy(stranger.path().join("ca.pem"), dir.join("other.pem")).expect("a copy");
    let port = back.address.port();
    for (host, options, why) in [
        (
            "localhost",
            &["--upstream-ca", "other.pem"][..],
            "invalid peer certificate: BadSignature",
        ),
        (
            "127.0.0.1",
            &["--upstream-ca", "ca.pem", "--upstream-name", "c.example"],
            "not valid for name",
        ),
        ("localhost", &["--upstream-ca", "ca.pem", "--upstream-name", "a.example"], ""),
        ("127.0.0.1", &["--upstream-ca", "ca.pem"], ""),
    ] {
        for (option, scheme) in [("--to", "tls"), ("--http", "https")] {
            let target = format!("{scheme}://{host}:{port}");
            let proxy = proxy(dir, &[&[option, &target], options].concat());
            let url = format!("http://{}/name", proxy.address);
            let got = curl(dir, &["--output", "-", "--write-out", "%{http_code}"], url);
            if why.is_empty() {
                assert_eq!(got.stdout, "back200", "{got:?}");
                continue;
            }
            let status = if option == "--http" { "502" } else { "000" };
            assert_eq!(got.stdout, status, "{got:?}");
            logged(dir, &format!("{host}:{port}: TLS handshake: "));
            logged(dir, why);
        }
    }
}

#[test]
fn a_target_gets_the_certificate_of_the_proxy_if_it_asks_for_one() {
    if missing_tools() {
        return;
    }
    let (dir, back) = files("back", &["--tls-client-ca", "ca.pem"]);
    let dir = dir.path();
    let target = format!("tls://localhost:{}", back.address.port());
    let own = ["--upstream-cert", "client.pem", "--upstream-key", "client.key"];
    for (certificate, code) in [(&own[..], Some(0)), (&[], Some(56))] {
        let options = [&["--to", &target, "--upstream-ca", "ca.pem"], certificate].concat();
        let proxy = proxy(dir, &options);
        let got = curl(dir, &[], format!("http://{}/name", proxy.address));
        assert_eq!(got.code, code, "{got:?}");
    }
}

#[test]
fn the_header_for_a_target_comes_before_tls() {
    if missing_tools() {
        return;
    }
    let (dir, back) = files("back", &["--accept-proxy", "127.0.0.1"]);
    let dir = dir.path();
    let target = format!("tls://localhost:{}", back.address.port());
    for version in ["v1", "v2"] {
        let options = ["--to", &target, "--upstream-ca", "ca.pem", "--send-proxy", version];
        let proxy = proxy(dir, &options);
        let got = curl(dir, &[], format!("http://{}/name", proxy.address));
        assert_eq!(got.stdout, "back", "{got:?}");
    }
}

#[test]
fn each_name_is_passed_to_its_own_server_which_ends_tls() {
    if missing_tools() {
        return;
    }
    let ((a, of_a), (b, of_b)) = (files("a", &[]), files("b", &[]));
    let names = [("a.example", &of_a), ("*.example", &of_b)];
    let names = names.map(|(name, server)| format!("{name}={}", server.address));
    let proxy = proxy(a.path(), &["--sni", &names[0], "--sni", &names[1]]);
    let port = proxy.address.port();
    for (dir, name, other) in [(&a, "a", &b), (&b, "b", &a)] {
        let (dir, other) = (dir.path(), other.path());
        let url = format!("https://{name}.example:{port}/name");
        let at = format!("{name}.example:{port}:127.0.0.1");
        for version in ["1.2", "1.3"] {
            let tls = ["--cacert", "ca.pem", "--resolve", &at, "--tls-max", version];
            let got = curl(dir, &tls, url.clone());
            assert_eq!((got.stdout.as_str(), got.code), (name, Some(0)), "{got:?}");
            // The certificate is that of the other server.
            assert_eq!(curl(other, &tls, url.clone()).code, Some(60));
        }
    }
    // localhost has no target.
    let refused = curl(a.path(), &["--cacert", "ca.pem"], format!("https://localhost:{port}/"));
    assert_eq!(refused.code, Some(35), "{refused:?}");
    assert!(refused.stderr.contains("unrecognized name"), "{refused:?}");
    let mut plain = proxy.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a server that reads");
    let mut alert = Vec::new();
    plain.read_to_end(&mut alert).expect("an end");
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 50]);
}

#[test]
fn haproxy_gets_the_client_and_the_name_in_front_of_tls_that_only_it_ends() {
    if missing_tools() || !has("haproxy") {
        return;
    }
    let dir = authority();
    let path = dir.path();
    let pem = ["server.pem", "server.key"].map(|name| fs::read(path.join(name)).expect("a file"));
    fs::write(path.join("both.pem"), pem.concat()).expect("a file");
    let answer = "mode http\nhttp-request return status 200 content-type text/plain \
                  lf-string \"%[fc_pp_authority] %[ssl_fc_sni] %[src]\"";
    let tls = format!("accept-proxy ssl crt {}", path.join("both.pem").display());
    let haproxy = Haproxy::start_with(&tls, answer);
    let name = format!("*.example={}", haproxy.address);
    let options = ["--sni", &name, "--send-proxy", "v2", "--accept-proxy", "127.0.0.1"];
    let proxy = proxy(path, &options);
    let port = proxy.address.port();
    let at = format!("a.example:{port}:127.0.0.1");
    let tls = ["--cacert", "ca.pem", "--resolve", &at, "--haproxy-protocol"];
    let got = curl(path, &tls, format!("https://a.example:{port}/"));
    assert_eq!(got.stdout, "a.example a.example 127.0.0.1", "{got:?}");
}

#[test]
fn a_proxy_that_is_refused_is_named_in_the_log() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = nobody.local_addr().expect("its address").to_string();
    let proxy = proxy(dir.path(), &["--to", &target, "--accept-proxy", "192.0.2.0/24"]);
    let _client = proxy.connect();
    logged(dir.path(), " was refused: it is not a trusted proxy");
    let wrong = run(example("echo").args(["--accept-proxy", "10.0.0.1/8"]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("beyond the prefix; write 10.0.0.0/8"), "{wrong:?}");
}
