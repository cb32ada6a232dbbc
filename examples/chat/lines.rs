//! Members with a terminal, who send and receive lines.

use sluicegate_protocols::line::{Delimiter, LineHandler, Lines, Next, Splitter};
use sluicegate_reactor::*;

use super::front::{Flow, Front, LINE, Left};
use super::outbox::Delivery;

pub(crate) struct LineMembers {
    front: Front,
    own: HandlerId<Lines<LineMembers>>,
}

impl LineMembers {
    pub(crate) fn register(front: Front, reactor: &mut Reactor) -> HandlerId<Lines<LineMembers>> {
        let own = reactor.reserve();
        let members = LineMembers { front, own };
        reactor.install(own, Lines::with(members, Splitter::new(Delimiter::newline(), LINE)));
        own
    }
}

impl Receive<Delivery, Flow> for LineMembers {
    fn on_message(&mut self, cx: &mut Sessions<'_, Flow>, delivery: Delivery) {
        let text = &delivery.text;
        self.front.deliver(cx, &delivery, |cx, flow| flow.send(cx, |cx| cx.send(text)));
    }
}

impl Receive<Left, Flow> for LineMembers {
    fn on_message(&mut self, cx: &mut Sessions<'_, Flow>, left: Left) {
        self.front.close(cx, self.own, left);
    }
}

impl LineHandler for LineMembers {
    type Session = Flow;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Flow {
        self.front.open(cx);
        Flow::default()
    }

    fn on_line(&mut self, cx: &mut Context<'_>, flow: &mut Flow, line: &[u8]) -> Next {
        // U+FFFD takes three bytes, so a line of invalid bytes would become three times as long. One
        // that was typed becomes `?` too.
        let line = String::from_utf8_lossy(line).replace(char::REPLACEMENT_CHARACTER, "?");
        self.front.say(cx, flow, line);
        Next::Line
    }

    fn on_too_long(&mut self, cx: &mut Context<'_>, flow: &mut Flow, _: &[u8]) {
        flow.send(cx, |cx| cx.send(format!("* a line has at most {LINE} bytes\n")));
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, flow: &mut Flow) {
        if let Some(text) = flow.drained(cx) {
            flow.send(cx, |cx| cx.send(text));
        }
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, flow: &mut Flow, which: Timeout) {
        match which {
            Timeout::Own => flow.timed_out(cx),
            Timeout::WriteStall => cx.abort(),
            Timeout::Idle => cx.close(),
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, _: Flow, _: Reason) {
        self.front.close(cx, self.own, Left(id));
    }
}
