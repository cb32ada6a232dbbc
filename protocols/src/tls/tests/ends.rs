//! How a stream ends.

use super::*;

#[test]
fn each_side_ends_its_own_direction() {
    for version in BOTH {
        let mut pair = Pair::open(version);
        pair.client.send(b"all");
        pair.client.close();
        pair.exchange();
        assert!(pair.server.ended && !pair.client.ended);
        pair.server.send(b"an answer");
        pair.server.close();
        pair.exchange();
        assert_eq!(pair.client.plain, b"an answer");
        assert!(pair.client.ended);
    }
}

#[test]
fn a_stream_that_is_cut_has_no_end() {
    for version in BOTH {
        let mut pair = Pair::open(version);
        pair.client.send(b"part");
        pair.exchange();
        assert_eq!(pair.server.plain, b"part");
        assert!(!pair.server.ended);
    }
}

#[test]
fn what_follows_the_end_is_ignored() {
    for version in BOTH {
        let mut pair = Pair::open(version);
        pair.client.close();
        let mut sent = std::mem::take(&mut pair.client.out);
        sent.extend(b"more");
        pair.server.receive(&sent);
        assert!(pair.server.ended);
        assert_eq!(pair.server.error, None);
    }
}

#[test]
fn a_close_before_the_handshake_sends_nothing() {
    let mut end = End::accepted(&acceptor(server(Version::Tls13)));
    end.close();
    assert_eq!(end.out, b"");
}

#[test]
fn a_close_notify_right_after_the_client_hello_fails_the_handshake() {
    for version in BOTH {
        let mut pair = Pair::new(&acceptor(server(version)), &connector(client()));
        let mut hello = std::mem::take(&mut pair.client.out);
        hello.extend([21, 3, 3, 0, 2, 1, 0]);
        pair.server.receive(&hello);
        assert!(!pair.server.is_open());
        assert_eq!(pair.server.plain, b"");
        assert!(!pair.server.ended);
    }
}

#[test]
fn damage_after_the_own_end_is_an_error() {
    for version in BOTH {
        let mut pair = Pair::open(version);
        pair.server.close();
        pair.client.send(b"late");
        pair.client.out[7] ^= 1;
        let sent = std::mem::take(&mut pair.client.out);
        pair.server.receive(&sent);
        assert_eq!(pair.server.error(), "TLS: cannot decrypt peer's message");
    }
}

#[test]
fn a_close_after_an_error_sends_nothing() {
    let acceptor = acceptor(server(Version::Tls13));
    let mut server = End::accepted(&acceptor);
    // A ClientHello that goes on in the next record, and then a record of no known type.
    server.receive(&[22, 3, 1, 0, 8, 1, 0, 0, 200, 3, 3, 1, 1, 99, 3, 3, 0, 1, 0]);
    assert!(server.error().starts_with("TLS handshake: "), "{}", server.error());
    let alert = server.out.len();
    server.close();
    assert_eq!(server.out.len(), alert);
}
