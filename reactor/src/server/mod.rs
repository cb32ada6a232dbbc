//! One server on several threads, a reactor each.
//!
//! Each thread has a reactor of its own, with handlers of its own that another thread never sees;
//! so they need be neither [`Send`] nor [`Sync`]. A connection belongs to one thread from the
//! moment it is accepted until it is closed.
//!
//! # What threads share
//!
//! Nothing that is written while connections are served: no lock, no counter, no cache line. Every
//! thread has its own event queue, connections, buffers, deadlines and [`Ledger`](crate::Ledger).
//! What they share is written when something rare happens, and until then each core has its own
//! copy in its cache:
//!
//! - whether to stop, a flag that is looked at when a thread is woken ([`Stopper`]);
//! - the queues of [messages](crate::handle), if handlers post any;
//! - with [`Spread::Passed`], a queue for each thread through which accepted sockets come: one lock
//!   for each connection, none for what is received and sent on it;
//! - descriptors, which are numbers of the process: opening and closing one takes a lock in the
//!   kernel, and with more than one thread so does, for an instant, each use (`fdget` in Linux,
//!   about 2% of an echo of 64 bytes). Therefore a server with one thread makes no other.
//!
//! What connections on several threads have to know of each other goes by messages: see
//! [`Server::run_with`].

use std::any::Any;
use std::error::Error;
use std::io;
use std::ops::Range;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::core::target::Target;
use crate::listen::listener::Origin;
use crate::listen::{Listen, first_bound};
use crate::sys::{self, Address, Kernel};
use crate::threads::passing::lanes;
use crate::threads::snapshot::LedgerReader;
use crate::turn::drain::Stopper;
use crate::turn::reactor::Reactor;

mod shard;

pub use shard::Shard;
use shard::{Bound, Entry, Place};

/// How a server uses threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Number of threads, at least one. The first is the one that calls [`Server::run`].
    pub threads: usize,
    /// How connections come to threads.
    pub spread: Spread,
    /// Whether each thread is bound to a core of its own among those that the process may use, as
    /// far as there are so many. Where that cannot be done (OpenBSD, NetBSD, macOS) or is
    /// forbidden, a line in the log says so and the thread runs where it likes.
    pub pin: bool,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions { threads: 1, spread: Spread::Divided, pin: false }
    }
}

/// How connections come to the threads of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Spread {
    /// By the kernel, which gives each thread a queue of its own and divides the connections by a
    /// hash of their addresses (`SO_REUSEPORT`; on FreeBSD `SO_REUSEPORT_LB`): evenly over many
    /// connections, not over few. Where the kernel does not do that (macOS, NetBSD, OpenBSD), and
    /// for Unix and [adopted](Server::adopt_listener) sockets, it is [`Passed`](Self::Passed).
    #[default]
    Divided,
    /// By the first thread, which accepts for all and gives each thread one connection in turn:
    /// even over few connections, too. It costs a wake-up for each connection.
    Passed,
}

/// A server: sockets that listen, and a number of threads to serve them.
///
/// First the server gets its sockets, so that what is wrong with them is known before any thread is
/// there. Then [`run`](Server::run) calls one function in each thread, which takes in handlers and
/// says what they serve.
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
    /// There once it was asked for.
    reader: Option<LedgerReader>,
    entries: Vec<Entry>,
}

/// An address at which a [`Server`] listens.
#[derive(Clone, Debug)]
pub struct ServerListener {
    index: usize,
    address: Address,
}

impl ServerListener {
    /// The address, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Server {
    /// A server without sockets.
    ///
    /// # Panics
    /// If it is to have no thread.
    #[must_use]
    pub fn new(options: &ServerOptions) -> Server {
        assert!(options.threads > 0, "a server has at least one thread");
        let stopper = Stopper::new(options.threads);
        Server { options: *options, stopper, reader: None, entries: Vec::new() }
    }

