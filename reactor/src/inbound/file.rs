//! Receiving into a file, without ever holding all of it in memory.

use std::io;
use std::ops::Range;

use super::{Arrival, block, note_no_pipe, receive, receive_into_pipe, set_strategy};
use crate::core::{ConnId, Core, Flags, Pipe, Strategy};
use crate::fs::{Batch, Committed, Finished, GATHER, Need, NewFile, Saving, WhenWhole};
use crate::sys::{AlignedBuffer, Ready};
use crate::time::deadlines;

#[cfg(all(test, feature = "testing"))]
mod tests;

/// Size of the pipe to files in memory. Smaller ones make uploads dearer (benches/README.md).
const PIPE: usize = 1 << 20;

/// Receives `left` bytes into a file, or everything until the end of the stream.
pub(crate) fn receive_file(
    core: &mut Core,
    index: u32,
    file: NewFile,
    left: Option<u64>,
    when_whole: WhenWhole,
) {
    let splice_after = core.limits(core[index].group).splice_after as u64;
    let saving = Saving::new(file, left, when_whole, splice_after);
    set_strategy(core, index, Strategy::File(Box::new(saving)));
}

/// Abandons and removes the file that is being received, if there is one.
pub(crate) fn stop_saving(core: &mut Core, index: u32) {
    if let Some(saving) = end(core, index) {
        saving.give_up();
    }
}

/// Takes out the file. Later input goes to the handler.
fn end(core: &mut Core, index: u32) -> Option<Saving> {
    let c = &mut core.connections[index as usize];
    let special = c.special.as_mut().filter(|s| matches!(s.strategy, Strategy::File(_)))?;
    let waited = special.waits_for_worker();
    let Strategy::File(saving) = std::mem::take(&mut special.strategy) else { return None };
    special.blocked = false;
    c.flags.set(Flags::REVISIT_INPUT);
    if waited {
        // Until now the peer waited for the disk.
        c.active = core.tick;
    }
    core.recycle_special(index);
    deadlines::arm(core, index);
    Some(*saving)
}

/// The file that a connection receives.
fn saving(core: &mut Core, index: u32) -> Option<&mut Saving> {
    match core[index].strategy()? {
        Strategy::File(saving) => Some(saving),
        _ => None,
    }
}

/// The file that a connection receives, unless the connection has ended.
fn saving_of(core: &mut Core, id: ConnId) -> Option<&mut Saving> {
    core.find(id)?;
    saving(core, id.index)
}

/// Takes the unread bytes, and decides what the file needs next.
fn next_need(core: &mut Core, index: u32) -> Option<Need> {
    let c = &mut core.connections[index as usize];
    let most = core.groups[c.group as usize].limits.file_batches;
    let is_cut = c.is_cut();
    let special = c.special.as_mut()?;
    let Strategy::File(saving) = &mut special.strategy else { return None };
    if c.flags.take(Flags::REVISIT_INPUT) {
        let count = saving.share(special.unread.len());
        saving.take(&special.unread.bytes()[..count]);
        special.unread.consume(count, &mut core.pool);
    }
    if is_cut && saving.expects_the_end() {
        return Some(Need::MissingInput);
    }
    Some(saving.need(c.flags.any(Flags::INPUT_ENDED), most))
}

/// Lets a connection continue after a worker has done something for it. The wait does not count as
/// idle time.
fn go_on(core: &mut Core, index: u32) {
    core.special(index).blocked = false;
    deadlines::restart_idle(core, index);
    core.set_and_schedule(index, Flags::REVISIT_INPUT);
}

pub(super) fn step(core: &mut Core, buffer: &mut AlignedBuffer, index: u32) -> Arrival {
    match next_need(core, index) {
        None => Arrival::Nothing,
        Some(Need::Input) => receive_more(core, buffer, index),
        Some(Need::Batch(batch)) => {
            leave_to_worker(core, index, batch);
            Arrival::Progress
        }
        Some(Need::Worker) => block(core, index),
        Some(Need::MissingInput) => {
            stop_saving(core, index);
            // `on_eof` comes next, again if it was called before.
            core[index].flags.set(Flags::OWES_EOF);
            Arrival::Progress
        }
        Some(Need::Nothing) => {
            // A file that failed is closed here, large or not: when its client hears of a full
            // disk, the space must be free again.
            end(core, index).map_or(Arrival::Nothing, |saving| Arrival::File(saving.outcome()))
        }
    }
}

