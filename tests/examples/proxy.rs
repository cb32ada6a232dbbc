use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use log::Level;
use sluicegate_protocols::http::Http;
use sluicegate_protocols::raw::relay::Relay;
use sluicegate_protocols::upstreams::{Balancer, BalancerOptions};
use sluicegate_reactor::testing::{Client, Harness, Remote, State};
use sluicegate_reactor::{Address, Connect, HandlerId, Limits, Listen, Reactor, Target};

use crate::logged;

#[path = "../../examples/proxy.rs"]
mod example;
use example::Front;
use example::options::Options;
#[path = "../handlers/relayed.rs"]
mod relayed;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> ExitCode = example::main;

fn relay(reactor: &mut Reactor, back: &Address) -> HandlerId<Relay> {
    let back = Rc::new(Target::from(back.clone()));
    Relay::register(reactor, back, &Connect::default(), None).expect("a new reactor has room")
}

/// The proxy for connections, as the example makes it.
fn balancer(reactor: &mut Reactor, back: &Address) -> HandlerId<Balancer> {
    let options = BalancerOptions::default();
    Balancer::register(reactor, [back], &options).expect("a new reactor has room")
}

#[test]
fn row_14_bytes_and_ends_are_passed_on_in_both_directions() {
    relayed::passes_bytes_and_ends_on(relay);
    relayed::passes_bytes_and_ends_on(balancer);
}

#[test]
fn row_14_a_reset_is_passed_on() {
    relayed::passes_a_reset_on(relay);
    relayed::passes_a_reset_on(balancer);
}

#[test]
fn row_16_a_client_whose_target_refuses_is_closed() {
    let (h, client, _) = relayed::refused(relay);
    assert_eq!(h.state(client), State::Shut);
    let (h, client, _) = relayed::refused(balancer);
    assert_eq!(h.state(client), State::Shut);
}

#[test]
fn row_16_a_target_that_refuses_is_logged_once_a_second_with_the_number_of_other_failures() {
    let logged = logged::logged_in(Level::Warn, || {
        let (mut h, _, _) = relayed::refused(balancer);
        for _ in 0..3 {
            h.open();
        }
        h.advance(Duration::from_secs(1));
        for _ in 0..3 {
            h.open();
        }
    });
    let refused = "cannot connect to 10.0.0.1:80: connection refused";
    let again = format!("{refused} (3 more since the last warning)");
    assert_eq!(logged, [refused, &again, "2 more since the last warning"]);
}

#[test]
fn a_name_without_an_address_is_logged() {
    let logged = logged::logged_in(Level::Warn, || {
        let make = |reactor: &mut Reactor| {
            let nobody = Target::from(("nobody.example", 80));
            Balancer::register(reactor, [nobody], &BalancerOptions::default())
                .expect("a new reactor has room")
        };
        Harness::build(&Listen::default(), |_| {}, make).open();
    });
    assert_eq!(logged, ["cannot connect to nobody.example:80: no such host or socket"]);
}

const IDLE: Duration = Duration::from_secs(3);

/// A relay with a short idle timeout, its client, and the target's end of the connection to it.
fn impatient() -> (Harness<Balancer>, Client, Client) {
    with_limits(Limits { idle: Some(IDLE), ..Limits::default() })
}

/// A relay with these limits on both sides.
fn with_limits(limits: Limits) -> (Harness<Balancer>, Client, Client) {
    let back = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
    let connect = Connect { limits: limits.clone(), ..Connect::default() };
    let listen = Listen { limits, ..Listen::default() };
    let make = |reactor: &mut Reactor| {
        let options = BalancerOptions { connect, ..BalancerOptions::default() };
        Balancer::register(reactor, [&back], &options).expect("a new reactor has room")
    };
    let mut h = Harness::build(&listen, |_| {}, make);
    h.set_remote(&back, Remote::Listens);
    let client = h.open();
    let target = h.accept(&back);
    (h, client, target)
}

#[test]
fn row_17_an_idle_timeout_resets_both_sides_of_a_relay_with_undelivered_bytes() {
    for client_sends in [true, false] {
        let (mut h, client, target) = impatient();
        let (from, to) = if client_sends { (client, target) } else { (target, client) };
        h.set_room(to, 10_000);
        h.feed(from, vec![7; 1_000_000]);
        h.advance(2 * IDLE);
        h.set_room(to, 1_000_000);
        assert_eq!((h.state(from), h.state(to)), (State::Reset, State::Reset));
        assert!(h.arrived(to) < 1_000_000);
    }
}

