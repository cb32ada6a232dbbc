//! What goes wrong by itself in a simulated kernel.
//!
//! A fault is a [`Step`] that the dice have written instead of a test: it goes the same way, and
//! keeps the contract of [`sys`](crate::sys). Nothing is rolled while a script has a step left.

use std::time::Duration;

use super::dice::Dice;
use super::{Coming, Event, Fd, Machine, Object, Ready, Step, Stream, Watch};

/// The longest time for which a disk keeps a call.
const DISK: Duration = Duration::from_millis(50);
/// How late an edge can be.
const LATE: Duration = Duration::from_millis(5);
/// How old an event of a closed descriptor can be.
const STALE: Duration = Duration::from_millis(20);
/// How far the clock on the wall can jump, in seconds: a day.
const JUMP: usize = 86_400;

/// How often things go wrong in a [`Simulation`](crate::testing::Simulation): probabilities from 0
/// to 1, each for one occasion.
///
/// The default is a moderate mix of all of them. A run does not take it as it is: its seed leaves
/// some faults out and multiplies others, so that some runs have few kinds of faults and many of
/// each. The run with seed 0 has none.
///
/// ```
/// use sluicegate_reactor::testing::Faults;
///
/// let nasty = Faults { would_block: 0.5, ..Faults::default() };
/// let only_short = Faults { short: 0.9, ..Faults::none() };
/// # assert_ne!(nasty, only_short);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// A receive, a send, a read or a write of a file moves fewer bytes than it could.
    pub short: f64,
    /// A call fails with `EINTR`.
    pub interrupted: f64,
    /// A receive, a send or an accept fails with `EAGAIN`, and an edge follows.
    pub would_block: f64,
    /// A send fails with `ENOBUFS`. It is not `EAGAIN`, as no edge is promised after it: the
    /// reactor ends the connection with [`Reason::Failed`](crate::Reason::Failed).
    pub no_buffers: f64,
    /// An accept fails with `ECONNABORTED`, and the client sees a reset.
    pub aborted: f64,
    /// An accept or a connect fails with `EMFILE` or `ENFILE`.
    pub exhausted: f64,
    /// So does [opening](crate::fs::Dir::open) or [making](crate::fs::Dir::create) what is in a
    /// directory. What a handler says then is
    /// its own affair: with this fault its answers are not always the same.
    pub open: f64,
    /// A write to a file or a sync fails with `ENOSPC`, `EDQUOT` or `EIO`.
    pub write: f64,
    /// A pipe is refused for want of descriptors.
    pub no_pipe: f64,
    /// A connection that a reactor asks for is refused.
    pub refused: f64,
    /// An edge comes some milliseconds late.
    pub late: f64,
    /// A wait hands out an event for a connection on which nothing has happened.
    pub spurious: f64,
    /// A closed connection leaves an event behind.
    pub stale: f64,
    /// A wait hands out some of the events only, and not in the order in which they arose.
    pub reordered: f64,
    /// The run has events in the manner of kqueue: one for reading, one for writing.
    pub kqueue: f64,
    /// A read or a write of a file, by whatever call, keeps the caller for up to 50 ms.
    pub slow_disk: f64,
    /// A file has left the memory when somebody looks whether it is there.
    pub cold: f64,
    /// A client puts an urgent byte between two pieces of what it sends.
    pub urgent: f64,
    /// A reactor that has something to do gets no time for up to
    /// [`longest_stall`](Faults::longest_stall). Others do meanwhile, and what arrives waits for
    /// it.
    pub stall: f64,
    /// How long that can be.
    pub longest_stall: Duration,
    /// The clock on the wall ([`Turn::unix_time`](crate::Turn::unix_time)) jumps by up to a day.
    pub clock_jump: f64,
    /// How long bytes, ends and resets can be on their way, in either direction. What one side
    /// sends arrives in order; what different connections send does not.
    pub delay: Duration,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            short: 0.15,
            interrupted: 0.03,
            would_block: 0.05,
            no_buffers: 0.001,
            aborted: 0.02,
            exhausted: 0.03,
            open: 0.01,
            write: 0.01,
            no_pipe: 0.05,
            refused: 0.02,
            late: 0.1,
            spurious: 0.05,
            stale: 0.3,
            reordered: 0.3,
            kqueue: 0.3,
            slow_disk: 0.05,
            cold: 0.1,
            urgent: 0.02,
            stall: 0.01,
            longest_stall: Duration::from_secs(2),
            clock_jump: 0.05,
            delay: Duration::from_millis(20),
        }
    }
}

