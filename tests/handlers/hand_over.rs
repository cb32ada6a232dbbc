//! A connection that changes its handler on the way.

use sluicegate_reactor::{Context, Handler, HandlerId, Input};

/// Takes a name and hands the connection over, with the name as its session.
pub(crate) struct Login<H> {
    pub(crate) then: HandlerId<H>,
}

impl<H: Handler> Handler for Login<H>
where
    H::Session: From<String>,
{
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        cx.send("name?\n");
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        if let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let name = String::from_utf8_lossy(&input[..end]).into_owned();
            input.consume(end + 1);
            cx.hand_over(self.then, name.into());
        }
    }
}

/// Greets whom it is handed, and sends back what it receives.
pub(crate) struct Greeter;

impl Handler for Greeter {
    type Session = String;

    fn on_open(&mut self, _: &mut Context<'_>) -> String {
        unreachable!("nobody listens for it")
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, name: &mut String) {
        cx.send(format!("hello {name}\n"));
    }

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut String, input: &mut Input<'_>) {
        cx.send(input.take());
    }
}
