//! The plan at both sides of each of its limits.

use super::{Action, Front, MAX_PIECES, plan};
use crate::limits::{FileTransfer, Limits};
use crate::sys::HAS_SENDFILE;

const MEMORY: Action = Action::Memory { region_follows: false };
const HEADER: Action = Action::Memory { region_follows: true };

fn limits(files: FileTransfer) -> Limits {
    Limits {
        small_file: 100,
        sendfile_chunk: 1000,
        long_file: 5000,
        long_file_chunk: 3000,
        files,
        ..Limits::default()
    }
}

/// What `pieces` of memory and then `left` of `len` bytes of a file lead to.
fn planned(pieces: usize, left: u64, len: u64, files: FileTransfer) -> Action {
    let front = Front { pieces, memory: 10 * pieces, file_left: left, file_len: len, pipe: 0 };
    plan(&front, &limits(files))
}

#[test]
fn without_files_memory_is_sent_until_there_is_none() {
    for files in [FileTransfer::Sendfile, FileTransfer::Copy] {
        assert_eq!(planned(0, 0, 0, files), Action::Rest);
        assert_eq!(planned(1, 0, 0, files), MEMORY);
        assert_eq!(planned(MAX_PIECES, 0, 0, files), MEMORY);
    }
}

#[test]
fn a_file_goes_by_its_size() {
    let sendfile = |bytes| Action::Sendfile { bytes };
    let read = |bytes| Action::Read { bytes };
    for (pieces, left, len, expected) in [
        (0, 1, 1, read(1)),
        (3, 100, 100, read(100)),
        (0, 101, 101, sendfile(101)),
        (1, 101, 101, HEADER),
        (0, 100, 4000, read(100)),
        (0, 1000, 4999, sendfile(1000)),
        (0, 1001, 4999, sendfile(1000)),
        (0, 5000, 5000, sendfile(3000)),
        (0, 2999, 5000, sendfile(2999)),
        (MAX_PIECES, 100, 100, MEMORY),
        (MAX_PIECES - 1, 100, 100, read(100)),
        (MAX_PIECES, 101, 101, HEADER),
    ] {
        let action = planned(pieces, left, len, FileTransfer::Sendfile);
        if HAS_SENDFILE || matches!(expected, Action::Read { .. } | MEMORY) {
            assert_eq!(action, expected, "{pieces} pieces and {left} of {len} bytes");
        }
    }
}

#[test]
fn a_file_that_is_copied_is_read_in_parts_behind_whatever_there_is() {
    let scratch = crate::outbound::SCRATCH;
    for (pieces, left, bytes) in
        [(0, 1 << 40, scratch), (MAX_PIECES - 1, 1 << 40, scratch), (1, 5000, 5000)]
    {
        let action = planned(pieces, left, 1 << 40, FileTransfer::Copy);
        assert_eq!(action, Action::Read { bytes }, "{pieces} pieces and {left} bytes");
    }
    assert_eq!(planned(MAX_PIECES, 5000, 5000, FileTransfer::Copy), MEMORY);
}

#[test]
fn a_pipe_is_emptied_behind_the_memory_before_it() {
    let front = Front { pieces: 2, memory: 20, pipe: 1 << 20, ..Front::default() };
    assert_eq!(plan(&front, &Limits::default()), MEMORY);
    let first = Front { pipe: 1 << 20, ..Front::default() };
    assert_eq!(plan(&first, &Limits::default()), Action::Splice { bytes: 1 << 20 });
}
