//! Files received from real sockets, on a disk and in memory.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sluicegate_reactor::fs::{Committed, CreateOptions, Dir, NotSaved, Saved};
use sluicegate_reactor::{Context, Handler, Input, Listen, Reactor, Receive, Sessions};
use tempfile::TempDir;

/// Anything that takes longer than this never happens.
const NEVER: Duration = Duration::from_secs(60);

/// Receives a length in eight bytes and a file of that length, `a`, into the directory at this
/// path. Answers `+` once the file is saved. If it cannot be saved, answers whether its descriptor
/// is still open (`o`) or closed (`c`) when the handler learns of it.
struct Upload(Dir, PathBuf);

struct Stop;

impl Handler for Upload {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, cx: &mut Context<'_>, (): &mut (), input: &mut Input<'_>) {
        if let Some(length) = input.first_chunk::<8>() {
            let length = u64::from_be_bytes(*length);
            input.consume(8);
            let file = self.0.create("a", &CreateOptions::default()).unwrap();
            cx.receive_file(file, Some(length));
        }
    }

    fn on_saved(&mut self, cx: &mut Context<'_>, (): &mut (), saved: Result<Saved, NotSaved>) {
        cx.send(match saved {
            Ok(_) => "+",
            Err(_) if is_part_open_beneath(&self.1) => "o",
            Err(_) => "c",
        });
    }
}

impl Receive<Stop> for Upload {
    fn on_message(&mut self, cx: &mut Sessions<'_>, _: Stop) {
        cx.stop();
    }
}

/// Serves a new directory in `parent` while `clients` runs.
fn with_server(parent: &Path, clients: impl FnOnce(SocketAddr, &Path) + Send) {
    let place = TempDir::new_in(parent).unwrap();
    let place = place.path();
    let mut reactor = Reactor::new().unwrap();
    let dir = reactor.open_dir(place).unwrap();
    let upload = reactor.register(Upload(dir, place.to_owned()));
    let listener = reactor.listen("127.0.0.1:0", &Listen::default(), upload).unwrap();
    let address =
        reactor.listener_address(listener).expect("it listens").to_string().parse().unwrap();
    reactor.set_drain(Duration::ZERO);
    let stop = reactor.handle(upload);
    thread::scope(|scope| {
        scope.spawn(move || {
            clients(address, place);
            assert!(stop.post(Stop).is_ok());
        });
        reactor.run().unwrap();
        drop(reactor);
    });
    assert!(!names(place).iter().any(|name| name.ends_with(".part")), "{:?}", names(place));
    // A worker may still be writing a batch.
    let start = Instant::now();
    while open_beneath(place).next().is_some() {
        assert!(start.elapsed() < NEVER, "a descriptor is left");
        thread::yield_now();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The paths beneath `dir` that this process has open; none where there is no `/proc`.
fn open_beneath(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let targets = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets.filter(move |target| target.starts_with(dir))
}

/// Whether an incomplete file is open beneath `dir`, removed or not.
fn is_part_open_beneath(dir: &Path) -> bool {
    open_beneath(dir).any(|path| path.to_string_lossy().contains(".part"))
}

/// The default directory for temporary files, usually on a disk, and one in memory.
fn places() -> Vec<PathBuf> {
    let mut places = vec![std::env::temp_dir()];
    places.extend(Path::new("/dev/shm").is_dir().then(|| PathBuf::from("/dev/shm")));
    places
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_file_is_exact_on_a_disk_and_in_memory() {
    for place in places() {
        with_server(&place, |address, dir| {
            for len in [0, 10, 100_000, 5_000_000] {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(&(len as u64).to_be_bytes()).unwrap();
                client.write_all(&pattern(len)).unwrap();
                client.read_exact(&mut [0]).unwrap();
                assert!(fs::read(dir.join("a")).unwrap() == pattern(len), "{len} bytes");
            }
        });
    }
}

#[test]
fn clients_that_leave_and_a_reactor_that_stops_while_workers_write_leave_nothing() {
    for place in places() {
        let mut stay = Vec::new();
        with_server(&place, |address, _| {
            for number in 0..50 {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(&10_000_000_u64.to_be_bytes()).unwrap();
                client.write_all(&pattern(500_000)).unwrap();
                if number % 2 == 0 {
                    stay.push(client);
                }
            }
        });
    }
}

/// The space of the file is free then, and the next one may fit.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_could_not_be_saved_is_closed_before_its_handler_hears_of_it() {
    for place in places() {
        let mut answers = [0; 2];
        with_server(&place, |address, dir| {
            // A directory is not replaced.
            fs::create_dir(dir.join("a")).unwrap();
            for (len, answer) in [100_000, 5_000_000].into_iter().zip(answers.chunks_mut(1)) {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(&(len as u64).to_be_bytes()).unwrap();
                client.write_all(&pattern(len)).unwrap();
                client.read_exact(answer).unwrap();
            }
        });
        assert_eq!(answers, *b"cc", "the small one and the large one in {}", place.display());
    }
}

#[test]
fn a_synced_file_is_there_when_commit_returns() {
    let options = CreateOptions { sync: true, ..CreateOptions::default() };
    for place in places() {
        let place = TempDir::new_in(&place).unwrap();
        fs::create_dir(place.path().join("sub")).unwrap();
        let dir = Reactor::new().unwrap().open_dir(place.path()).unwrap();
        for path in ["a", "sub/a"] {
            for expected in [Committed::Created, Committed::Replaced] {
                let mut file = dir.create(path, &options).unwrap();
                file.append(b"hello").unwrap();
                assert_eq!(file.commit().unwrap(), expected, "{path}");
                assert_eq!(fs::read(place.path().join(path)).unwrap(), b"hello");
            }
        }
        assert_eq!(names(&place.path().join("sub")), ["a"]);
    }
}

#[test]
fn an_unnamed_file_is_never_seen_in_its_directory() {
    for place in places() {
        let place = TempDir::new_in(&place).unwrap();
        let dir = Reactor::new().unwrap().open_dir(place.path()).unwrap();
        let (mut file, content) = dir.create_unnamed().unwrap();
        file.append(b"hello").unwrap();
        // So a process that is killed now leaves nothing.
        assert!(names(place.path()).is_empty());
        assert!(!is_part_open_beneath(place.path()), "it had a name for a moment");
        file.commit().unwrap();
        assert!(names(place.path()).is_empty());
        let mut buffer = [0; 10];
        assert_eq!(content.read_at(&mut buffer, 0).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
    }
}

#[test]
fn a_file_replaces_what_its_name_leads_to_and_a_link_that_leads_nowhere_is_nothing() {
    for (target, expected) in [
        ("there", Committed::Replaced),
        (".", Committed::Replaced),
        ("nowhere", Committed::Created),
        ("there/nowhere", Committed::Created),
        ("link", Committed::Created),
    ] {
        let place = TempDir::new().unwrap();
        fs::write(place.path().join("there"), "there").unwrap();
        symlink(target, place.path().join("link")).unwrap();
        let dir = Reactor::new().unwrap().open_dir(place.path()).unwrap();
        let file = dir.create("link", &CreateOptions::default()).unwrap();
        assert_eq!(file.commit().unwrap(), expected, "{target}");
        assert_eq!(fs::read(place.path().join("link")).unwrap(), b"", "{target}");
        assert_eq!(fs::read(place.path().join("there")).unwrap(), b"there");
    }
}
