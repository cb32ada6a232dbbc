//! Both sides of each border of [`Limits`]: what it chooses, and what it would choose if it were
//! elsewhere. `benches/README.md` lists the ratios.

use std::fs;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use sluicegate_reactor::{Bytes, Limits, Reactor};

use crate::bare::Calls;
use crate::{Answer, Group, HEADER, default};

/// As many clients as take turns.
const CROWD: usize = 16;

/// A name for a number of bytes.
fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// `join`: shared bytes copied or referenced, where neighbours leave with them.
pub(crate) fn join(criterion: &mut Criterion) {
    let joined = Limits { join: usize::MAX, ..default() };
    let referenced = Limits { join: 0, join_in_room: 0, ..default() };
    for len in [256, 1 << 10, 2 << 10, 8 << 10] {
        let answer = || Answer::Shared(Bytes::from(vec![b'.'; len]), 8);
        Group::new(criterion, &format!("join/8 x {}", size(len)), 8 * len)
            .reactor("joined", answer(), joined.clone())
            .reactor("referenced", answer(), referenced.clone());
    }
}

/// `join_in_room`: shared bytes behind a header, copied if its buffer has room, or referenced.
pub(crate) fn join_in_room(criterion: &mut Criterion) {
    let referenced = Limits { join: 0, join_in_room: 0, ..default() };
    let joined = Limits { join_in_room: usize::MAX, ..referenced.clone() };
    for len in [1 << 10, 2 << 10, 3 << 10] {
        let answer = || Answer::Headed(vec![b'.'; HEADER], Bytes::from(vec![b'.'; len]));
        Group::new(criterion, &format!("join_in_room/header + {}", size(len)), HEADER + len)
            .reactor("joined", answer(), joined.clone())
            .reactor("referenced", answer(), referenced.clone());
    }
}

/// `write_first` and `write_through`: borrowed bytes sent at once, or joined and sent after the
/// callback; alone, and as one of two.
pub(crate) fn write_through(criterion: &mut Criterion) {
    let joined = Limits { write_first: usize::MAX, write_through: usize::MAX, ..default() };
    let through = Limits { write_first: 0, write_through: 0, ..default() };
    for (count, len) in [(1, 512), (1, 1 << 10), (1, 2 << 10), (1, 16 << 10)].into_iter().chain([
        (2, 2 << 10),
        (2, 4 << 10),
        (2, 8 << 10),
        (2, 32 << 10),
    ]) {
        let answer = || Answer::Slices(vec![b'.'; len], count);
        Group::new(criterion, &format!("write_through/{count} x {}", size(len)), count * len)
            .reactor("joined", answer(), joined.clone())
            .reactor("written through", answer(), through.clone());
    }
}

/// `gather_pieces`: many pieces in one call or in several.
pub(crate) fn gather(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "gather_pieces/64 x 2 KiB", 64 * (2 << 10));
    for gather_pieces in [4, 16, 64] {
        let answer = Answer::Shared(Bytes::from(vec![b'.'; 2 << 10]), 64);
        group.reactor(&gather_pieces.to_string(), answer, Limits { gather_pieces, ..default() });
    }
}

fn file(len: usize) -> Answer {
    let directory = env!("CARGO_TARGET_TMPDIR");
    fs::write(path(), vec![b'.'; len]).unwrap();
    let directory = Reactor::new().unwrap().open_dir(directory).unwrap();
    Answer::File(vec![b'.'; HEADER], directory.open("borders").unwrap())
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("borders")
}

/// `small_file`: read beside its header, or by sendfile.
pub(crate) fn small_file(criterion: &mut Criterion) {
    for len in [4 << 10, 16 << 10, 32 << 10, 64 << 10] {
        let mut group = Group::new(criterion, &format!("small_file/{}", size(len)), HEADER + len);
        for (name, small_file) in [("read", u64::MAX), ("sendfile", 0)] {
            group.reactor(name, file(len), Limits { small_file, ..default() });
        }
    }
}

/// `sendfile_chunk`: how much in a call.
pub(crate) fn chunk(criterion: &mut Criterion) {
    for (len, clients) in [(1 << 20, 1), (1 << 20, CROWD), (8 << 20, 1), (64 << 20, 1)] {
        let name = format!("chunk/{clients} x {}", size(len));
        let mut group = Group::new(criterion, &name, HEADER + len);
        for chunk in [32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20, 4 << 20] {
            let limits = Limits { sendfile_chunk: chunk, ..default() };
            group.crowd(&size(chunk), clients, file(len), limits);
        }
    }
}

/// The size of the buffer that files go through where there is no sendfile.
pub(crate) fn scratch(criterion: &mut Criterion) {
    let len = 1 << 20;
    fs::write(path(), vec![b'.'; len]).unwrap();
    let mut group = Group::new(criterion, "scratch/1 MiB", len);
    for bytes in [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10] {
        let file = fs::File::open(path()).unwrap();
        group.bare_beside(&size(bytes), Calls::Copy(file, bytes));
    }
}

/// `send_quantum` and `quantum_calls`: a file in one turn or in several, for many clients.
pub(crate) fn quanta(criterion: &mut Criterion) {
    let len = 1 << 20;
    let mut group = Group::new(criterion, "send_quantum/1 MiB", HEADER + len);
    for send_quantum in [128 << 10, 256 << 10, 512 << 10, 2 << 20] {
        let limits = Limits { send_quantum, ..default() };
        group.crowd(&size(send_quantum), CROWD, file(len), limits);
    }
    drop(group);
    let mut group = Group::new(criterion, "quantum_calls/1 MiB", HEADER + len);
    for quantum_calls in [4, 8, 16, 24] {
        let limits = Limits { quantum_calls, ..default() };
        group.crowd(&quantum_calls.to_string(), CROWD, file(len), limits);
    }
}

/// Bytes of which a piece moves in each turn, as at a rate.
pub(crate) fn pieces(criterion: &mut Criterion) {
    let len = 64 << 10;
    let mut group = Group::new(criterion, "pieces/64 KiB", len);
    for piece in [1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10] {
        let answer = Answer::Shared(Bytes::from(vec![b'.'; piece]), len / piece);
        let one = Limits { join: 0, join_in_room: 0, gather_pieces: 1, ..default() };
        group.reactor(&size(piece), answer, Limits { send_quantum: piece, ..one });
    }
}

/// `cold_files`: what the looks cost where everything is in memory.
pub(crate) fn looks(criterion: &mut Criterion) {
    use sluicegate_reactor::ColdFiles;

    for len in [10 << 10, 1 << 20] {
        let mut group = Group::new(criterion, &format!("looks/{}", size(len)), HEADER + len);
        for (name, cold_files) in [("looks", ColdFiles::Warm), ("does not", ColdFiles::Wait)] {
            group.reactor(name, file(len), Limits { cold_files, ..default() });
        }
    }
}
