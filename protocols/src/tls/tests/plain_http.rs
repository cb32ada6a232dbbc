//! HTTP in the clear where TLS is expected.

use super::*;
use crate::tls::PlainHttp;

/// Sends this to a server byte by byte. Returns what comes back and the error.
fn answer(plain_http: PlainHttp, bytes: &[u8]) -> (String, String) {
    let mut end =
        End::accepted(&acceptor(AcceptorOptions { plain_http, ..server(Version::Tls13) }));
    for byte in bytes {
        end.receive(&[*byte]);
    }
    (String::from_utf8_lossy(&end.out).into(), end.error().into())
}

#[test]
fn a_plain_request_is_told_to_use_https() {
    let (answer, error) = answer(PlainHttp::Refuse, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        answer,
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 57\r\n\
         Connection: close\r\n\r\nThis port speaks HTTPS: use https:// instead of http://.\n"
    );
    assert_eq!(error, "plain HTTP request on a TLS port");
}

#[test]
fn the_response_to_head_has_no_body() {
    let (answer, _) = answer(PlainHttp::Refuse, b"HEAD / HTTP/1.0\r\n\r\n");
    assert!(answer.contains("Content-Length: 57\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_plain_request_is_redirected_if_so_configured() {
    let request = b"POST /a?b=%20 HTTP/1.1\r\nhOST: example.org:8443\r\n\r\n";
    let (answer, _) = answer(PlainHttp::Redirect, request);
    let expected =
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://example.org:8443/a?b=%20\r\n";
    assert!(answer.starts_with(expected), "{answer}");
}

#[test]
fn a_request_without_a_usable_url_is_not_redirected() {
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
    ] {
        let (answer, _) = answer(PlainHttp::Redirect, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\nContent-Type"), "{request}");
    }
}

#[test]
fn a_head_without_an_end_is_refused() {
    let request = [&b"GET /"[..], &[b'a'; 9 << 10]].concat();
    assert!(answer(PlainHttp::Redirect, &request).0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn other_text_gets_an_alert() {
    for text in ["SSH-2.0-OpenSSH\r\n", "EHLOEHLOEHLOEHLOEHLO a\r\n", "get / HTTP/1.1\r\n"] {
        let (answer, error) = answer(PlainHttp::Refuse, text.as_bytes());
        assert!(answer.starts_with("\x15\x03"), "{text}");
        assert!(error.starts_with("TLS handshake: received corrupt message"), "{error}");
    }
}
