//! A chat with nicknames and rooms, on any number of threads, that bounds the memory used for
//! members who do not read. `cargo run --release --example chat -- --port 7000`, then `nc localhost
//! 7000`

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sluicegate_protocols::line::{LineHandler, Lines, Next};
use sluicegate_reactor::*;

mod common;
#[path = "common/messaging.rs"]
mod messaging;

/// How long a member may read nothing before it is disconnected. In the meantime it misses
/// messages.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const HELP: &str = "* /nick NAME, /join ROOM; anything else goes to your room\n";

/// What the members of one thread share.
pub(crate) struct Chat {
    /// The next guest's number. Threads use different numbers, so that no two guests share one.
    next: usize,
    /// Where messages go: to all threads, this one included.
    threads: Vec<Handle<Said>>,
}

pub(crate) struct Member {
    /// Ends with the guest's number, so that no one can impersonate another member.
    name: String,
    room: String,
    /// Its queue is full: it misses messages, and its own input is not read either.
    slow: bool,
}

/// A room and a message to it. All queues refer to one copy of a message, unless it is short.
pub(crate) type Said = (Bytes, Bytes);

impl Chat {
    pub(crate) fn new(thread: usize, threads: Vec<Handle<Said>>) -> Chat {
        Chat { next: thread + 1, threads }
    }

    fn say(&self, room: &str, text: String) {
        let said: Said = (Bytes::copy_from_slice(room.as_bytes()), text.into());
        for thread in &self.threads {
            thread.post(said.clone()).unwrap_or_else(|error| log::debug!("message lost: {error}"));
        }
    }
}

impl Receive<Said, Member> for Chat {
    fn on_message(&mut self, cx: &mut Sessions<'_, Member>, (room, text): Said) {
        cx.for_each(|cx, member| {
            let hears = member.room.as_bytes() == room && !member.slow;
            if hears && cx.send(text.clone()) == Sent::Full {
                member.slow = true;
                cx.set_deadline(Some(PATIENCE));
            }
        });
    }
}

impl LineHandler for Chat {
    type Session = Member;

    fn on_open(&mut self, cx: &mut Context<'_>) -> Member {
        let name = format!("guest#{}", self.next);
        self.next += self.threads.len();
        cx.send(HELP);
        Member { name, room: "lobby".into(), slow: false }
    }

    fn on_line(&mut self, cx: &mut Context<'_>, me: &mut Member, line: &[u8]) -> Next {
        // Control characters could move the cursors of terminals.
        let line = String::from_utf8_lossy(line).replace(char::is_control, "");
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let name = &me.name;
        match command {
            "/nick" | "/join" if rest.is_empty() => _ = cx.send(HELP),
            "/nick" => {
                let new = rest.to_owned() + &name[name.rfind('#').unwrap_or(0)..];
                self.say(&me.room, format!("* {name} is now {new}\n"));
                me.name = new;
            }
            "/join" => {
                self.say(&me.room, format!("* {name} left for {rest}\n"));
                self.say(rest, format!("* {name} joined\n"));
                me.room = rest.into();
            }
            _ => self.say(&me.room, format!("{name}: {line}\n")),
        }
        Next::Line
    }

    fn on_drain(&mut self, cx: &mut Context<'_>, me: &mut Member) {
        if std::mem::take(&mut me.slow) {
            cx.set_deadline(None);
            cx.send("* you missed some messages\n");
        }
    }

    fn on_close(&mut self, cx: &mut Turn, _: ConnId, me: Member, _: Reason) {
        if !cx.is_stopping() {
            self.say(&me.room, format!("* {} left\n", me.name));
        }
    }
}

/// Sends each line to everyone in the same room.
#[derive(Parser)]
#[command(name = "chat", version)]
struct Options {
    #[command(flatten)]
    server: common::Server,
}

pub(crate) fn main() -> ExitCode {
    // Members may be silent. A member that is gone is noticed at the next message to it.
    let limits = Limits { idle: None, ..Limits::default() };
    let make = |thread, threads| Lines::new(Chat::new(thread, threads));
    common::main(|Options { server }: Options| {
        messaging::run(&server, limits, |at| format!("chat on {at}"), make)
    })
}
