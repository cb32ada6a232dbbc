//! One server on several threads, with a reactor on each.
//!
//! Each thread has its own reactor and its own handlers, which no other thread sees, so handlers
//! need be neither [`Send`] nor [`Sync`]. A connection belongs to one thread from accept to close.
//!
//! # What threads share
//!
//! They share nothing that is written while connections are served: no lock, no counter, no cache
//! line. Every thread has its own event queue, connections, buffers, deadlines and
//! [`Ledger`](crate::Ledger). The state that they do share is written only on rare events, and
//! stays in each core's cache until then:
//!
//! - the stop flag, which a thread checks when it is woken ([`Stopper`]);
//! - the queues of [messages](crate::handle), if handlers post any;
//! - the pool of [workers](crate::workers), if files are read from disk or host names resolved;
//! - with [`Spread::Passed`], a queue of accepted sockets for each thread, which costs one lock per
//!   connection, but none per receive or send;
//! - the process's descriptor table. Opening and closing a descriptor takes a lock in the kernel.
//!   In a process with more than one thread, every use of a descriptor also takes a reference
//!   (`fdget` in Linux, about 2% of a 64-byte echo). Therefore a server with one thread starts no
//!   other.
//!
//! Connections on different threads communicate through messages: see [`Server::run_with`].

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::listen::Listen;
use crate::sys::{self, Address, about};
use crate::threads::snapshot::{LedgerReader, SharedLedger};
use crate::threads::stopper::Stopper;
use crate::threads::workers::Workers;

pub mod notify;
mod opening;
mod options;
pub mod restart;
mod run;
mod shard;
mod sockets;
mod store;

use notify::{Notifier, Watch};
pub use options::{ServerOptions, Spread};
use restart::Restart;
pub use shard::Shard;
use sockets::{Bound, Place};
use store::Store;

/// A server: listening sockets and the threads that serve them.
///
/// Listen first, so that errors surface before any thread starts. Then [`run`](Server::run) calls a
/// function on each thread that registers handlers and attaches them to the listeners.
///
/// ```no_run
/// # use sluicegate_reactor::{Context, Handler, Input};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
/// #         cx.send(input.take());
/// #     }
/// # }
/// use sluicegate_reactor::{Listen, Server, ServerOptions};
///
/// # fn main() -> std::io::Result<()> {
/// let mut server = Server::new(&ServerOptions { threads: 4, ..ServerOptions::default() });
/// let listener = server.listen("127.0.0.1:0", &Listen::default())?;
/// server.stop_on_signals()?;
/// println!("echo on {}", listener.address());
/// server.run(|shard| {
///     let echo = shard.register(Echo);
///     shard.serve(&listener, echo)?;
///     Ok(())
/// })
/// # }
/// ```
pub struct Server {
    options: ServerOptions,
    stopper: Stopper,
    workers: Workers,
    listeners: Vec<(Address, Listen)>,
    shares: Vec<Share>,
    /// If it has a control socket.
    restart: Option<Restart>,
    /// For its successor.
    state: Option<restart::State>,
    notifier: Option<Notifier>,
    store: Option<Arc<Store>>,
    watch: Option<Arc<Watch>>,
    /// How many threads do not serve yet.
    unready: AtomicUsize,
}

/// The state that a thread gets when it starts.
#[derive(Default)]
struct Share {
    /// Where it gets the connections of each listener from, until it serves the listener.
    places: Vec<Option<Place>>,
    /// If the server has a reader.
    ledger: Option<SharedLedger>,
    /// The control socket, for the first thread.
    control: Option<Bound>,
}

/// An address at which a [`Server`] listens.
#[derive(Clone, Debug)]
pub struct ServerListener {
    index: usize,
    address: Address,
}

impl ServerListener {
    /// The address it is bound to. Port 0 is replaced by the port that the kernel chose.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Server {
    /// Creates a server that does not listen yet.
    ///
    /// # Panics
    /// If `options.threads` is 0.
    #[must_use]
    pub fn new(options: &ServerOptions) -> Server {
        assert!(options.threads > 0, "a server needs at least one thread");
        // The threads may be confined.
        sys::detect_safe_ret();
        let stopper = Stopper::new(options.threads, options.shutdown_delay);
        Server {
            options: *options,
            stopper,
            workers: Workers::with(&options.workers),
            listeners: Vec::new(),
            shares: (0..options.threads).map(|_| Share::default()).collect(),
            restart: None,
            state: None,
            notifier: None,
            store: None,
            watch: None,
            unready: AtomicUsize::new(options.threads),
        }
    }

