//! The decisions on both sides of each limit.

use super::{Action, Front, MAX_PIECES, Residency, SCRATCH, joins, plan, writes_through};
use crate::core::{ColdFiles, Limits};
use crate::sys::{HAS_NOWAIT, HAS_SENDFILE};

const MEMORY: Action = Action::Memory { region_follows: false };
const HEADER: Action = Action::Memory { region_follows: true };

fn limits(small_file: u64) -> Limits {
    Limits { small_file, sendfile_chunk: 1000, warm_window: 1500, ..Limits::default() }
}

/// The front of a queue with `pieces` of memory, then `left` bytes of a file that is in memory.
fn front(pieces: usize, left: u64) -> Front {
    let residency = Residency::Resident(u64::MAX);
    Front { pieces, memory: 10 * pieces, file_left: left, residency, pipe: 0, sealed: false }
}

fn planned(pieces: usize, left: u64, small_file: u64) -> Action {
    plan(&front(pieces, left), &limits(small_file))
}

fn read(bytes: usize) -> Action {
    Action::Read { bytes, nowait: false }
}

#[test]
fn borrowed_bytes_are_written_through_if_they_are_many_or_the_first_of_a_callback() {
    let limits = Limits { write_through: 400, write_first: 100, ..Limits::default() };
    for (len, wrote, expected) in [
        (0, false, false),
        (100, false, false),
        (101, false, true),
        (101, true, false),
        (400, true, false),
        (401, true, true),
        (401, false, true),
    ] {
        assert_eq!(writes_through(len, wrote, &limits), expected, "{len} bytes, {wrote}");
    }
}

#[test]
fn shared_bytes_are_copied_if_they_are_few() {
    let limits = Limits { join: 100, join_in_room: 400, ..Limits::default() };
    for (len, room, expected) in [
        (0, 0, true),
        (100, 0, true),
        (101, 100, false),
        (101, 101, true),
        (400, 400, true),
        (401, 1000, false),
    ] {
        assert_eq!(joins(len, room, &limits), expected, "{len} bytes, room for {room}");
    }
}

#[test]
fn without_files_memory_is_sent_until_there_is_none() {
    for small_file in [100, u64::MAX] {
        assert_eq!(planned(0, 0, small_file), Action::Rest);
        assert_eq!(planned(1, 0, small_file), MEMORY);
        assert_eq!(planned(MAX_PIECES, 0, small_file), MEMORY);
    }
}

#[test]
fn a_file_goes_by_its_size() {
    let sendfile = |bytes| Action::Sendfile { bytes };
    for (pieces, left, expected) in [
        (0, 1, read(1)),
        (3, 100, read(100)),
        (0, 101, sendfile(101)),
        (1, 101, HEADER),
        (0, 1000, sendfile(1000)),
        (0, 1001, sendfile(1000)),
        (MAX_PIECES, 100, MEMORY),
        (MAX_PIECES - 1, 100, read(100)),
        (MAX_PIECES, 101, HEADER),
    ] {
        let action = planned(pieces, left, 100);
        if HAS_SENDFILE || matches!(expected, Action::Read { .. } | MEMORY) {
            assert_eq!(action, expected, "{pieces} pieces and {left} bytes");
        }
    }
}

#[test]
fn a_file_that_is_copied_is_read_in_parts_behind_whatever_there_is() {
    let scratch = SCRATCH;
    for (pieces, left, bytes) in
        [(0, 1 << 40, scratch), (MAX_PIECES - 1, 1 << 40, scratch), (1, 5000, 5000)]
    {
        let action = planned(pieces, left, u64::MAX);
        assert_eq!(action, read(bytes), "{pieces} pieces and {left} bytes");
    }
    assert_eq!(planned(MAX_PIECES, 5000, u64::MAX), MEMORY);
}

#[test]
fn a_pipe_is_emptied_behind_the_memory_before_it() {
    let front = Front { pieces: 2, memory: 20, pipe: 1 << 20, ..Front::default() };
    assert_eq!(plan(&front, &Limits::default()), MEMORY);
    let first = Front { pipe: 1 << 20, ..Front::default() };
    assert_eq!(plan(&first, &Limits::default()), Action::Splice { bytes: 1 << 20 });
}

#[test]
fn what_may_not_be_in_memory_is_looked_at_first_and_waited_for_by_a_worker() {
    use Residency::{Cold, Resident, Unknown};
    if !HAS_NOWAIT {
        return;
    }
    for (pieces, left, residency, expected) in [
        (1, 100, Unknown, Action::Read { bytes: 100, nowait: true }),
        (1, 100, Resident(100), read(100)),
        (1, 100, Resident(60), read(60)),
        (1, 100, Cold, MEMORY),
        (0, 100, Cold, Action::Warm { bytes: 100 }),
        // Behind a header, too: a header that is held back must not wait for a disk.
        (1, 5000, Unknown, Action::Probe { bytes: 1500 }),
        (0, 1499, Unknown, Action::Probe { bytes: 1499 }),
        (1, 5000, Resident(1500), HEADER),
        (0, 5000, Resident(1500), Action::Sendfile { bytes: 1000 }),
        // Only the last call is short.
        (0, 5000, Resident(750), Action::Sendfile { bytes: 750 }),
        (0, 5000, Resident(749), Action::Probe { bytes: 1500 }),
        (0, 300, Resident(300), Action::Sendfile { bytes: 300 }),
        (1, 5000, Cold, MEMORY),
        (0, 5000, Cold, Action::Warm { bytes: 1500 }),
    ] {
        let front = Front { residency, ..front(pieces, left) };
        let action = plan(&front, &limits(100));
        assert_eq!(action, expected, "{pieces} pieces and {left} bytes, {residency:?}");
        let waits = Limits { cold_files: ColdFiles::Wait, ..limits(100) };
        let resident = Front { residency: Resident(u64::MAX), ..front };
        assert_eq!(plan(&front, &waits), plan(&resident, &waits), "nobody looks");
    }
}