#[test]
fn a_reader_may_pause_for_as_long_as_a_relay_may_be_idle() {
    let hour = Duration::from_secs(3600);
    for client_sends in [true, false] {
        let options = Options::try_parse_from(["proxy", "--to", "10.0.0.1:80"]);
        let limits = options.expect("valid options").limits();
        let (mut h, client, target) = with_limits(Limits { idle: Some(hour), ..limits });
        let (from, to) = if client_sends { (client, target) } else { (target, client) };
        h.set_room(to, 10_000);
        h.feed(from, vec![7; 1_000_000]);
        h.advance(hour * 9 / 10);
        h.set_room(to, 2_000_000);
        assert_eq!((h.state(from), h.state(to)), (State::Open, State::Open));
        assert_eq!(h.arrived(to), 1_000_000);
        h.set_room(to, 0);
        h.feed(from, vec![7; 1_000_000]);
        h.advance(hour * 2);
        assert_eq!((h.state(from), h.state(to)), (State::Reset, State::Reset));
    }
}

#[test]
fn row_17_an_idle_timeout_resets_a_side_whose_peer_has_not_ended_its_direction() {
    let (mut h, client, target) = impatient();
    h.feed(target, b"half an answer");
    h.advance(2 * IDLE);
    assert_eq!(h.sent(client), "half an answer");
    assert_eq!((h.state(client), h.state(target)), (State::Reset, State::Reset));
}

#[test]
fn row_17_an_idle_timeout_closes_a_side_that_has_received_everything_and_the_end() {
    for client_ends in [true, false] {
        let (mut h, client, target) = impatient();
        let (from, to) = if client_ends { (client, target) } else { (target, client) };
        h.feed(from, b"all of it");
        h.finish(from);
        assert_eq!(h.state(to), State::Shut);
        h.advance(2 * IDLE);
        assert_eq!(h.sent(to), "all of it");
        assert_ne!(h.state(to), State::Reset);
        assert_eq!(h.state(from), State::Reset);
    }
}

#[test]
fn row_17_a_relay_of_which_one_direction_has_ended_has_a_timeout_of_its_own() {
    for client_ends in [true, false] {
        let limits = Limits { idle: None, half_closed: Some(IDLE), ..Limits::default() };
        let (mut h, client, target) = with_limits(limits);
        let (from, to) = if client_ends { (client, target) } else { (target, client) };
        h.advance(10 * IDLE);
        h.feed(from, b"a question");
        h.finish(from);
        for _ in 0..4 {
            h.advance(IDLE * 3 / 4);
            h.feed(to, b"...");
        }
        assert_eq!((h.state(from), h.state(to)), (State::Open, State::Shut));
        assert_eq!((h.take(from).len(), h.take(to).len()), (12, 10));
        h.advance(IDLE * 5 / 4);
        assert_eq!(h.state(from), State::Reset, "the answer is not complete");
        assert_ne!(h.state(to), State::Reset);
    }
}

#[test]
fn row_17_an_idle_timeout_that_is_shorter_applies_to_a_half_closed_relay_too() {
    let limits = Limits { idle: Some(IDLE), half_closed: Some(10 * IDLE), ..Limits::default() };
    let (mut h, client, target) = with_limits(limits);
    h.finish(client);
    assert_eq!((h.state(client), h.state(target)), (State::Open, State::Shut));
    h.advance(IDLE * 5 / 4);
    assert_eq!(h.state(client), State::Reset);
}

#[test]
fn the_end_of_the_drain_time_resets_both_sides_of_a_relay() {
    let (mut h, client, target) = impatient();
    h.reactor().set_drain(IDLE / 2);
    h.feed(target, b"half an answer");
    h.stop();
    h.advance(IDLE);
    assert_eq!(h.sent(client), "half an answer");
    assert_eq!((h.state(client), h.state(target)), (State::Reset, State::Reset));
}

/// The proxy for HTTP with these options, as the example makes it, and its origin, to which
/// connections are refused.
fn with_options(options: &[&str]) -> (Harness<Http<Front>>, Address) {
    let back = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
    let command = ["proxy", "--http", "10.0.0.1:80"].iter().chain(options);
    let options = Options::try_parse_from(command).expect("valid options");
    let make = |reactor: &mut Reactor| {
        let Ok(forward) = options.forward() else { panic!("invalid options") };
        let (to, limits) = (vec![Target::from(&back)], options.http_limits());
        example::http(reactor, to, &forward, limits, (None, None)).expect("a new reactor has room")
    };
    (Harness::build(&Listen::default(), |_| {}, make), back)
}

#[test]
fn an_origin_that_fails_is_logged_once_a_second_with_the_number_of_other_failures() {
    let logged = logged::logged_in(Level::Warn, || {
        let (mut h, _) = with_options(&[]);
        let client = h.open();
        for second in 0..2 {
            for _ in 0..3 {
                h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            }
            h.advance(Duration::from_secs(1));
            let responses = h.take(client);
            assert_eq!(responses.text().matches("502 Bad Gateway\r\n").count(), 3, "{second}");
        }
    });
    let refused = "10.0.0.1:80: cannot connect: connection refused";
    assert_eq!(
        logged[..2],
        [refused.to_owned(), format!("{refused} (2 more since the last warning)")]
    );
}

