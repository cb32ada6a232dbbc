//! Handlers that no example has, in the harness and over sockets. (`tests/simulation` runs the same
//! ones while calls fail.)
#![cfg(feature = "testing")]

mod connect;
mod hand_over;
mod parts;
mod relayed;
mod sockets;

use sluicegate_protocols::testing::same_at_every_split;
use sluicegate_reactor::testing::{Harness, State};
use sluicegate_reactor::{Address, Connect, Context, HandlerId, Listen, Reactor};

use connect::Relay;
use hand_over::{Greeter, Login};
use parts::{End, LOST, Proxy, Target, answer, framed};
use sockets::{exchange, serve};

#[path = "../../examples/echo.rs"]
mod echo;

/// What runs the example is compiled here, too, and not called.
const _: fn() -> std::process::ExitCode = echo::main;

fn login(reactor: &mut Reactor) -> HandlerId<Login<Greeter>> {
    let then = reactor.register(Greeter);
    reactor.register(Login { then })
}

#[test]
fn the_handler_that_takes_over_gets_what_follows_the_name_however_it_arrives() {
    let make = || Harness::build(&Listen::default(), |_| {}, login);
    let outcome = same_at_every_split(make, b"Ada\nwhat follows");
    assert_eq!(outcome.sent.escape_ascii().to_string(), r"name?\nhello Ada\nwhat follows");
    assert_eq!((outcome.state, outcome.state_at_end), (State::Open, State::Closed));
}

#[test]
fn a_connection_of_a_real_kernel_changes_its_handler_and_loses_nothing() {
    serve(login, |address| {
        let bytes: Vec<u8> = (0..1_000_000).map(|at| (at % 251) as u8).collect();
        let (request, answer) =
            ([b"Ada\n", &bytes[..]].concat(), [b"name?\nhello Ada\n", &bytes[..]].concat());
        for piece in [request.len(), 1000] {
            assert!(exchange(address, &request, piece) == answer, "in pieces of {piece}");
        }
        assert_eq!(exchange(address, b"Bob\nx", 1), b"name?\nhello Bob\nx");
    });
}

fn relay(reactor: &mut Reactor, back: &Address) -> HandlerId<Relay> {
    let relay = reactor.reserve();
    let connector = reactor.connector(relay, &Connect::default()).expect("room for a connector");
    let back = back.clone();
    let connect = Box::new(move |cx: &mut Context<'_>| {
        let front = cx.id();
        cx.connect(connector, &back, front)
    });
    reactor.install(relay, Relay { connect });
    relay
}

#[test]
fn a_relay_passes_bytes_and_ends_on_in_both_directions() {
    relayed::passes_bytes_and_ends_on(relay);
}

#[test]
fn a_relay_that_loses_one_end_resets_the_other() {
    relayed::passes_a_reset_on(relay);
}

#[test]
fn a_relay_on_a_real_kernel_loses_nothing() {
    let make = |reactor: &mut Reactor| {
        let echo = reactor.register(echo::Echo);
        let back = reactor.listen("127.0.0.1:0", &Listen::default(), echo).expect("a free port");
        let back = reactor.listener_address(back).expect("it listens").clone();
        relay(reactor, &back)
    };
    serve(make, |address| {
        let bytes: Vec<u8> = (0..3_000_000).map(|at| (at % 251) as u8).collect();
        for piece in [bytes.len(), 1000] {
            assert!(exchange(address, &bytes, piece) == bytes, "in pieces of {piece}");
        }
    });
}

/// A proxy to a target that fails at times.
fn proxy_of_parts(reactor: &mut Reactor, fails: Option<u64>) -> HandlerId<Proxy> {
    let target = reactor.register(Target { fails });
    let back = reactor.listen("127.0.0.1:0", &Listen::default(), target).expect("a free port");
    let back = reactor.listener_address(back).expect("it listens").clone();
    let proxy = reactor.reserve();
    let connector = reactor.connector(proxy, &Connect::default()).expect("room for a connector");
    let connect = Box::new(move |cx: &mut Context<'_>| {
        let target = End::Target(cx.id());
        cx.connect(connector, &back, target)
    });
    reactor.install(proxy, Proxy::new(connect));
    proxy
}

/// Messages of some lengths, and their answers.
fn messages() -> (Vec<u8>, Vec<u8>) {
    let messages = [0, 1, 700, 5_000, 70_000, 3_000_000, 3].map(|len| {
        let message: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        (framed(&message), answer(&message))
    });
    let (said, answers): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    (said.concat(), answers.concat())
}

#[test]
fn parts_on_a_real_kernel_are_whole_and_what_is_between_them_stays_here() {
    serve(
        |reactor| proxy_of_parts(reactor, None),
        |address| {
            let (said, answers) = messages();
            for piece in [said.len(), 1000] {
                assert_eq!(exchange(address, &said, piece), answers, "in pieces of {piece}");
            }
        },
    );
}

#[test]
fn a_client_of_a_real_kernel_hears_of_targets_that_are_lost_within_a_part() {
    serve(
        |reactor| proxy_of_parts(reactor, Some(1)),
        |address| {
            let (said, answers) = messages();
            assert_eq!(exchange(address, &said, 1000), LOST.repeat(answers.len() / LOST.len()));
        },
    );
}