    /// Listens on an address or name: see [`Reactor::listen`]. A port that was chosen is the same
    /// for all threads.
    ///
    /// An address at which somebody else listens is an error, even if that is another server of the
    /// same user with several threads.
    ///
    /// [`max_connections`](Listen::max_connections), [`accept_rate`](Listen::accept_rate),
    /// [`send_rate`](Listen::send_rate) and [`receive_rate`](Listen::receive_rate) are divided
    /// between the threads; [`max_per_address`](Listen::max_per_address) holds for each of them.
    ///
    /// # Errors
    /// As [`Reactor::listen`].
    pub fn listen(
        &mut self,
        at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let count = if self.divides() { self.options.threads } else { 1 };
        let sockets = first_bound(at, |address| match address {
            Address::Ip(address) => {
                let bound = |socket: OwnedFd| Bound::new(socket.into_raw_fd(), Origin::Made(None));
                sys::listen_shared(*address, listen.backlog, &listen.options(), count)
                    .map(|sockets| sockets.into_iter().map(bound).collect())
            }
            Address::Unix(address) => Kernel::Os
                .listen_unix(address, listen.unix_mode, listen.backlog)
                .map(|(socket, file)| vec![Bound::new(socket, Origin::Made(file))]),
        })?;
        self.add(sockets, listen)
    }

    /// Accepts from a socket that somebody else has made to listen: see
    /// [`Reactor::adopt_listener`].
    ///
    /// # Errors
    /// As [`Reactor::adopt_listener`].
    pub fn adopt_listener(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let socket = Kernel::Os.adopt_listener(socket.into(), &listen.options())?;
        self.add(vec![Bound::new(socket, Origin::Adopted)], listen)
    }

    /// A handle with which any thread can end [`run`](Server::run).
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// A handle with which any other thread can read what all threads of the server have done,
    /// while it [runs](Server::run) and afterwards.
    #[must_use]
    pub fn ledger_reader(&mut self) -> LedgerReader {
        self.reader.get_or_insert_with(|| LedgerReader::new(self.options.threads)).clone()
    }

    /// Makes SIGINT and SIGTERM stop all threads. One that comes while they are stopping, or have
    /// stopped, ends the process at once, whatever else runs in it. Asking again changes nothing.
    ///
    /// # Errors
    /// What installing the signal handlers says (`sigaction(2)`).
    pub fn stop_on_signals(&self) -> io::Result<()> {
        self.stopper.stop_on_signals()
    }

