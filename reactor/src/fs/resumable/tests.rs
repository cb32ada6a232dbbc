//! Files that are given up, continued and removed, in the simulated kernel and on disk.

use super::*;
use crate::fs::Committed;
use crate::sys::Kernel;
use crate::sys::sim::{Step, World};

const OPTIONS: CreateOptions = CreateOptions { mode: 0o644, sync: false };

/// A directory, and one for partial files in it.
fn up() -> (World, Dir, Dir) {
    let world = World::new(1);
    world.files().make_dir("/up/partials");
    let dir = Dir::open_root(&Kernel::Sim(world.clone()), &Default::default(), "/up").unwrap();
    let partials = dir.open_dir("partials").unwrap();
    (world, dir, partials)
}

/// Asserts the same of the simulated kernel and of a real disk.
fn everywhere(check: impl Fn(&Dir, &Dir)) {
    let (_world, dir, partials) = up();
    check(&dir, &partials);
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::open_root(&Kernel::Os, &Default::default(), place.path()).unwrap();
    dir.create_dir("partials").unwrap();
    check(&dir, &dir.open_dir("partials").unwrap());
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn a_file_that_was_given_up_is_continued_and_appears_at_once() {
    everywhere(|dir, partials| {
        for (piece, before) in [("hel", 0), ("lo ", 3), ("world", 6)] {
            let mut file = dir.create_resumable("a", &OPTIONS, partials, "id").unwrap();
            assert_eq!(file.len(), before);
            file.append(piece.as_bytes()).unwrap();
            assert!(dir.metadata("a").is_err());
        }
        let file = dir.create_resumable("a", &OPTIONS, partials, "id").unwrap();
        assert_eq!(file.commit().unwrap(), Committed::Created);
        let mut content = [0; 12];
        assert_eq!(dir.open("a").unwrap().read_at(&mut content, 0).unwrap(), 11);
        assert_eq!(&content[..11], b"hello world");
        assert_eq!(partials.remove_abandoned(Duration::ZERO).unwrap(), 0);
    });
}

#[test]
fn the_id_of_a_file_does_not_become_a_temporary_name() {
    everywhere(|dir, partials| {
        dir.create_resumable("a", &OPTIONS, partials, "id").unwrap().commit().unwrap();
        let _next = dir.create("b", &OPTIONS).unwrap();
        assert!(dir.file.read_dir().unwrap().all(|entry| entry.unwrap().name != "id"));
    });
}

#[test]
fn a_file_that_is_open_is_neither_opened_again_nor_removed() {
    everywhere(|dir, partials| {
        let mut file = dir.create_resumable("a", &OPTIONS, partials, "id").unwrap();
        file.append(b"1").unwrap();
        let again = dir.create_resumable("b", &OPTIONS, partials, "id");
        assert_eq!(kind(again), ErrorKind::WouldBlock);
        let other = dir.create_resumable("a", &OPTIONS, partials, "other").unwrap();
        let forever = partials.remove_if_abandoned(OsStr::new("id"), i64::MAX);
        assert_eq!(kind(forever), ErrorKind::WouldBlock);
        assert_eq!(partials.remove_abandoned(Duration::ZERO).unwrap(), 2);
        drop((file, other));
        assert!(partials.remove_if_abandoned(OsStr::new("id"), i64::MAX).unwrap());
        assert_eq!(partials.remove_abandoned(Duration::ZERO).unwrap(), 0);
    });
}

#[test]
fn a_file_that_is_empty_when_it_is_given_up_is_removed() {
    everywhere(|dir, partials| {
        drop(dir.create_resumable("a", &OPTIONS, partials, "id").unwrap());
        assert_eq!(partials.file.read_dir().unwrap().count(), 0);
    });
}

#[test]
fn an_id_is_a_name_and_not_a_path() {
    everywhere(|dir, partials| {
        dir.create("target", &OPTIONS).unwrap().commit().unwrap();
        for id in ["../target", "", ".", "..", "a/b"] {
            let created = dir.create_resumable("a", &OPTIONS, partials, id);
            assert_eq!(kind(created), ErrorKind::InvalidInput, "{id}");
        }
    });
}

#[test]
fn files_are_removed_when_they_have_not_been_written_for_so_long() {
    let (world, dir, partials) = up();
    let now = i64::try_from(Kernel::Sim(world.clone()).realtime()).unwrap();
    world.files().put_file("/up/partials/old", b"1", now - 61);
    world.files().put_file("/up/partials/new", b"1", now - 60);
    world.files().make_dir("/up/partials/directory");
    assert_eq!(partials.remove_abandoned(Duration::from_secs(60)).unwrap(), 2);
    world.files().remove("/up/partials/directory");
    assert_eq!(kind(partials.metadata("old")), ErrorKind::NotFound);
    let mut file = dir.create_resumable("a", &OPTIONS, &partials, "new").unwrap();
    assert_eq!(file.len(), 1);
    file.append(b"2").unwrap();
    drop(file);
    assert_eq!(partials.remove_abandoned(Duration::ZERO).unwrap(), 1);
}

#[test]
fn files_are_not_continued_where_they_cannot_be_moved() {
    let (world, dir, partials) = up();
    world.files().make_dir("/up/disk");
    world.files().mount("/up/disk");
    let created = dir.create_resumable("disk/a", &OPTIONS, &partials, "id");
    assert_eq!(kind(created), ErrorKind::CrossesDevices);
    assert_eq!(world.files().names("/up/disk"), [""; 0]);
    assert_eq!(world.files().names("/up/partials"), [""; 0]);
    assert_eq!(world.open_descriptors().files, 2);
}

#[test]
fn a_file_that_could_not_be_synced_is_not_continued() {
    let (world, dir, partials) = up();
    let options = CreateOptions { sync: true, ..OPTIONS };
    let mut file = dir.create_resumable("a", &options, &partials, "id").unwrap();
    file.append(b"1").unwrap();
    world.files().script_sync([Step::Errno(libc::EIO)]);
    file.commit().unwrap_err();
    assert_eq!(world.files().names("/up/partials"), [""; 0]);
    assert!(dir.create_resumable("a", &options, &partials, "id").unwrap().is_empty());
}

#[test]
fn a_file_that_was_committed_between_opening_and_locking_is_not_written_to() {
    // Threads race to append to files of one id: each file must come out as one of them wrote it.
    const ROUNDS: usize = 200;
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("partials")).unwrap();
    let race = |thread: u8| {
        let dir = Dir::open_root(&Kernel::Os, &Default::default(), place.path()).unwrap();
        let partials = dir.open_dir("partials").unwrap();
        let mut committed = 0;
        while committed < ROUNDS {
            let target = format!("{thread}-{committed}");
            let Ok(mut file) = dir.create_resumable(target, &OPTIONS, &partials, "id") else {
                continue;
            };
            assert!(file.is_empty(), "another thread has written to it");
            file.append(&[thread; 100]).unwrap();
            file.commit().unwrap();
            committed += 1;
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || race(thread));
        }
    });
    for thread in 0..4 {
        for number in 0..ROUNDS {
            let content = std::fs::read(place.path().join(format!("{thread}-{number}"))).unwrap();
            assert_eq!(content, [thread; 100]);
        }
    }
}
