//! Sends back everything it receives.

use sluicegate_reactor::{Context, Handler, Input, Listen, Reactor};

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
        cx.send(input.take());
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut reactor = Reactor::new()?;
    let echo = reactor.register(Echo);
    let listener = reactor.listen(address, &Listen::default(), echo)?;
    println!("echo on {}", reactor.listener_address(listener).expect("it is open"));
    reactor.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    use sluicegate_reactor::testing::{Harness, State};

    #[test]
    fn what_arrives_goes_back() {
        let mut h = Harness::new(Echo);
        let client = h.open();
        h.feed(client, "hello");
        assert_eq!(h.sent(client), "hello");
        h.finish(client);
        assert_eq!(h.state(client), State::Closed);
    }
}
