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
//! | sockets that were there before | [`Reactor::adopt`], [`Reactor::adopt_listener`], [`activation`] |
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
//! | threads for what would block | [`workers`] |
//! | what was done, in numbers | [`Ledger`], [`LedgerReader`] |
//!
//! A reactor is one thread. It calls a handler for one thing at a time, so state shared by
//! connections is just the handler's fields. There is no async runtime, no lock and no allocation
//! per event.
//!
//! With the feature `testing`, `testing::Harness` runs a handler without sockets and threads, and
//! `testing::Simulation` in a world in which everything goes wrong that can.

pub mod activation;
mod address;
mod adopt;
mod backoff;
pub mod connect;
mod connecting;
mod connection;
mod context;
mod deadlines;
mod dispatch;
mod doorbell;
mod drain;
mod drive;
pub mod fs;
mod hand_over;
pub mod handle;
mod handler;
mod inbound;
mod jobs;
mod ledger;
mod limits;
mod listen;
mod listener;
mod mailbox;
#[cfg(all(loom, test))]
mod models;
pub mod outbound;
mod passing;
mod per_address;
mod rates;
mod reactor;
mod registry;
mod resolver;
pub mod server;
mod snapshot;
mod state;
mod sync;
mod sys;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timer;
mod timers;
pub mod workers;

pub use crate::address::Address;
pub use crate::backoff::Backoff;
pub use crate::connect::{Connect, Connector};
pub use crate::context::{Context, Peer, Turn};
pub use crate::drain::Stopper;
pub use crate::handle::{Handle, Mailbox, MailboxLimits, PostError, mailbox, mailbox_with};
pub use crate::handler::{ConnId, Handler, HandlerId, Input, Reason, Receive, Sent, Timeout};
pub use crate::inbound::TooLarge;
pub use crate::ledger::{GroupId, Ledger};
pub use crate::limits::{ColdFiles, FileTransfer, Limits};
pub use crate::listen::{Listen, ListenerId};
pub use crate::outbound::Outgoing;
pub use crate::reactor::Reactor;
pub use crate::server::{Server, ServerListener, ServerOptions, Shard, Spread};
pub use crate::snapshot::{LedgerReader, Snapshot};
pub use crate::target::Target;
pub use crate::timers::TimerId;
pub use bytes::Bytes;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
