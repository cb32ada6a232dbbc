//! Rows 21 to 25, 31 and 32: responses, and when the connection closes.

use sluicegate_reactor::Address;
use sluicegate_reactor::testing::{Harness, Records, State, through};

use super::{
    Answered, Closes, Http, Reply, Request, Service, Stays, check, field, probe, split_head,
};
use crate::http::{Method, Status, Version};
use crate::testing::same_at_every_split;

/// The only response to one request.
fn answer<S: Service>(service: impl Fn() -> S, request: &str) -> (String, Vec<u8>, State) {
    let outcome = same_at_every_split(|| Harness::new(Http::new(service())), request);
    let (head, body) = split_head(&outcome.sent);
    (head.to_owned(), body.to_owned(), outcome.state)
}

/// Answers with the function.
struct With(fn(&Request<'_>, Reply<'_, '_>) -> Answered);

impl Service for With {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        (self.0)(request, reply)
    }
}

#[test]
fn a_request_is_what_was_sent_and_says_who_has_sent_it() {
    let service = || {
        With(|request, reply| {
            assert_eq!(request.method(), Method::Get);
            assert_eq!((request.target(), request.path()), ("/a?b", "/a"));
            assert_eq!((request.query(), request.host()), (Some("b"), Some("h:1")));
            assert_eq!(request.version(), Version::Http11);
            assert_eq!(request.header("a"), Some(&b"b"[..]));
            assert_eq!(request.header("B"), None);
            assert_eq!((request.has_body(), request.content_length()), (true, Some(3)));
            assert!(request.keep_alive());
            let fields = request.headers().map(|(name, value)| (name, value.len()));
            let fields: Vec<_> = fields.collect();
            assert_eq!(fields, [("host", 3), ("A", 1), ("A", 1), ("Content-Length", 1)]);
            let address = |address: std::io::Result<Address>| address.expect("it is open");
            let (peer, local) = (request.peer_address(), request.local_address());
            let is_known = request.connection() == reply.connection();
            reply.send(format!("{} {} {is_known}", address(peer), address(local)))
        })
    };
    let mut h = Harness::new(Http::new(service()));
    let client = h.open();
    let peer = h.address(client);
    let head = "GET /a?b HTTP/1.1\r\nhost: h:1\r\nA:  b \r\nA: c\r\nContent-Length: 3\r\n\r\n";
    let (_, body, _) = answer(service, &format!("{head}abc"));
    let body = String::from_utf8(body).expect("text");
    assert_eq!(body, format!("{peer} 127.0.0.1:80 true"));
}

#[test]
fn a_request_is_secure_if_its_transport_protects_it() {
    let ask = || {
        let say = |request: &Request<'_>, reply: Reply<'_, '_>| {
            assert_eq!(request.local_address().expect("it is open").to_string(), "127.0.0.1:80");
            reply.send(request.is_secure().to_string())
        };
        let mut h = Harness::new(Http::new(With(say)));
        let client = h.open();
        h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        String::from_utf8(split_head(&h.sent(client)).1.to_vec()).expect("text")
    };
    assert_eq!(ask(), "false");
    assert_eq!(through(Records::factory(), Records::factory(), ask), "true");
}

