//! Random faults of the simulated kernel, for machines with [`Faults`].
//!
//! A fault is a [`Step`] that is added to a script at random instead of by a test. So it takes the
//! same path and keeps the contract of [`sys`](crate::sys). No fault is drawn while a script has a
//! step left.

use std::io;
use std::time::Duration;

use super::dice::Dice;
use super::faults::Faults;
use super::{Coming, Event, Fd, Machine, Object, Ready, Step, Stream, Watch};

/// The longest delay of a call by a slow disk.
const DISK: Duration = Duration::from_millis(50);
/// The longest delay of an edge.
const LATE: Duration = Duration::from_millis(5);
/// The longest time from a close to a stale event of the descriptor.
const STALE: Duration = Duration::from_millis(20);
/// The longest jump of the wall clock, in seconds: a day.
const JUMP: usize = 86_400;

/// The faults of a machine, and the dice that draw them.
pub(super) struct Chaos {
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    /// Events without an edge that waits will return, each with its selector.
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

/// The faults of calls. Most add a step to the script of the object.
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
            // Less room than an event needs is used by a send, and nothing would follow a refusal.
            chaos.step(near.ready().any(Ready::WRITE), bytes)
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

    /// Fails if opening a file is to fail.
    pub(super) fn fault_in_open(&mut self) -> io::Result<()> {
        let Some(chaos) = self.chaos.as_mut() else { return Ok(()) };
        if !chaos.dice.chance(chaos.faults.open) {
            return Ok(());
        }
        self.trace.mark();
        Err(io::Error::from_raw_os_error(chaos.shortage()))
    }

    /// Fails if opening a pipe is to fail: always if events come as from kqueue, because no system
    /// has both kqueue and `splice`.
    pub(super) fn fault_in_pipe(&mut self) -> io::Result<()> {
        let Some(chaos) = self.chaos.as_mut() else { return Ok(()) };
        if chaos.faults.kqueue > 0.0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if !chaos.dice.chance(chaos.faults.no_pipe) {
            return Ok(());
        }
        self.trace.mark();
        Err(io::Error::from_raw_os_error(chaos.shortage()))
    }

    /// The fault of a read of `bytes` bytes from a file.
    pub(super) fn fault_in_read(&mut self, bytes: usize) -> Option<Step> {
        let step = self.chaos.as_mut()?.step(false, bytes);
        self.write_step(step, |_, _| {});
        step
    }

    /// The fault of a write of `bytes` bytes to a file, or of a sync if `bytes` is 0.
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

    /// Whether a file is to be evicted from memory.
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

/// The faults of events.
impl Machine {
    /// The delay of an edge, in nanoseconds.
    pub(super) fn lateness(&mut self) -> u64 {
        let Some(chaos) = &mut self.chaos else { return 0 };
        if chaos.dice.chance(chaos.faults.late) { chaos.dice.time(LATE) } else { 0 }
    }

    /// The delay of bytes, an end or a reset on the network, in nanoseconds.
    pub(super) fn delay(&mut self) -> u64 {
        self.chaos.as_mut().map_or(0, |chaos| chaos.dice.time(chaos.faults.delay))
    }

    /// Schedules a stale event of a registration that has just ended: epoll reports events of a
    /// closed descriptor while a duplicate is open, `epoll(7)`. Outgoing connections get none. They
    /// reuse their token for the next address, so the event would be taken for one of that attempt.
    pub(super) fn leave_stale(&mut self, watch: Watch, stream: usize) {
        if self.streams[stream].outgoing {
            return;
        }
        if let Some(chaos) = &mut self.chaos
            && chaos.dice.chance(chaos.faults.stale)
        {
            let ready = Ready::READ.union(Ready::WRITE).union(Ready::READ_END).union(Ready::HANGUP);
            let event = Event { token: watch.token, ready };
            let at = self.elapsed + chaos.dice.time(STALE);
            self.network.send_off(at, Coming::Event(watch.selector, event));
        }
    }

    /// Queues an event that has no edge.
    pub(super) fn add_event(&mut self, selector: usize, event: Event) {
        if let Some(chaos) = &mut self.chaos {
            chaos.extra.push((selector, event));
        }
    }

    /// Takes up to `most` events for a wait.
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

    /// Adds the event of a descriptor to a wait. As from kqueue, that is one event for each filter,
    /// and the second may come in a later wait.
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

/// Splits an event as the kqueue selector would report it: for the read and the write filter. An
/// orderly end of both directions is not a hangup, and all data may be urgent.
fn by_filter(stream: &Stream, ready: Ready) -> [Ready; 2] {
    let error = if stream.is_reset() { ready } else { Ready::default() };
    let read = if ready.any(Ready::READ_END) {
        // kqueue does not report urgent data. This does, because `splice` relies on it, which no
        // system with kqueue has.
        let urgent = if ready.any(Ready::URGENT) { Ready::URGENT } else { Ready::default() };
        Ready::READ.union(Ready::READ_END).union(error).union(urgent)
    } else if ready.any(Ready::READ) {
        Ready::READ.union(Ready::URGENT)
    } else {
        Ready::default()
    };
    let write = if ready.any(Ready::WRITE) { Ready::WRITE.union(error) } else { Ready::default() };
    [read, write]
}