impl Faults {
    /// A kernel, disk and network without any, that take no time.
    #[must_use]
    pub fn none() -> Faults {
        Faults {
            short: 0.0,
            interrupted: 0.0,
            would_block: 0.0,
            no_buffers: 0.0,
            aborted: 0.0,
            exhausted: 0.0,
            open: 0.0,
            write: 0.0,
            no_pipe: 0.0,
            refused: 0.0,
            late: 0.0,
            spurious: 0.0,
            stale: 0.0,
            reordered: 0.0,
            kqueue: 0.0,
            slow_disk: 0.0,
            cold: 0.0,
            urgent: 0.0,
            stall: 0.0,
            longest_stall: Duration::ZERO,
            clock_jump: 0.0,
            delay: Duration::ZERO,
        }
    }

    /// Those of one run.
    pub(crate) fn drawn(&self, dice: &mut Dice) -> Faults {
        let mut drawn = self.clone();
        let all = [
            &mut drawn.short,
            &mut drawn.interrupted,
            &mut drawn.would_block,
            &mut drawn.no_buffers,
            &mut drawn.aborted,
            &mut drawn.exhausted,
            &mut drawn.open,
            &mut drawn.write,
            &mut drawn.no_pipe,
            &mut drawn.refused,
            &mut drawn.late,
            &mut drawn.spurious,
            &mut drawn.stale,
            &mut drawn.reordered,
            &mut drawn.slow_disk,
            &mut drawn.cold,
            &mut drawn.urgent,
            &mut drawn.stall,
            &mut drawn.clock_jump,
        ];
        for probability in all {
            *probability = match dice.below(4) {
                0 => 0.0,
                // Something has to go well for anything to come to an end.
                1 => (*probability * 3.0).min(probability.max(0.8)),
                _ => *probability,
            };
        }
        drawn.kqueue = f64::from(u8::from(dice.chance(self.kqueue)));
        drawn.delay = match dice.below(3) {
            0 => Duration::ZERO,
            1 => self.delay / 100,
            _ => self.delay,
        };
        drawn
    }
}

/// The faults of a machine that has some.
pub(super) struct Chaos {
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    /// Events that wait hands out besides those of the edges, each with its selector.
    pub(super) extra: Vec<(usize, Event)>,
}

impl Chaos {
    pub(super) fn new(faults: Faults, seed: u64) -> Chaos {
        Chaos { faults, dice: Dice::new(seed), extra: Vec::new() }
    }

    pub(super) fn has_events_for(&self, selector: usize) -> bool {
        self.extra.iter().any(|(to, _)| *to == selector)
    }

    fn step(&mut self, may_block: bool, most: usize) -> Option<Step> {
        let Chaos { faults, dice, .. } = self;
        if dice.chance(faults.interrupted) {
            Some(Step::Interrupted)
        } else if may_block && dice.chance(faults.would_block) {
            Some(Step::WouldBlock)
        } else if most > 1 && dice.chance(faults.short) {
            Some(Step::Short(dice.part_of(most - 1)))
        } else {
            None
        }
    }

    fn shortage(&mut self) -> i32 {
        [libc::EMFILE, libc::ENFILE][self.dice.below(2)]
    }
}

/// The calls. Each takes what the dice say into the script of its object.
impl Machine {
    fn write_step(&mut self, step: Option<Step>, script: impl FnOnce(&mut Machine, Step)) {
        if let Some(step) = step {
            self.trace.mark();
            script(self, step);
        }
    }

    pub(super) fn fault_in_recv(&mut self, stream: usize, room: usize) {
        let near = &self.streams[stream];
        let Some(chaos) = self.chaos.as_mut().filter(|_| near.recvs.is_empty()) else { return };
        let step = chaos.step(true, room.min(near.unread()));
        self.write_step(step, |state, step| state.streams[stream].recvs.extend([step]));
    }

    pub(super) fn fault_in_send(&mut self, stream: usize, bytes: usize) {
        let near = &mut self.streams[stream];
        let Some(chaos) = self.chaos.as_mut().filter(|_| near.sends.is_empty()) else { return };
        let step = if chaos.dice.chance(chaos.faults.no_buffers) {
            near.spoilt = true;
            Some(Step::Errno(libc::ENOBUFS))
        } else {
            chaos.step(true, bytes)
        };
        self.write_step(step, |state, step| state.streams[stream].sends.extend([step]));
    }

