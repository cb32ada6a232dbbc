//! The first messages of clients, as OpenSSL 3.0, curl 7.88, Chromium and rustls send them.

use super::*;
use crate::tls::{ClientHello, ClientHelloError};

/// Recorded on a connection to `a.example`.
const RECORDED: [(&str, &[u8]); 4] = [
    ("openssl", include_bytes!("hellos/openssl.bin")),
    ("openssl with TLS 1.2", include_bytes!("hellos/openssl_tls12.bin")),
    ("curl", include_bytes!("hellos/curl.bin")),
    ("chromium", include_bytes!("hellos/chromium.bin")),
];

/// `openssl s_client -noservername`.
const NO_NAME: &[u8] = include_bytes!("hellos/no_name.bin");

/// What rustls sends to this target.
fn of_rustls(target: &str) -> Vec<u8> {
    End::connected(&connector(client()), target).out
}

/// Parses bytes and each of their prefixes. What is decided about some bytes is not changed by
/// more.
fn parse(bytes: &[u8]) -> Result<Option<ClientHello>, ClientHelloError> {
    let mut decided = Ok(None);
    for len in 0..=bytes.len() {
        let parsed = ClientHello::parse(&bytes[..len]);
        assert!(decided == Ok(None) || decided == parsed, "{len} bytes");
        decided = parsed;
    }
    decided
}

/// The name in valid bytes, which are complete with the last of them.
fn name(bytes: &[u8]) -> Option<String> {
    assert_eq!(ClientHello::parse(&bytes[..bytes.len() - 1]), Ok(None));
    let hello = parse(bytes).expect("no error").expect("a whole message");
    hello.server_name().map(str::to_owned)
}

fn error(bytes: &[u8]) -> String {
    let error = parse(bytes).expect_err("an error").to_string();
    error.strip_prefix("TLS ClientHello: ").expect("what it is about").to_owned()
}

/// The same message in records of this size.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let record = |fragment: &[u8]| {
        [&[22, 3, 1][..], &(fragment.len() as u16).to_be_bytes(), fragment].concat()
    };
    hello[5..].chunks(size).flat_map(record).collect()
}

/// A message with this body.
fn hello(body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &length[1..], body].concat();
    in_records(&[&[0; 5], &message[..]].concat(), 16 << 10)
}

/// A body with these extensions.
fn body(extensions: &[u8]) -> Vec<u8> {
    let fixed = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    [&fixed[..], &(extensions.len() as u16).to_be_bytes(), extensions].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(content.len() as u16).to_be_bytes(), content].concat()
}

/// The extension with names of this type.
fn names(kind: u8, names: &[&[u8]]) -> Vec<u8> {
    let name = |name: &&[u8]| [&[kind][..], &(name.len() as u16).to_be_bytes(), name].concat();
    let list: Vec<u8> = names.iter().flat_map(name).collect();
    extension(0, &[&(list.len() as u16).to_be_bytes()[..], &list].concat())
}

#[test]
fn the_name_is_found_at_every_cut() {
    for (client, bytes) in RECORDED {
        assert_eq!(name(bytes).as_deref(), Some("a.example"), "{client}");
    }
    assert_eq!(name(&of_rustls("a.example:443")).as_deref(), Some("a.example"));
    assert_eq!(name(NO_NAME), None);
    assert_eq!(name(&of_rustls("127.0.0.1:443")), None);
}

#[test]
fn a_message_may_be_split_into_records_of_any_size() {
    for (client, bytes) in RECORDED {
        for size in [1, 2, 3, 4, 5, 100, bytes.len() - 6] {
            let bytes = in_records(bytes, size);
            assert_eq!(name(&bytes).as_deref(), Some("a.example"), "{client}, {size}");
        }
    }
}

#[test]
fn what_follows_the_message_is_ignored() {
    for (_, bytes) in RECORDED {
        let hello = parse(&[bytes, b"and more"].concat()).expect("no error");
        assert_eq!(hello.expect("a message").server_name(), Some("a.example"));
    }
}

#[test]
fn a_message_may_have_no_extensions() {
    let body = body(&[]);
    assert_eq!(name(&hello(&body)), None);
    assert_eq!(name(&hello(&body[..body.len() - 2])), None);
}

#[test]
fn names_are_in_lower_case_and_without_a_dot_at_the_end() {
    for (sent, expected) in [("A.Example.", "a.example"), ("x_1-2", "x_1-2")] {
        let extensions = [extension(10, b"\0\0"), names(0, &[sent.as_bytes()])].concat();
        assert_eq!(name(&hello(&body(&extensions))).as_deref(), Some(expected));
    }
}

