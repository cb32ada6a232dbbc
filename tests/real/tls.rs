//! The examples over TLS, as curl and OpenSSL speak it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

#[cfg(target_os = "linux")]
use crate::descriptors;
#[cfg(target_os = "linux")]
use crate::memory::anonymous;
use crate::process::{Outcome, Process, Server, eventually, example, has, run};

/// Certificates, as `openssl` makes them: an authority, and what it signed for a server with these
/// names and for a client.
pub(crate) fn authority() -> TempDir {
    let dir = tempdir().expect("a new directory");
    let openssl = |arguments: &str| {
        let mut openssl = Command::new("openssl");
        let made = run(openssl.args(arguments.split(' ')).current_dir(dir.path()));
        assert_eq!(made.code, Some(0), "{arguments}: {made:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Authority -days 2"));
    for (name, subject) in [("server", "localhost"), ("client", "somebody")] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={subject}"));
        fs::write(dir.path().join("names"), NAMES).expect("a file");
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem \
             -days 2 -extfile names"
        ));
    }
    dir
}

/// The names of the server.
const NAMES: &str = "subjectAltName=DNS:localhost,DNS:a.example,DNS:b.example,IP:127.0.0.1";

/// Starts an example with the server's certificate.
pub(crate) fn serve(name: &str, dir: &Path, more: &[&str]) -> Server {
    let mut command = example(name);
    command.current_dir(dir).args(["--tls-cert", "server.pem", "--tls-key", "server.key"]);
    Server::start(command.args(more))
}

fn curl(server: &Server, dir: &Path, arguments: &[&str]) -> Outcome {
    let url = format!("https://localhost:{}/server.pem", server.address.port());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--ipv4"]);
    run(curl.current_dir(dir).args(arguments).arg(url))
}

/// What `openssl s_client` prints if it is given this input.
pub(crate) fn s_client(server: &Server, dir: &Path, arguments: &[&str], input: &[u8]) -> String {
    let address = server.address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address, "-CAfile", "ca.pem", "-verify_return_error"]);
    command.args(arguments).current_dir(dir).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("openssl");
    child.stdin.take().expect("a pipe").write_all(input).expect("input");
    let output = child.wait_with_output().expect("its output");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into()
}

pub(crate) fn missing_tools() -> bool {
    !has("curl") || !has("openssl")
}

#[test]
fn curl_gets_a_file_over_each_version() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let http = serve("http", dir.path(), &["--threads", "2"]);
    let file = fs::read_to_string(dir.path().join("server.pem")).expect("a file");
    for version in ["1.2", "1.3"] {
        let tls = [&format!("--tlsv{version}"), "--tls-max", version, "--cacert", "ca.pem"];
        let got = curl(&http, dir.path(), &tls);
        assert_eq!((got.stdout, got.code), (file.clone(), Some(0)), "{}", got.stderr);
    }
    let untrusted = curl(&http, dir.path(), &[]);
    assert_eq!(untrusted.code, Some(60), "{untrusted:?}");
    let old = curl(&http, dir.path(), &["--tls-max", "1.1", "--cacert", "ca.pem"]);
    assert_eq!(old.code, Some(35), "{old:?}");
}

#[test]
fn curl_gets_a_file_that_the_kernel_seals_or_that_is_sealed_without_it() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let http = serve("http", dir.path(), &["--ktls"]);
    let file = fs::read_to_string(dir.path().join("server.pem")).expect("a file");
    let connections = || {
        let text = fs::read_to_string("/proc/net/tls_stat").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("TlsTxSw"))?;
        line.trim().parse::<u32>().ok()
    };
    // A kernel without the module `tls` has no count, and falls back.
    for version in ["1.2", "1.3"] {
        let before = connections();
        let tls = [&format!("--tlsv{version}"), "--tls-max", version, "--cacert", "ca.pem"];
        let got = curl(&http, dir.path(), &tls);
        assert_eq!((got.stdout, got.code), (file.clone(), Some(0)), "{}", got.stderr);
        assert!(before.is_none_or(|before| connections() > Some(before)), "the kernel sealed it");
    }
}

