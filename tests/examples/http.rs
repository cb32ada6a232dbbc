use std::process::ExitCode;
use std::time::Duration;

use sluicegate_protocols::files::{Files, FilesOptions};
use sluicegate_protocols::http::Http;
use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::Listen;
use sluicegate_reactor::fs::CreateOptions;
use sluicegate_reactor::testing::{Harness, State};

#[path = "../../examples/http.rs"]
mod example;
use example::common::units::{size, time};
use example::{Reload, Site};

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

/// Two versions of a site. The link at `/www` leads to the first one.
fn site() -> Harness<Http<Site>> {
    Harness::build(
        &Listen::default(),
        |files| {
            files.put_file("/v1/a", b"one", 0);
            files.put_file("/v1/b", b"and two", 0);
            files.put_file("/v1/sub/a", b"one", 0);
            files.put_file("/v2/a", b"two", 0);
            files.put_file("/v2/sub/a", b"two", 0);
            files.put_symlink("/www", "v1");
        },
        |reactor| {
            let upload = Some(CreateOptions::default());
            let options = FilesOptions { upload, ..FilesOptions::default() };
            let files = Files::new(reactor, "/www", options);
            let files = files.expect("the root is there");
            reactor.register(Http::new(Site { files, auth: None, log: None }))
        },
    )
}

#[test]
fn files_are_served_in_order_and_the_connection_closes_if_the_client_asks() {
    let requests = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    let outcome = same_at_every_split(site, requests);
    let sent = outcome.sent.text();
    let bodies: Vec<_> = sent.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert!(bodies.len() == 2 && bodies[0].ends_with("\r\n\r\none"), "{sent}");
    assert!(bodies[1].ends_with("\r\n\r\nand two"), "{sent}");
    assert_eq!(outcome.state, State::Shut);
}

#[test]
fn a_reload_serves_the_directory_that_the_link_leads_to_now() {
    let mut h = site();
    let client = h.open();
    let ask = |h: &mut Harness<Http<Site>>, path: &str| {
        h.feed(
            client,
            format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n"),
        );
        h.take(client).text().to_owned()
    };
    assert!(ask(&mut h, "/a").ends_with("\r\n\r\none"));
    let put = "PUT /sub/put HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nold";
    h.feed(client, put);
    assert!(h.take(client).starts_with(b"HTTP/1.1 201 "));
    h.files().put_symlink("/www", "v2");
    h.advance(Duration::from_secs(60));
    assert!(ask(&mut h, "/a").ends_with("\r\n\r\none"));
    h.post(Reload(None));
    assert!(ask(&mut h, "/a").ends_with("\r\n\r\ntwo"));
    assert!(ask(&mut h, "/b").starts_with("HTTP/1.1 404 "));
    for name in ["put", "sub/put"] {
        h.feed(client, format!("PUT /{name} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nnew"));
        assert!(h.take(client).starts_with(b"HTTP/1.1 201 "), "{name}");
        assert_eq!(h.files().content(format!("/v2/{name}")), Some(&b"new"[..]));
    }
    let listing = ask(&mut h, "/");
    assert!(listing.contains("\"name\":\"a\"") && !listing.contains("\"name\":\"b\""), "{listing}");
}

#[test]
fn a_reload_without_a_directory_keeps_the_previous_one() {
    let mut h = site();
    h.files().put_symlink("/www", "v3");
    h.post(Reload(None));
    let client = h.open();
    h.feed(client, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(h.sent(client).ends_with(b"\r\n\r\none"));
}

#[test]
fn sizes_and_times_have_units() {
    for (text, bytes) in [
        ("0", 0),
        ("1500", 1500),
        ("1b", 1),
        ("64K", 64 << 10),
        ("64 KiB", 64 << 10),
        ("1m", 1 << 20),
        ("1MiB", 1 << 20),
        ("2G", 2 << 30),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for (text, millis) in [
        ("0", 0),
        ("10", 10_000),
        ("500ms", 500),
        ("10s", 10_000),
        ("5m", 300_000),
        ("2 h", 7_200_000),
    ] {
        assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "K", "-1", "1.5M", "1KB", "1M1", "99999999999999999999", "99999999999G"] {
        assert!(size(text).is_err(), "{text}");
    }
    for text in ["", "s", "-1s", "1.5s", "1d", "1s1", "99999999999999999999", "9999999999999999h"] {
        assert!(time(text).is_err(), "{text}");
    }
}