fn receive_more(core: &mut Core, buffer: &mut AlignedBuffer, index: u32) -> Arrival {
    let c = &core[index];
    if !c.can_receive() {
        return Arrival::Nothing;
    }
    // A splice gets past neither urgent data nor a transport.
    let may_splice = !c.ready.any(Ready::URGENT) && !c.is_layered();
    let Some(saving) = saving(core, index) else { return Arrival::Nothing };
    let (in_memory, most) = (saving.is_in_memory(), saving.share(usize::MAX));
    if saving.is_spliced() && may_splice {
        splice(core, index, most);
    } else if !in_memory && !has_room_for(core, index) {
        return block(core, index);
    } else if let Some(count) = receive(core, buffer, index, most) {
        take(core, buffer, index, 0..count);
    }
    Arrival::Progress
}

/// Takes the bytes of a file from the front of `part` of the shared buffer. A file in memory is
/// written at once. For another, few bytes are copied, and for many a worker gets the buffer,
/// unless other bytes follow them. Returns how many bytes it took.
pub(super) fn take(
    core: &mut Core,
    buffer: &mut AlignedBuffer,
    index: u32,
    part: Range<usize>,
) -> usize {
    let c = &mut core.connections[index as usize];
    let Some(Strategy::File(saving)) = c.strategy() else { return 0 };
    let count = saving.share(part.len());
    let is_lent = count > GATHER && count == part.len() && core.batches.has_room();
    if is_lent && !saving.is_in_memory() {
        let batch = saving.take_buffer((core.batches.exchange(buffer), part));
        leave_to_worker(core, index, batch);
    } else {
        saving.take(&buffer[part][..count]);
    }
    note_saved(core, index, count);
    count
}

/// Counts bytes received for a file, and makes another step follow, which sees whether the file is
/// complete even if the socket has no more input.
fn note_saved(core: &mut Core, index: u32, count: usize) {
    let (c, group) = core.pair(index);
    c.flags.set(Flags::REVISIT_INPUT);
    group.ledger.saved += count as u64;
}

/// Receives through a pipe, so that the file is written from the pages that the bytes arrived in.
fn splice(core: &mut Core, index: u32, most: usize) {
    let open = core.batches.pipe.take();
    let pipe = match open.map_or_else(|| Pipe::open(&core.kernel, PIPE), Ok) {
        Ok(pipe) => pipe,
        Err(error) => {
            if let Some(saving) = saving(core, index) {
                saving.splice_from = u64::MAX;
            }
            return note_no_pipe(core, index, &error);
        }
    };
    let count = receive_into_pipe(core, &pipe, index, most).unwrap_or(0);
    let left = saving(core, index).map_or(count, |saving| saving.take_from(pipe.read, count));
    // What is left in a pipe would go to the next file.
    core.batches.pipe = (left == 0).then_some(pipe);
    if count > 0 {
        note_saved(core, index, count);
        core.ledger_of(index).saved_by_splice += count as u64;
    }
}

/// Hands a batch of a connection's file to a worker.
fn leave_to_worker(core: &mut Core, index: u32, batch: Batch) {
    let id = core.id(index);
    core.batches.held += batch.memory();
    core.push_job(
        move |kernel| batch.finish(kernel),
        move |core, (batch, result)| batch_done(core, id, batch, result),
    );
}

fn batch_done(core: &mut Core, id: ConnId, batch: Finished, result: io::Result<Option<Committed>>) {
    // The connection may be gone, or have given the file up.
    let goes_on = saving_of(core, id).is_some_and(|saving| saving.batch_done(&batch, result));
    core.batches.held -= batch.memory;
    if let Some(buffer) = batch.buffer {
        core.batches.take_back(buffer);
    }
    if core.batches.has_room() {
        wake_waiting(core);
    }
    if goes_on {
        go_on(core, id.index);
    }
}

/// Whether a file on a disk may receive more. If not, its connection is woken when it may.
fn has_room_for(core: &mut Core, index: u32) -> bool {
    if core.batches.has_room() {
        return true;
    }
    let id = core.id(index);
    if core.batches.waiting.len() > 2 * core.connections.len() {
        // At least half of these connections are gone.
        let mut waiting = std::mem::take(&mut core.batches.waiting);
        waiting.retain(|&id| core.find(id).is_some());
        core.batches.waiting = waiting;
    }
    if let Some(saving) = saving(core, index) {
        saving.waits_for_room = true;
        core.batches.waiting.push_back(id);
    }
    false
}

/// Wakes connections that wait for room: two for each batch that is written, since the first may
/// need none any more, and all of them if no other batch is being written. Waking all of them each
/// time would cost more than writing, with a slow disk and thousands of peers.
fn wake_waiting(core: &mut Core) {
    let mut count = if core.batches.held == 0 { usize::MAX } else { 2 };
    while count > 0
        && let Some(id) = core.batches.waiting.pop_front()
    {
        // The connection may receive another file, which does not wait.
        if let Some(saving) = saving_of(core, id)
            && std::mem::take(&mut saving.waits_for_room)
        {
            go_on(core, id.index);
            count -= 1;
        }
    }
}