#[test]
fn openssl_agrees_on_a_protocol_and_gets_an_end() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let http = serve("http", dir.path(), &[]);
    for version in ["-tls1_2", "-tls1_3"] {
        let request = b"GET /ca.pem HTTP/1.0\r\n\r\n";
        let arguments = [version, "-alpn", "h2,http/1.1", "-ign_eof", "-servername", "localhost"];
        let text = s_client(&http, dir.path(), &arguments, request);
        assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
        assert!(text.contains("ALPN protocol: http/1.1"), "{text}");
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        // OpenSSL says so if a close_notify has arrived.
        assert!(text.contains("closed") && !text.contains("unexpected eof"), "{text}");
    }
    let text = s_client(&http, dir.path(), &["-alpn", "http/1.0"], b"");
    assert!(text.contains("ALPN protocol: http/1.0"), "{text}");
    let text = s_client(&http, dir.path(), &["-alpn", "h2", "-ign_eof"], b"");
    assert!(text.contains("no application protocol"), "{text}");
}

#[test]
fn a_session_is_resumed_by_another_thread() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let http = serve("http", dir.path(), &["--threads", "2"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let request = b"GET /ca.pem HTTP/1.0\r\n\r\n";
        let first = ["-sess_out", "session", version, "-ign_eof"];
        let text = s_client(&http, dir.path(), &first, request);
        assert!(text.contains("New, TLS"), "{text}");
        for _ in 0..6 {
            let again = ["-sess_in", "session", version, "-ign_eof"];
            let text = s_client(&http, dir.path(), &again, request);
            assert!(text.contains("Reused, TLS") && text.contains("200 OK"), "{text}");
        }
    }
}

#[test]
fn clients_without_a_certificate_are_refused_if_one_is_required() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let http = serve("http", dir.path(), &["--tls-client-ca", "ca.pem"]);
    let trusting = ["--cacert", "ca.pem"];
    let refused = curl(&http, dir.path(), &trusting);
    assert!(refused.code != Some(0) && refused.stdout.is_empty(), "{refused:?}");
    let own = ["--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key"];
    let got = curl(&http, dir.path(), &own);
    assert_eq!(got.code, Some(0), "{got:?}");
}

#[test]
fn certificates_are_read_again_at_a_hangup_unless_they_are_invalid() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let http = serve("http", dir.path(), &[]);
    let presented = || {
        let text = s_client(&http, dir.path(), &["-showcerts"], b"");
        let certificate = text.find("-----BEGIN").zip(text.find("-----END"));
        certificate.map(|(from, to)| text[from..to].to_owned())
    };
    let before = presented().expect("a certificate");
    fs::write(dir.path().join("server.key"), "no key").expect("a file");
    http.signal("HUP");
    assert_eq!(presented().as_ref(), Some(&before));
    for end in ["pem", "key"] {
        let copy = |from: &str, to: &str| {
            let (from, to) = (dir.path().join(from), dir.path().join(to));
            fs::copy(from, to).expect("a copy");
        };
        copy(&format!("client.{end}"), &format!("server.{end}"));
    }
    http.signal("HUP");
    eventually("the new certificate", || presented().filter(|now| *now != before));
}

#[test]
fn a_key_that_cannot_be_read_at_once_is_an_error_at_a_hangup() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let (key, errors) = (dir.path().join("server.key"), dir.path().join("errors"));
    let mut http = example("http");
    http.current_dir(dir.path()).args(["--tls-cert", "server.pem", "--tls-key", "server.key"]);
    let http = Server::start(http.stderr(fs::File::create(&errors).expect("a file")));
    fs::remove_file(&key).expect("the key");
    assert_eq!(run(Command::new("mkfifo").arg(&key)).code, Some(0));
    http.signal("HUP");
    eventually("an error", || {
        let errors = fs::read_to_string(&errors).expect("a file");
        errors.contains("server.key: not a regular file; the configuration").then_some(())
    });
    let got = curl(&http, dir.path(), &["--cacert", "ca.pem"]);
    assert_eq!(got.code, Some(0), "{got:?}");
}

