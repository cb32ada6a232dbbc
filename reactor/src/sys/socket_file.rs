//! Listening on Unix sockets, and the files in which those with a path appear.
//!
//! A socket's file outlives its process: after a crash it is in the way of the next one. What is in
//! the way is removed if nobody listens there, which `connect(2)` tells with `ECONNREFUSED`. A
//! server that has bound its socket and does not listen yet looks the same, and two servers may
//! find the same stale file; so all of this happens under a lock of the directory (`flock(2)`),
//! which leaves nothing behind and ends with the process. It holds off those who ask for it: other
//! programs do not.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr as UnixSocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use libc::c_int;
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::abstract_name;
use super::{Address, Fd};

/// Together a second.
const LOCK_ATTEMPTS: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The file of a listening Unix socket.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Tells it from one that has taken its place. Neither number is given to another file while
    /// the socket is open, which holds on to its own (`unix_bind` of Linux, `uipc_bindat` of the
    /// BSDs).
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<SocketFile> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.into(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Removes the file if it is still that of the socket, which must still be open.
    pub(crate) fn remove(self) {
        let removed = lock_directory(&self.path).and_then(|_lock| {
            let now = SocketFile::of(&self.path)?;
            if (now.device, now.inode) == (self.device, self.inode) {
                fs::remove_file(&self.path)?;
            }
            Ok(())
        });
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{}: cannot remove the socket: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

pub(super) fn listen_unix(
    address: &UnixSocketAddr,
    mode: u32,
    backlog: u32,
) -> io::Result<(Fd, Option<SocketFile>)> {
    let opened = match address.as_pathname() {
        Some(path) => listen_at_path(path, mode, backlog).map(|(fd, file)| (fd, Some(file))),
        None => listen_without_file(address, backlog).map(|fd| (fd, None)),
    };
    opened.map_err(|error| {
        let address = Address::Unix(address.clone());
        io::Error::new(error.kind(), format!("listen on {address}: {error}"))
    })
}

fn listen_without_file(address: &UnixSocketAddr, backlog: u32) -> io::Result<Fd> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "an address without a name");
    // A zero byte in front is how an abstract name is written, unix(7).
    let name = [b"\0", abstract_name(address).ok_or_else(no_name)?].concat();
    let socket = new_socket()?;
    socket.bind(&SockAddr::unix(std::ffi::OsStr::from_bytes(&name))?)?;
    listen(socket, backlog)
}

fn listen_at_path(path: &Path, mode: u32, backlog: u32) -> io::Result<(Fd, SocketFile)> {
    let _lock = lock_directory(path)?;
    let socket = new_socket()?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, &address)?;
            socket.bind(&address)?;
        }
        other => other?,
    }
    let ready = SocketFile::of(path).and_then(|file| {
        // Before anybody can connect: whatever the umask has left of it, no connection is made to a
        // socket that does not listen yet.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok((listen(socket, backlog)?, file))
    });
    // The file was made here, and nobody else will remove it.
    ready.inspect_err(|_| drop(fs::remove_file(path)))
}

fn new_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen(socket: Socket, backlog: u32) -> io::Result<Fd> {
    socket.listen(c_int::try_from(backlog).unwrap_or(c_int::MAX))?;
    Ok(socket.into_raw_fd())
}

