//! A simulated kernel. It implements exactly the contract of [`sys`](super).
//!
//! A [`World`] is one machine in memory: its descriptors, sockets, files and clock. It acts as the
//! kernel for the reactors in it, and as the environment that their test controls: [`Client`] is
//! the far end of a stream, [`World::files`] the disk, and [`World::advance`] lets time pass.
//! Nothing happens on its own, so a run with the same seed repeats exactly.
//!
//! Where a real kernel does more than the contract requires, this one does not: an edge comes only
//! when the contract requires it, the number of a closed descriptor is reused immediately, and
//! directories are not sorted. Where kernels differ, it behaves like Linux. Tests script failures,
//! one [`Step`] per call.
//!
//! A call on a descriptor that is not open panics, since it is a bug in the reactor.
//! [`World::misuse`] records it in case the panic is caught.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{Event, Fd, More, ProcessUsage, Ready};
use crate::sys::Address;

mod calls;
mod chaos;
mod client;
mod dice;
mod disk;
mod faults;
#[cfg(test)]
mod faults_tests;
mod files;
#[cfg(test)]
mod files_tests;
mod ktls;
mod listener;
mod network;
mod new_files;
mod pipes;
mod remote;
mod residency;
mod script;
mod selector;
mod socket;
mod sockets;
mod table;
#[cfg(test)]
mod tests;
mod trace;

pub use calls::Calls;
pub(crate) use client::Client;
pub(crate) use dice::Dice;
pub use disk::Files;
pub use faults::Faults;
pub use ktls::KernelTls;
pub use remote::Remote;
pub use script::Step;
pub(crate) use selector::Selector;
pub use socket::State;
pub use table::OpenDescriptors;
pub(crate) use trace::{Mode, Shown};

use chaos::Chaos;
use disk::Inode;
use listener::Listener;
use network::{Coming, Network};
use pipes::Pipe;
use remote::{Host, Name};
use script::Script;
use socket::Stream;
use table::{Object, Table, Watch};
use trace::{Said, Trace};

/// The first reading of the monotonic clock, in nanoseconds. It is not zero, with which wrong code
/// may pass.
const CLOCK_START: u64 = 1_000_000_000;
/// The first reading of [`World::realtime`]: Sun, 06 Nov 1994 08:49:37 GMT, known from RFC 9110.
const REALTIME_START: u64 = 784_111_777;
/// The port of the first listener that asks for port 0.
const FIRST_PORT: u16 = 40_000;

/// A simulated machine. Clones are the same machine.
#[derive(Clone)]
pub(crate) struct World(Rc<RefCell<Machine>>);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

struct Machine {
    table: Table,
    /// All streams so far. A client keeps its view of a stream that the server has closed.
    streams: Vec<Stream>,
    /// All pipes so far.
    pipes: Vec<Pipe>,
    pipe_size: usize,
    tls: KernelTls,
    files: Files,
    /// The remotes outside of the machine.
    hosts: Vec<Host>,
    names: BTreeMap<String, Name>,
    /// The results of the next calls that start a connection.
    connects: Script,
    /// For each selector, the descriptors with an edge that was not returned yet, oldest first.
    edges: Vec<VecDeque<Fd>>,
    /// Nanoseconds since the start.
    elapsed: u64,
    /// How many seconds the wall clock is off.
    wall: i64,
    random: Dice,
    next_port: u16,
    calls: Calls,
    misuse: Option<String>,
    /// Boxed, as most worlds have none.
    chaos: Option<Box<Chaos>>,
    network: Network,
    trace: Trace,
}

/// The methods for tests.
impl World {
    /// An empty machine: no sockets, and a disk with nothing but `/`.
    pub(crate) fn new(seed: u64) -> World {
        World(Rc::new(RefCell::new(Machine {
            table: Table::new(),
            streams: Vec::new(),
            pipes: Vec::new(),
            pipe_size: usize::MAX,
            tls: KernelTls::default(),
            files: Files::new(),
            hosts: Vec::new(),
            names: BTreeMap::new(),
            connects: Script::default(),
            edges: Vec::new(),
            elapsed: 0,
            wall: 0,
            random: Dice::new(seed),
            next_port: FIRST_PORT,
            calls: Calls::default(),
            misuse: None,
            chaos: None,
            network: Network::default(),
            trace: Trace::default(),
        })))
    }

    /// Makes faults happen from now on, drawn by the dice of this seed.
    pub(crate) fn set_faults(&self, faults: Faults, seed: u64) {
        self.0.borrow_mut().chaos = Some(Box::new(Chaos::new(faults, seed)));
    }

