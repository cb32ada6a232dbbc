//! The system calls that create a file, and what is left when one of them fails.

use std::io::ErrorKind;

use super::*;
use crate::sys::sim::{Mode, Step, World};

const SYNC: CreateOptions = CreateOptions { mode: 0o644, sync: true };

/// A directory in which `a` contains `old`.
fn up() -> (World, Dir) {
    let world = World::new(1);
    world.files().put_file("/up/a", b"old", 0);
    let dir = Dir::open_root(&Kernel::Sim(world.clone()), &Default::default(), "/up").unwrap();
    (world, dir)
}

/// Replaces `a` by `new`, and returns the result of the commit and the calls made for it.
fn replace(world: &World, dir: &Dir) -> (io::Result<Committed>, Vec<String>) {
    let mut file = dir.create("a", &SYNC).unwrap();
    file.append(b"new").unwrap();
    world.set_trace(Mode::Kept);
    let committed = file.commit();
    let call = |line: &str| {
        let call = line.split_whitespace().nth(1).expect("a call after the time");
        match call.split_once('(') {
            // Its temporary name is random.
            Some((name @ ("rename" | "unlink"), _)) => name.to_owned(),
            _ => call.to_owned(),
        }
    };
    (committed, world.last_lines().lines().map(call).collect())
}

fn content(world: &World) -> Vec<u8> {
    world.files().content("/up/a").expect("it is there").to_vec()
}

#[test]
fn a_file_is_synced_before_it_gets_its_name_and_its_directory_after() {
    let (world, dir) = up();
    let (committed, calls) = replace(&world, &dir);
    assert_eq!(committed.unwrap(), Committed::Replaced);
    // The root is descriptor 3, the directory of the file 4, and the file 5.
    assert_eq!(calls, ["sync(5)", "rename", "sync(4)", "close(4)", "close(5)"]);
    assert_eq!(content(&world), b"new");
}

#[test]
fn a_file_that_cannot_be_synced_is_removed_and_the_old_one_stays() {
    for (errno, kind) in [(libc::ENOSPC, ErrorKind::StorageFull), (libc::EIO, io_error())] {
        let (world, dir) = up();
        world.files().script_sync([Step::Errno(errno)]);
        let (committed, calls) = replace(&world, &dir);
        assert_eq!(committed.unwrap_err().kind(), kind);
        assert_eq!(calls, ["sync(5)", "unlink", "close(4)", "close(5)"]);
        assert_eq!((content(&world), world.files().temporary()), (b"old".to_vec(), 0));
        assert_eq!(world.open_descriptors().files, 1, "the root");
    }
}

/// The kind of `EIO`, which has no name.
fn io_error() -> ErrorKind {
    io::Error::from_raw_os_error(libc::EIO).kind()
}

#[test]
fn a_file_whose_directory_cannot_be_synced_keeps_its_name() {
    let (world, dir) = up();
    world.files().script_sync([Step::Normal, Step::Errno(libc::ENOSPC)]);
    let (committed, _) = replace(&world, &dir);
    assert_eq!(committed.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!((content(&world), world.files().temporary()), (b"new".to_vec(), 0));
}

#[test]
fn an_interrupted_sync_is_repeated() {
    let (world, dir) = up();
    world.files().script_sync([Step::Interrupted, Step::Normal, Step::Interrupted]);
    let (committed, calls) = replace(&world, &dir);
    assert_eq!(committed.unwrap(), Committed::Replaced);
    assert_eq!(calls[..5], ["sync(5)", "sync(5)", "rename", "sync(4)", "sync(4)"]);
}

#[test]
fn a_file_that_cannot_be_created_leaves_no_descriptor_open() {
    // A synced file needs a descriptor of its directory that is open for reading.
    for (options, directories) in [(CreateOptions::default(), 1), (SYNC, 2)] {
        let (world, dir) = up();
        let failure = |path: &str| dir.create(path, &options).unwrap_err();
        assert_eq!(failure(&"a".repeat(256)).kind(), ErrorKind::InvalidFilename);
        assert_eq!(failure("absent/a").kind(), ErrorKind::NotFound);
        assert_eq!(world.open_descriptors().files, 1, "the root");
        // There is none for the file.
        world.set_descriptor_limit(directories);
        assert!(crate::fs::is_out_of_descriptors(&failure("a")));
        assert_eq!(world.open_descriptors().files, 1, "the root");
        world.set_descriptor_limit(usize::MAX);
        world.files().remove("/up");
        assert_eq!(failure("a").kind(), ErrorKind::NotFound);
        assert_eq!(world.open_descriptors().files, 1, "the root");
    }
}

#[test]
fn an_unnamed_file_can_be_read_as_long_as_a_reference_to_it_exists() {
    let (world, dir) = up();
    world.set_trace(Mode::Kept);
    let (mut file, content) = dir.create_unnamed().unwrap();
    file.append(b"hello, ").unwrap();
    let mut buffer = [0; 20];
    assert_eq!(content.read_at(&mut buffer, 0).unwrap(), 7, "before it is complete");
    file.append(b"world").unwrap();
    assert_eq!(file.commit().unwrap(), Committed::Created);
    assert_eq!(content.read_at(&mut buffer, 0).unwrap(), 12);
    assert_eq!(&buffer[..12], b"hello, world");
    let calls = world.last_lines();
    assert!(!calls.contains("rename") && !calls.contains("unlink"), "{calls}");
    assert_eq!(world.open_descriptors().files, 2, "the root and the file");
    drop(content);
    assert_eq!(world.open_descriptors().files, 1, "the root");
}

#[test]
fn an_unnamed_file_loses_its_name_before_it_is_written_where_it_must_have_one() {
    let (world, dir) = up();
    world.files().refuse_unnamed();
    world.set_trace(Mode::Kept);
    let (mut file, content) = dir.create_unnamed().unwrap();
    assert_eq!(world.files().temporary(), 0);
    file.append(b"hello").unwrap();
    let calls: Vec<_> = world
        .last_lines()
        .lines()
        .filter_map(|line| {
            line.split_whitespace().nth(1)?.split_once('(').map(|(name, _)| name.to_owned())
        })
        .collect();
    assert_eq!(calls, ["create_unnamed", "create", "unlink", "write"]);
    drop(file);
    assert_eq!(content.metadata().unwrap().len, 5, "it was not committed, but can be read");
}

#[test]
fn an_unnamed_file_that_cannot_be_created_or_written_leaves_nothing() {
    for refuses in [false, true] {
        let (world, dir) = up();
        if refuses {
            world.files().refuse_unnamed();
        }
        world.set_descriptor_limit(1);
        assert!(crate::fs::is_out_of_descriptors(&dir.create_unnamed().unwrap_err()));
        world.set_descriptor_limit(usize::MAX);
        world.files().set_room(3);
        let (mut file, content) = dir.create_unnamed().unwrap();
        assert_eq!(file.append(b"hello").unwrap_err().kind(), ErrorKind::StorageFull);
        drop((file, content));
        world.files().remove("/up");
        assert_eq!(dir.create_unnamed().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!((world.open_descriptors().files, world.files().temporary()), (1, 0));
    }
}