    pub(super) fn fault_in_accept(&mut self, listener: Fd) {
        let near = self.table.listener(listener);
        let Some(chaos) = self.chaos.as_mut().filter(|_| near.script.is_empty()) else { return };
        let step = if chaos.dice.chance(chaos.faults.exhausted) {
            Some(Step::Errno(chaos.shortage()))
        } else if chaos.dice.chance(chaos.faults.aborted)
            && let Some(lost) = near.backlog.pop_front()
        {
            self.streams[lost].spoilt = true;
            self.streams[lost].reset();
            self.settle(lost);
            Some(Step::Errno(libc::ECONNABORTED))
        } else {
            chaos.step(true, 0)
        };
        self.write_step(step, |state, step| state.table.listener(listener).script.extend([step]));
    }

    pub(super) fn fault_in_connect(&mut self) -> Option<Step> {
        let chaos = self.chaos.as_mut()?;
        let step = if chaos.dice.chance(chaos.faults.exhausted) {
            Some(Step::Errno(chaos.shortage()))
        } else if chaos.dice.chance(chaos.faults.refused) {
            Some(Step::Errno(libc::ECONNREFUSED))
        } else {
            chaos.step(false, 0)
        };
        self.write_step(step, |_, _| {});
        step
    }

    /// How opening a file fails, if it does.
    pub(super) fn fault_in_open(&mut self) -> std::io::Result<()> {
        let Some(chaos) = self.chaos.as_mut() else { return Ok(()) };
        if !chaos.dice.chance(chaos.faults.open) {
            return Ok(());
        }
        self.trace.mark();
        Err(std::io::Error::from_raw_os_error(chaos.shortage()))
    }

    /// How making a pipe fails, if it does: always where there is a kqueue, since nobody has that
    /// and splice.
    pub(super) fn fault_in_pipe(&mut self) -> std::io::Result<()> {
        let Some(chaos) = self.chaos.as_mut() else { return Ok(()) };
        if chaos.faults.kqueue > 0.0 {
            return Err(std::io::ErrorKind::Unsupported.into());
        }
        if !chaos.dice.chance(chaos.faults.no_pipe) {
            return Ok(());
        }
        self.trace.mark();
        Err(std::io::Error::from_raw_os_error(chaos.shortage()))
    }

    /// What a read of `bytes` from a file does.
    pub(super) fn fault_in_read(&mut self, bytes: usize) -> Option<Step> {
        let step = self.chaos.as_mut()?.step(false, bytes);
        self.write_step(step, |_, _| {});
        step
    }

    /// What a write of `bytes` to a file, or a sync, does.
    pub(super) fn write_fault(&mut self, bytes: usize) -> Option<Step> {
        self.wait_for_disk();
        let chaos = self.chaos.as_mut()?;
        let step = if chaos.dice.chance(chaos.faults.write) {
            Some(Step::Errno([libc::ENOSPC, libc::EDQUOT, libc::EIO][chaos.dice.below(3)]))
        } else {
            chaos.step(false, bytes)
        };
        self.write_step(step, |_, _| {});
        step
    }

    /// Whether a file has just left the memory.
    pub(super) fn fault_in_memory(&mut self) -> bool {
        let Some(chaos) = &mut self.chaos else { return false };
        let left = chaos.dice.chance(chaos.faults.cold);
        if left {
            self.trace.mark();
        }
        left
    }

    pub(super) fn wait_for_disk(&mut self) {
        if let Some(chaos) = &mut self.chaos
            && chaos.dice.chance(chaos.faults.slow_disk)
        {
            self.elapsed += chaos.dice.time(DISK);
            self.trace.mark();
        }
    }

    pub(super) fn wall_clock_jump(&mut self) -> i64 {
        let Some(chaos) = &mut self.chaos else { return 0 };
        if !chaos.dice.chance(chaos.faults.clock_jump) {
            return 0;
        }
        chaos.dice.below(2 * JUMP) as i64 - JUMP as i64
    }
}

/// The events.
impl Machine {
    /// How late an edge is.
    pub(super) fn lateness(&mut self) -> u64 {
        let Some(chaos) = &mut self.chaos else { return 0 };
        if chaos.dice.chance(chaos.faults.late) { chaos.dice.time(LATE) } else { 0 }
    }

    /// How long something is on its way.
    pub(super) fn delay(&mut self) -> u64 {
        self.chaos.as_mut().map_or(0, |chaos| chaos.dice.time(chaos.faults.delay))
    }