#[test]
fn a_self_signed_certificate_is_enough_for_clients_that_do_not_verify() {
    if missing_tools() {
        return;
    }
    let hello = Server::start(example("hello").arg("--tls-self-signed"));
    let url = format!("https://{}/", hello.address);
    let got = run(Command::new("curl").args(["--silent", "--insecure", "--max-time", "60", &url]));
    assert_eq!(got.stdout, "Hello, World!");
    let plain = format!("http://{}/", hello.address);
    let got = run(Command::new("curl").args(["--silent", "--max-time", "60", &plain]));
    assert_eq!(got.stdout, "This port speaks HTTPS: use https:// instead of http://.\n");
}

#[test]
fn echo_answers_over_tls() {
    if missing_tools() {
        return;
    }
    let dir = authority();
    let echo = serve("echo", dir.path(), &[]);
    let address = echo.address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &address]).stderr(Stdio::null());
    let mut openssl = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    openssl.stdin().write_all(b"over TLS\n").expect("input");
    let mut line = String::new();
    BufReader::new(openssl.stdout()).read_line(&mut line).expect("a line");
    assert_eq!(line, "over TLS\n");
}

/// How many clients are stuck in their handshakes, and as many send garbage.
#[cfg(target_os = "linux")]
const HOSTILE: usize = 500;

/// What a client in its handshake may cost: its connection, its TLS, and a buffer of 4 KiB.
#[cfg(target_os = "linux")]
const STUCK: u64 = 16 << 10;

#[cfg(target_os = "linux")]
#[test]
fn others_are_served_while_clients_are_stuck_in_the_handshake_or_send_garbage() {
    let Some((_, _turn)) = descriptors::thousands(2 * HOSTILE) else { return };
    if missing_tools() {
        return;
    }
    let dir = authority();
    let begun = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let plain = (&[][..], &[][..], &b""[..]);
    let proxied = (
        &["--accept-proxy", "127.0.0.1"][..],
        &["--haproxy-protocol"][..],
        &b"PROXY UNKNOWN\r\n"[..],
    );
    for (options, of_curl, header) in [plain, proxied] {
        let http = serve("http", dir.path(), options);
        let get = || {
            let got = curl(&http, dir.path(), &[&["--cacert", "ca.pem"], of_curl].concat());
            assert_eq!(got.code, Some(0), "{got:?}");
        };
        get();
        let before = anonymous(http.pid());
        let connect = |bytes: &[u8]| {
            let mut stream = http.connect();
            stream.write_all(bytes).expect("a server that reads");
            stream
        };
        let stuck = (0..HOSTILE).map(|number| match number % 3 {
            0 => connect(b""),
            1 => connect(header),
            _ => connect(&[header, &begun].concat()),
        });
        let stuck: Vec<_> = stuck.collect();
        let garbage: Vec<_> =
            (0..HOSTILE).map(|_| connect(&[header, b"SSH-2.0-x"].concat())).collect();
        get();
        for mut client in garbage {
            let mut alert = Vec::new();
            client.read_to_end(&mut alert).expect("an end");
            assert_eq!(alert[..2], [21, 3]);
        }
        get();
        let grown = anonymous(http.pid()).saturating_sub(before);
        assert!(grown <= STUCK * HOSTILE as u64, "{grown} bytes for {HOSTILE} clients");
        drop(stuck);
    }
}

#[test]
fn unusable_files_are_named() {
    let dir = tempdir().expect("a new directory");
    fs::write(dir.path().join("empty"), "").expect("a file");
    for (arguments, words) in [
        (&["--tls-cert", "gone", "--tls-key", "gone"][..], "error: gone: No such file"),
        (&["--tls-cert", "empty", "--tls-key", "empty"], "error: empty with empty: no certificate"),
        (&["--tls-client-ca", "empty"], "error: --tls-client-ca needs --tls-cert"),
        (
            &["--tls-self-signed", "--tls-client-ca", "empty"],
            "error: empty: no certificate in the PEM text",
        ),
    ] {
        let failed = run(example("echo").current_dir(dir.path()).args(arguments));
        assert_eq!(failed.code, Some(1));
        assert!(failed.stderr.starts_with(words), "{failed:?}");
    }
}