    /// Takes over the listeners of the running server with this control socket, if there is one,
    /// and lets the next process take over from this one: see [`restart`]. Call it before the
    /// server listens.
    ///
    /// ```no_run
    /// # use sluicegate_reactor::{Context, Handler, Input};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    /// #         cx.send(input.take());
    /// #     }
    /// # }
    /// use sluicegate_reactor::{Listen, Server, ServerOptions};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut server = Server::new(&ServerOptions::default());
    /// server.take_over("/run/echo/control")?;
    /// let listener = server.listen("127.0.0.1:7", &Listen::default())?;
    /// server.stop_on_signals()?;
    /// server.run(|shard| {
    ///     let echo = shard.register(Echo);
    ///     shard.serve(&listener, echo).map(drop)
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the running server refuses because another process is taking over from it, it is
    /// stopping, or its version differs; if it belongs to another user; or the error of listening
    /// at the path. The message names the path.
    ///
    /// # Panics
    /// If the server is already listening.
    pub fn take_over(&mut self, control: impl AsRef<Path>) -> io::Result<()> {
        assert!(self.listeners.is_empty() && self.restart.is_none(), "take_over comes first");
        let path = control.as_ref();
        let (restart, bound) = Restart::begin(path).map_err(about(path.display()))?;
        self.shares[0].control = Some(bound);
        self.restart = Some(restart);
        Ok(())
    }

    /// Sets a function that returns state for the next process that takes over from this server: at
    /// most 64 KiB, in a format that the programs agree on. It is called for each process that
    /// asks to take over, even if that is then refused, on a thread of its own; several calls may
    /// run at the same time. Nothing is passed on if it returns no bytes.
    ///
    /// If it returns more than 64 KiB or panics, the next process cannot take over, and this server
    /// continues. Without a [control socket](Server::take_over), it is never called.
    pub fn hand_over_state(&mut self, state: impl Fn() -> Vec<u8> + Send + Sync + 'static) {
        self.state = Some(Arc::new(state));
    }

    /// Takes the [state](Server::hand_over_state) that the previous process has passed on when this
    /// server [took over](Server::take_over) from it. `None` if there is none, or if it was taken
    /// already.
    #[must_use]
    pub fn inherited_state(&mut self) -> Option<Vec<u8>> {
        self.restart.as_mut()?.state.take()
    }

    /// The position of this server in the chain of servers that have taken over from each other,
    /// from 1.
    pub fn generation(&self) -> u64 {
        self.restart.as_ref().map_or(1, |restart| restart.generation)
    }

    /// Notifies a service manager of the state of the server, and lets it store the listening
    /// sockets: see [`notify`]. Call it before the server listens. If a process has several
    /// servers, only one of them can have a notifier.
    ///
    /// # Errors
    /// If the variable `FDSTORE` is not a number, if there is no connection to the service manager,
    /// and those of [`activation::listeners`](crate::activation::listeners).
    pub fn set_notifier(&mut self, notifier: &Notifier) -> io::Result<()> {
        self.watch = Watch::new(notifier, self.options.threads);
        self.notifier = Some(notifier.clone());
        self.store = Store::from_environment(notifier)?.map(Arc::new);
        Ok(())
    }

    /// Returns a handle that any thread can use to stop the server.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Returns a handle that other threads can use to read the server's counters, while it
    /// [runs](Server::run) and afterwards.
    #[must_use]
    pub fn ledger_reader(&mut self) -> LedgerReader {
        let ledgers = self.shares.iter_mut().map(|share| {
            let shared = share.ledger.get_or_insert_with(SharedLedger::new);
            shared.remote.clone()
        });
        LedgerReader(ledgers.collect())
    }

    /// Makes SIGINT and SIGTERM stop the server. During the
    /// [shutdown delay](ServerOptions::shutdown_delay), a second signal ends the delay. While the
    /// server is stopping, another one ends the process immediately, whatever else it is doing. If
    /// it is stopping because another process has [taken over](restart), the first signal changes
    /// nothing: whoever stops the service may signal both. Calling this again has no effect.
    ///
    /// # Errors
    /// The error of installing the signal handlers (`sigaction(2)`).
    pub fn stop_on_signals(&self) -> io::Result<()> {
        self.stopper.stop_on_signals()
    }