/// Locks the directory of a path until the answer is dropped. Where that is impossible, as in a
/// directory that may be written to and not read, there is no lock. Who holds one of these needs it
/// for a moment only; a program that keeps one of its own must not keep a server from ending.
fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let directory = match File::open(directory) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(error),
    };
    for _ in 0..LOCK_ATTEMPTS {
        match directory.try_lock() {
            Ok(()) => return Ok(Some(directory)),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(None);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another program has locked the directory"))
}

/// Removes the socket of a process that is gone. Anything else is left alone, and an error.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let text = "there is a file of that name, and it is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    // It must not wait for room in the backlog of one that is alive.
    match new_socket()?.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Barrier;

    use tempfile::{TempDir, tempdir};

    use super::super::unix::close;
    use super::*;

    /// Where a socket can be in a new directory.
    fn place() -> (TempDir, PathBuf, UnixSocketAddr) {
        let directory = tempdir().unwrap();
        let path = directory.path().join("s");
        (directory, path.clone(), UnixSocketAddr::from_pathname(path).unwrap())
    }

    fn listen_on(address: &UnixSocketAddr) -> (Fd, SocketFile) {
        let (fd, file) = listen_unix(address, 0o600, 8).unwrap();
        (fd, file.unwrap())
    }

    #[test]
    fn the_mode_is_the_one_asked_for_whatever_the_umask() {
        let (_directory, path, address) = place();
        for mode in [0o600, 0o660, 0o666, 0o777] {
            let (fd, file) = listen_unix(&address, mode, 8).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
            UnixStream::connect(&path).unwrap();
            file.unwrap().remove();
            close(fd);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_file_is_replaced_only_if_it_is_a_socket_where_nobody_listens() {
        let (_directory, path, address) = place();
        fs::write(&path, "precious").unwrap();
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();

        let alive = UnixListener::bind(&path).unwrap();
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        assert!(error.to_string().starts_with(&format!("listen on unix:{}: ", path.display())));
        UnixStream::connect(&path).unwrap();

        drop(alive);
        assert!(path.exists());
        let (fd, file) = listen_on(&address);
        UnixStream::connect(&path).unwrap();
        file.remove();
        close(fd);
    }

    #[test]
    fn a_server_whose_backlog_is_full_is_not_taken_for_dead() {
        let (_directory, path, address) = place();
        let (alive, file) = listen_unix(&address, 0o600, 0).unwrap();
        // It has room for one at least, and nobody accepts.
        let wanted = SockAddr::unix(&path).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = new_socket().unwrap();
            let full = socket.connect(&wanted).is_err();
            waiting.push(socket);
            if full {
                break;
            }
        }
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        file.unwrap().remove();
        close(alive);
    }

    #[test]
    fn a_socket_that_has_taken_the_place_is_not_removed() {
        let (_directory, path, address) = place();
        let (fd, file) = listen_on(&address);
        fs::remove_file(&path).unwrap();
        let (successor, its_file) = listen_on(&address);
        file.remove();
        close(fd);
        UnixStream::connect(&path).unwrap();
        its_file.remove();
        assert!(!path.exists());
        close(successor);
    }

    #[test]
    fn servers_that_start_at_once_leave_exactly_one_listening() {
        let (_directory, path, address) = place();
        for _ in 0..50 {
            drop(UnixListener::bind(&path).unwrap());
            let together = Barrier::new(4);
            let start = || {
                together.wait();
                listen_unix(&address, 0o600, 8).ok()
            };
            let started: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(started.len(), 1);
            UnixStream::connect(&path).unwrap();
            for (fd, file) in started {
                file.unwrap().remove();
                close(fd);
            }
        }
    }

    #[test]
    fn a_directory_that_somebody_else_keeps_locked_is_an_error() {
        let (directory, path, address) = place();
        let lock = File::open(directory.path()).unwrap();
        lock.lock().unwrap();
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_named_in_the_error() {
        let address = UnixSocketAddr::from_pathname("/no/such/directory/s").unwrap();
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("listen on unix:/no/such/directory/s: "), "{error}");
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn an_abstract_name_needs_no_file_and_is_free_when_its_socket_is_closed() {
        let name = format!("sluicegate-{}", std::process::id());
        let Address::Unix(address) = Address::from_abstract_name(name).unwrap() else {
            unreachable!()
        };
        for _ in 0..2 {
            let (fd, file) = listen_unix(&address, 0o600, 8).unwrap();
            assert!(file.is_none());
            UnixStream::connect_addr(&address).unwrap();
            let error = listen_unix(&address, 0o600, 8).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            close(fd);
        }
    }
}
