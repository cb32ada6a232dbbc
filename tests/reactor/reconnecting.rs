//! A handler that stays connected: it tries again, later each time, until it succeeds.

use std::net::SocketAddr;
use std::time::Duration;

use sluicegate_reactor::testing::{Harness, Remote};
use sluicegate_reactor::{
    Address, Backoff, ConnId, Connect, Connector, Context, Handler, HandlerId, Input, Listen,
    Reason, Receive, Sessions, Turn,
};

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(2);

struct Link {
    me: HandlerId<Link>,
    connector: Connector<Link>,
    backoff: Backoff,
    /// When each attempt began.
    attempts: Vec<Duration>,
    ready: u32,
}

struct Dial;

impl Receive<Dial> for Link {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Dial) {
        self.attempts.push(cx.now());
        cx.connect(self.connector, server(), ());
    }
}

impl Handler for Link {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, _: &mut Context<'_>, _: &mut ()) {
        self.backoff.reset();
        self.ready += 1;
    }

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: (), _: Reason) {
        if !cx.is_stopping() {
            let delay = self.backoff.next(cx.random());
            cx.after(delay, self.me, Dial);
        }
    }
}

fn server() -> Address {
    SocketAddr::from(([10, 0, 0, 1], 80)).into()
}

fn harness() -> Harness<Link> {
    Harness::build(
        &Listen::default(),
        |_| {},
        |reactor| {
            let me = reactor.reserve();
            let connector =
                reactor.connector(me, &Connect::default()).expect("room for a connector");
            let (backoff, attempts) = (Backoff::new(BASE, CAP), Vec::new());
            reactor.install(me, Link { me, connector, backoff, attempts, ready: 0 });
            reactor.after(Duration::ZERO, me, Dial);
            me
        },
    )
}

#[test]
fn attempts_are_spread_and_never_further_apart_than_the_cap() {
    let mut h = harness();
    h.advance(Duration::from_secs(60));
    let attempts = &h.handler().attempts;
    // Sixty seconds at one second on average, and a few quick ones at first.
    assert!((45..90).contains(&attempts.len()), "{}", attempts.len());
    let waits: Vec<Duration> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let late = Duration::from_millis(40);
    assert!(waits.iter().all(|wait| *wait <= CAP + late), "{waits:?}");
    assert!(waits[0] <= BASE + late && waits[1] <= 2 * BASE + late, "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > CAP / 2), "{waits:?}");
}

#[test]
fn after_a_success_the_first_attempt_comes_soon() {
    let mut h = harness();
    h.advance(Duration::from_secs(60));
    h.set_remote(&server(), Remote::Listens);
    h.advance(CAP + BASE);
    assert_eq!(h.handler().ready, 1);
    let far = h.accept(&server());
    h.reset(far);
    h.advance(2 * BASE);
    assert_eq!(h.handler().ready, 2);
}