    /// Leaves an event of a registration that has just ended. A descriptor that others have open
    /// too goes on to make them, `epoll(7)`; the token of a connection that is being made can come
    /// again with the next address, so there it would be a lie.
    pub(super) fn leave_stale(&mut self, watch: Watch, stream: usize) {
        if self.streams[stream].outgoing {
            return;
        }
        if let Some(chaos) = &mut self.chaos
            && chaos.dice.chance(chaos.faults.stale)
        {
            let ready = Ready::READ.and(Ready::WRITE).and(Ready::READ_END).and(Ready::HANGUP);
            let event = Event { token: watch.token, ready };
            let at = self.elapsed + chaos.dice.time(STALE);
            self.network.send_off(at, Coming::Event(watch.selector, event));
        }
    }

    /// Lets a wait hand out an event that has no edge.
    pub(super) fn add_event(&mut self, selector: usize, event: Event) {
        if let Some(chaos) = &mut self.chaos {
            chaos.extra.push((selector, event));
        }
    }

    /// What a wait hands out of the edges there are.
    pub(super) fn take_events(&mut self, selector: usize, most: usize, into: &mut Vec<Event>) {
        self.make_spurious(selector);
        let mut count = most.min(self.edges[selector].len());
        let reordered = self.chaos.as_mut().is_some_and(|c| c.dice.chance(c.faults.reordered));
        if reordered && count > 1 {
            count = self.chaos.as_mut().map_or(count, |chaos| 1 + chaos.dice.below(count));
        }
        for _ in 0..count {
            let at = match &mut self.chaos {
                Some(chaos) if reordered => chaos.dice.below(self.edges[selector].len()),
                _ => 0,
            };
            let Some(fd) = self.edges[selector].remove(at) else { break };
            self.hand_out(fd, into);
        }
        if let Some(chaos) = &mut self.chaos {
            let mut room = most - into.len().min(most);
            chaos.extra.retain(|(to, event)| {
                let taken = *to == selector && room > 0;
                if taken {
                    into.push(*event);
                    room -= 1;
                }
                !taken
            });
        }
    }

    fn make_spurious(&mut self, selector: usize) {
        let Some(chaos) = &mut self.chaos else { return };
        if !chaos.dice.chance(chaos.faults.spurious) {
            return;
        }
        let at = chaos.dice.below(self.streams.len());
        if let Some(fd) = self.streams.get(at).and_then(|stream| stream.fd)
            && let Some(watch) = self.table.watch(fd).filter(|watch| watch.selector == selector)
        {
            let ready = [Ready::READ, Ready::WRITE][chaos.dice.below(2)];
            let ready = if self.streams[at].outgoing { Ready::WRITE } else { ready };
            chaos.extra.push((selector, Event { token: watch.token, ready }));
        }
    }

    /// Hands out the event of a descriptor: one, or in the manner of kqueue one for each filter,
    /// the second maybe in a later wait.
    fn hand_out(&mut self, fd: Fd, into: &mut Vec<Event>) {
        let Some(event) = self.event(fd) else { return };
        let (Some(chaos), Some(Object::Stream(stream))) = (&mut self.chaos, self.table.object(fd))
        else {
            return into.push(event);
        };
        if chaos.faults.kqueue == 0.0 {
            return into.push(event);
        }
        let mut filters = by_filter(&self.streams[*stream], event.ready);
        if chaos.dice.below(2) == 0 {
            filters.reverse();
        }
        let filters = filters.into_iter().filter(|ready| *ready != Ready::default());
        for (place, ready) in filters.enumerate() {
            let event = Event { token: event.token, ready };
            if place > 0 && chaos.dice.below(4) == 0 {
                let Some(watch) = self.table.watch(fd) else { continue };
                chaos.extra.push((watch.selector, event));
            } else {
                into.push(event);
            }
        }
    }
}

/// What the filters of kqueue say of it, as its selector translates that: the end of both
/// directions in order is no hangup, and that data is urgent is not told.
fn by_filter(stream: &Stream, ready: Ready) -> [Ready; 2] {
    let error = if stream.is_reset() { ready } else { Ready::default() };
    let read = if ready.any(Ready::READ_END) {
        // Told here all the same: a splice, which no system with kqueue has, relies on it.
        let urgent = if ready.any(Ready::URGENT) { Ready::URGENT } else { Ready::default() };
        Ready::READ.and(Ready::READ_END).and(error).and(urgent)
    } else if ready.any(Ready::READ) {
        Ready::READ.and(Ready::URGENT)
    } else {
        Ready::default()
    };
    let write = if ready.any(Ready::WRITE) { Ready::WRITE.and(error) } else { Ready::default() };
    [read, write]
}