/// The same with an origin that listens.
fn with_origin(options: &[&str]) -> (Harness<Http<Front>>, Address) {
    let (mut h, back) = with_options(options);
    h.set_remote(&back, Remote::Listens);
    (h, back)
}

#[test]
fn any_number_of_endless_responses_leave_connections_to_the_origin_for_others() {
    let (mut h, back) = with_origin(&[]);
    for stream in 0..300 {
        let client = h.open();
        h.feed(client, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
        let far = h.try_accept(&back).unwrap_or_else(|| panic!("no connection for {stream}"));
        h.feed(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        assert!(h.sent(client).ends_with(b"1\r\na\r\n"), "{stream}");
    }
}

#[test]
fn an_origin_may_be_silent_for_as_long_as_a_client_may() {
    for (options, silent, is_late) in [
        (&[][..], Duration::from_secs(70), false),
        (&[], Duration::from_secs(80), true),
        (&["--idle-timeout", "2h"], Duration::from_secs(7000), false),
        (&["--idle-timeout", "never"], Duration::from_secs(7000), false),
    ] {
        let (mut h, back) = with_origin(options);
        let client = h.open();
        h.feed(client, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
        let far = h.accept(&back);
        h.advance(silent);
        let status: &[u8] = if is_late { b"HTTP/1.1 504 " } else { b"" };
        assert!(h.take(client).starts_with(status), "{options:?}");
        if is_late {
            continue;
        }
        h.feed(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        h.advance(silent);
        h.feed(far, "1\r\nb\r\n0\r\n\r\n");
        let response = h.take(client);
        assert!(response.ends_with(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"), "{options:?}");
    }
}

#[test]
fn only_the_listener_limits_the_connections_to_a_target() {
    let options = Options::try_parse_from(["proxy", "--http", "10.0.0.1:80"]).expect("valid");
    let Ok(forward) = options.forward() else { panic!("invalid options") };
    assert_eq!(forward.client.connections, usize::MAX);
    assert_eq!(forward.client.connect.max_connections, u32::MAX);
}

#[test]
fn a_target_with_its_number_of_endless_responses_gets_no_more_requests() {
    let (mut h, back) = with_origin(&["--per-target", "2"]);
    for _ in 0..2 {
        let client = h.open();
        h.feed(client, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
        h.accept(&back);
    }
    let client = h.open();
    h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(h.sent(client).starts_with(b"HTTP/1.1 503 "));
    assert!(h.try_accept(&back).is_none());
}

#[test]
fn a_request_body_has_the_limit_that_was_given_and_no_other() {
    for framing in
        ["Content-Length: 5000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n12a05f200\r\n"]
    {
        let request = format!("PUT / HTTP/1.1\r\nHost: h\r\n{framing}x");
        let (mut h, back) = with_origin(&[]);
        let client = h.open();
        h.feed(client, &request);
        let far = h.accept(&back);
        let sent = h.sent(far);
        assert!(sent.ends_with(b"\r\n\r\nx") || sent.ends_with(b"1\r\nx\r\n"), "{sent:?}");
        assert_eq!(h.sent(client), "", "{framing:?}");

        let (mut h, back) = with_origin(&["--max-body", "4G"]);
        let client = h.open();
        h.feed(client, &request);
        assert!(h.sent(client).starts_with(b"HTTP/1.1 413 "), "{framing:?}");
        assert!(h.try_accept(&back).is_none(), "{framing:?}");
    }
}

#[test]
fn clients_cannot_say_where_they_come_from_unless_an_option_says_so() {
    for (options, expected) in [
        (&[][..], "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"),
        (
            &["--x-forwarded=append"],
            "X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: https\r\n",
        ),
    ] {
        let (mut h, back) = with_origin(options);
        let client = h.open();
        let said = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n";
        h.feed(client, format!("GET / HTTP/1.1\r\nHost: h\r\n{said}\r\n"));
        let far = h.accept(&back);
        let request = h.take(far).text().to_owned();
        assert!(request.contains(expected), "{request}");
    }
}

#[test]
fn a_response_may_have_256_fields_and_a_head_as_long_as_an_option_says() {
    let fields =
        |count: usize, length: usize| format!("A: {}\r\n", "b".repeat(length)).repeat(count);
    for (options, fields, status) in [
        (&[][..], fields(255, 1), "200 OK"),
        (&[], fields(256, 1), "502 Bad Gateway"),
        (&[], fields(8, 4000), "200 OK"),
        (&[], fields(10, 4000), "502 Bad Gateway"),
        (&["--max-response-head", "1M"], fields(250, 4000), "200 OK"),
    ] {
        let (mut h, back) = with_origin(options);
        let client = h.open();
        h.set_room(client, 2_000_000);
        h.feed(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let far = h.accept(&back);
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
        h.feed(far, &response);
        let sent = h.take(client);
        let sent = sent.text();
        assert!(sent.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{} bytes", response.len());
        assert_eq!(sent.contains(&fields), status == "200 OK", "{} bytes", response.len());
    }
}
