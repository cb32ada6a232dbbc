//! Sends what each member says to all members, on two threads.

use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_reactor::{
    Bytes, ConnId, Context, Handle, Limits, Listen, Reason, Receive, Sent, Server, ServerOptions,
    Sessions, Turn, mailbox,
};

const THREADS: usize = 2;

/// The handler of one thread.
struct Chat {
    /// The mailboxes of all threads, this one included.
    threads: Vec<Handle<Said>>,
}

/// A message to all members.
#[derive(Clone)]
struct Said(Bytes);

impl Chat {
    fn say(&self, text: String) {
        let said = Said(text.into());
        for thread in &self.threads {
            // The members of a thread that cannot keep up miss the message.
            _ = thread.post(said.clone());
        }
    }
}

impl LineHandler for Chat {
    /// The member's name, which is its first line.
    type Session = Option<String>;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Option<String> {
        cx.send("your name?\n");
        None
    }

    fn on_line(&mut self, _: &mut Context<'_>, name: &mut Option<String>, line: &[u8]) -> Next {
        // Control characters could move the cursors of terminals.
        let line = String::from_utf8_lossy(line).replace(char::is_control, "");
        match name {
            Some(name) => self.say(format!("{name}: {line}\n")),
            None => {
                self.say(format!("* {line} joined\n"));
                *name = Some(line);
            }
        }
        Next::Line
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, name: Option<String>, _: Reason) {
        if let Some(name) = name.filter(|_| !cx.is_stopping()) {
            self.say(format!("* {name} left\n"));
        }
    }
}

impl Receive<Said, Option<String>> for Chat {
    fn on_message(&mut self, cx: &mut Sessions<'_, Option<String>>, Said(text): Said) {
        cx.for_each(|cx, name| {
            // A member that does not read is dropped.
            if name.is_some() && cx.send(&text) == Sent::Full {
                cx.abort();
            }
        });
    }
}

/// Members may stay silent.
fn options() -> Listen {
    let limits = Limits { idle: None, ..Limits::default() };
    Listen { limits, ..Listen::default() }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut server = Server::new(&ServerOptions { threads: THREADS, ..ServerOptions::default() });
    let listener = server.listen(address, &options())?;
    server.stop_on_signals()?;
    println!("chat on {}", listener.address());
    let (threads, mailboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mailbox()).unzip();
    server.run_with(mailboxes, |shard, mailbox| {
        let chat = shard.register(Lines::new(Chat { threads: threads.clone() }));
        shard.attach(mailbox, chat);
        shard.serve(&listener, chat)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use sluicegate_reactor::testing::{Harness, Simulation, State};

    fn chat() -> Harness<Lines<Chat>> {
        Harness::build(
            &options(),
            |_| {},
            |reactor| {
                let (thread, mailbox) = mailbox();
                let chat = reactor.register(Lines::new(Chat { threads: vec![thread] }));
                reactor.attach(mailbox, chat);
                chat
            },
        )
    }

    #[test]
    fn members_hear_each_other() {
        let mut h = chat();
        let (ada, bob) = (h.open(), h.open());
        h.feed(ada, "Ada\n");
        h.feed(bob, "Bob\nhello\x07\n");
        assert_eq!(h.sent(bob), "your name?\n* Bob joined\nBob: hello\n");
        h.finish(bob);
        assert_eq!(h.sent(ada), "your name?\n* Ada joined\n* Bob joined\nBob: hello\n* Bob left\n");
    }

    #[test]
    fn a_member_may_stay_silent() {
        let mut h = chat();
        let client = h.open();
        h.advance(Duration::from_secs(3600));
        assert_eq!(h.state(client), State::Open);
    }

    #[test]
    fn a_member_that_does_not_read_is_dropped() {
        let mut h = chat();
        let (ada, bob) = (h.open(), h.open());
        h.set_room(ada, 0);
        h.feed(ada, "Ada\n");
        h.feed(bob, "Bob\n");
        for _ in 0..10 {
            h.feed(bob, "x".repeat(8000) + "\n");
            h.sent(bob);
        }
        assert_eq!((h.state(ada), h.state(bob)), (State::Reset, State::Open));
    }

    #[test]
    fn members_on_two_threads_hear_each_other() {
        const ADDRESSES: [&str; THREADS] = ["10.0.0.1:7000", "10.0.0.2:7000"];
        Simulation::new().run(|sim| {
            let (threads, mailboxes): (Vec<_>, Vec<_>) =
                ADDRESSES.map(|_| mailbox()).into_iter().unzip();
            for (address, mailbox) in ADDRESSES.into_iter().zip(mailboxes) {
                sim.reactor(|reactor| {
                    let chat = reactor.register(Lines::new(Chat { threads: threads.clone() }));
                    reactor.attach(mailbox, chat);
                    reactor.listen(address, &options(), chat).expect("a free address");
                });
            }
            let ada = sim.client(ADDRESSES[0]).sends("Ada\n");
            sim.run();
            let bob = sim.client(ADDRESSES[1]).sends("Bob\nhello\n");
            sim.run();
            if !ada.is_spoilt() && !bob.is_spoilt() {
                let heard = "your name?\n* Ada joined\n* Bob joined\nBob: hello\n";
                assert_eq!(ada.received(), heard);
            }
        });
    }
}
