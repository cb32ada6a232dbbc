//! Rates: what comes back comes whole, and never faster than was said.

use std::time::Duration;

use sluicegate_reactor::testing::Simulation;
use sluicegate_reactor::{Context, Handler, Input, Limits, Listen, Timeout};

use crate::noise;
use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:7";

/// Sends back what it receives, and looks at how much of both there was.
struct Echo {
    send_rate: u64,
    begin: Option<Duration>,
}

impl Echo {
    fn check(&mut self, cx: &Context<'_>) {
        let time = cx.now() - *self.begin.get_or_insert(cx.now());
        let most = |rate: u64| {
            let burst = (rate / 14).max(4096);
            burst + (u128::from(rate) * time.as_nanos() / 1_000_000_000) as u64
        };
        let ledger = cx.ledger();
        assert!(ledger.sent <= most(self.send_rate), "{} sent in {time:?}", ledger.sent);
    }
}

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.check(cx);
        wake_soon(cx);
    }

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        self.check(cx);
        cx.send(input.take());
    }

    fn on_eof(&mut self, cx: &mut Context<'_>, (): &mut ()) {
        self.check(cx);
        cx.close();
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, (): &mut (), which: Timeout) {
        match which {
            Timeout::Own => wake_soon(cx),
            Timeout::Idle | Timeout::WriteStall => cx.close(),
        }
    }
}

/// Sets a deadline that is likely to pass while the connection is held.
fn wake_soon(cx: &mut Context<'_>) {
    let millis = cx.random() % 2000;
    cx.set_deadline(Some(Duration::from_millis(millis)));
}

#[test]
pub(crate) fn nothing_is_lost_and_nothing_too_fast_while_calls_fail() {
    Simulation::new().run(|sim| {
        let mut rate = || [20_000, 100_000, 3_000_000][sim.below(3)];
        let send_rate = rate();
        let mut own = || (sim.below(2) == 0).then(|| [10_000, 200_000][sim.below(2)]);
        let limits = Limits { send_rate: own(), ..Limits::default() };
        let listen = Listen { limits, send_rate: Some(send_rate), ..Listen::default() };
        sim.reactor(|reactor| {
            let echo = Echo { send_rate, begin: None };
            let echo = reactor.register(Watched::new(echo));
            reactor.listen(ADDRESS, &listen, echo).expect("the address is free");
        });
        for _ in 0..1 + sim.below(5) {
            let bytes = noise([10, 3000, 60_000][sim.below(3)]);
            let client = sim.client(ADDRESS).sends(&bytes).expects(&bytes);
            match sim.below(4) {
                0 => client.awaits(bytes.len() / 2).resets(),
                1 if bytes.len() < 10_000 => client.finishes().reads_slowly(),
                2 => client,
                _ => client.finishes(),
            };
        }
        sim.run();
        assert_eq!(sim.reactors()[0].connections(), 0, "the idle ones were closed");
    });
}
