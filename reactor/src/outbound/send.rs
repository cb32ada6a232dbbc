//! What becomes of what handlers send, and when queues leave.

use std::io;

use super::{Flushed, Offer, Outgoing, Placement, Pool, Queue, Wire, place};
use crate::core::Core;
use crate::core::connection::{Connection, Flags, Phase};
use crate::core::ledger::Ledger;
use crate::core::limits::Quantum;
use crate::handler::{Reason, Sent};
use crate::listen::listener::Group;
use crate::sys::{Kernel, More, Ready};
use crate::time::rates::Direction;

impl Core {
    pub(crate) fn send(&mut self, index: u32, what: Outgoing<'_>) -> Sent {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return Sent::Gone };
        if c.phase > Phase::Open || c.flags.has(Flags::SHUTDOWN) {
            return Sent::Gone;
        }
        let group = &mut self.groups[c.group as usize];
        let clear = c.outbound.is_none() && c.is_open() && c.ready.any(Ready::WRITE);
        let offer = Offer {
            kind: what.kind(),
            len: what.len(),
            idle: clear && self.stage.len(index) == 0,
            wrote: c.flags.has(Flags::WROTE),
            room: match (&what, &c.outbound) {
                (Outgoing::Shared(_), Some(queue)) => queue.room(),
                (Outgoing::Shared(_), None) => self.stage.room(index),
                _ => 0,
            },
        };
        group.ledger.queued += offer.len;
        let placement = place(&offer, &group.limits);
        if placement == Placement::Join
            && clear
            && let Some(bytes) = what.bytes()
            && self.stage.join(index, bytes, &mut self.pool)
        {
            group.ledger.joined += offer.len;
            return Sent::Accepted;
        }
        match (placement, what) {
            (Placement::Nowhere, _) => Sent::Accepted,
            (Placement::WriteThrough, Outgoing::Slice(slice)) => {
                c.flags.set(Flags::WROTE);
                match write_through(&self.kernel, self.tick, c, group, slice) {
                    Ok(sent) if sent == slice.len() => Sent::Accepted,
                    Ok(sent) => {
                        self.enqueue(index, Outgoing::Slice(&slice[sent..]), Placement::Join)
                    }
                    Err(error) => {
                        self.fail_with(index, &error);
                        Sent::Gone
                    }
                }
            }
            (Placement::Reference, Outgoing::Shared(bytes))
                if clear && self.stage.may_refer(index, bytes.len(), &group.limits) =>
            {
                self.stage.refer(bytes);
                Sent::Accepted
            }
            (placement, what) => self.enqueue(index, what, placement),
        }
    }

    fn enqueue(&mut self, index: u32, what: Outgoing<'_>, placement: Placement) -> Sent {
        let mut full = false;
        self.append_with(index, |c, Group { limits, ledger, .. }, queue, pool| {
            ledger.joined += queue.push(what, placement, pool) as u64;
            full = queue.is_full(limits);
            if full {
                ledger.full_queues += u64::from(!c.has(Flags::FULL));
                c.set(Flags::FULL);
            }
        });
        if full { Sent::Full } else { Sent::Accepted }
    }

    /// Bytes that were sent and the kernel has not taken yet.
    pub(crate) fn pending(&self, index: u32) -> u64 {
        let queued = self.get(index).map_or(0, Connection::pending);
        queued + self.stage.len(index) as u64
    }

    /// Adds to the queue, which is there from now on. `push` says how many bytes it has copied.
    pub(crate) fn append(&mut self, index: u32, push: impl FnOnce(&mut Queue, &mut Pool) -> usize) {
        self.append_with(index, |_, group, queue, pool| {
            group.ledger.joined += push(queue, pool) as u64;
        });
    }