#[test]
fn row_22_head_has_the_fields_of_get_and_no_body() {
    for body in [0, 13, 5000, 100_000] {
        let service = move || Sized { body };
        let (get, content, _) = answer(service, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let (head, nothing, state) = answer(service, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(get, head);
        assert_eq!(field(&head, "Content-Length"), Some(body.to_string().as_str()));
        assert_eq!((content.len(), nothing.len()), (body, 0));
        assert_eq!(state, State::Open);
    }
}

/// Answers with this many bytes.
struct Sized {
    body: usize,
}

impl Service for Sized {
    type State = ();

    fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        reply.header("Content-Type", "text/plain").send(vec![b'x'; self.body])
    }
}

#[test]
fn row_22_a_refusal_of_head_has_no_body() {
    let (head, body, _) = answer(|| super::Probe, "HEAD / HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(body, b"");
}

#[test]
fn row_22_some_statuses_never_have_a_body() {
    for (call, status, length) in [
        (With(|_, reply| reply.status(Status::NO_CONTENT).send("body")), "204", None),
        (With(|_, reply| reply.status(Status::NOT_MODIFIED).send("body")), "304", None),
        (With(|_, reply| reply.status(Status::RESET_CONTENT).send("body")), "205", Some("0")),
    ] {
        let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let (head, body, state) = answer(|| With(call.0), request);
        assert_eq!(&head[9..12], status);
        assert_eq!(field(&head, "Content-Length"), length, "{status}");
        assert_eq!((body, state), (vec![], State::Open), "{status}");
    }
}

#[test]
fn row_21_the_date_is_that_of_the_clock() {
    let (head, ..) = answer(|| super::Probe, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let date = field(&head, "Date").unwrap();
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    let mut h = probe();
    let client = h.open();
    let mut dates = Vec::new();
    for _ in 0..3 {
        h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let sent = h.sent(client);
        let date = field(split_head(&sent).0, "Date").unwrap();
        dates.push(httpdate::parse_http_date(date).unwrap());
        h.advance(std::time::Duration::from_secs(1));
    }
    let second = std::time::Duration::from_secs(1);
    assert_eq!(dates, [dates[0], dates[0] + second, dates[0] + 2 * second]);
}

#[test]
fn row_23_methods_reach_the_service_but_for_trace_and_connect() {
    let request = |method: &str| format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
    for (method, name) in [
        ("GET", "Get"),
        ("PUT", "Put"),
        ("DELETE", "Delete"),
        ("PATCH", "Patch"),
        ("PROPFIND", "Other(\"PROPFIND\")"),
        ("get", "Other(\"get\")"),
        ("!#$%&'*+-.^_`|~0aZ", "Other(\"!#$%&'*+-.^_`|~0aZ\")"),
    ] {
        check(&[(&request(method), &[&format!("200 {name} / h")], Stays)]);
    }
    check(&[
        (&request("TRACE"), &["501"], Closes),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", &["501"], Closes),
    ]);
}

#[test]
fn row_24_expectations() {
    let expect = |version: &str, expectation: &str, length: u32| {
        format!(
            "POST / HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\
             Expect: {expectation}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    check(&[
        // The final response at once, no interim one; the body may come or not.
        (&expect("1.1", "100-continue", 5), &["200 Post / h"], Closes),
        (&expect("1.1", "100-Continue", 5), &["200 Post / h"], Closes),
        (&expect("1.1", "100-continue", 0), &["200 Post / h"], Stays),
        (&expect("1.1", "200-ok", 0), &["417"], Closes),
        (&expect("1.1", "100-continue, other", 5), &["417"], Closes),
        (&format!("{}hello", expect("1.0", "100-continue", 5)), &["200 Post / h"], Stays),
        (&format!("{}hello", expect("1.0", "other", 5)), &["200 Post / h"], Stays),
    ]);
}

#[test]
fn row_25_an_upgrade_that_is_not_offered_is_ignored() {
    check(&[(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\n\r\n\
         GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 Get / h", "200 Get /b h"],
        Stays,
    )]);
}

#[test]
fn row_31_an_answer_survives_input_that_nobody_reads() {
    let mut h = probe();
    let client = h.open();
    h.feed(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n");
    h.feed(client, vec![b'x'; 500_000]);
    assert_eq!(super::answers(&h.sent(client)), ["200 Post / h"]);
    assert_eq!((h.state(client), h.unread(client)), (State::Shut, 0));
    h.finish(client);
    assert_eq!(h.state(client), State::Closed);
}

#[test]
fn row_32_persistence_by_version_and_by_what_the_client_says() {
    let cases = [
        ("1.1", "", None, Stays),
        ("1.1", "Connection: keep-alive\r\n", None, Stays),
        ("1.1", "Connection: close\r\n", Some("close"), Closes),
        ("1.1", "Connection: foo,\tCLOSE ,bar\r\n", Some("close"), Closes),
        ("1.1", "Connection: foo\r\nConnection: close\r\n", Some("close"), Closes),
        ("1.1", "Connection: closed\r\n", None, Stays),
        ("1.0", "", Some("close"), Closes),
        ("1.0", "Connection: Keep-Alive\r\n", Some("keep-alive"), Stays),
        ("1.0", "Connection: keep-alive, close\r\n", Some("close"), Closes),
    ];
    for (version, fields, said, then) in cases {
        let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        let (head, _, state) = answer(|| super::Probe, &request);
        assert_eq!(field(&head, "Connection"), said, "{request}");
        assert_eq!(state != State::Open, then == Closes, "{request}");
        assert_eq!(field(&head, "Transfer-Encoding"), None);
    }
}

#[test]
fn a_service_can_close_and_what_follows_is_not_answered() {
    let close = || With(|_, reply| reply.close().send("bye"));
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2);
    let (head, body, state) = answer(close, &request);
    assert_eq!(field(&head, "Connection"), Some("close"));
    assert_eq!((body, state), (b"bye".to_vec(), State::Shut));
}

#[test]
fn a_field_that_would_split_the_answer_is_left_out() {
    let service = || {
        With(|_, reply| {
            reply
                .header("A", "b\r\nC: d")
                .header("B", "b\0")
                .header("C d", "e")
                .header("", "e")
                .header("content-length", "1000")
                .header("Transfer-Encoding", "chunked")
                .header("Fine", b"yes")
                .send("ok")
        })
    };
    let (head, body, _) = answer(service, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let names: Vec<_> = head.lines().skip(1).filter_map(|line| line.split_once(':')).collect();
    let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Date", "Fine", "Content-Length"]);
    assert_eq!(body, b"ok");
}
