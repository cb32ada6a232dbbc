//! Messages between threads beside an eventfd and a vector under a mutex. Run with
//! `cargo bench --bench messages`.
//!
//! Both contenders are loops that wait in `epoll_wait`; both wake the other only when there may be
//! a need. Measured are
//!
//! - *round trip*: a message to a thread that sleeps, and its answer. It is two wake-ups, and most
//!   of it is the scheduler's: pin the bench to one core (`taskset -c 0`) to see what is left;
//! - *stream*: one message of many that another thread posts as fast as it can;
//! - *own thread*: posting messages to the own loop, and the turn in which they come. The reactor
//!   needs no system call to be told; this is what a handler pays that leaves work for later.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use sluicegate_reactor::{
    Context, Handle, Handler, Input, Mailbox, PostError, Reactor, Receive, Sessions, mailbox,
};

/// How many messages are posted before a turn.
const AT_A_TIME: [u64; 2] = [1, 64];

/// Ends the thread that answers.
const END: u64 = u64::MAX;

type OnMessage = Box<dyn FnMut(u64)>;

/// What the contenders have in common.
trait Contender {
    const NAME: &str;
    /// The end that is posted to, and the other.
    type Handle: Clone + Send + 'static;
    type Mailbox: Send + 'static;
    fn mailbox() -> (Self::Handle, Self::Mailbox);
    fn new(mailbox: Self::Mailbox, on_message: OnMessage) -> Self;
    /// Posts a message, when there is room for it.
    fn post(handle: &Self::Handle, message: u64);
    /// Waits, and handles what has come.
    fn turn(&mut self);
}

struct Each(OnMessage);

impl Handler for Each {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<u64> for Each {
    fn on_message(&mut self, _: &mut Sessions<'_>, message: u64) {
        (self.0)(message);
    }
}

impl Contender for Reactor {
    const NAME: &str = "reactor";
    type Handle = Handle<u64>;
    type Mailbox = Mailbox<u64>;

    fn mailbox() -> (Handle<u64>, Mailbox<u64>) {
        mailbox()
    }

    fn new(mailbox: Mailbox<u64>, on_message: OnMessage) -> Reactor {
        let mut reactor = Reactor::new().unwrap();
        let each = reactor.register(Each(on_message));
        reactor.attach(mailbox, each);
        reactor
    }

    fn post(handle: &Handle<u64>, message: u64) {
        while let Err(PostError::Full(_)) = handle.post(message) {
            thread::yield_now();
        }
    }

    fn turn(&mut self) {
        Reactor::turn(self, None).unwrap();
    }
}

#[cfg(target_os = "linux")]
mod bare {
    use std::os::fd::OwnedFd;
    use std::sync::{Arc, Mutex};

    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::write;

    use super::{Contender, OnMessage};

    /// As many as a mailbox holds.
    const CAPACITY: usize = 16_384;

    pub(super) struct Shared {
        messages: Mutex<Vec<u64>>,
        counter: OwnedFd,
    }

    /// Nothing but a vector and the system calls.
    pub(super) struct Bare {
        shared: Arc<Shared>,
        epoll: OwnedFd,
        events: Vec<Event>,
        taken: Vec<u64>,
        on_message: OnMessage,
    }

    impl Contender for Bare {
        const NAME: &str = "eventfd and mutex";
        type Handle = Arc<Shared>;
        type Mailbox = Arc<Shared>;

        fn mailbox() -> (Arc<Shared>, Arc<Shared>) {
            let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
            let shared = Arc::new(Shared { messages: Mutex::default(), counter });
            (shared.clone(), shared)
        }

        fn new(shared: Arc<Shared>, on_message: OnMessage) -> Bare {
            let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
            let data = EventData::new_u64(0);
            epoll::add(&epoll, &shared.counter, data, EventFlags::IN | EventFlags::ET).unwrap();
            let events = vec![Event { flags: EventFlags::empty(), data }; 1024];
            Bare { shared, epoll, events, taken: Vec::new(), on_message }
        }

        fn post(handle: &Arc<Shared>, message: u64) {
            loop {
                let mut messages = handle.messages.lock().unwrap();
                let first = messages.is_empty();
                if messages.len() < CAPACITY {
                    messages.push(message);
                    drop(messages);
                    if first {
                        write(&handle.counter, &1_u64.to_ne_bytes()).unwrap();
                    }
                    break;
                }
                drop(messages);
                std::thread::yield_now();
            }
        }

