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

use std::any::Any;
use std::error::Error;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::core::Target;
use crate::listen::listener::Origin;
use crate::listen::{self, Listen};
use crate::sys::{self, Address, Kernel};
use crate::threads::distribute::distribute;
use crate::threads::snapshot::{AttachedReader, LedgerReader};
use crate::threads::stopper::Stopper;
use crate::threads::workers::{Workers, WorkersLimits};
use crate::turn::reactor::Reactor;

mod shard;

pub use shard::Shard;
use shard::{Bound, Place};

/// How a server uses threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// The number of threads with a reactor, at least one. The first is the thread that calls
    /// [`Server::run`]. The default is 1.
    pub threads: usize,
    /// How connections are spread over the threads. The default is [`Spread::Divided`].
    pub spread: Spread,
    /// Whether each thread is pinned to a core, a different one as long as the process may use
    /// enough cores. If pinning is unavailable (OpenBSD, NetBSD, macOS) or forbidden, a warning is
    /// logged and the thread runs on any core. The default is false.
    pub pin: bool,
    /// The limits of the [worker pool](crate::workers) that all reactors of the server share, for
    /// disk access and name lookups. Its threads are in addition to [`threads`](Self::threads), and
    /// start when jobs need them.
    pub workers: WorkersLimits,
    /// How long the server goes on accepting after the signal that
    /// [stops](Server::stop_on_signals) it, while [`Stopper::is_announced`] tells load balancers to
    /// send no new clients. A second signal ends the delay. The default is zero.
    ///
    /// Kubernetes removes a pod from its services while it stops it, and a load balancer notices a
    /// failing health check only at the next one. Clients that they send meanwhile are served.
    pub shutdown_delay: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            threads: 1,
            spread: Spread::Divided,
            pin: false,
            workers: WorkersLimits::default(),
            shutdown_delay: Duration::ZERO,
        }
    }
}

/// How connections are spread over the threads of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Spread {
    /// Each thread has its own socket, and the kernel divides the connections by a hash of their
    /// addresses (`SO_REUSEPORT`; on FreeBSD `SO_REUSEPORT_LB`). Many connections are spread
    /// evenly, a few are not. If the kernel cannot do this (macOS, NetBSD, OpenBSD), and for Unix
    /// and [adopted](Server::adopt_listener) sockets, this is the same as [`Passed`](Self::Passed).
    #[default]
    Divided,
    /// The first thread accepts all connections and passes them to the threads in turn. Even a few
    /// connections are spread evenly. Each connection costs a wakeup.
    Passed,
}

/// A server: listening sockets, and threads that serve them.
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
}

/// What a thread takes along when it starts.
#[derive(Default)]
struct Share {
    /// Where it gets the connections of each listener from, until it serves the listener.
    places: Vec<Option<Place>>,
    /// If the server has a reader.
    reader: Option<AttachedReader>,
}

/// An address at which a [`Server`] listens.
#[derive(Clone, Debug)]
pub struct ServerListener {
    index: usize,
    address: Address,
}

