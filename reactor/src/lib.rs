//! A minimal, hand-rolled, edge-triggered reactor for servers that speak their own protocol.
//!
//! One idea runs through it: **the kind and size of the data decides how it moves**. Little pieces
//! are joined and leave in one call; blocks are referenced, never copied; files go from the page
//! cache to the socket; what a reader does not take stays where it is.
//!
//! ```text
//! kernel -> selector -> connection -> receive -> Input -> Handler
//!                                                            |
//! kernel <- wire <- plan <- outbound queue <- Context::send(kind)
//! ```
//!
//! | to find | look at |
//! |---|---|
//! | the loop and the order of its phases | [`Reactor`] |
//! | what to implement, and what can be called | [`Handler`], [`Context`], [`Turn`], [`Peer`], [`Input`] |
//! | what decides how data leaves | [`outbound`], [`Limits`] |
//! | messages of a known length | [`Context::receive_exact`] |
//! | input for files | [`Context::receive_file`], [`fs::Dir::create`] |
//! | listening, and limits on who gets in | [`Listen`] |
//! | sockets that were there before | [`Turn::adopt`], [`Turn::adopt_listener`], [`activation`] |
//! | connecting to others | [`connect`], [`Target`], [`Backoff`] |
//! | where a socket is bound or connected | [`Address`] |
//! | passing on to one connection what another receives | [`Context::relay_to`] |
//! | handlers that know each other, and pass connections on | [`Reactor::reserve`], [`Context::hand_over`] |
//! | files beneath a directory | [`fs`] |
//! | several threads, a reactor each | [`server`], [`Server`] |
//! | stopping in order | [`Reactor::set_drain`], [`Handler::on_stop`], [`Stopper`] |
//! | deadlines of connections | [`Limits`], [`Context::set_deadline`], [`timer`] |
//! | rates in bytes per second | [`Limits::send_rate`], [`Listen::send_rate`], [`Peer::set_send_rate`] |
//! | timers | [`Turn::after`], [`Turn::every`] |
//! | messages from other threads | [`handle`], [`Receive`], [`Handle`], [`mailbox`] |
//! | sessions, when a message or a timer comes | [`Sessions`] |
//! | threads for what would block | [`workers`] |
//! | what was done, in numbers | [`Ledger`], [`LedgerReader`] |
//!
//! A reactor is one thread. It calls a handler for one thing at a time, so state shared by
//! connections is just the handler's fields. There is no async runtime, no lock and no allocation
//! per event.
//!
//! With the feature `testing`, `testing::Harness` runs a handler without sockets and threads, and
//! `testing::Simulation` in a world in which everything goes wrong that can.

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
mod turn;

pub use crate::connect::{Backoff, Connect, Connector};
pub use crate::core::wheel as timer;
pub use crate::core::{
    ColdFiles, ConnId, FileTransfer, GroupId, HandlerId, Ledger, Limits, Reason, Sent, Target,
    Timeout,
};
pub use crate::handler::{Context, Handler, Input, Peer, Receive, Sessions, Turn};
pub use crate::inbound::TooLarge;
pub use crate::listen::{Listen, ListenerId, activation};
pub use crate::outbound::Outgoing;
pub use crate::server::{Server, ServerListener, ServerOptions, Shard, Spread};
pub use crate::sys::{Address, Keepalive};
pub use crate::threads::handle::{
    Handle, Mailbox, MailboxLimits, PostError, mailbox, mailbox_with,
};
pub use crate::threads::snapshot::{LedgerReader, Snapshot};
pub use crate::threads::stopper::Stopper;
pub use crate::threads::{handle, workers};
pub use crate::time::timers::TimerId;
pub use crate::turn::reactor::Reactor;
pub use bytes::Bytes;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
