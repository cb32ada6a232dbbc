//! Compares the disk of the simulated kernel with a real one, where that is possible.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::{TempDir, tempdir};

use super::tests::kind;
use super::{OpenDescriptors, Step, World};
use crate::sys::{Entry, FileKind, Kernel};

const FILES: [(&str, &str); 3] =
    [("secret", "secret"), ("srv/a.txt", "hello"), ("srv/sub/b.txt", "b")];

const LINKS: [(&str, &str); 8] = [
    ("srv/link", "sub/../a.txt"),
    ("srv/dirlink", "sub"),
    ("srv/sub/up", "../a.txt"),
    ("srv/escape", "../secret"),
    ("srv/absolute", "/secret"),
    ("srv/loop", "loop"),
    ("srv/dangling", "nothing"),
    ("www", "srv"),
];

/// Links with absolute targets: the path beneath the root of the disk.
const ABSOLUTE_LINKS: [(&str, &str); 4] = [
    ("srv/absolute_file", "srv/sub/../a.txt"),
    ("srv/absolute_dir", "www/sub"),
    ("srv/absolute_top", "srv"),
    ("srv/absolute_escape", "srv/../secret"),
];

/// A disk with attempts to leave `/srv`.
fn disk() -> World {
    let world = World::new(1);
    for (path, content) in FILES {
        world.files().put_file(path, content.as_bytes(), 1_000);
    }
    for (path, target) in LINKS {
        world.files().put_symlink(path, target);
    }
    for (path, target) in ABSOLUTE_LINKS {
        world.files().put_symlink(path, format!("/{target}"));
    }
    world
}

/// The same below a directory of the operating system.
fn real_disk() -> TempDir {
    let disk = tempdir().unwrap();
    fs::create_dir_all(disk.path().join("srv/sub")).unwrap();
    for (path, content) in FILES {
        fs::write(disk.path().join(path), content).unwrap();
    }
    for (path, target) in LINKS {
        symlink(target, disk.path().join(path)).unwrap();
    }
    for (path, target) in ABSOLUTE_LINKS {
        symlink(disk.path().join(target), disk.path().join(path)).unwrap();
    }
    disk
}

#[test]
fn a_directory_is_synced_if_it_was_opened_for_reading() {
    let real = real_disk();
    for (kernel, root) in
        [(Kernel::Os, real.path().join("srv")), (Kernel::Sim(disk()), Path::new("/srv").to_owned())]
    {
        let dir = kernel.open_dir(&root).unwrap();
        let readable = kernel.open_beneath(dir, OsStr::new("sub/")).unwrap();
        kernel.sync(readable).unwrap();
        let names = kernel.open_dir_beneath(dir, OsStr::new("sub/")).unwrap();
        if cfg!(target_os = "linux") {
            let error = kernel.sync(names).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "O_PATH");
        }
        for fd in [dir, readable, names] {
            kernel.close(fd);
        }
    }
}

#[test]
fn a_path_leads_to_the_same_end_as_on_a_real_disk() {
    let real = real_disk();
    check_paths(&Kernel::Os, real.path());
    let world = disk();
    check_paths(&Kernel::Sim(world.clone()), Path::new("/"));
    assert_eq!(world.open_descriptors(), OpenDescriptors::default());
}

fn check_paths(kernel: &Kernel, root: &Path) {
    let long_name = "x".repeat(256);
    let long_path = "x/".repeat(2048);
    let found = |kind| Ok::<FileKind, ErrorKind>(kind);
    let table = [
        ("a.txt", found(FileKind::File)),
        ("./sub//b.txt", found(FileKind::File)),
        ("sub/../a.txt", found(FileKind::File)),
        ("link", found(FileKind::File)),
        ("dirlink/b.txt", found(FileKind::File)),
        ("dirlink/up", found(FileKind::File)),
        ("sub/", found(FileKind::Directory)),
        ("", found(FileKind::Directory)),
        (".", found(FileKind::Directory)),
        ("..", Err(ErrorKind::PermissionDenied)),
        ("../srv/a.txt", Err(ErrorKind::PermissionDenied)),
        ("sub/../../secret", Err(ErrorKind::PermissionDenied)),
        ("/srv/a.txt", Err(ErrorKind::PermissionDenied)),
        ("escape", Err(ErrorKind::PermissionDenied)),
        ("absolute", Err(ErrorKind::PermissionDenied)),
        ("absolute_file", found(FileKind::File)),
        ("absolute_dir/up", found(FileKind::File)),
        ("absolute_top", found(FileKind::Directory)),
        ("absolute_top/absolute_dir/b.txt", found(FileKind::File)),
        ("absolute_top/../secret", Err(ErrorKind::PermissionDenied)),
        ("absolute_escape", Err(ErrorKind::PermissionDenied)),
        ("nothing", Err(ErrorKind::NotFound)),
        ("nothing/../a.txt", Err(ErrorKind::NotFound)),
        ("dangling", Err(ErrorKind::NotFound)),
        ("a.txt/", Err(ErrorKind::NotADirectory)),
        ("a.txt/..", Err(ErrorKind::NotADirectory)),
        ("loop", Err(ErrorKind::PermissionDenied)),
        (&long_name, Err(ErrorKind::InvalidFilename)),
        (&long_path, Err(ErrorKind::InvalidFilename)),
        ("a\0", Err(ErrorKind::InvalidInput)),
    ];
    let dir = kernel.open_dir(&root.join("www")).unwrap();
    for (path, expected) in table {
        let path = OsStr::new(path);
        let stat = kernel.metadata_beneath(dir, path);
        let opened = kernel.open_beneath(dir, path).map(|fd| {
            let stat = kernel.metadata(fd).unwrap();
            kernel.close(fd);
            stat
        });
        for answer in [stat, opened] {
            assert_eq!(answer.map(|it| it.kind).map_err(|e| e.kind()), expected, "{path:?}");
        }
    }
    kernel.close(dir);
    let not_a_dir = kernel.open_dir(&root.join("secret"));
    assert_eq!(kind(not_a_dir), ErrorKind::NotADirectory);
    assert_eq!(kind(kernel.open_dir(Path::new(""))), ErrorKind::NotFound);
}