    /// Nanoseconds since the start.
    pub(crate) fn elapsed(&self) -> u64 {
        self.0.borrow().elapsed
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, time: Duration) {
        self.0.borrow_mut().advance(time);
    }

    /// The disk. The world cannot do anything else while the result is held.
    pub(crate) fn files(&self) -> RefMut<'_, Files> {
        let mut state = self.0.borrow_mut();
        state.files.now = state.wall_clock() as i64;
        RefMut::map(state, |state| &mut state.files)
    }

    /// Sets the most descriptors that can be open at once; further ones fail with `EMFILE`. No
    /// limit at first.
    pub(crate) fn set_descriptor_limit(&self, limit: usize) {
        self.0.borrow_mut().table.limit = limit;
    }

    /// Sets the most descriptors that can be registered at once; further ones fail with `ENOSPC`.
    /// No limit at first.
    pub(crate) fn set_watch_limit(&self, limit: usize) {
        self.0.borrow_mut().table.watch_limit = limit;
    }

    /// Queues the results of the next accepts on the listener that `address` reaches.
    ///
    /// # Panics
    /// If nothing listens there.
    pub(crate) fn script_accept(&self, address: &Address, steps: impl IntoIterator<Item = Step>) {
        let mut state = self.0.borrow_mut();
        let (_, listener) = state.table.listener_at(address).expect("nothing listens there");
        listener.script.extend(steps);
    }

    /// The number of open descriptors, by kind.
    pub(crate) fn open_descriptors(&self) -> OpenDescriptors {
        self.0.borrow().table.count()
    }

    /// How often each kind of call has been made.
    pub(crate) fn calls(&self) -> Calls {
        self.0.borrow().calls
    }

    /// Whether the next wait of a selector will return edges.
    pub(crate) fn has_edges(&self) -> bool {
        let selectors = self.0.borrow().edges.len();
        (0..selectors).any(|selector| self.has_edges_for(selector))
    }

    /// The same for the selector with this index, counted from 0 in the order of creation.
    pub(crate) fn has_edges_for(&self, selector: usize) -> bool {
        let state = self.0.borrow();
        let extra = state.chaos.as_ref().is_some_and(|chaos| chaos.has_events_for(selector));
        extra || !state.edges[selector].is_empty()
    }

    /// The present state of a stream, whether or not there was an edge for it, and whether its last
    /// send promised more data that did not come: a real kernel holds back the end of that send for
    /// 200 ms.
    pub(crate) fn stream_status(&self, socket: Fd) -> (Ready, bool) {
        self.with_socket(socket, |stream, _| (stream.ready(), stream.is_held()))
    }

    /// The first call on a descriptor that was not open or of the wrong kind, if there was one.
    pub(crate) fn misuse(&self) -> Option<String> {
        self.0.borrow().misuse.clone()
    }
}

/// Clock, randomness, readiness.
impl World {
    pub(crate) fn monotonic(&self) -> u64 {
        CLOCK_START + self.0.borrow().elapsed
    }

    pub(crate) fn realtime(&self) -> u64 {
        let state = &mut *self.0.borrow_mut();
        state.wall += state.wall_clock_jump();
        state.wall_clock()
    }

    pub(crate) fn random(&self) -> u64 {
        self.0.borrow_mut().random.next()
    }

    pub(crate) fn process(&self) -> ProcessUsage {
        ProcessUsage::default()
    }

    /// Creates a readiness queue that returns at most `capacity` events from a wait.
    pub(crate) fn selector(&self, capacity: usize) -> Selector {
        let mut state = self.0.borrow_mut();
        state.edges.push(VecDeque::new());
        Selector::new(self.clone(), state.edges.len() - 1, capacity)
    }
}

impl Machine {
    /// The seconds since 1970 that the wall clock shows.
    fn wall_clock(&self) -> u64 {
        let now = REALTIME_START + Duration::from_nanos(self.elapsed).as_secs();
        now.saturating_add_signed(self.wall)
    }

    fn advance(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Half of the range, 292 years, stands for no limit; the clock must not reach its end.
        self.elapsed = self.elapsed.saturating_add(nanos).min(u64::MAX / 2);
    }

    fn listen(&mut self, address: Address, backlog: u32) -> io::Result<Fd> {
        if self.table.listens_on(&address) {
            return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
        }
        let fd = self.table.insert(Object::Listener(Listener::new(address.clone(), backlog)));
        self.note(format_args!("listen({address}) = {}", Said(&fd)));
        fd
    }

