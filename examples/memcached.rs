//! A cache in memory that speaks memcached's text protocol, with the meta commands, on any number
//! of threads.
//!
//! `cargo run --release --example memcached -- -m 64 -t 2`, then `printf 'stats\r\nquit\r\n' | nc
//! localhost 11211`
//!
//! Each thread has a reactor and its own share of the keys, which their hash decides. A command for
//! a key of another thread is sent there as a message; its response comes back as one and takes its
//! place among those of the connection. Nothing is shared, so nothing is locked but the mailboxes.
//!
//! | file | what it does |
//! |---|---|
//! | `command`, `meta` | parse lines |
//! | `item`, `slots`, `store` | keep items: memory, order of use, expiry |
//! | `cache`, `meta_commands` | run the commands of one key |
//! | `server` | the handler: lines and blocks in, responses out |
//! | `waiting`, `peers`, `exchange` | responses that other threads compute, and the messages for them |
//! | `counters`, `statistics` | `stats` |

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, missing_docs)]

use std::process::ExitCode;

use sluicegate_reactor::{Handle, Mailbox, MailboxLimits, mailbox_with};

#[path = "memcached/cache.rs"]
mod cache;
#[path = "memcached/command.rs"]
pub(crate) mod command;
mod common;
#[path = "memcached/counters.rs"]
mod counters;
#[path = "memcached/exchange.rs"]
mod exchange;
#[path = "memcached/item.rs"]
pub(crate) mod item;
#[path = "memcached/meta.rs"]
mod meta;
#[path = "memcached/meta_commands.rs"]
mod meta_commands;
#[path = "memcached/options.rs"]
mod options;
#[path = "memcached/peers.rs"]
pub(crate) mod peers;
#[path = "memcached/server.rs"]
pub(crate) mod server;
#[path = "memcached/slots.rs"]
mod slots;
#[path = "memcached/statistics.rs"]
mod statistics;
#[path = "memcached/store.rs"]
pub(crate) mod store;
#[path = "memcached/waiting.rs"]
mod waiting;

use options::Options;
use peers::Message;
use server::{Memcached, TICK, Tick};

/// The maximum number of batches that a reactor handles before it returns to its connections: a few
/// milliseconds of work.
pub(crate) const BATCHES_PER_TURN: usize = 32;

/// Creates the mailbox of a reactor.
pub(crate) fn mailbox() -> (Handle<Message>, Mailbox<Message>) {
    mailbox_with(&MailboxLimits { per_turn: BATCHES_PER_TURN, ..MailboxLimits::default() })
}

pub(crate) fn main() -> ExitCode {
    common::main(|options: Options| {
        let settings = options.settings()?;
        let threads = settings.threads;
        let (handles, mailboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mailbox()).unzip();
        // A single thread needs no mailbox, and its reactor need not look into one.
        let handles = if threads > 1 { handles } else { Vec::new() };
        let limits = Memcached::limits(&settings);
        let describe = |at: &_| format!("memcached on {at}");
        options.server.open(limits)?.run_with(mailboxes, describe, |shard, mailbox, _| {
            let server = Memcached::new(settings, shard.index(), handles.clone());
            let server = shard.register(server);
            shard.every(TICK, server, Tick);
            if threads > 1 {
                shard.attach(mailbox, server);
            }
            Ok(server)
        })
    })
}