#[test]
fn a_root_may_be_reached_by_any_way() {
    let world = disk();
    for path in ["/", "..", "/srv/../..", "/srv/dirlink/", "www", "/www/sub/../../srv"] {
        world.open_dir(Path::new(path)).unwrap();
    }
}

#[test]
fn an_open_file_outlives_its_name_and_sees_what_is_written_in_place() {
    let world = disk();
    let dir = world.open_dir(Path::new("/srv")).unwrap();
    let name = OsStr::new("a.txt");
    let open = world.open_beneath(dir, name).unwrap();
    let before = world.metadata(open).unwrap();
    assert_eq!((before.len, before.modified_seconds), (5, 1_000));

    world.files().append("/srv/a.txt", b" world", 1_001);
    let after = world.metadata(open).unwrap();
    assert_eq!((after.len, after.modified_seconds), (11, 1_001));
    world.files().truncate("/srv/a.txt", 4, 1_002);
    let mut buffer = [0; 8];
    assert_eq!(world.read_at(open, &mut buffer, 0).unwrap(), 4);
    assert_eq!(world.read_at(open, &mut buffer, 4).unwrap(), 0);

    world.files().put_file("/srv/a.txt", b"new", 1_003);
    assert_eq!(world.read_at(open, &mut buffer, 0).unwrap(), 4);
    assert_ne!(world.metadata_beneath(dir, name).unwrap().inode, before.inode);
    world.files().remove("/srv/a.txt");
    assert_eq!(kind(world.metadata_beneath(dir, name)), ErrorKind::NotFound);
    assert_eq!(world.read_at(open, &mut buffer, 1).unwrap(), 3);
    assert_eq!(&buffer[..3], b"ell");
}

#[test]
fn reads_fail_as_scripted_and_on_what_is_not_a_file() {
    let world = disk();
    world.files().put_fifo("/srv/fifo");
    let dir = world.open_dir(Path::new("/srv")).unwrap();
    let file = world.open_beneath(dir, OsStr::new("a.txt")).unwrap();
    let fifo = world.open_beneath(dir, OsStr::new("fifo")).unwrap();
    world.files().script_read("/srv/a.txt", [Step::Short(2), Step::Interrupted]);
    world.files().script_read("/srv/a.txt", [Step::Errno(libc::EIO)]);
    let mut buffer = [0; 8];
    assert_eq!(world.read_at(file, &mut buffer, 0).unwrap(), 2);
    assert_eq!(kind(world.read_at(file, &mut buffer, 2)), ErrorKind::Interrupted);
    let error = world.read_at(file, &mut buffer, 2).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert_eq!(world.read_at(file, &mut buffer, 2).unwrap(), 3);
    assert_eq!(kind(world.read_at(dir, &mut buffer, 0)), ErrorKind::IsADirectory);
    assert_eq!(world.metadata(fifo).unwrap().kind, FileKind::Other);
    assert_eq!(kind(world.read_at(fifo, &mut buffer, 0)), ErrorKind::NotSeekable);
    assert_eq!(world.calls().read_at, 6);
}

#[test]
fn a_directory_lists_its_names() {
    let world = disk();
    world.files().make_dir("/srv/sub/deep");
    let dir = world.open_dir(Path::new("/srv/sub")).unwrap();
    let entries: io::Result<Vec<_>> = world.read_dir(dir).unwrap().collect();
    let mut entries = entries.unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let entry = |name: &str, kind| Entry { name: name.into(), kind: Some(kind) };
    let expected = [
        entry("b.txt", FileKind::File),
        entry("deep", FileKind::Directory),
        entry("up", FileKind::Symlink),
    ];
    assert_eq!(entries, expected);
    assert_eq!(world.calls().read_dir, 3);
    let file = world.open_beneath(dir, OsStr::new("b.txt")).unwrap();
    assert_eq!(kind(world.read_dir(file).map(drop)), ErrorKind::NotADirectory);
}
