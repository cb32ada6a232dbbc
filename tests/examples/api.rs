use std::process::ExitCode;
use std::time::Duration;

use sluicegate_protocols::http::Http;
use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{Address, Listen, Target, mailbox};

#[path = "../../examples/api.rs"]
mod example;
use example::service::{Api, Tick};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

const ORIGIN: &str = "10.0.0.1:80";

fn api() -> Harness<Http<Api>> {
    api_with(true)
}

/// The API, with a directory for uploads or without.
fn api_with(has_uploads: bool) -> Harness<Http<Api>> {
    Harness::build(
        &Listen::default(),
        |files| files.make_dir("/up"),
        |reactor| {
            let (done, mailbox) = mailbox();
            let uploads = has_uploads.then(|| reactor.open_dir("/up").expect("it was made"));
            let (workers, subscribers) = (Workers::inline(), Vec::new());
            let origin: Target = ORIGIN.parse().expect("an address");
            let origin =
                example::upstream::Origin::new(reactor, Some(&origin)).expect("room for one");
            let api = Api { uploads, workers, done, subscribers, origin };
            let http = reactor.register(Http::new(api));
            reactor.attach(mailbox, http);
            reactor.every(Duration::from_secs(1), http, Tick);
            http
        },
    )
}

/// The status line and the body of the response to a request.
fn ask(h: &mut Harness<Http<Api>>, client: Client, request: &str) -> (String, String) {
    h.feed(client, request);
    let sent = h.sent(client).text().to_owned();
    let (head, body) = sent.split_once("\r\n\r\n").expect("a response");
    (head.lines().next().expect("a status line").to_owned(), body.to_owned())
}

fn answer(request: &str) -> (String, String) {
    let mut h = api();
    let client = h.open();
    ask(&mut h, client, request)
}

fn with_body(start: &str, fields: &str, body: &str) -> String {
    format!("{start} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn json_comes_back_and_anything_else_is_refused() {
    let json = "Content-Type: application/json\r\n";
    let (status, body) = answer(&with_body("POST /echo", json, "{\"a\": 1}"));
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "{\"a\": 1}"));
    let (status, _) = answer(&with_body("POST /echo", "", "a=1"));
    assert_eq!(status, "HTTP/1.1 415 Unsupported Media Type");
}

#[test]
fn a_query_is_decoded() {
    let (_, body) = answer(&get("/search?p=1&q=two+w%C3%B6rds"));
    assert_eq!(body, "nothing found for \"two wörds\"\n");
    assert_eq!(answer(&get("/search?p=1")).0, "HTTP/1.1 400 Bad Request");
}

#[test]
fn a_worker_gives_the_slow_answer() {
    assert_eq!(answer(&get("/slow")).1, "714264285\n");
}

#[test]
fn each_subscriber_gets_an_event_a_second_until_it_leaves() {
    let mut h = api();
    let clients = [h.open(), h.open()];
    for client in clients {
        assert_eq!(ask(&mut h, client, &get("/events")).0, "HTTP/1.1 200 OK");
    }
    // Timers may be a little late.
    h.advance(Duration::from_millis(20));
    for _ in 0..100 {
        h.advance(Duration::from_secs(1));
        for client in clients {
            let event = h.sent(client).text().to_owned();
            assert!(event.contains("\r\ndata: ") && event.ends_with("\n\n\r\n"), "{event:?}");
            assert_eq!(event.matches("data").count(), 1);
        }
    }
    h.reset(clients[0]);
    assert_eq!(h.handler().service().subscribers.len(), 1);
    assert_eq!(h.state(clients[1]), State::Open);
}

#[test]
fn a_server_that_stops_does_not_wait_for_its_subscribers() {
    let mut h = api();
    let clients = [h.open(), h.open()];
    for client in clients {
        assert_eq!(ask(&mut h, client, &get("/events")).0, "HTTP/1.1 200 OK");
    }
    h.stop();
    for client in clients {
        assert_eq!(h.sent(client), "0\r\n\r\n");
        assert_eq!(h.state(client), State::Shut);
    }
}

#[test]
fn each_upload_is_answered_with_its_own_name_however_they_are_interleaved() {
    let mut h = api();
    let clients: Vec<Client> = (0..20).map(|_| h.open()).collect();
    let requests: Vec<String> = (0..clients.len())
        .map(|at| with_body(&format!("PUT /upload/{at}.txt"), "", &format!("body of {at}")))
        .collect();
    for half in 0..2 {
        for (client, request) in clients.iter().zip(&requests) {
            let (start, end) = request.split_at(request.len() - 3);
            h.feed(*client, [start, end][half]);
        }
    }
    for (at, client) in clients.iter().enumerate() {
        let sent = h.sent(*client).text().to_owned();
        assert!(sent.starts_with("HTTP/1.1 201 "), "{sent}");
        assert!(sent.ends_with(&format!("saved {at}.txt\n")), "{sent}");
        let (files, body) = (h.files(), format!("body of {at}"));
        assert_eq!(files.content(format!("/up/{at}.txt")), Some(body.as_bytes()));
    }
    let (status, _) = ask(&mut h, clients[0], &with_body("PUT /upload/../x", "", "x"));
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
}

#[test]
fn without_a_directory_for_uploads_there_are_none() {
    let mut h = api_with(false);
    let client = h.open();
    let (status, _) = ask(&mut h, client, &with_body("PUT /upload/x", "", "x"));
    assert_eq!(status, "HTTP/1.1 404 Not Found");
}

#[test]
fn a_response_without_its_body_can_be_asked_for() {
    let head = |target: &str| answer(&get(target).replacen("GET", "HEAD", 1));
    for target in ["/search?q=a", "/slow", "/events"] {
        assert_eq!(head(target), ("HTTP/1.1 200 OK".to_owned(), String::new()), "{target}");
    }
    assert_eq!(head("/upstream").0, "HTTP/1.1 502 Bad Gateway");
}

#[test]
fn anything_else_is_not_found() {
    for request in [get("/"), get("/echo"), with_body("POST /search?q=a", "", "")] {
        assert_eq!(answer(&request).0, "HTTP/1.1 404 Not Found", "{request:?}");
    }
}

#[test]
fn the_response_of_another_server_is_passed_on() {
    let mut h = api();
    let origin = Address::Ip(ORIGIN.parse().expect("an address"));
    h.set_remote(&origin, Remote::Listens);
    let client = h.open();
    h.feed(client, get("/upstream"));
    let far = h.accept(&origin);
    h.feed(far, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
    let sent = h.sent(client).text().to_owned();
    assert!(sent.starts_with("HTTP/1.1 404 Not Found\r\n") && sent.ends_with("gone"), "{sent}");
}

#[test]
fn a_server_that_cannot_be_reached_is_a_bad_gateway() {
    assert_eq!(answer(&get("/upstream")).0, "HTTP/1.1 502 Bad Gateway");
}
