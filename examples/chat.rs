//! A chat with nicknames and rooms, on any number of threads, which bounds the memory of members
//! who do not read. `cargo run --release --example chat -- --port 7000`, then `nc localhost 7000`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_reactor::*;

mod common;
#[path = "common/together.rs"]
mod together;

/// How long a member may read nothing before it is disconnected. Meanwhile it misses messages.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const HELP: &str = "* /nick NAME, /join ROOM; anything else goes to your room\n";

/// The members of one thread.
pub(crate) struct Chat {
    members: BTreeMap<ConnId, Member>,
    /// The next guest's number. Threads use different numbers, so that no two guests share one.
    next: usize,
    others: Vec<Handle<Said>>,
}

struct Member {
    /// Ends with the guest's number, so that nobody can pass for another member.
    name: String,
    room: String,
    /// Its queue is full: it misses messages, and is not read from either.
    slow: bool,
}

/// A room and a message to it. All queues refer to one copy of a message, unless it is short.
pub(crate) type Said = (Bytes, Bytes);

impl Chat {
    pub(crate) fn new(thread: usize, others: Vec<Handle<Said>>) -> Chat {
        Chat { members: BTreeMap::new(), next: thread + 1, others }
    }

    fn say(&mut self, cx: &mut Turn, room: &str, text: String) {
        let said = (Bytes::copy_from_slice(room.as_bytes()), text.into());
        for thread in &self.others {
            thread.post(said.clone()).unwrap_or_else(|error| log::debug!("message lost: {error}"));
        }
        self.on_message(cx, said);
    }
}

impl Receive<Said> for Chat {
    fn on_message(&mut self, cx: &mut Turn, (room, text): Said) {
        for (id, member) in self.members.iter_mut().filter(|(_, it)| it.room.as_bytes() == room) {
            if !member.slow && cx.peer(*id).send(text.clone()) == Sent::Full {
                member.slow = true;
                cx.peer(*id).set_deadline(Some(PATIENCE));
            }
        }
    }
}

impl LineHandler for Chat {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_>) {
        let name = format!("guest#{}", self.next);
        self.next += 1 + self.others.len();
        self.members.insert(cx.id(), Member { name, room: "lobby".into(), slow: false });
        cx.send(HELP);
    }

    fn on_line(&mut self, cx: &mut Context<'_>, _: &mut (), line: &[u8]) -> Next {
        // Control characters could move the cursors of terminals.
        let line = String::from_utf8_lossy(line).replace(char::is_control, "");
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(me) = self.members.get_mut(&cx.id()) else { return Next::Line };
        let (name, room) = (me.name.clone(), me.room.clone());
        match command {
            "/nick" | "/join" if rest.is_empty() => _ = cx.send(HELP),
            "/nick" => {
                me.name = rest.to_owned() + &name[name.rfind('#').unwrap_or(0)..];
                let renamed = format!("* {name} is now {}\n", me.name);
                self.say(cx, &room, renamed);
            }
            "/join" => {
                me.room = rest.into();
                self.say(cx, &room, format!("* {name} left for {rest}\n"));
                self.say(cx, rest, format!("* {name} joined\n"));
            }
            _ => self.say(cx, &room, format!("{name}: {line}\n")),
        }
        Next::Line
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, _: &mut ()) {
        if let Some(me) = self.members.get_mut(&cx.id()).filter(|me| me.slow) {
            me.slow = false;
            cx.set_deadline(None);
            cx.send("* you missed some messages\n");
        }
    }

    fn on_close(&mut self, cx: &mut Turn, id: ConnId, _: (), _: Reason) {
        if let Some(me) = self.members.remove(&id).filter(|_| !cx.is_stopping()) {
            self.say(cx, &me.room, format!("* {} left\n", me.name));
        }
    }
}

/// Passes each line on to everybody in the same room.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: common::Server,
}

pub(crate) fn main() -> ExitCode {
    // Members may be silent. A member that is gone is noticed at the next message to it.
    let limits = Limits { idle: None, ..Limits::default() };
    let listen = Listen { limits, ..Listen::default() };
    let make = |thread, others| Lines::new(Chat::new(thread, others));
    common::main(|Options { server }: Options| {
        together::run(&server, &listen, |at| format!("chat on {at}"), make)
    })
}
