//! A chat: nicknames, rooms, and little memory for those who do not listen. It has one thread.
//! `cargo run --release --example chat -- --port 7000`, then `nc localhost 7000`

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sluicegate_protocols::line::{Lines, Next, Protocol};
use sluicegate_reactor::{Bytes, ConnId, Context, Limits, Listen, Reactor, Reason, Sent, Turn};

mod common;
#[cfg(all(test, feature = "testing"))]
#[path = "chat/tests.rs"]
mod tests;

/// How long a member may take nothing before it is closed. It misses what is said meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
const HELP: &str = "* /nick NAME, /join ROOM; all else is said to your room\n";

#[derive(Default)]
struct Chat {
    members: HashMap<ConnId, Member>,
    guests: u64,
}

struct Member {
    name: String,
    room: String,
    /// How many messages a slow reader has missed; none if it reads.
    missed: Option<u64>,
}

impl Chat {
    /// Takes one allocation, however many hear it: queues refer to it, and copy it only if short.
    fn say(&mut self, cx: &mut Turn<'_>, room: &str, message: String) {
        let message = Bytes::from(message);
        for (id, member) in self.members.iter_mut().filter(|(_, member)| member.room == room) {
            let mut peer = cx.peer(*id);
            if let Some(missed) = &mut member.missed {
                *missed += 1;
            } else if peer.send(message.clone()) == Sent::Full {
                // Its own lines are not read either until it has caught up.
                member.missed = Some(0);
                peer.set_deadline(Some(PATIENCE));
            }
        }
    }
}

impl Protocol for Chat {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        self.guests += 1;
        let (name, room) = (format!("guest-{}", self.guests), "lobby".into());
        self.members.insert(cx.id(), Member { name, room, missed: None });
        cx.send(HELP);
    }

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut (), line: &[u8]) -> Next {
        let line = String::from_utf8_lossy(line).replace(char::is_control, ""); // for terminals
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let is_taken = self.members.values().any(|member| member.name == rest);
        let Some(me) = self.members.get_mut(&cx.id()) else { return Next::Line };
        let (name, room) = (me.name.clone(), me.room.clone());
        match command {
            "/nick" | "/join" if rest.is_empty() => _ = cx.send(HELP),
            "/nick" if is_taken => _ = cx.send("* that name is taken\n"),
            "/nick" => {
                me.name = rest.into();
                self.say(cx, &room, format!("* {name} is now {rest}\n"));
            }
            "/join" => {
                me.room = rest.into();
                self.say(cx, &room, format!("* {name} has gone to {rest}\n"));
                self.say(cx, rest, format!("* {name} has come\n"));
            }
            _ => self.say(cx, &room, format!("{name}: {line}\n")),
        }
        Next::Line
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        if let Some(missed) = self.members.get_mut(&cx.id()).and_then(|me| me.missed.take()) {
            cx.set_deadline(None);
            cx.send(format!("* you have missed {missed} messages\n"));
        }
    }

    fn on_close(&mut self, cx: &mut Turn<'_>, id: ConnId, _: (), _: Reason) {
        if let Some(me) = self.members.remove(&id).filter(|_| !cx.is_stopping()) {
            self.say(cx, &me.room, format!("* {} has left\n", me.name));
        }
    }
}

/// Passes what a member says on to everybody in the same room.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: common::Server,
}

fn main() -> ExitCode {
    let options = Options::parse();
    common::main(|| {
        if options.server.threads.get() > 1 {
            return Err("a chat whose members know each other has one thread".into());
        }
        let make = |reactor: &mut Reactor| Ok(reactor.register(Lines::new(Chat::default())));
        // Members may be silent. Those that are gone are noticed when something is said.
        let limits = Limits { idle: None, ..Limits::default() };
        let listen = Listen { limits, ..Listen::default() };
        options.server.run(&listen, |at| format!("chat on {at}"), make)
    })
}
