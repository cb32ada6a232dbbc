//! A chat with nicknames and rooms, for terminals and browsers, on any number of threads. Members
//! who do not read use little memory.
//!
//! `cargo run --release --example chat -- --port 7000 --web 127.0.0.1:8000`, then
//! `nc localhost 7000`, or <http://127.0.0.1:8000/> in a browser.
//!
//! ```text
//!   each thread                         the first thread
//!   nc      <─> lines::LineMembers ──┐
//!                                    ├── Report ──> hub::Hub ── Delivery ──> both, of all threads
//!   browser <─> web::WebMembers ─────┘
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;

use clap::{Parser, value_parser};
use sluicegate_protocols::http::{Http, HttpMetrics};
use sluicegate_protocols::line::Lines;
use sluicegate_reactor::*;

mod common;
#[path = "chat/front.rs"]
pub(crate) mod front;
#[path = "chat/hub.rs"]
pub(crate) mod hub;
#[path = "chat/lines.rs"]
pub(crate) mod lines;
#[path = "chat/outbox.rs"]
pub(crate) mod outbox;
#[path = "chat/seats.rs"]
pub(crate) mod seats;
#[path = "chat/web.rs"]
pub(crate) mod web;

use front::{Front, limits};
use hub::{Hub, Report};
use lines::LineMembers;
use outbox::Delivery;
use web::{Site, WebMembers};

/// Room for a burst of 20 lines from each of 6,000 members.
pub(crate) const REPORTS: MailboxLimits = MailboxLimits { capacity: 131_072, per_turn: 1024 };
/// Queues are flushed once a turn. Many members who talk in the same moment must not fill the
/// queues of those who read: 32 lines are about half of what a queue holds. The hub handles far
/// more reports in a turn, so most of what it answers to a burst waits in the mailbox.
pub(crate) const DELIVERIES: MailboxLimits = MailboxLimits { capacity: 131_072, per_turn: 32 };

/// The part of one thread of the chat.
pub(crate) struct Part {
    /// On the first thread.
    hub: Option<(Hub, Mailbox<Report>)>,
    fronts: [(Front, Mailbox<Delivery>); 2],
}

impl Part {
    /// Creates the parts of a chat on this number of threads. `reports` limits the mailbox of the
    /// hub, and `deliveries` that of each front.
    pub(crate) fn for_each_thread(
        threads: usize,
        room_size: usize,
        reports: &MailboxLimits,
        deliveries: &MailboxLimits,
    ) -> Vec<Part> {
        let (hub, reports) = mailbox_with(reports);
        let fronts = (0..2 * threads).map(|_| mailbox_with(deliveries));
        let (handles, mailboxes): (Vec<_>, Vec<_>) = fronts.unzip();
        let mut first = Some((Hub::new(handles, room_size), reports));
        let front = |(number, mailbox)| (Front { number, hub: hub.clone() }, mailbox);
        let mut fronts = mailboxes.into_iter().enumerate().map(front);
        let pair = || Some([fronts.next()?, fronts.next()?]);
        std::iter::from_fn(pair).map(|fronts| Part { hub: first.take(), fronts }).collect()
    }

    /// Registers the handlers: one for terminals and one for browsers.
    pub(crate) fn register(
        self,
        reactor: &mut Reactor,
        metrics: Option<HttpMetrics>,
    ) -> (HandlerId<Lines<LineMembers>>, HandlerId<Http<Site>>) {
        let [(lines, for_lines), (sockets, for_sockets)] = self.fronts;
        let lines = LineMembers::register(lines, reactor);
        reactor.attach(for_lines, lines);
        let members = WebMembers::register(sockets, reactor);
        reactor.attach(for_sockets, members);
        if let Some((hub, reports)) = self.hub {
            let hub = hub.register(reactor);
            reactor.attach(reports, hub);
        }
        (lines, reactor.register(Http::new(Site { members }).with_metrics(metrics)))
    }
}

const EXAMPLES: &str = "\
Examples:
  chat                                    then, in several terminals: nc localhost 8080
  chat --web 127.0.0.1:8000               also serve browsers at http://127.0.0.1:8000/";

/// Sends each line to everyone in the same room.
#[derive(Parser)]
#[command(name = "chat", version, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    server: common::Server,
    /// Also serve a page for browsers at this address: HOST:PORT.
    #[arg(long, value_name = "ADDR", help_heading = "Listening")]
    web: Option<Target>,
    /// Maximum number of members of a room.
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Connections")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    room_size: u32,
}

pub(crate) fn main() -> ExitCode {
    common::main(|Options { mut server, web, room_size }: Options| {
        let for_browsers = limits(Limits::default().idle);
        server.web = web.map(|target| (target, for_browsers.clone()));
        let (threads, room_size) = (server.threads.into(), room_size as usize);
        let parts = Part::for_each_thread(threads, room_size, &REPORTS, &DELIVERIES);
        let describe = |at: &Address| format!("chat on {at}");
        let opened = server.open(limits(None))?;
        opened.run_with(parts, describe, |shard, part, (web, metrics, limited)| {
            let (lines, site) = part.register(shard, metrics);
            if let Some(web) = web {
                limited.add(shard.serve(web, site)?, &for_browsers);
            }
            Ok(lines)
        })
    })
}