    /// Runs the server until it is asked to stop and has [done so](Reactor::set_drain).
    ///
    /// `make` is called once in each thread, with a reactor: it takes in that thread's handlers and
    /// [serves](Shard::serve) every listener. The first thread is the calling one; the others are
    /// named `reactor-1` and so on. When one thread is asked to stop, all of them stop.
    ///
    /// # Errors
    /// If a thread cannot be started, if `make` fails or leaves a listener unserved, and if a
    /// reactor fails or something panics outside of the handlers' callbacks. Whatever it is, the
    /// other threads stop in order, and the first error is returned; with several threads it is
    /// logged at once. The text names the thread.
    pub fn run(self, make: impl Fn(&mut Shard<'_>) -> io::Result<()> + Sync) -> io::Result<()> {
        let parts = vec![(); self.options.threads];
        self.run_with(parts, |shard, ()| make(shard))
    }

    /// Runs the server as [`run`](Server::run) does, and gives each thread something of its own
    /// that was made before, such as its end of a [mailbox](crate::mailbox).
    ///
    /// ```
    /// use sluicegate_reactor::{
    ///     ConnId, Context, Handle, Handler, Input, Listen, Receive, Server, ServerOptions, Turn,
    ///     mailbox,
    /// };
    ///
    /// /// What one says, the connections of all threads hear.
    /// struct Chat {
    ///     here: Vec<ConnId>,
    ///     everywhere: Vec<Handle<String>>,
    /// }
    ///
    /// impl Handler for Chat {
    ///     type Session = ();
    ///     fn on_open(&mut self, cx: &mut Context<'_>) {
    ///         self.here.push(cx.id());
    ///     }
    ///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
    ///         let said = String::from_utf8_lossy(input.take()).into_owned();
    ///         for thread in &self.everywhere {
    ///             if thread.post(said.clone()).is_err() {
    ///                 cx.abort();
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// impl Receive<String> for Chat {
    ///     fn on_message(&mut self, cx: &mut Turn<'_>, said: String) {
    ///         self.here.retain(|&id| cx.peer(id).is_open());
    ///         for &id in &self.here {
    ///             cx.peer(id).send(&*said);
    ///         }
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let threads = 2;
    /// let mut server = Server::new(&ServerOptions { threads, ..ServerOptions::default() });
    /// let listener = server.listen("127.0.0.1:0", &Listen::default())?;
    /// let (handles, mailboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| mailbox()).unzip();
    /// # server.stopper().stop()?;
    /// server.run_with(mailboxes, |shard, mailbox| {
    ///     let chat = shard.register(Chat { here: Vec::new(), everywhere: handles.clone() });
    ///     shard.attach(mailbox, chat);
    ///     shard.serve(&listener, chat)?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Server::run).
    ///
    /// # Panics
    /// If there are not as many parts as threads.
    pub fn run_with<P: Send>(
        self,
        parts: Vec<P>,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        assert_eq!(parts.len(), self.options.threads, "one part for each thread");
        let first_error = Mutex::new(None);
        let run = |index, part| {
            if let Err(error) = self.run_shard(index, part, &make) {
                self.abandon(index..index + 1);
                self.fail(index, &error, &first_error);
            }
        };
        thread::scope(|scope| {
            let mut parts = parts.into_iter().enumerate();
            let first = parts.next();
            for (index, part) in parts {
                let builder = thread::Builder::new().name(thread_name(index));
                if let Err(error) = builder.spawn_scoped(scope, move || run(index, part)) {
                    self.abandon(index..self.options.threads);
                    self.fail(index, &error, &first_error);
                    break;
                }
            }
            first.into_iter().for_each(|(index, part)| run(index, part));
        });
        self.reader.iter().for_each(LedgerReader::end);
        let first_error = first_error.into_inner().unwrap_or_else(PoisonError::into_inner);
        first_error.map_or(Ok(()), Err)
    }

    /// Whether the kernel divides connections between the threads.
    fn divides(&self) -> bool {
        sys::DIVIDES && self.options.spread == Spread::Divided
    }

    /// Takes in a socket for each thread, or one for all.
    fn add(&mut self, mut sockets: Vec<Bound>, listen: &Listen) -> io::Result<ServerListener> {
        let address = sockets[0].address()?;
        let threads = self.options.threads;
        let places: Vec<_> = if sockets.len() == threads {
            sockets.into_iter().map(Place::Own).collect()
        } else {
            let (ring, lanes) = lanes(threads);
            let mut first = sockets.pop().map(|socket| (socket, ring));
            lanes.into_iter().map(|lane| Place::Passed(lane, first.take())).collect()
        };
        let places = places.into_iter().map(|place| Mutex::new(Some(place))).collect();
        let index = self.entries.len();
        self.entries.push(Entry { address: address.clone(), listen: listen.clone(), places });
        Ok(ServerListener { index, address })
    }

    /// One thread, from its beginning to its end.
    fn run_shard<P>(
        &self,
        index: usize,
        part: P,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.options.pin
            && let Err(error) = sys::pin_to_core(index)
        {
            log::warn!("{} is not bound to a core: {error}", thread_name(index));
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut reactor = Reactor::stopped_by(Kernel::Os, &self.stopper, index)?;
            if let Some(reader) = &self.reader {
                reactor.read_by(reader, index);
            }
            let mut shard = Shard { reactor, entries: &self.entries, index };
            make(&mut shard, part)?;
            self.check_all_served(index)?;
            shard.reactor.run()
        }));
        result.unwrap_or_else(|panic| Err(io::Error::other(said_in(&*panic))))
    }

    fn check_all_served(&self, index: usize) -> io::Result<()> {
        let unserved = |entry: &&Entry| entry.take(index).is_some();
        match self.entries.iter().find(unserved) {
            None => Ok(()),
            Some(entry) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is not served", entry.address),
            )),
        }
    }

    /// Closes what threads have not taken and never will: the others may take a while to end, and
    /// meanwhile connections would wait for nobody.
    fn abandon(&self, threads: Range<usize>) {
        for thread in threads {
            self.entries.iter().for_each(|entry| drop(entry.take(thread)));
        }
    }

    /// Ends all threads because of one.
    fn fail(&self, index: usize, error: &io::Error, first: &Mutex<Option<io::Error>>) {
        let name = thread_name(index);
        if self.options.threads > 1 {
            // The others may take a while to end, and only then the caller hears of it.
            log::error!("{name}: {error}; the server stops");
        }
        let error = io::Error::new(error.kind(), format!("{name}: {error}"));
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        if let Err(error) = self.stopper.stop() {
            log::error!("waking the other threads: {error}");
        }
    }
}

fn thread_name(index: usize) -> String {
    format!("reactor-{index}")
}

/// What a panic has said.
fn said_in(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a word"))
}
