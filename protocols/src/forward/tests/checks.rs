//! Health checks of origins.

use std::time::Duration;

use sluicegate_reactor::Reactor;
use sluicegate_reactor::testing::{Client as FarEnd, Remote, State};

use super::balanced::{SECOND, World, origin};
use crate::forward::{Forward, ForwardOptions, HealthCheck};
use crate::upstreams::UpstreamsOptions;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub(super) fn every_second() -> HealthCheck {
    HealthCheck { interval: SECOND, target: "/healthz?all".to_owned(), host: None }
}

impl World {
    /// A proxy that checks its origins, and has just made its first check.
    fn checking(count: u8) -> World {
        let upstreams = UpstreamsOptions { rise: 2, fall: 2, ..UpstreamsOptions::default() };
        let options = ForwardOptions {
            health_check: Some(every_second()),
            upstreams,
            ..ForwardOptions::default()
        };
        let all: Vec<_> = (1..=count).collect();
        let mut world = World::with(count, &all, &options);
        world.h.advance(SECOND / 10);
        world
    }

    /// The first origin's end of the check that was just made.
    fn check(&mut self) -> FarEnd {
        self.h.accept(&origin(1))
    }

    /// Answers the check of the first origin, and that of the second one with 200.
    fn answer_checks(&mut self, status: &str) {
        let second = self.h.accept(&origin(2));
        for (far, status) in [(self.check(), status), (second, "200")] {
            let request = String::from_utf8_lossy(&self.h.take(far)).into_owned();
            assert!(request.starts_with("GET /healthz?all HTTP/1.1\r\nHost: 10.0.0."), "{request}");
            let response = format!("HTTP/1.1 {status} Because\r\nContent-Length: 0\r\n\r\n");
            self.h.feed(far, response);
        }
    }

    /// The origins of some requests, each once.
    fn origins(&mut self) -> Vec<u8> {
        let mut numbers: Vec<_> = (0..4).map(|_| self.exchange()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

#[test]
fn an_origin_gets_no_requests_after_failed_checks_until_they_succeed() {
    let mut world = World::checking(2);
    for (status, origins) in [
        // A single success starts the count again.
        ("204", &[1, 2][..]),
        ("503", &[1, 2]),
        ("500", &[2]),
        ("302", &[2]),
        // So does a single failure.
        ("400", &[2]),
        ("200", &[2]),
        ("399", &[1, 2]),
    ] {
        world.answer_checks(status);
        assert_eq!(world.origins(), origins, "after {status}");
        world.h.advance(SECOND);
    }
}

#[test]
fn each_check_opens_a_connection_which_is_closed_after_the_response() {
    let mut world = World::checking(1);
    for _ in 0..3 {
        let far = world.check();
        world.h.feed(far, OK);
        world.h.advance(SECOND / 2);
        assert_eq!(world.h.state(far), State::Shut);
        world.h.advance(SECOND / 2);
    }
}

#[test]
fn a_check_fails_without_a_response_within_the_interval() {
    let mut world = World::checking(2);
    let mut checks = [1, 2].map(|number| world.h.accept(&origin(number)));
    for origins in [&[1, 2][..], &[2]] {
        let [late, answered] = checks;
        world.h.feed(late, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n");
        world.h.feed(answered, OK);
        world.h.advance(SECOND);
        assert_ne!(world.h.state(late), State::Open);
        checks = [1, 2].map(|number| world.h.accept(&origin(number)));
        assert_eq!(world.origins(), origins);
    }
}

#[test]
fn a_check_fails_if_the_origin_cannot_be_reached_or_closes() {
    let mut world = World::checking(2);
    let (far, second) = (world.check(), world.h.accept(&origin(2)));
    world.h.finish(far);
    world.h.feed(second, OK);
    assert_eq!(world.origins(), [1, 2]);
    world.h.set_remote(&origin(1), Remote::Fails(111));
    world.h.advance(SECOND);
    let second = world.h.accept(&origin(2));
    world.h.feed(second, OK);
    assert_eq!(world.origins(), [2]);
}

#[test]
fn a_check_in_progress_ends_when_the_reactor_stops() {
    let mut world = World::checking(1);
    let far = world.check();
    world.h.stop();
    assert_eq!(world.h.state(far), State::Open);
    world.h.advance(SECOND);
    assert_ne!(world.h.state(far), State::Open);
    assert!(world.h.try_accept(&origin(1)).is_none());
}

#[test]
fn a_check_that_cannot_be_made_is_an_error() {
    let mut reactor = Reactor::new().expect("a reactor");
    for (target, host, interval) in [
        ("", "h", SECOND),
        ("a", "h", SECOND),
        ("/a b", "h", SECOND),
        ("/", "h h", SECOND),
        ("/", "h", Duration::ZERO),
    ] {
        let (target, host) = (target.to_owned(), Some(host.to_owned()));
        let check = Some(HealthCheck { interval, target: target.clone(), host: host.clone() });
        let options = ForwardOptions { health_check: check, ..ForwardOptions::default() };
        let made = Forward::new(&mut reactor, "127.0.0.1:1", &options);
        let error = made.expect_err("an error").to_string();
        assert_eq!(
            error,
            format!("{target:?} of {:?} cannot be requested every {interval:?}", host.unwrap())
        );
    }
}
