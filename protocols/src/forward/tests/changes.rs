//! Fields that the options remove, replace and add.

use sluicegate_reactor::Reactor;

use super::{World, get, origin};
use crate::forward::{FieldChanges, Forward, ForwardOptions, Provenance};

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Removes `Secret`, `Some-Token` and a long name, sets `Side`, and adds to `Note`.
fn changes() -> FieldChanges {
    FieldChanges {
        remove: vec!["Secret".to_owned(), "Some-Token".to_owned(), "Long".repeat(20)],
        set: vec![field("Our-Side", " a ")],
        add: vec![field("Note", "b"), field("Note", "c")],
    }
}

/// Fields that the changes concern, and two that they do not. Names are written in several ways.
const SENT: &str = "SECRET: 1\r\nsome_token: 2\r\nour-side: 3\r\nOur_Side: 4\r\nnote: 5\r\n\
                    Secrets: 6\r\nSide: 7\r\n";

const KEPT: &str = "note: 5\nSecrets: 6\nSide: 7\nOur-Side: a\nNote: b\nNote: c\n";

#[test]
fn row_49_fields_of_requests_are_removed_replaced_and_added() {
    let options = ForwardOptions {
        request_fields: changes(),
        x_forwarded: Provenance::Pass,
        ..ForwardOptions::default()
    };
    let mut world = World::with(options);
    let long = "long".repeat(20);
    let nominating = format!("{SENT}{long}: 8\r\nConnection: Our-Side, Note\r\nnote: 9\r\n");
    let (_, far) = world.ask(get(&nominating));
    let request = world.take(far);
    // `Connection` concerns the client's fields only.
    let expected = KEPT.replace("note: 5\n", "");
    assert_eq!(request, format!("GET / HTTP/1.1\nHost: h\n{expected}Via: 1.1 sluicegate\n\n"));
}

#[test]
fn row_49_fields_of_responses_are_removed_replaced_and_added() {
    let options = ForwardOptions { response_fields: changes(), ..ForwardOptions::default() };
    let mut world = World::with(options);
    let (client, far) = world.ask(get(""));
    world.h.feed(far, format!("HTTP/1.1 103 Early Hints\r\n{SENT}\r\n"));
    let interim = "HTTP/1.1 103 Early Hints\nnote: 5\nSecrets: 6\nSide: 7\n\n";
    assert_eq!(world.take(client), interim);
    world.h.feed(far, format!("HTTP/1.1 200 OK\r\n{SENT}Content-Length: 2\r\n\r\nhi"));
    let expected = format!("HTTP/1.1 200 OK\n{KEPT}Content-Length: 2\n\nhi");
    assert_eq!(world.response(client), expected);
}

#[test]
fn a_field_that_is_removed_does_not_come_back_as_a_trailer() {
    let chunks = "\r\n1\r\na\r\n0\r\nSecret: 1\r\nOur_Side: 2\r\nNote: 3\r\n\r\n";
    let message = format!("Trailer: Note\r\nTransfer-Encoding: chunked\r\n{chunks}");
    let options = ForwardOptions {
        request_fields: changes(),
        response_fields: changes(),
        ..ForwardOptions::default()
    };
    let mut world = World::with(options);
    let (client, far) = world.ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{message}"));
    let request = world.take(far);
    assert!(request.ends_with("\n1\na\n0\nNote: 3\n\n"), "{request}");
    world.h.feed(far, format!("HTTP/1.1 200 OK\r\n{message}"));
    let response = world.response(client);
    assert!(response.ends_with("\n1\na\n0\nNote: 3\n\n"), "{response}");
}

#[test]
fn the_origin_can_get_the_address_of_the_client_in_a_field_of_any_name() {
    let options = ForwardOptions {
        client_address: Some("X-Real-IP".to_owned()),
        ..ForwardOptions::default()
    };
    let mut world = World::with(options);
    let (_, far) = world.ask(get("x-real-ip: 1.2.3.4\r\nX_Real_IP: 1.2.3.4\r\n"));
    let request = world.take(far);
    assert!(request.ends_with("\nX-Real-IP: 127.0.0.1\n\n"), "{request}");
    assert!(!request.contains("1.2.3.4"), "{request}");
}

#[test]
fn a_client_cannot_say_with_underscores_what_the_proxy_replaces() {
    let options = ForwardOptions { x_forwarded: Provenance::Replace, ..ForwardOptions::default() };
    let mut world = World::with(options);
    let (_, far) = world.ask(get("X_Forwarded_For: 1.2.3.4\r\nX_FORWARDED-PROTO: https\r\n"));
    let request = world.take(far);
    assert!(!request.contains("1.2.3.4") && !request.contains("https"), "{request}");
}

#[test]
fn changes_that_would_break_a_message_are_refused_by_the_name_of_the_field() {
    let mut reactor = Reactor::new().expect("a reactor");
    let mut error = |options: ForwardOptions| {
        let error = Forward::new(&mut reactor, origin(), &options).err()?;
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        Some(error.to_string())
    };
    let with = |request_fields: FieldChanges, response_fields: FieldChanges| ForwardOptions {
        request_fields,
        response_fields,
        ..ForwardOptions::default()
    };
    let set = |name, value| FieldChanges { set: vec![field(name, value)], ..Default::default() };
    let add = |name, value| FieldChanges { add: vec![field(name, value)], ..Default::default() };
    let remove = |name: &str| FieldChanges { remove: vec![name.to_owned()], ..Default::default() };
    let own = "the server writes this field itself";
    for (name, value, why) in [
        ("", "a", "the name is not a token"),
        ("A B", "a", "the name is not a token"),
        ("A", "b\r\nC: d", "the value contains a control character"),
        ("content-length", "1", own),
        ("Connection", "close", own),
        ("Via", "a", own),
        ("Trailer", "a", own),
        ("Date", "a", own),
    ] {
        let text = Some(format!("header field {name:?}: {why}"));
        let none = FieldChanges::default;
        for changes in [set(name, value), add(name, value)] {
            assert_eq!(error(with(changes.clone(), none())), text);
            assert_eq!(error(with(none(), changes)), text);
        }
        if !why.contains("value") {
            assert_eq!(error(with(remove(name), none())), text);
            assert_eq!(error(with(none(), remove(name))), text);
        }
    }
    for name in ["Host", "X-Forwarded-For", "x_forwarded_proto"] {
        let text = Some(format!("header field {name:?}: {own}"));
        assert_eq!(error(with(remove(name), Default::default())), text);
        assert_eq!(error(with(Default::default(), set(name, "a"))), None);
    }
    let passed = ForwardOptions {
        x_forwarded: Provenance::Pass,
        ..with(set("X-Forwarded-Proto", "https"), changes())
    };
    assert_eq!(error(passed), None);
    let named = ForwardOptions { client_address: Some("Host".to_owned()), ..Default::default() };
    assert!(error(named).is_some());
    let twice =
        ForwardOptions { client_address: Some("A".to_owned()), ..with(set("a", "b"), changes()) };
    assert!(error(twice).is_some());
}
