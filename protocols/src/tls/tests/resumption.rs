//! Sessions that are resumed, and options that change.

use super::*;
use crate::tls::ClientCertificates;
use crate::tls::tickets::{TicketKeys, Ticketer};

/// Connects, and returns whether the session was resumed.
fn resumed(acceptor: &Acceptor, connector: &Connector) -> bool {
    let mut pair = Pair::new(acceptor, connector);
    pair.exchange();
    assert_eq!(pair.errors(), ("", ""));
    let (client, server) = (pair.client.tls(), pair.server.tls());
    assert_eq!(client.is_resumed(), server.is_resumed());
    assert_eq!(server.server_name(), Some("localhost"));
    server.is_resumed()
}

#[test]
fn another_thread_resumes_the_session() {
    for version in BOTH {
        let acceptor = acceptor(server(version));
        let connector = connector(client());
        assert!(!resumed(&acceptor, &connector));
        let clone = acceptor.clone();
        let other = connector.clone();
        assert!(std::thread::spawn(move || resumed(&clone, &other)).join().expect("a result"));
        assert!(resumed(&acceptor, &connector));
    }
}

#[test]
fn handshakes_are_counted_by_version_and_resumption() {
    let acceptor = acceptor(AcceptorOptions { versions: BOTH.to_vec(), ..server(Version::Tls13) });
    let counts = || acceptor.clone().counters().completed().map(|it| it.2).collect::<Vec<_>>();
    let connector = connector(client());
    assert_eq!(counts(), [0, 0, 0, 0]);
    assert!(!resumed(&acceptor, &connector));
    assert_eq!(counts(), [0, 0, 1, 0]);
    (0..2).for_each(|_| assert!(resumed(&acceptor, &connector)));
    assert_eq!(counts(), [0, 0, 1, 2]);
    acceptor.reload(server(Version::Tls12)).expect("the options are good");
    assert!(!resumed(&acceptor, &connector));
    assert_eq!(counts(), [1, 0, 1, 2], "they go on after a reload");
}

#[test]
fn a_resumed_session_keeps_the_certificate_of_the_client() {
    for version in BOTH {
        let client_certificates = ClientCertificates::Required(AUTHORITY.roots());
        let acceptor = acceptor(AcceptorOptions { client_certificates, ..server(version) });
        let identity = Some(AUTHORITY.identity(&["user"]));
        let connector = connector(ConnectorOptions { identity, ..client() });
        assert!(!resumed(&acceptor, &connector));
        let mut pair = Pair::new(&acceptor, &connector);
        pair.exchange();
        assert!(pair.server.tls().is_resumed());
        assert_eq!(pair.server.tls().peer_certificates().count(), 1);
    }
}

#[test]
fn new_connections_get_the_reloaded_options() {
    for version in BOTH {
        let acceptor = acceptor(server(version));
        let mut before = Pair::new(&acceptor, &connector(client()));
        before.exchange();
        let identity = AUTHORITY.identity(&["localhost"]);
        let certificate = identity.key.cert[0].to_vec();
        let options = AcceptorOptions { identities: vec![identity], ..server(version) };
        acceptor.clone().reload(options).expect("the options are good");
        let mut after = Pair::new(&acceptor, &connector(client()));
        after.exchange();
        let presented =
            |pair: &Pair| pair.client.tls().peer_certificates().next() == Some(&certificate);
        assert!(!presented(&before) && presented(&after));
        before.client.send(b"goes on");
        before.exchange();
        assert_eq!(before.server.plain, b"goes on");
    }
}

#[test]
fn options_that_cannot_be_used_leave_the_previous_ones() {
    let acceptor = acceptor(server(Version::Tls13));
    assert!(acceptor.reload(AcceptorOptions::default()).is_err());
    assert!(!resumed(&acceptor, &connector(client())));
}

#[test]
fn a_server_with_the_ticket_keys_of_another_resumes_its_sessions() {
    for version in BOTH {
        let (first, stranger, next) =
            (acceptor(server(version)), acceptor(server(version)), acceptor(server(version)));
        let connector = connector(client());
        assert!(!resumed(&first, &connector));
        next.set_ticket_keys(&first.ticket_keys()).expect("keys");
        assert!(resumed(&next, &connector));
        assert!(resumed(&first, &connector), "the next one's tickets are as good");
        assert!(!resumed(&stranger, &connector));
        assert!(!resumed(&next, &connector), "the client has the stranger's ticket");
    }
}

/// Otherwise a client whose authority is no longer trusted could go on for as long as it has a
/// ticket, and so could one without a certificate.
#[test]
fn sessions_go_on_after_a_reload_unless_clients_are_verified_in_another_way() {
    for version in BOTH {
        let options =
            |client_certificates| AcceptorOptions { client_certificates, ..server(version) };
        let required = || ClientCertificates::Required(AUTHORITY.roots());
        let acceptor = acceptor(server(version));
        let identity = Some(AUTHORITY.identity(&["user"]));
        let connector = connector(ConnectorOptions { identity, ..client() });
        assert!(!resumed(&acceptor, &connector));
        acceptor.reload(server(version)).expect("the options are good");
        assert!(resumed(&acceptor, &connector));
        acceptor.reload(options(required())).expect("the options are good");
        assert!(!resumed(&acceptor, &connector), "it has not presented its certificate");
        acceptor.reload(options(required())).expect("the options are good");
        assert!(resumed(&acceptor, &connector));
        let other = ClientCertificates::Required(Authority::new("Others").roots());
        acceptor.reload(options(other)).expect("the options are good");
        let mut pair = Pair::new(&acceptor, &connector);
        pair.exchange();
        assert!(pair.server.error().contains("UnknownIssuer"), "{:?}", pair.errors());
    }
}

/// A server that sends its tickets in pieces, and a client that sends while it has only half of
/// one.
#[test]
fn bytes_are_sent_in_the_middle_of_a_ticket() {
    let key = &AUTHORITY.identity(&["localhost"]).key;
    let mut config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_cert_resolver(std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(key.clone())));
    let tickets = std::sync::Arc::new(TicketKeys::new(0).expect("keys"));
    config.ticketer = std::sync::Arc::new(Ticketer::new(&tickets, &ClientCertificates::None));
    config.max_fragment_size = Some(64);
    let transport =
        Connection::server(config.into(), crate::tls::PlainHttp::Refuse, Default::default())
            .expect("a server");
    let mut pair = Pair {
        client: End::connected(&connector(client()), "localhost:443"),
        server: End::new(Box::new(transport)),
    };
    while !pair.server.is_open() {
        let bytes = std::mem::take(&mut pair.client.out);
        pair.server.receive(&bytes);
        if !pair.server.is_open() {
            let bytes = std::mem::take(&mut pair.server.out);
            pair.client.receive(&bytes);
        }
    }
    let tickets = records(&std::mem::take(&mut pair.server.out));
    assert!(tickets.len() > 4, "a ticket has several records");
    for record in tickets {
        pair.client.receive(&record);
        assert_eq!(pair.client.error, None);
        pair.client.send(b".");
    }
    pair.client.close();
    pair.exchange();
    assert!(pair.server.plain.len() > 4 && pair.server.ended, "{:?}", pair.errors());
}
