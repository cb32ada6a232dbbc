//! HTTP answers that are made later than in the call: all there and in order.

use std::time::Duration;

use sluicegate_protocols::http::{Answered, Deferred, Http, Reply, Request, Service};
use sluicegate_reactor::testing::simulation::End;
use sluicegate_reactor::testing::{Sim, Simulation};
use sluicegate_reactor::{HandlerId, Listen, Receive, Sessions};

use crate::answers::Answers;
use crate::noise;

const ADDRESS: &str = "10.0.0.1:80";

/// Answers `/D/L` with L bytes after D milliseconds: at once if D is 0, else in two steps.
struct Slow {
    me: HandlerId<Http<Slow>>,
}

struct Due {
    deferred: Deferred,
    len: usize,
    again: Option<Duration>,
}

impl Service for Slow {
    type State = ();

    fn call(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answered {
        let (delay, len) = request.path()[1..].split_once('/').expect("two numbers");
        let (delay, len) = (delay.parse().expect("a number"), len.parse().expect("a number"));
        if delay == 0 {
            return reply.send(noise(len));
        }
        let half = Duration::from_millis(delay) / 2;
        reply.defer(|deferred, cx| {
            cx.after(half, self.me, Due { deferred, len, again: Some(half) });
        })
    }
}

impl Receive<Due> for Slow {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Due { deferred, len, again }: Due) {
        deferred.answer(cx, |reply| match again {
            Some(half) => reply.defer(|deferred, cx| {
                cx.after(half, self.me, Due { deferred, len, again: None });
            }),
            None => reply.send(noise(len)),
        });
    }
}

fn serve(sim: &mut Sim) {
    sim.reactor(|reactor| {
        let me = reactor.reserve();
        reactor.install(me, Http::new(Slow { me }));
        reactor.listen(ADDRESS, &Listen::default(), me).expect("the address is free");
    });
}

/// Requests, and what their answers have as bodies.
fn some_requests(sim: &mut Sim) -> (String, Vec<usize>) {
    let sizes: Vec<_> = (0..sim.below(6)).map(|_| [0, 13, 5000, 100_000][sim.below(4)]).collect();
    let delays = [0, 1, 30, 500];
    let requests = sizes.iter().map(|size| {
        let body = sim.below(100);
        format!(
            "POST /{}/{size} HTTP/1.1\r\nHost: h\r\nContent-Length: {body}\r\n\r\n{}",
            delays[sim.below(4)],
            "b".repeat(body)
        )
    });
    (requests.collect(), sizes)
}

#[test]
pub(crate) fn answers_that_are_put_off_are_exact_and_in_order() {
    Simulation::new().run(|sim| {
        serve(sim);
        let all = (0..1 + sim.below(5)).map(|_| {
            let (requests, sizes) = some_requests(sim);
            let client = sim.client(ADDRESS).sends(requests);
            let client = match sim.below(4) {
                0 => client.finishes(),
                1 => client.waits(Duration::from_millis(300)).resets(),
                2 => client.reads_slowly(),
                _ => client,
            };
            (Answers::to(&client, Some(sizes)), client)
        });
        let all: Vec<_> = all.collect();
        sim.run();
        for (answers, client) in all {
            let all = answers.borrow().are_all();
            assert!(all || client.is_spoilt() || client.end() == End::Reset, "{client:?}");
        }
    });
}

#[test]
pub(crate) fn a_reactor_that_stops_answers_what_was_put_off_and_says_that_it_is_the_last() {
    Simulation::new().run(|sim| {
        serve(sim);
        let all = (0..1 + sim.below(5)).map(|_| {
            let (requests, sizes) = some_requests(sim);
            let client = sim.client(ADDRESS).sends(requests);
            let answers = Answers::to(&client, Some(sizes));
            answers.borrow_mut().may_be_late = true;
            (answers, client)
        });
        let all: Vec<_> = all.collect();
        let when = Duration::from_micros(sim.below(1_000_000) as u64);
        sim.after(when, Sim::stop);
        sim.run();
        for (answers, client) in all {
            // What was on its way when the stop came cannot say so, and leaves whole.
            let answers = answers.borrow();
            let excused = answers.say_so() || client.is_spoilt();
            assert!(answers.are_whole() || excused, "{client:?}");
        }
    });
}