impl ServerListener {
    /// The address it is bound to. Port 0 is replaced by the port that the kernel chose.
    #[must_use]
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
        let stopper = Stopper::new(options.threads, options.shutdown_delay);
        Server {
            options: *options,
            stopper,
            workers: Workers::with(&options.workers),
            listeners: Vec::new(),
            shares: (0..options.threads).map(|_| Share::default()).collect(),
        }
    }

    /// Listens on an address or host name: see [`Turn::listen`](crate::Turn::listen). With port 0,
    /// all threads share the port that the system chooses.
    ///
    /// If another process already listens on the address, this fails, even if that is a
    /// multi-threaded server of the same user.
    ///
    /// [`max_connections`](crate::Listen::max_connections),
    /// [`accept_rate`](crate::Listen::accept_rate), [`send_rate`](crate::Listen::send_rate) and
    /// [`receive_rate`](crate::Listen::receive_rate) are divided between the threads;
    /// [`max_per_address`](crate::Listen::max_per_address) applies to each of them.
    ///
    /// # Errors
    /// The same as those of [`Turn::listen`](crate::Turn::listen).
    pub fn listen(
        &mut self,
        at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let divides = sys::DIVIDES && self.options.spread == Spread::Divided;
        let count = if divides { self.options.threads } else { 1 };
        let sockets = listen::open(&Kernel::Os, at, listen, count)?.into_iter();
        let bound = |(socket, origin)| Bound { origin, socket: sys::owned(socket) };
        self.add(sockets.map(bound).collect(), listen)
    }

    /// Accepts connections from a socket that is already listening: see
    /// [`Turn::adopt_listener`](crate::Turn::adopt_listener).
    ///
    /// # Errors
    /// The same as those of [`Turn::adopt_listener`](crate::Turn::adopt_listener).
    pub fn adopt_listener(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let socket = Kernel::Os.adopt_listener(socket.into(), &listen.tcp)?;
        self.add(vec![Bound { origin: Origin::Adopted, socket: sys::owned(socket) }], listen)
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
        if let Some(attached) = &self.shares[0].reader {
            return attached.reader.clone();
        }
        let (reader, attached) = LedgerReader::new(self.options.threads);
        for (share, attached) in self.shares.iter_mut().zip(attached) {
            share.reader = Some(attached);
        }
        reader
    }

    /// Makes SIGINT and SIGTERM stop the server. During the
    /// [shutdown delay](ServerOptions::shutdown_delay), a second signal ends the delay. While the
    /// server is stopping, another one ends the process immediately, whatever else it is doing.
    /// Calling this again has no effect.
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
    /// is the first one; the others are named `reactor-1` and so on. When one thread is asked to
    /// stop, all threads stop.
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
                    break;
                }
            }
            first.into_iter().for_each(|(index, taken)| run(index, taken));
        });
        let first_error = first_error.into_inner().unwrap_or_else(PoisonError::into_inner);
        first_error.map_or(Ok(()), Err)
    }

    /// Adds a listener with a socket for each thread, or one socket for all.
    fn add(&mut self, mut sockets: Vec<Bound>, listen: &Listen) -> io::Result<ServerListener> {
        let address = Kernel::Os.local_address(sockets[0].socket.as_raw_fd())?;
        let threads = self.options.threads;
        let new: Vec<_> = if sockets.len() == threads {
            sockets.into_iter().map(Place::Own).collect()
        } else {
            let (distributor, mailboxes) = distribute(threads);
            let mut first = sockets.pop().map(|socket| (socket, distributor));
            mailboxes.into_iter().map(|mailbox| Place::Passed(mailbox, first.take())).collect()
        };
        self.shares.iter_mut().zip(new).for_each(|(share, place)| share.places.push(Some(place)));
        self.listeners.push((address.clone(), listen.clone()));
        Ok(ServerListener { index: self.listeners.len() - 1, address })
    }

    /// Runs one thread's reactor to its end.
    fn run_shard<P>(
        &self,
        index: usize,
        part: P,
        share: Share,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.options.pin
            && let Err(error) = sys::pin_to_core(index)
        {
            log::warn!("{}: not pinned to a core: {error}", thread_name(index));
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut reactor = Reactor::with_stopper(Kernel::Os, &self.stopper, index)?;
            reactor.set_workers(&self.workers);
            if let Some(reader) = share.reader {
                reactor.attach_reader(reader);
            }
            let mut shard = Shard { reactor, server: self, places: share.places, index };
            make(&mut shard, part)?;
            if let Some(at) = shard.places.iter().position(Option::is_some) {
                let text = format!("{} is not served", self.listeners[at].0);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            shard.reactor.run()
        }));
        result.unwrap_or_else(|panic| Err(io::Error::other(panic_message(&*panic))))
    }

    /// Stops all threads because one has failed.
    fn fail(&self, index: usize, error: &io::Error, first: &Mutex<Option<io::Error>>) {
        let name = thread_name(index);
        if self.options.threads > 1 {
            // The other threads may take a while to end, and `run` returns only then.
            log::error!("{name}: {error}; stopping the server");
        }
        let error = io::Error::new(error.kind(), format!("{name}: {error}"));
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        if let Err(error) = self.stopper.stop() {
            log::error!("{name}: cannot wake the other threads to stop them: {error}");
        }
    }
}

fn thread_name(index: usize) -> String {
    format!("reactor-{index}")
}

/// The message of a panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}