#[test]
fn bytes_of_another_protocol_are_an_error_at_once() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x", b"\x80\x2e\x01\x03\x01", b"\x16\x02"] {
        assert_eq!(error(bytes), "the connection does not start with TLS");
        let found = (0..=bytes.len()).find(|len| ClientHello::parse(&bytes[..*len]).is_err());
        assert!(found <= Some(2));
    }
    assert_eq!(error(b"\x16\x03\x01\0\0"), "a record is empty");
    assert_eq!(error(b"\x16\x03\x01\x40\x01"), "a record is too long");
    assert_eq!(error(b"\x16\x03\x01\0\x04\x02\0\0\0"), "the first message is not a ClientHello");
}

#[test]
fn a_message_that_is_too_long_is_an_error() {
    let announced = in_records(&[0, 0, 0, 0, 0, 1, 0, 0x40, 0], 4);
    assert_eq!(error(&announced), "longer than 16 KiB");
    let mut endless = hello(&body(&extension(21, &[0; 8000])));
    endless = in_records(&endless, 1);
    assert!(endless.len() > ClientHello::MOST);
    assert_eq!(ClientHello::parse(&endless[..ClientHello::MOST - 1]), Ok(None));
    let error = ClientHello::parse(&endless).expect_err("an error").to_string();
    assert_eq!(error, "TLS ClientHello: longer than 16 KiB");
}

#[test]
fn a_name_that_is_no_host_name_is_an_error() {
    let long = [b'x'; 300];
    for (kind, sent) in [
        (0, &b""[..]),
        (0, b"."),
        (0, b"a..b"),
        (0, b".a"),
        (0, b"a b"),
        (0, b"a\0.example"),
        (0, b"*.example"),
        (0, b"::1"),
        (0, "\u{e9}.example".as_bytes()),
        (0, b"\xff"),
        (1, b"a.example"),
    ] {
        let bytes = hello(&body(&names(kind, &[sent])));
        assert_eq!(error(&bytes), "the server name is invalid", "{}", sent.escape_ascii());
    }
    assert_eq!(error(&hello(&body(&names(0, &[&long])))), "the server name is invalid");
}

#[test]
fn two_names_are_an_error_since_the_target_may_choose_the_other_one() {
    let in_one = names(0, &[b"a.example", b"b.example"]);
    let in_two = [names(0, &[b"a.example"]), names(0, &[b"b.example"])].concat();
    for extensions in [in_one, in_two] {
        assert_eq!(error(&hello(&body(&extensions))), "there are two server names");
    }
}

/// What rustls finds, unless it finds an error: perhaps no name.
fn name_for_rustls(mut bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = rustls::server::Acceptor::default();
    acceptor.read_tls(&mut bytes).ok()?;
    let accepted = acceptor.accept().ok()??;
    Some(accepted.client_hello().server_name().map(str::to_ascii_lowercase))
}

/// The target parses the message too, and must not find another name.
#[test]
fn rustls_finds_the_same_name_whatever_byte_is_changed() {
    let mut compared = 0;
    for (_, bytes) in RECORDED {
        assert_eq!(name_for_rustls(bytes), Some(Some("a.example".to_owned())));
        let mut changed = bytes.to_vec();
        for at in 0..bytes.len() {
            let byte = bytes[at];
            for value in [0, 1, 0xff, byte.wrapping_add(1), byte.wrapping_sub(1), byte ^ 0x20] {
                changed[at] = value;
                let (ours, theirs) = (ClientHello::parse(&changed), name_for_rustls(&changed));
                if let (Ok(Some(hello)), Some(theirs)) = (ours, theirs) {
                    assert_eq!(hello.server_name(), theirs.as_deref(), "{at}: {value}");
                    compared += 1;
                }
            }
            changed[at] = byte;
        }
    }
    assert!(compared > 5000, "{compared}");
}

#[test]
fn lengths_that_lie_are_errors() {
    let whole = body(&names(0, &[b"a.example"]));
    for end in 1..whole.len() {
        // Without extensions, the message is complete.
        if end != whole.len() - 2 - names(0, &[b"a.example"]).len() {
            assert_eq!(error(&hello(&whole[..end])), "a length within it is wrong", "{end}");
        }
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(error(&hello(&longer)), "a length within it is wrong");
}
