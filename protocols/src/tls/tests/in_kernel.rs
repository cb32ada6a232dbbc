//! Records that are not data, of a connection whose records the kernel opens and seals.

use sluicegate_reactor::transport::{Cipher, Control, Suite, TlsVersion};

use super::*;

/// A connection whose ends have given their keys away.
fn offloaded(version: Version) -> Pair {
    let acceptor = acceptor(AcceptorOptions { kernel: true, ..server(version) });
    let connector = connector(ConnectorOptions { kernel: true, ..client() });
    let mut pair = Pair::new(&acceptor, &connector);
    pair.exchange();
    for end in [&mut pair.client, &mut pair.server] {
        let before = [end.tls().cipher_suite().to_owned(), end.tls().version().to_string()];
        let offload = end.transport.offload().expect("it may be");
        assert!(offload.suite().is_some());
        offload.keys().expect("its keys");
        assert!(end.tls().is_in_kernel());
        assert_eq!([end.tls().cipher_suite(), &end.tls().version().to_string()], before);
    }
    assert_eq!(pair.client.tls().peer_certificates().count(), 1);
    pair
}

impl End {
    /// Passes a record on as the kernel has opened it.
    fn control(&mut self, kind: u8, payload: &[u8]) -> Result<Control, String> {
        self.act(|transport, out| {
            let offload = transport.offload().expect("it is in the kernel");
            offload.control(kind, payload, out).map_err(|error| error.to_string())
        })
    }

    /// Takes what was put out.
    fn put_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// A record with an alert, in the clear.
fn alert(level: u8, description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, level, description]
}

#[test]
fn the_kernel_is_offered_the_suite_only_if_it_may_have_it() {
    for (version, kernel) in
        [(Version::Tls12, TlsVersion::Tls12), (Version::Tls13, TlsVersion::Tls13)]
    {
        let mut pair = Pair::open(version);
        assert!(pair.server.transport.offload().is_none(), "by default it may not");
        let acceptor = acceptor(AcceptorOptions { kernel: true, ..server(version) });
        pair = Pair::new(&acceptor, &connector(client()));
        pair.exchange();
        let suite = pair.server.transport.offload().and_then(|offload| offload.suite());
        assert_eq!(suite, Some(Suite { version: kernel, cipher: Cipher::Aes256Gcm }));
    }
}

#[test]
fn a_close_notify_ends_the_stream_and_other_alerts_fail() {
    for version in BOTH {
        let mut pair = offloaded(version);
        pair.client.close();
        assert_eq!(pair.client.put_out(), alert(1, 0));
        assert!(matches!(pair.server.control(21, &[1, 90]), Ok(Control::Nothing)));
        assert!(matches!(pair.server.control(21, &[1, 0]), Ok(Control::End)));
        let error = pair.server.control(21, &[2, 20]).expect_err("a fatal alert");
        assert_eq!(error, "received fatal alert: BadRecordMac");
        assert_eq!(pair.server.put_out(), b"");
    }
}

#[test]
fn other_records_are_answered_with_an_alert() {
    for (version, kind, payload, description) in [
        // A renegotiation.
        (Version::Tls12, 22, &[0, 0, 0, 0][..], 10),
        (Version::Tls12, 21, &[1], 10),
        (Version::Tls13, 21, &[], 10),
        (Version::Tls13, 20, &[1], 10),
        (Version::Tls13, 22, &[1, 0, 0, 1, 0], 10),
        // A key update that is not one.
        (Version::Tls13, 22, &[24, 0, 0, 1, 2], 10),
        // A message behind a key update.
        (Version::Tls13, 22, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], 10),
        // A ticket for a server, and messages of which only the head has arrived.
        (Version::Tls13, 22, &[4, 0, 0, 0], 10),
        (Version::Tls13, 22, &[4, 1, 0, 0], 10),
        (Version::Tls13, 22, &[1, 1, 0, 0], 10),
        (Version::Tls13, 22, &[24, 0, 0, 2], 50),
    ] {
        let mut pair = offloaded(version);
        pair.server.control(kind, payload).expect_err("a record of no use");
        assert_eq!(pair.server.put_out(), alert(2, description), "{version} {kind} {payload:?}");
    }
}

#[test]
fn a_client_refuses_a_ticket_that_is_too_long() {
    let mut pair = offloaded(Version::Tls13);
    assert!(matches!(pair.client.control(22, &[4, 1, 0, 0]), Ok(Control::Nothing)));
    let mut pair = offloaded(Version::Tls13);
    pair.client.control(22, &[4, 2, 0, 0]).expect_err("a ticket of 128 KiB");
    assert_eq!(pair.client.put_out(), alert(2, 50));
}

#[test]
fn a_key_update_changes_the_keys_and_is_answered_if_it_asks() {
    for asks in [false, true] {
        let mut pair = offloaded(Version::Tls13);
        // A message may be cut anywhere.
        assert!(matches!(pair.server.control(22, &[24, 0]), Ok(Control::Nothing)));
        let control = pair.server.control(22, &[0, 1, u8::from(asks)]);
        let Ok(Control::Update { send, .. }) = control else { panic!("{control:?}") };
        assert_eq!(send.is_some(), asks);
        let answer: &[u8] = if asks { &[22, 3, 3, 0, 5, 24, 0, 0, 1, 0] } else { &[] };
        assert_eq!(pair.server.put_out(), answer);
    }
}

#[test]
fn nothing_follows_the_own_end_of_the_stream() {
    let mut pair = offloaded(Version::Tls13);
    pair.server.close();
    pair.server.put_out();
    let control = pair.server.control(22, &[24, 0, 0, 1, 1]);
    assert!(matches!(control, Ok(Control::Update { send: None, .. })), "{control:?}");
    assert_eq!(pair.server.put_out(), b"");
}

#[test]
fn a_kernel_that_fails_leads_to_an_alert() {
    for (kind, description) in [(io::ErrorKind::ResourceBusy, 80), (io::ErrorKind::Other, 20)] {
        let mut pair = offloaded(Version::Tls13);
        let error = pair.server.act(|transport, out| {
            transport.offload().expect("it is in the kernel").fail(&kind.into(), out).to_string()
        });
        assert!(error.starts_with("TLS: "), "{error}");
        assert_eq!(pair.server.put_out(), alert(2, description));
    }
}
