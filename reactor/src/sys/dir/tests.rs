//! The same tests for `openat2(2)` and for the walk.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::super::unix::{check, owned, read_at};
use super::super::{FileKind, Metadata};
#[cfg(target_os = "linux")]
use super::openat2;
use super::{READ, metadata, metadata_beneath, open_beneath, open_dir, read_dir, relative, walk};

/// A temporary directory that contains the root, `root`.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempdir().unwrap());
        fs::create_dir(place.root()).unwrap();
        place
    }

    /// Has files in the root, a secret next to the root, and links of all kinds.
    fn with_links() -> Place {
        let place = Place::new();
        let root = place.root();
        fs::write(place.0.path().join("secret"), "secret").unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("top"), "top").unwrap();
        fs::write(root.join("a/b/deep"), "deep").unwrap();
        for (target, link) in [
            ("a/b/deep", "to_deep"),
            ("a/b", "to_b"),
            ("a/b/", "to_b_slash"),
            ("to_b", "to_link"),
            ("../../top", "a/b/up"),
            (".", "self"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
            ("../secret", "escape"),
            ("../root/top", "out_and_in"),
            ("/etc/passwd", "absolute"),
            ("..", "parent"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(&root, place.0.path().join("alias")).unwrap();
        let alias = place.0.path().join("alias");
        for (target, link) in [
            (root.join("top"), "absolute_inside"),
            (root.join("a"), "absolute_dir"),
            (root.join("a/b/"), "absolute_dir_slash"),
            (root.clone(), "absolute_root"),
            (root.join("a/../to_link/up"), "absolute_chain"),
            (root.join("absolute_chain"), "a/absolute"),
            (alias.join("a//./b/deep"), "absolute_alias"),
            (root.join("../secret"), "absolute_out"),
            (root.join("a/../../root/top"), "absolute_out_and_in"),
            (root.join("absent"), "absolute_dangling"),
            (root.join("top/more"), "absolute_beyond"),
            (root.join("absolute_loop"), "absolute_loop"),
            (place.0.path().join("root2/top"), "absolute_sibling"),
            (place.0.path().to_owned(), "absolute_parent"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        place
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn open(&self) -> OwnedFd {
        owned(open_dir(&self.root()).unwrap())
    }
}

type Open = fn(BorrowedFd<'_>, &[u8]) -> io::Result<OwnedFd>;
type Stat = fn(BorrowedFd<'_>, &[u8]) -> io::Result<Metadata>;

/// The ways to resolve a path on this system.
#[cfg(target_os = "linux")]
const WAYS: [(&str, Open, Stat); 2] = [
    ("openat2", |dir, path| openat2::open(dir, path, READ), openat2::metadata),
    ("walk", |dir, path| walk::open(dir, path, READ), walk::metadata),
];
#[cfg(not(target_os = "linux"))]
const WAYS: [(&str, Open, Stat); 1] =
    [("walk", |dir, path| walk::open(dir, path, READ), walk::metadata)];

fn kind_of<T>(result: io::Result<T>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

/// Opens paths in every way. The files contain the expected text.
fn check_paths(paths: &[(&str, Result<&str, ErrorKind>)]) {
    let place = Place::with_links();
    let dir = place.open();
    for &(path, expected) in paths {
        let name = relative(OsStr::new(path));
        for (way, open, stat) in WAYS {
            let text = open(dir.as_fd(), name).map(|file| {
                let mut buffer = [0; 16];
                let len = read_at(file.as_raw_fd(), &mut buffer, 0).unwrap();
                String::from_utf8_lossy(&buffer[..len]).into_owned()
            });
            assert_eq!(kind_of(text), expected.map(str::to_owned), "open {path} by {way}");
            let len = stat(dir.as_fd(), name).map(|metadata| metadata.len);
            let expected = expected.map(|text| text.len() as u64);
            assert_eq!(kind_of(len), expected, "metadata of {path} by {way}");
        }
    }
}

#[test]
fn a_path_is_opened_beneath_its_directory_or_not_at_all() {
    use ErrorKind::{NotADirectory, NotFound, PermissionDenied};

    check_paths(&[
        ("top", Ok("top")),
        ("./top", Ok("top")),
        ("a//b/./deep", Ok("deep")),
        ("a/../top", Ok("top")),
        ("a/b/../../top", Ok("top")),
        ("to_deep", Ok("deep")),
        ("to_b/deep", Ok("deep")),
        ("to_b_slash/deep", Ok("deep")),
        ("to_link/deep", Ok("deep")),
        ("to_link/../../top", Ok("top")),
        ("a/b/up", Ok("top")),
        ("self/self/top", Ok("top")),
        ("absent", Err(NotFound)),
        ("absent/top", Err(NotFound)),
        ("dangling", Err(NotFound)),
        ("top/more", Err(NotADirectory)),
        ("top/", Err(NotADirectory)),
        ("to_deep/", Err(NotADirectory)),
        ("..", Err(PermissionDenied)),
        ("../secret", Err(PermissionDenied)),
        ("../root/top", Err(PermissionDenied)),
        ("a/../../secret", Err(PermissionDenied)),
        ("to_b/../../../secret", Err(PermissionDenied)),
        ("/etc/passwd", Err(PermissionDenied)),
        ("/", Err(PermissionDenied)),
        ("escape", Err(PermissionDenied)),
        ("out_and_in", Err(PermissionDenied)),
        ("parent/secret", Err(PermissionDenied)),
        ("parent/root/top", Err(PermissionDenied)),
    ]);
}

#[test]
fn an_absolute_link_is_followed_if_its_target_is_beneath_the_directory() {
    use ErrorKind::{NotADirectory, NotFound, PermissionDenied};

    check_paths(&[
        ("absolute", Err(PermissionDenied)),
        ("absolute_inside", Ok("top")),
        ("absolute_dir/b/deep", Ok("deep")),
        ("absolute_dir_slash/deep", Ok("deep")),
        ("absolute_root/top", Ok("top")),
        ("absolute_root/absolute_root/a/b/deep", Ok("deep")),
        ("absolute_chain", Ok("top")),
        ("absolute_dir/absolute", Ok("top")),
        ("absolute_dir/../top", Ok("top")),
        ("absolute_alias", Ok("deep")),
        ("absolute_out", Err(PermissionDenied)),
        ("absolute_out_and_in", Err(PermissionDenied)),
        ("absolute_root/..", Err(PermissionDenied)),
        ("absolute_root/../secret", Err(PermissionDenied)),
        ("absolute_dangling", Err(NotFound)),
        ("absolute_beyond", Err(NotADirectory)),
        ("absolute_sibling", Err(PermissionDenied)),
        ("absolute_parent", Err(PermissionDenied)),
        ("absolute_parent/secret", Err(PermissionDenied)),
    ]);
}

#[test]
fn a_link_to_itself_ends_in_an_error() {
    let place = Place::with_links();
    let dir = place.open();
    for (way, open, stat) in WAYS {
        for name in ["loop", "absolute_loop"] {
            let error = open(dir.as_fd(), name.as_bytes()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{name} by {way}");
            let error = stat(dir.as_fd(), name.as_bytes()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{name} by {way}");
        }
    }
}

#[test]
fn a_chain_of_forty_links_is_followed_and_one_more_is_not() {
    let place = Place::new();
    fs::write(place.root().join("0"), "end").unwrap();
    for number in 1..=41 {
        let target = (number - 1).to_string();
        symlink(target, place.root().join(number.to_string())).unwrap();
    }
    let dir = place.open();
    for (way, open, _) in WAYS {
        assert!(open(dir.as_fd(), b"40").is_ok(), "{way}");
        let error = open(dir.as_fd(), b"41").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{way}");
    }
}

#[test]
fn an_empty_path_is_the_directory_itself() {
    let place = Place::new();
    fs::create_dir(place.root().join("sub")).unwrap();
    let dir = place.open();
    let inode = metadata(dir.as_raw_fd()).unwrap().inode;
    for path in ["", ".", "./", "sub/.."] {
        let path = OsStr::new(path);
        let again = owned(open_beneath(dir.as_raw_fd(), path).unwrap());
        assert_eq!(metadata(again.as_raw_fd()).unwrap().inode, inode);
        let again = metadata_beneath(dir.as_raw_fd(), path).unwrap();
        assert_eq!((again.inode, again.kind), (inode, FileKind::Directory));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn magic_links_lead_nowhere() {
    let proc = owned(open_dir(std::path::Path::new("/proc")).unwrap());
    let outside = fs::File::open("/etc").unwrap();
    let number = format!("self/fd/{}", outside.as_raw_fd());
    for (way, open, stat) in WAYS {
        assert!(open(proc.as_fd(), b"self/stat").is_ok(), "{way}");
        for path in ["self/root", "self/root/etc", "self/cwd", "self/exe", &number] {
            assert!(open(proc.as_fd(), path.as_bytes()).is_err(), "open {path} by {way}");
            assert!(stat(proc.as_fd(), path.as_bytes()).is_err(), "metadata of {path} by {way}");
        }
    }
}

#[test]
fn a_fifo_without_a_writer_does_not_block() {
    let place = Place::new();
    let path = CString::new(place.root().join("fifo").as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends with a zero.
    check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).unwrap();
    let dir = place.open();
    for (way, open, stat) in WAYS {
        let fifo = open(dir.as_fd(), b"fifo").unwrap();
        assert_eq!(metadata(fifo.as_raw_fd()).unwrap().kind, FileKind::Other, "{way}");
        assert_eq!(stat(dir.as_fd(), b"fifo").unwrap().kind, FileKind::Other, "{way}");
    }
}

#[test]
fn metadata_does_not_open_the_file() {
    let place = Place::new();
    let _listener = UnixListener::bind(place.root().join("socket")).unwrap();
    let dir = place.open();
    for (way, open, stat) in WAYS {
        // A socket cannot be opened at all.
        assert!(open(dir.as_fd(), b"socket").is_err(), "{way}");
        assert_eq!(stat(dir.as_fd(), b"socket").unwrap().kind, FileKind::Other, "{way}");
    }
}

#[test]
fn metadata_is_that_of_the_file() {
    let place = Place::new();
    let path = place.root().join("file");
    fs::File::create(&path).unwrap().write_all(b"twelve bytes").unwrap();
    let same = fs::metadata(&path).unwrap();
    let dir = place.open();
    let file = owned(open_beneath(dir.as_raw_fd(), OsStr::new("file")).unwrap());
    let found = metadata(file.as_raw_fd()).unwrap();
    assert!(found.is_file());
    assert_eq!(found.len, 12);
    assert_eq!(found.modified_seconds, same.mtime());
    assert_eq!(i64::from(found.modified_nanos), same.mtime_nsec());
    assert_eq!(found.changed_seconds, same.ctime());
    assert_eq!(i64::from(found.changed_nanos), same.ctime_nsec());
    assert_eq!(found.inode, same.ino());
    assert_eq!(metadata_beneath(dir.as_raw_fd(), OsStr::new("file")).unwrap(), found);
}

#[test]
fn a_directory_is_listed_as_often_as_asked_and_as_far() {
    let place = Place::new();
    fs::write(place.root().join("file"), "").unwrap();
    fs::create_dir(place.root().join("sub")).unwrap();
    symlink("file", place.root().join("link")).unwrap();
    let dir = place.open();
    for _ in 0..2 {
        assert!(read_dir(dir.as_raw_fd()).unwrap().next().unwrap().is_ok());
        let entries: io::Result<Vec<_>> = read_dir(dir.as_raw_fd()).unwrap().collect();
        let mut entries = entries.unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().unwrap()).collect();
        assert_eq!(names, ["file", "link", "sub"]);
        let kinds = [FileKind::File, FileKind::Symlink, FileKind::Directory];
        for (entry, kind) in entries.iter().zip(kinds) {
            // Not every file system records the kind.
            assert_eq!(entry.kind.unwrap_or(kind), kind);
        }
    }
    let file = owned(open_beneath(dir.as_raw_fd(), OsStr::new("file")).unwrap());
    assert_eq!(kind_of(read_dir(file.as_raw_fd()).map(drop)), Err(ErrorKind::NotADirectory));
}

#[test]
fn a_zero_in_a_path_is_invalid_input() {
    let place = Place::new();
    let dir = place.open();
    let path = OsStr::new("a\0b");
    assert_eq!(kind_of(open_beneath(dir.as_raw_fd(), path)), Err(ErrorKind::InvalidInput));
    assert_eq!(kind_of(metadata_beneath(dir.as_raw_fd(), path)), Err(ErrorKind::InvalidInput));
    assert_eq!(kind_of(open_dir(path.as_ref())), Err(ErrorKind::InvalidInput));
}

#[test]
fn a_directory_that_is_not_there_is_named_in_the_error() {
    let place = Place::new();
    let path = place.0.path().join("absent");
    let error = open_dir(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with(&format!("open directory {}: ", path.display())));

    fs::write(&path, "").unwrap();
    assert_eq!(kind_of(open_dir(&path)), Err(ErrorKind::NotADirectory));
}

/// Makes `openat2(2)` fail with `EPERM` on this thread, like a sandbox that does not know the call.
#[cfg(target_os = "linux")]
fn forbid_openat2() {
    let op = |code: u32, jf, k| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0), // the number of the call
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_openat2 as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: numbers go in, no memory is touched.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).unwrap();
    // SAFETY: the kernel copies the program, which is a local with as many entries as it says.
    check(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    })
    .unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn where_a_sandbox_forbids_the_call_the_walk_opens_files() {
    let place = Place::new();
    fs::write(place.root().join("file"), "x").unwrap();
    let root = place.open();
    let answers = std::thread::spawn(move || {
        // Affects this thread only, as long as it lives.
        forbid_openat2();
        let open = |path: &str| open_beneath(root.as_raw_fd(), OsStr::new(path)).map(owned);
        let found = metadata_beneath(root.as_raw_fd(), OsStr::new("file"));
        (open("file").map(drop), open("../root/file").map(drop), found)
    });
    let (file, outside, found) = answers.join().unwrap();
    assert_eq!(kind_of(file), Ok(()));
    assert_eq!(kind_of(outside), Err(ErrorKind::PermissionDenied));
    assert_eq!(found.unwrap().len, 1);
}
