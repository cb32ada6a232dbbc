//! Messages between two reactors, and timers in one of them.

use std::time::Duration;

use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_reactor::testing::Simulation;
use sluicegate_reactor::{
    ConnId, Context, Handle, Handler, HandlerId, Input, Listen, Receive, Sessions, mailbox,
};

use crate::watched::Watched;

const ADDRESS: &str = "10.0.0.1:7000";

struct Job {
    from: ConnId,
    line: String,
}

struct Answer {
    to: ConnId,
    text: String,
}

/// Asks the other reactor for the answer to each line.
struct Front {
    jobs: Handle<Job>,
}

impl LineHandler for Front {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut (), line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line).into_owned();
        let posted = self.jobs.post(Job { from: cx.id(), line });
        assert!(posted.is_ok(), "the other reactor runs, and there are few jobs");
        Next::Line
    }
}

impl Receive<Answer> for Front {
    fn on_message(&mut self, cx: &mut Sessions<'_>, answer: Answer) {
        cx.peer(answer.to).send(answer.text);
    }
}

/// Takes some time for each job, the same for all so that they end in order.
struct Back {
    answers: Handle<Answer>,
    me: HandlerId<Back>,
}

impl Handler for Back {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        input.take();
    }
}

impl Receive<Job> for Back {
    fn on_message(&mut self, cx: &mut Sessions<'_>, job: Job) {
        let answer = Answer { to: job.from, text: format!("done {}\n", job.line) };
        cx.after(Duration::from_millis(500), self.me, answer);
    }
}

impl Receive<Answer> for Back {
    fn on_message(&mut self, _: &mut Sessions<'_>, answer: Answer) {
        let posted = self.answers.post(answer);
        assert!(posted.is_ok(), "the other reactor runs, and there are few answers");
    }
}

#[test]
pub(crate) fn each_job_comes_back_to_who_has_sent_it_in_order() {
    Simulation::new().run(|sim| {
        let (jobs, job_box) = mailbox();
        let (answers, answer_box) = mailbox();
        sim.reactor(|reactor| {
            let front = reactor.register(Watched::new(Lines::new(Front { jobs })));
            reactor.attach(answer_box, front);
            reactor.listen(ADDRESS, &Listen::default(), front).expect("the address is free");
        });
        sim.reactor(|reactor| {
            let me = reactor.reserve();
            reactor.install(me, Back { answers, me });
            reactor.attach(job_box, me);
        });
        for client in 0..1 + sim.below(5) {
            let lines = (0..sim.below(20)).map(|line| format!("{client}/{line}"));
            let lines = lines.collect::<Vec<_>>();
            let said = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let heard = lines.iter().map(|line| format!("done {line}\n")).collect::<String>();
            let client = sim.client(ADDRESS).sends(said).expects(&heard);
            // Its end would close the connection in front of the answers.
            match sim.below(3) {
                0 => client.awaits(heard.len() / 2).resets(),
                _ => client.awaits(heard.len()).finishes(),
            };
        }
    });
}
