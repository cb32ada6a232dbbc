//! Session tickets and their keys, at chosen times.

use std::sync::Arc;

use super::*;
use crate::tls::ClientCertificates;
use crate::tls::tickets::{PERIOD, TicketKeys, Ticketer};

/// How some server verifies clients.
const ANY: [u8; 32] = [1; 32];

const SESSION: &[u8] = b"a session";

fn keys(now: u64) -> TicketKeys {
    TicketKeys::new(now).expect("keys")
}

fn ticket(keys: &TicketKeys, now: u64) -> Vec<u8> {
    keys.encrypt(SESSION, &ANY, now).expect("a ticket")
}

fn is_valid(ticket: &[u8], keys: &TicketKeys, now: u64) -> bool {
    keys.decrypt(ticket, &ANY, now).is_some_and(|session| session == SESSION)
}

/// Keys that were exported from others.
fn copy(from: &TicketKeys, now: u64) -> TicketKeys {
    let keys = keys(now);
    keys.import(&from.export(), now).expect("exported keys");
    keys
}

#[test]
fn tickets_of_a_session_have_only_the_name_of_their_key_in_common() {
    let keys = keys(0);
    let (one, other) = (ticket(&keys, 0), ticket(&keys, 0));
    assert!(is_valid(&one, &keys, 0) && is_valid(&other, &keys, 0));
    assert_eq!(one[..16], other[..16]);
    assert_ne!(one[16..28], other[16..28]);
    assert!(!one.windows(SESSION.len()).any(|part| part == SESSION));
    assert_ne!(one[..16], ticket(&self::keys(0), 0)[..16]);
}

#[test]
fn a_key_encrypts_for_one_period_and_decrypts_for_another() {
    let keys = keys(0);
    let first = ticket(&keys, 0);
    let last = ticket(&keys, PERIOD - 1);
    assert_eq!(first[..16], last[..16]);
    let next = ticket(&keys, PERIOD);
    assert_ne!(first[..16], next[..16]);
    for now in [PERIOD, 2 * PERIOD - 1] {
        assert!(is_valid(&first, &keys, now) && is_valid(&next, &keys, now));
    }
    assert!(!is_valid(&first, &keys, 2 * PERIOD));
    assert!(is_valid(&next, &keys, 2 * PERIOD));
}

#[test]
fn a_ticket_expires_although_nobody_has_asked_for_a_new_key() {
    for (later, expected) in [(2 * PERIOD - 1, true), (2 * PERIOD, false)] {
        let keys = keys(0);
        let ticket = ticket(&keys, 0);
        assert_eq!(is_valid(&ticket, &keys, later), expected);
    }
}

#[test]
fn damaged_tickets_and_those_of_other_keys_are_invalid() {
    let keys = keys(0);
    let ticket = ticket(&keys, 0);
    for at in 0..ticket.len() {
        let mut damaged = ticket.clone();
        damaged[at] ^= 1;
        assert!(!is_valid(&damaged, &keys, 0), "byte {at}");
        assert!(!is_valid(&ticket[..at], &keys, 0), "{at} bytes");
    }
    assert!(!is_valid(&[&*ticket, b"x"].concat(), &keys, 0));
    assert!(!is_valid(&ticket, &self::keys(0), 0));
    assert!(is_valid(&ticket, &keys, 0));
}

#[test]
fn a_ticket_that_is_longer_than_any_of_its_key_is_invalid() {
    let keys = keys(0);
    let short = ticket(&keys, 0);
    let copy = copy(&keys, 0);
    let session = [0; 1000];
    let long = keys.encrypt(&session, &ANY, 0).expect("a ticket");
    assert!(is_valid(&short, &copy, 0));
    assert_eq!(copy.decrypt(&long, &ANY, 0), None);
    copy.encrypt(&session, &ANY, 0).expect("a ticket");
    assert_eq!(copy.decrypt(&long, &ANY, 0).as_deref(), Some(&session[..]));
}

