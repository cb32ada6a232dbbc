//! A protocol that begins in the clear and starts TLS at a command: SMTP, as curl and OpenSSL speak
//! it (RFC 3207).

use std::fs;
use std::process::{Command, Stdio};

use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_protocols::tls::{Acceptor, AcceptorOptions, Identity, Version};
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Context};
use tempfile::NamedTempFile;

use crate::process::{has, run};
use crate::sockets::{exchange, serve};

/// Accepts mail, and only over TLS.
struct Mail {
    tls: Factory<Address>,
}

impl Mail {
    fn new(version: Version) -> Mail {
        let identity = Identity::self_signed(["localhost".to_owned()]).expect("a certificate");
        let (identities, versions) = (vec![identity], vec![version]);
        let options = AcceptorOptions { identities, versions, ..AcceptorOptions::default() };
        Mail { tls: Acceptor::new(options).expect("an acceptor").factory() }
    }

    fn start_tls(&self, cx: &mut Context<'_>) {
        let peer = cx.peer_address().expect("a client");
        let transport = self.tls.make(&peer).expect("no error").expect("TLS");
        cx.send("220 Go ahead\r\n");
        cx.start_transport(transport);
    }
}

impl LineHandler for Mail {
    /// The text of the message, once it has begun.
    type Session = Option<String>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Option<String> {
        cx.send("220 localhost\r\n");
        None
    }

    fn on_line(&mut self, cx: &mut Context<'_>, text: &mut Option<String>, line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line);
        match (text.as_mut(), line.split(' ').next().unwrap_or_default()) {
            (Some(message), ".") => {
                cx.send(format!("250 {message}\r\n"));
                *text = None;
            }
            (Some(message), _) => message.push_str(&line),
            (None, "EHLO") if cx.is_secure() => {
                cx.send("250 localhost\r\n");
            }
            (None, "EHLO") => {
                cx.send("250-localhost\r\n250 STARTTLS\r\n");
            }
            (None, "STARTTLS") => self.start_tls(cx),
            (None, _) if !cx.is_secure() => {
                cx.send("530 Must issue a STARTTLS command first\r\n");
            }
            (None, "DATA") => {
                cx.send("354 Start\r\n");
                *text = Some(String::new());
            }
            (None, "QUIT") => {
                cx.send("221 Bye\r\n");
                cx.close();
            }
            _ => {
                cx.send("250 OK\r\n");
            }
        }
        Next::Line
    }
}

#[test]
fn curl_sends_mail_after_it_has_started_tls() {
    if !has("curl") {
        return;
    }
    let mail = NamedTempFile::new().expect("a file");
    fs::write(mail.path(), "hello\r\n").expect("a message");
    for version in [Version::Tls12, Version::Tls13] {
        serve(
            move |reactor| reactor.register(Lines::new(Mail::new(version))),
            |address| {
                let mut curl = Command::new("curl");
                curl.args([
                    "--verbose",
                    "--silent",
                    "--insecure",
                    "--ssl-reqd",
                    "--max-time",
                    "60",
                ]);
                curl.args(["--mail-from", "a@localhost", "--mail-rcpt", "b@localhost"]);
                curl.arg("--upload-file").arg(mail.path()).arg(format!("smtp://{address}"));
                let outcome = run(&mut curl);
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
                assert!(outcome.stderr.contains("< 250 hello"), "{outcome:?}");
            },
        );
    }
}

#[test]
fn openssl_starts_tls_and_what_it_says_before_is_refused() {
    if !has("openssl") {
        return;
    }
    serve(
        |reactor| reactor.register(Lines::new(Mail::new(Version::Tls13))),
        |address| {
            assert_eq!(
                String::from_utf8_lossy(&exchange(address, b"DATA\r\n", 6)),
                "220 localhost\r\n530 Must issue a STARTTLS command first\r\n"
            );
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-starttls", "smtp", "-connect", &address.to_string()]);
            let outcome = run(openssl.stdin(Stdio::null()));
            assert!(outcome.stdout.contains("TLSv1.3"), "{outcome:?}");
        },
    );
}

#[test]
fn a_command_that_is_sent_together_with_that_for_tls_ends_the_connection() {
    serve(
        |reactor| reactor.register(Lines::new(Mail::new(Version::Tls13))),
        |address| {
            let commands = b"STARTTLS\r\nRCPT TO:<evil@localhost>\r\n";
            let answer = exchange(address, commands, commands.len());
            assert_eq!(String::from_utf8_lossy(&answer), "220 localhost\r\n220 Go ahead\r\n");
        },
    );
}