    /// Runs the server until it is asked to stop and has [drained](crate::Reactor::set_drain).
    ///
    /// `make` is called once on each thread with a [`Shard`], the thread's reactor. It must
    /// register the thread's handlers and [serve](Shard::serve) every listener. The calling thread
    /// is the first thread; the others are named `reactor-1` and so on. When one thread is asked to
    /// stop, all threads stop. A thread without connections keeps handling messages and timers until
    /// no thread has connections.
    ///
    /// # Errors
    /// If a thread cannot be started, if `make` fails or does not serve a listener, if a reactor
    /// fails, or if code outside of the handlers' callbacks panics. In each case the other threads
    /// drain and stop, and the first error is returned. With several threads it is also logged
    /// immediately. The message names the thread.
    pub fn run(self, make: impl Fn(&mut Shard<'_>) -> io::Result<()> + Sync) -> io::Result<()> {
        let parts = vec![(); self.options.threads];
        self.run_with(parts, |shard, ()| make(shard))
    }

    /// Runs the server like [`run`](Server::run), and also passes each thread a value created
    /// beforehand, such as its [mailbox](crate::mailbox).
    ///
    /// ```
    /// use sluicegate_reactor::{
    ///     Context, Handle, Handler, Input, Limits, Listen, Receive, Sent, Server, ServerOptions,
    ///     Sessions, mailbox,
    /// };
    ///
    /// /// Sends whatever one connection says to the connections of all threads.
    /// struct Chat {
    ///     threads: Vec<Handle<String>>,
    /// }
    ///
    /// impl Handler for Chat {
    ///     type Session = ();
    ///     fn on_open(&mut self, _: &mut Context<'_>) {}
    ///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         let said = String::from_utf8_lossy(input.take()).into_owned();
    ///         for thread in &self.threads {
    ///             if thread.post(said.clone()).is_err() {
    ///                 cx.abort();
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// impl Receive<String> for Chat {
    ///     fn on_message(&mut self, cx: &mut Sessions<'_>, said: String) {
    ///         cx.for_each(|cx, _| {
    ///             if cx.send(&*said) == Sent::Full {
    ///                 // The client does not read, and its queue would grow without bound.
    ///                 cx.abort();
    ///             }
    ///         });
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let threads = 2;
    /// let mut server = Server::new(&ServerOptions { threads, ..ServerOptions::default() });
    /// // A client may stay silent for as long as it likes.
    /// let limits = Limits { idle: None, ..Limits::default() };
    /// let listener = server.listen("127.0.0.1:0", &Listen { limits, ..Listen::default() })?;
    /// let (handles, mailboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mailbox()).unzip();
    /// # server.stopper().stop()?;
    /// server.run_with(mailboxes, |shard, mailbox| {
    ///     let chat = shard.register(Chat { threads: handles.clone() });
    ///     shard.attach(mailbox, chat);
    ///     shard.serve(&listener, chat)?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// The same as those of [`run`](Server::run).
    ///
    /// # Panics
    /// If there are not as many parts as threads.
    pub fn run_with<P: Send>(
        mut self,
        parts: Vec<P>,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        assert_eq!(parts.len(), self.options.threads, "there must be one part for each thread");
        let shares = std::mem::take(&mut self.shares);
        self.restart.iter_mut().for_each(Restart::close_unserved);
        self.store.iter().for_each(|store| store.close_unserved());
        let first_error = Mutex::new(None);
        // The sockets that a thread will never serve are closed as soon as it ends or cannot start:
        // the others may take a while to end, and clients would wait for nothing.
        let run = |index, (part, share)| {
            if let Err(error) = self.run_shard(index, part, share, &make) {
                self.fail(index, &error, &first_error);
            }
        };
        thread::scope(|scope| {
            let mut threads = parts.into_iter().zip(shares).enumerate();
            let first = threads.next();
            for (index, taken) in threads {
                let builder = thread::Builder::new().name(thread_name(index));
                if let Err(error) = builder.spawn_scoped(scope, move || run(index, taken)) {
                    self.fail(index, &error, &first_error);
                    // Neither this thread nor the rest will start.
                    (index..self.options.threads).for_each(|_| self.stopper.note_drained(true));
                    break;
                }
            }
            first.into_iter().for_each(|(index, taken)| run(index, taken));
        });
        let first_error = first_error.into_inner().unwrap_or_else(PoisonError::into_inner);
        first_error.map_or(Ok(()), Err)
    }
}

fn thread_name(index: usize) -> String {
    format!("reactor-{index}")
}