#[test]
fn exported_keys_include_the_previous_one_and_are_replaced_when_they_would_have_been() {
    let keys = keys(0);
    let first = ticket(&keys, 0);
    let second = ticket(&keys, PERIOD);
    let now = PERIOD + 5;
    let copy = copy(&keys, now);
    assert!(is_valid(&first, &copy, now) && is_valid(&second, &copy, now));
    assert!(is_valid(&ticket(&copy, now), &keys, now));
    let third = ticket(&copy, 2 * PERIOD);
    assert_ne!(second[..16], third[..16]);
    assert!(is_valid(&second, &copy, 2 * PERIOD) && !is_valid(&first, &copy, 2 * PERIOD));
}

#[test]
fn keys_from_before_the_clock_was_set_back_are_replaced_in_time() {
    let copy = copy(&keys(1_000_000_000), 0);
    let before = ticket(&copy, PERIOD - 1);
    assert_ne!(before[..16], ticket(&copy, PERIOD)[..16]);
}

#[test]
fn a_key_is_replaced_in_time_although_the_clock_is_set_back() {
    for (back, at_once) in [(1, false), (PERIOD, false), (100 * PERIOD, true)] {
        let keys = keys(1000 * PERIOD);
        let now = 1000 * PERIOD - back;
        let (first, second) = (ticket(&keys, 1000 * PERIOD), ticket(&keys, now));
        assert_eq!(first[..16] != second[..16], at_once);
        assert!(is_valid(&first, &keys, now));
        assert_ne!(second[..16], ticket(&keys, now + 2 * PERIOD)[..16]);
    }
}

#[test]
fn bytes_that_are_no_keys_are_refused_and_the_keys_remain() {
    let acceptor = acceptor(server(Version::Tls13));
    let good = acceptor.ticket_keys();
    let unknown = [&[7], &good[1..]].concat();
    let three = [&*good, &[0; 2 * 52]].concat();
    for bytes in [&good[..0], &good[..1], &good[..9], &good[..good.len() - 1], &three] {
        let error = acceptor.set_ticket_keys(bytes).expect_err("a refusal");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let expected =
            format!("ticket keys: {} bytes are not the length of 1 or 2 keys", bytes.len());
        assert_eq!(error.to_string(), expected);
    }
    let error = message(acceptor.set_ticket_keys(&unknown));
    assert_eq!(error, "ticket keys: format 7 is unknown; this is 1");
    assert!(acceptor.ticket_keys() == good);
}

#[test]
fn a_ticket_is_only_valid_where_clients_are_verified_in_the_same_way() {
    let other = Authority::new("Others").roots();
    let ways = [
        ClientCertificates::None,
        ClientCertificates::Optional(AUTHORITY.roots()),
        ClientCertificates::Required(AUTHORITY.roots()),
        ClientCertificates::Required(other),
    ];
    let keys = Arc::new(keys(0));
    let ticketers = ways.each_ref().map(|way| Ticketer::new(&keys, way));
    let ways = ticketers.each_ref().map(|ticketer| ticketer.verification(0));
    for (from, way) in ways.iter().enumerate() {
        let ticket = keys.encrypt(SESSION, way, 0).expect("a ticket");
        for (to, way) in ways.iter().enumerate() {
            let is_valid = keys.decrypt(&ticket, way, 0).is_some();
            assert_eq!(is_valid, from == to, "{from} to {to}");
        }
    }
}

#[test]
fn a_session_with_a_certificate_is_resumed_for_one_period() {
    let ways = [
        ClientCertificates::None,
        ClientCertificates::Optional(AUTHORITY.roots()),
        ClientCertificates::Required(AUTHORITY.roots()),
    ];
    let keys = Arc::new(keys(0));
    for (at, way) in ways.iter().enumerate() {
        let ticketer = Ticketer::new(&keys, way);
        let [first, last, next] = [0, PERIOD - 1, PERIOD].map(|now| ticketer.verification(now));
        assert_eq!(first, last);
        assert_eq!(first == next, at == 0, "{at}");
    }
}