        fn turn(&mut self) {
            epoll::wait(&self.epoll, &mut self.events[..], None).unwrap();
            std::mem::swap(&mut *self.shared.messages.lock().unwrap(), &mut self.taken);
            self.taken.drain(..).for_each(&mut self.on_message);
        }
    }
}

/// A loop in this thread, and how many messages it has handled.
struct Here<C: Contender> {
    own: C::Handle,
    contender: C,
    handled: Rc<Cell<u64>>,
}

impl<C: Contender> Here<C> {
    fn new() -> Here<C> {
        let (own, mailbox) = C::mailbox();
        let handled = Rc::<Cell<u64>>::default();
        let count = Rc::clone(&handled);
        let on_message = move |_| count.set(count.get() + 1);
        Here { own, contender: C::new(mailbox, Box::new(on_message)), handled }
    }

    fn turn_until(&mut self, handled: u64) {
        while self.handled.get() < handled {
            self.contender.turn();
        }
    }
}

/// Posts a message to a thread, which posts it back, so many times.
fn round_trip<C: Contender>(times: u64) -> Duration {
    let mut here = Here::<C>::new();
    let (there, mailbox) = C::mailbox();
    let back = here.own.clone();
    let thread = thread::spawn(move || {
        let running = Rc::new(Cell::new(true));
        let run = running.clone();
        let on_message = move |message| match message {
            END => run.set(false),
            message => C::post(&back, message),
        };
        let mut contender = C::new(mailbox, Box::new(on_message));
        while running.get() {
            contender.turn();
        }
    });
    // The thread is ready when it has answered once.
    C::post(&there, 0);
    here.turn_until(1);
    let start = Instant::now();
    for number in 0..times {
        C::post(&there, number);
        here.turn_until(number + 2);
    }
    let elapsed = start.elapsed();
    C::post(&there, END);
    thread.join().unwrap();
    elapsed
}

/// Handles so many messages of a thread that does nothing but post.
fn stream<C: Contender>(times: u64) -> Duration {
    let mut here = Here::<C>::new();
    let handle = here.own.clone();
    let start = Instant::now();
    let thread = thread::spawn(move || (0..times).for_each(|number| C::post(&handle, number)));
    here.turn_until(times);
    let elapsed = start.elapsed();
    thread.join().unwrap();
    elapsed
}

/// Posts some messages to the own loop and handles them, so many times.
fn own_thread<C: Contender>(times: u64, at_a_time: u64) -> Duration {
    let mut here = Here::<C>::new();
    let start = Instant::now();
    for round in 1..=times {
        (0..at_a_time).for_each(|number| C::post(&here.own, number));
        here.turn_until(round * at_a_time);
    }
    start.elapsed()
}

/// Measures one of the contenders.
fn bench<C: Contender>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    mut measure: impl FnMut(u64) -> Duration,
) {
    group.bench_function(C::NAME, |b| b.iter_custom(&mut measure));
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("messages/{name}"));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group
}

fn messages(criterion: &mut Criterion) {
    let mut trips = group(criterion, "round trip");
    bench::<Reactor>(&mut trips, round_trip::<Reactor>);
    #[cfg(target_os = "linux")]
    bench::<bare::Bare>(&mut trips, round_trip::<bare::Bare>);
    trips.finish();

    let mut streams = group(criterion, "stream");
    streams.throughput(Throughput::Elements(1));
    bench::<Reactor>(&mut streams, stream::<Reactor>);
    #[cfg(target_os = "linux")]
    bench::<bare::Bare>(&mut streams, stream::<bare::Bare>);
    streams.finish();

    for at_a_time in AT_A_TIME {
        let mut own = group(criterion, &format!("own thread, {at_a_time} at a time"));
        own.throughput(Throughput::Elements(at_a_time));
        bench::<Reactor>(&mut own, |times| own_thread::<Reactor>(times, at_a_time));
        #[cfg(target_os = "linux")]
        bench::<bare::Bare>(&mut own, |times| own_thread::<bare::Bare>(times, at_a_time));
        own.finish();
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);
