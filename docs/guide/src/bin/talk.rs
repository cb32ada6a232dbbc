//! Talks to the chat: `talk NAME [ADDRESS]`. It connects again when the connection is lost.

use std::error::Error;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use sluicegate_protocols::line::{LineHandler, LineSession, Lines, Next};
use sluicegate_reactor::{
    Backoff, ConnId, Connect, Connector, Context, Handle, HandlerId, Limits, PostError, Reactor,
    Reason, Receive, Sent, Sessions, Target, Turn,
};

struct Talk<W> {
    own: HandlerId<Lines<Talk<W>>>,
    connector: Connector<Lines<Talk<W>>>,
    server: Target,
    backoff: Backoff,
    name: String,
    /// The connection, while it is open and its queue is not full.
    ready: Option<ConnId>,
    output: W,
}

/// It is time to connect.
struct Dial;

/// A line from the keyboard, or its end.
struct Typed(Option<String>);

impl<W: Write + 'static> Talk<W> {
    fn register(
        reactor: &mut Reactor,
        name: &str,
        server: Target,
        output: W,
    ) -> io::Result<HandlerId<Lines<Talk<W>>>> {
        let own = reactor.reserve();
        let limits = Limits { idle: None, ..Limits::default() };
        let connector = reactor.connector(own, &Connect { limits, ..Connect::default() })?;
        let (name, backoff) = (name.into(), Backoff::default());
        let talk = Talk { own, connector, server, backoff, name, ready: None, output };
        reactor.install(own, Lines::new(talk));
        reactor.after(Duration::ZERO, own, Dial);
        Ok(own)
    }

    fn print(&mut self, cx: &mut Turn, line: &str) {
        if writeln!(self.output, "{line}").is_err() {
            cx.stop();
        }
    }
}

impl<W: Write + 'static> LineHandler for Talk<W> {
    type Session = ();

    /// Never called: it accepts no connections.
    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_ready(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        self.ready = Some(cx.id());
        cx.send(format!("{}\n", self.name));
    }

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut (), line: &[u8]) -> Next {
        // Not in `on_ready`: a server may accept connections and close them immediately.
        self.backoff.reset();
        self.print(cx, &String::from_utf8_lossy(line));
        Next::Line
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        self.ready = Some(cx.id());
    }

    /// The connection was lost, or not established.
    fn on_close(&mut self, cx: &mut Turn, _: ConnId, _: (), why: Reason) {
        self.ready = None;
        if !cx.is_stopping() {
            let delay = self.backoff.next(cx.random());
            self.print(cx, &format!("* {why:?}, next attempt in {delay:.1?}"));
            cx.after(delay, self.own, Dial);
        }
    }
}

impl<W: Write + 'static> Receive<Dial> for Talk<W> {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Dial) {
        cx.connect(self.connector, &self.server, LineSession::new(()));
    }
}

impl<W: Write + 'static> Receive<Typed> for Talk<W> {
    fn on_message(&mut self, cx: &mut Sessions<'_>, Typed(line): Typed) {
        match (line, self.ready) {
            (Some(line), Some(id)) => {
                if cx.peer(id).send(line + "\n") == Sent::Full {
                    self.ready = None;
                }
            }
            (Some(line), None) => self.print(cx, &format!("* not sent: {line}")),
            (None, _) => cx.stop(),
        }
    }
}

/// Reading the keyboard blocks, so it has a thread.
fn read_keyboard(talk: &Handle<Typed>) {
    let lines = io::stdin().lines().map_while(Result::ok);
    for line in lines.map(Some).chain([None]) {
        let mut typed = Typed(line);
        while let Err(PostError::Full(back)) = talk.post(typed) {
            typed = back;
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("guest".into());
    let server = arguments.next().unwrap_or("127.0.0.1:7000".into()).parse()?;
    let mut reactor = Reactor::new()?;
    let talk = Talk::register(&mut reactor, &name, server, io::stdout())?;
    let handle = reactor.handle(talk);
    thread::spawn(move || read_keyboard(&handle));
    Ok(reactor.run()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    use sluicegate_reactor::testing::{Client, Harness, Remote};
    use sluicegate_reactor::{Address, Listen};

    type Talking = Harness<Lines<Talk<Vec<u8>>>>;

    fn server() -> Address {
        "10.0.0.1:7000".parse().expect("an address")
    }

    fn talk() -> Talking {
        let make = |reactor: &mut Reactor| {
            Talk::register(reactor, "Ada", server().into(), Vec::new()).expect("room for one")
        };
        let mut h = Harness::build(&Listen::default(), |_| {}, make);
        h.set_remote(&server(), Remote::Listens);
        h
    }

    fn printed(h: &mut Talking) -> String {
        let output = std::mem::take(&mut h.handler().handler().output);
        String::from_utf8(output).expect("text")
    }

    /// Waits for the connection, and accepts it.
    fn accept(h: &mut Talking) -> Client {
        h.advance(Duration::from_secs(30));
        h.accept(&server())
    }

    #[test]
    fn lines_go_both_ways() {
        let mut h = talk();
        let far_end = accept(&mut h);
        assert_eq!(h.sent(far_end), "Ada\n");
        h.feed(far_end, "* Ada joined\n");
        assert_eq!(printed(&mut h), "* Ada joined\n");
        h.post(Typed(Some("hello".into())));
        assert_eq!(h.sent(far_end), "hello\n");
    }

    #[test]
    fn it_connects_again_when_the_connection_is_lost() {
        let mut h = talk();
        let far_end = accept(&mut h);
        h.reset(far_end);
        assert!(printed(&mut h).starts_with("* Reset, next attempt in "));
        h.post(Typed(Some("hello".into())));
        assert_eq!(printed(&mut h), "* not sent: hello\n");
        let far_end = accept(&mut h);
        assert_eq!(h.sent(far_end), "Ada\n");
    }

    #[test]
    fn after_a_line_from_the_server_the_delays_are_short_again() {
        let mut h = talk();
        h.set_remote(&server(), Remote::Silent);
        h.advance(Duration::from_secs(600));
        h.set_remote(&server(), Remote::Listens);
        let far_end = accept(&mut h);
        h.feed(far_end, "your name?\n");
        h.reset(far_end);
        h.advance(Duration::from_millis(200));
        assert!(h.try_accept(&server()).is_some());
    }

    #[test]
    fn lines_for_a_server_that_does_not_read_are_not_stored() {
        let mut h = talk();
        let far_end = accept(&mut h);
        h.set_room(far_end, 1000);
        let long = "x".repeat(100_000);
        h.post(Typed(Some(long.clone())));
        h.post(Typed(Some("lost".into())));
        assert_eq!(printed(&mut h), "* not sent: lost\n");
        assert_eq!(h.sent(far_end).len(), "Ada\n".len() + long.len() + 1);
        h.post(Typed(Some("hello".into())));
        assert_eq!(h.sent(far_end), "hello\n");
    }
}
