//! A minimal, hand-rolled, edge-triggered reactor for servers that speak their own protocol.
//!
//! **The kind and size of the data decide how it moves.** Small pieces are coalesced and sent in
//! one call. Large blocks are sent by reference and never copied. Files go straight from the page
//! cache to the socket. Input that a handler does not consume stays in its buffer.
//!
//! The [guide](https://github.com/sluicegate/sluicegate/blob/main/docs/guide.md) takes you from an
//! empty folder to a working protocol.
//!
//! A reactor runs on one thread. It makes one callback at a time, so state that connections share
//! is just a field of the handler. There is no async runtime, and no lock or allocation per event.
//!
//! ```text
//! turn:     wait, note events, accept, run connections, run deadlines and timers,
//!           deliver messages, settle, free
//!
//! data:     kernel -> sys -> inbound -> Input -> Handler
//!                                                   |
//!           kernel <- sys <- outbound <- Context::send
//! ```
//!
//! | to find | look at |
//! |---|---|
//! | the event loop and its phases | [`Reactor`], [`Reactor::turn`] |
//! | what to implement, and what to call | [`Handler`], [`Context`], [`Turn`], [`Peer`], [`Input`], [`Payload`] |
//! | listening, and limits on clients | [`Listen`] |
//! | overload: more clients, or more memory held for them, than there may be | [`WhenFull`], [`Reactor::set_memory_budget`] |
//! | sockets opened elsewhere | [`Turn::adopt`], [`Turn::adopt_listener`], [`activation`] |
//! | outgoing connections | [`connect`], [`Target`], [`Backoff`] |
//! | filters between the wire and a handler: encryption, a preamble | [`transport`] |
//! | the address of a socket | [`Address`] |
//! | how data is sent | [`outbound`], [`Limits`] |
//! | receiving messages of a known length | [`Context::receive_exact`] |
//! | receiving into files | [`Context::receive_file`], [`fs::Dir::create`] |
//! | relaying one connection's input to another: all of it, or a known number of bytes | [`Peer::relay_to`], [`Peer::relay_part`] |
//! | handlers that refer to each other, or hand connections over | [`Reactor::reserve`], [`Context::hand_over`] |
//! | files beneath a directory | [`Turn::open_dir`], [`fs`] |
//! | deadlines of connections | [`Limits`], [`Peer::set_deadline`], [`timer`] |
//! | rates in bytes per second | [`Limits::send_rate`], [`Listen::send_rate`], [`Peer::set_send_rate`] |
//! | timers | [`Turn::after`], [`Turn::every`] |
//! | messages from other threads | [`handle`], [`Receive`], [`Handle`], [`mailbox`] |
//! | the sessions reachable from a message or a timer | [`Sessions`] |
//! | threads for blocking work | [`workers`] |
//! | signals that would end the process when a thread of yours writes to a file | [`block_io_signals`] |
//! | several threads, each with its own reactor | [`server`], [`Server`] |
//! | hot restart: taking over from the running server without losing a connection | [`Server::take_over`], [`server::restart`] |
//! | messages to a service manager | [`server::notify`] |
//! | stopping gracefully | [`Reactor::set_drain`], [`Handler::on_stop`], [`Stopper`] |
//! | counters | [`Ledger`], [`Snapshot`], [`LedgerReader`] |
//! | connections and bytes as they come and go, in any handler | [`Observer`], [`Reactor::observe`] |
//! | how long turns and callbacks take | [`Reactor::measure_turns`], [`Reactor::log_slow_callbacks`] |
//!
//! With the feature `testing`, `testing::Harness` runs a handler without sockets or threads, and
//! `testing::Simulation` runs reactors and clients while system calls fail and data arrives late.
//!
//! # The source
//!
//! Each folder is a room with one subject, and imports only from rooms to its right:
//!
//! ```text
//! server -> turn -> handler -> { listen connect threads inbound transport outbound time }
//!        -> core -> fs -> sys
//! ```
//!
//! Only `turn` calls handlers, `core` holds the data that all rooms work on, and only `sys` makes
//! system calls. README.md follows an echo, a file and a relayed chunk through the rooms.

pub mod connect;
mod core;
pub mod fs;
mod handler;
mod inbound;
mod listen;
pub mod outbound;
pub mod server;
mod sys;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;
mod time;
pub mod transport;
mod turn;

pub use crate::connect::{Backoff, Connect, Connector};
pub use crate::core::wheel as timer;
pub use crate::core::{
    ColdFiles, ConnId, Endpoints, HandlerId, Histogram, Ledger, Limits, Observed, Observer, Reason,
    Sent, Target, Timeout,
};
pub use crate::handler::{Context, Handler, Input, Payload, Peer, Receive, Sessions, Turn};
pub use crate::listen::{Listen, ListenerId, WhenFull, activation};
pub use crate::outbound::Outgoing;
pub use crate::server::{Server, ServerListener, ServerOptions, Shard, Spread};
pub use crate::sys::{Address, Keepalive, ProcessUsage, TcpOptions, block_io_signals};
pub use crate::threads::handle::{
    Handle, Mailbox, MailboxLimits, PostError, mailbox, mailbox_with,
};
pub use crate::threads::snapshot::{LedgerReader, ListenerSnapshot, Snapshot};
pub use crate::threads::stopper::Stopper;
pub use crate::threads::{handle, workers};
pub use crate::time::timers::TimerId;
pub use crate::turn::reactor::Reactor;
pub use bytes::Bytes;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