    #[inline]
    fn append_with(
        &mut self,
        index: u32,
        push: impl FnOnce(&mut Flags, &mut Group, &mut Queue, &mut Pool),
    ) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let queue = c.outbound.get_or_insert_with(|| {
            let mut queue = self.spare_queues.pop().unwrap_or_default();
            queue.begin(self.tick);
            self.stage.begin_queue(index, &mut queue);
            queue
        });
        push(&mut c.flags, &mut self.groups[c.group as usize], queue, &mut self.pool);
        let blocked = !c.ready.any(Ready::WRITE);
        if !c.flags.has(Flags::LISTED) {
            self.list(index);
        }
        if blocked {
            // No flush will find out: the time that a write may stall begins here.
            self.arm(index);
        }
    }

    /// Sends what is queued, within the quantum and its rate. What follows from an empty queue is
    /// noted as owed.
    pub(crate) fn flush(&mut self, index: u32, quantum: &mut Quantum) {
        // What an abort or a failure leaves in the queue is dropped, not sent.
        let Some(c) = self.get(index).filter(|c| c.can_send() && c.is_flushed()) else { return };
        if self.rates(c) {
            self.flush_at_rate(index, quantum);
        } else {
            self.flush_up_to(index, quantum, usize::MAX);
        }
    }

    #[inline(never)]
    fn flush_at_rate(&mut self, index: u32, quantum: &mut Quantum) {
        let pending = self.get(index).map_or(0, Connection::pending);
        let most = self.allow(index, Direction::Send, pending);
        if most > 0 {
            self.flush_up_to(index, quantum, most);
            self.settle_rate(index, Direction::Send);
        }
    }

    /// Sends what is queued, up to so many bytes.
    #[inline(always)]
    fn flush_up_to(&mut self, index: u32, quantum: &mut Quantum, most: usize) {
        let Some(c) = self.connections.0.get_mut(index as usize) else { return };
        let Some(queue) = c.outbound.as_mut() else { return };
        let Group { limits, ledger, .. } = &mut self.groups[c.group as usize];
        let before = c.sent;
        let flushed = Wire {
            kernel: &self.kernel,
            socket: c.socket,
            limits,
            pool: &mut self.pool,
            scratch: &mut self.scratch,
            ledger,
            most,
        }
        .flush(queue, &mut c.sent, quantum);
        let is_fed = c.extras.as_ref().is_some_and(|extras| extras.feeder.is_some());
        let feeds = is_fed && c.sent > before;
        if c.sent > before {
            (c.active, queue.progress) = (self.tick, self.tick);
        }
        if c.flags.has(Flags::FULL) && queue.is_low(limits) {
            c.flags.clear(Flags::FULL);
            c.flags.set(Flags::OWES_DRAIN);
            c.flags.set(Flags::OWES_KEPT);
        }
        match flushed {
            Flushed::Budget => {}
            Flushed::Empty => {
                if let Some(queue) = c.outbound.take() {
                    self.keep_queue(queue);
                }
            }
            Flushed::Blocked => {
                c.ready = c.ready.without(Ready::WRITE);
                self.arm(index);
            }
            Flushed::Cold(bytes) => self.wait_for_disk(index, bytes),
            Flushed::Truncated => {
                log::warn!("a file ended before the region of it that was being sent");
                self.fail(index, Reason::Truncated);
            }
            Flushed::Failed(error) => self.fail_with(index, &error),
        }
        if feeds {
            self.passed_on(index);
        }
    }
}

/// Sends a slice to a connection with nothing queued, unless a rate says when. Says how much of it
/// the socket took; of one that has failed, everything is accounted for.
#[inline(never)]
pub(crate) fn write_through(
    kernel: &Kernel,
    tick: u32,
    c: &mut Connection,
    group: &mut Group,
    slice: &[u8],
) -> io::Result<usize> {
    let (mut written, rated) = (0, group.is_rated(c));
    while written < slice.len() && !rated {
        let ledger = &mut group.ledger;
        ledger.send_calls += 1;
        match kernel.send(c.socket, &slice[written..], More::No) {
            Ok(count) => {
                written += count;
                c.sent += count as u64;
                c.active = tick;
                ledger.sent += count as u64;
                ledger.write_through += count as u64;
                ledger.short_writes += u64::from(written < slice.len());
            }
            Err(error) => {
                if let Some(error) = note_refusal(c, ledger, error) {
                    ledger.dropped += (slice.len() - written) as u64;
                    return Err(error);
                }
                if !c.ready.any(Ready::WRITE) {
                    break;
                }
            }
        }
    }
    Ok(written)
}

/// Notes that a call has sent nothing; the error if the socket has failed.
#[cold]
pub(super) fn note_refusal(
    c: &mut Connection,
    ledger: &mut Ledger,
    error: io::Error,
) -> Option<io::Error> {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            ledger.send_would_block += 1;
            c.ready = c.ready.without(Ready::WRITE);
            None
        }
        io::ErrorKind::Interrupted => None,
        _ => Some(error),
    }
}