    fn close(&mut self, fd: Fd, end: fn(&mut Stream)) {
        self.calls.close += 1;
        let Some((object, watch)) = self.table.remove(fd) else { self.misused(fd, "open") };
        // The registration and its undelivered edges end with the descriptor.
        if let Some(watch) = watch {
            self.edges[watch.selector].retain(|&pending| pending != fd);
            if let Object::Stream(stream) = &object {
                self.leave_stale(watch, *stream);
            }
        }
        match object {
            Object::Stream(stream) => {
                self.streams[stream].fd = None;
                end(&mut self.streams[stream]);
                self.settle(stream);
            }
            Object::Listener(listener) => {
                for stream in listener.backlog {
                    self.streams[stream].reset();
                    self.settle(stream);
                }
            }
            Object::File(_) => drop(self.files.writing.locked.remove(&fd)),
            Object::PathOnly(_) | Object::Pipe(..) => {}
        }
    }

    /// Makes an edge for a descriptor.
    fn edge(&mut self, fd: Fd) {
        let late = self.lateness();
        match self.table.watch(fd) {
            Some(watch) if late > 0 => {
                self.network.send_off(self.elapsed + late, Coming::Edge(fd, watch.token));
            }
            _ => self.edge_now(fd),
        }
    }

    /// Queues an edge for a descriptor unless one is already queued.
    fn edge_now(&mut self, fd: Fd) {
        if let Some(watch) = self.table.watch(fd)
            && !self.edges[watch.selector].contains(&fd)
        {
            self.edges[watch.selector].push_back(fd);
        }
    }

    /// Handles the consequences of a change of a stream.
    fn settle(&mut self, stream: usize) {
        self.queue_edge(stream);
        if let Some(other) = self.streams[stream].pair {
            self.carry_both(stream, other);
        }
    }

    /// Queues the edge of a stream's last change, if it caused one.
    fn queue_edge(&mut self, stream: usize) {
        let stream = &mut self.streams[stream];
        if std::mem::take(&mut stream.edge)
            && let Some(fd) = stream.fd
        {
            self.edge(fd);
        }
    }

    /// The event of a registered descriptor. Like epoll, it has the present state and not that of
    /// the time of the edge. `None` if nothing is ready any more.
    fn event(&mut self, fd: Fd) -> Option<Event> {
        let token = self.table.watch(fd)?.token;
        let ready = match self.table.object(fd)? {
            Object::Stream(stream) => self.streams[*stream].report(),
            Object::Listener(listener) => listener.ready(),
            Object::File(_) | Object::PathOnly(_) | Object::Pipe(..) => Ready::default(),
        };
        (ready != Ready::default()).then_some(Event { token, ready })
    }

    fn register(&mut self, fd: Fd, watch: Watch) -> io::Result<()> {
        self.table.check_watch_limit()?;
        match self.table.register(fd, watch) {
            Some(true) => {}
            Some(false) => return Err(io::Error::from_raw_os_error(libc::EEXIST)),
            None => self.misused(fd, "open"),
        }
        // A descriptor that is already ready causes the first edge.
        if self.event(fd).is_some() {
            self.edge(fd);
        }
        Ok(())
    }

    fn unregister(&mut self, fd: Fd) {
        if let Some(watch) = self.table.unregister(fd) {
            self.edges[watch.selector].retain(|&pending| pending != fd);
        }
    }

    fn stream_index(&mut self, fd: Fd) -> usize {
        match self.table.object(fd) {
            Some(Object::Stream(stream)) => *stream,
            _ => self.misused(fd, "a stream"),
        }
    }

    fn listener(&mut self, fd: Fd) -> &mut Listener {
        if !matches!(self.table.object(fd), Some(Object::Listener(_))) {
            self.misused(fd, "a listener");
        }
        self.table.listener(fd)
    }

    fn inode(&mut self, fd: Fd) -> Inode {
        match self.table.object(fd) {
            Some(Object::File(inode) | Object::PathOnly(inode)) => *inode,
            _ => self.misused(fd, "a file"),
        }
    }

    fn misused(&mut self, fd: Fd, expected: &str) -> ! {
        let message = match self.table.object(fd) {
            None => format!("descriptor {fd} used after close"),
            Some(_) => format!("descriptor {fd} is not {expected}"),
        };
        self.misuse.get_or_insert(message.clone());
        panic!("{message}");
    }
}
