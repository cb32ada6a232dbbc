//! Listening on Unix sockets, and managing the files of those with a path.
//!
//! A socket's file outlives its process: after a crash it prevents the next server from binding. It
//! is removed if no process listens on it, which `connect(2)` reports as `ECONNREFUSED`. But a
//! server that has bound its socket and does not listen yet looks the same, and two servers may
//! find the same stale file. So a server that listens at a path holds a lock (`flock(2)`) on the
//! file `path.lock` beside it, from before it checks the path until it has removed its socket. The
//! kernel releases the lock when the process exits. Locking never blocks: if another process holds
//! the lock, it listens at the path or is about to, and listening fails.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::SocketAddr as UnixSocketAddr;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket};

use super::listen::set_backlog;
use super::lock_file::{FileId, Lock, id_at};
use super::unix::stream_socket;
use super::{Address, Fd, about, invalid};

/// The file of a listening Unix socket, and its lock. Drop it before the socket is closed.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Tells the file from one that has taken its place: no other file gets these numbers while the
    /// socket is open (`unix_bind` of Linux and `uipc_bindat` of the BSDs keep the inode).
    id: FileId,
    /// The permissions that it is to have.
    mode: u32,
    lock: Lock,
    /// Whether the socket belongs to another process that has it open too. A drop then leaves the
    /// file alone.
    pub(crate) is_elsewhere: bool,
}

impl SocketFile {
    /// The file of a socket that another process has opened, and passed on together with its lock.
    pub(crate) fn inherit(path: &Path, mode: u32, lock: OwnedFd) -> io::Result<SocketFile> {
        let lock = Lock::inherit(path, lock);
        Ok(SocketFile { path: path.into(), id: id_at(path)?, mode, lock, is_elsewhere: true })
    }

    /// The lock, to pass it on. `None` if the file is no longer that of the socket: whoever gets
    /// the lock would take what is at the path for its own.
    pub(crate) fn lock(&self) -> Option<BorrowedFd<'_>> {
        // The process may not look there any more, as another user.
        let is_there = id_at(&self.path)
            .map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |now| now == self.id);
        if !is_there {
            let path = self.path.display();
            log::warn!(
                "{path}: the socket's file is gone or was replaced: nobody can connect to it"
            );
        }
        is_there.then(|| self.lock.as_fd())
    }

    /// Gives the file the permissions that this process has chosen, and its lock the id of this
    /// process.
    pub(crate) fn receive(&self) -> io::Result<()> {
        let path = self.path.display();
        let signed = self.lock.sign();
        signed
            .map_err(about(format_args!("cannot write the process id into the lock of {path}")))?;
        set_mode(&self.path, self.mode)
            .map_err(about(format_args!("cannot change the permissions of {path}")))
    }
}

/// Removes the file if it still belongs to the socket, which must still be open.
impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_elsewhere {
            return;
        }
        let removed = id_at(&self.path)
            .and_then(|now| if now == self.id { fs::remove_file(&self.path) } else { Ok(()) });
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{}: cannot remove the socket: {error}", self.path.display());
            }
            _ => {}
        }
        self.lock.remove();
    }
}

/// Changes permissions only if they differ: a sandbox may forbid it.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.permissions().mode() & 0o7777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

pub(super) fn listen_unix(
    address: &UnixSocketAddr,
    mode: u32,
    backlog: u32,
) -> io::Result<(Fd, Option<SocketFile>)> {
    match address.as_pathname() {
        Some(path) => listen_at_path(path, mode, backlog).map(|(fd, file)| (fd, Some(file))),
        None => listen_without_file(&address.clone().into(), backlog).map(|fd| (fd, None)),
    }
}

fn listen_without_file(address: &Address, backlog: u32) -> io::Result<Fd> {
    if address.abstract_name().is_none() {
        return Err(invalid("the address has no name"));
    }
    let socket = stream_socket(Domain::UNIX)?;
    socket.bind(&address.to_system()?)?;
    set_backlog(&socket, backlog)?;
    Ok(socket.into_raw_fd())
}

fn listen_at_path(path: &Path, mode: u32, backlog: u32) -> io::Result<(Fd, SocketFile)> {
    let lock = Lock::take(path)?;
    let bound = bind(path).and_then(|socket| Ok((socket, id_at(path)?)));
    let (socket, id) = bound.inspect_err(|_| lock.remove())?;
    let file = SocketFile { path: path.into(), id, mode, lock, is_elsewhere: false };
    // The umask may have changed the permissions until now, but nobody could connect: the socket
    // does not listen yet.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    set_backlog(&socket, backlog)?;
    Ok((socket.into_raw_fd(), file))
}

/// Binds a socket to a path, replacing a stale one.
fn bind(path: &Path) -> io::Result<Socket> {
    let socket = stream_socket(Domain::UNIX)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, &address)?;
            socket.bind(&address)?;
        }
        other => other?,
    }
    Ok(socket)
}

/// Removes the socket of a process that is gone. Anything else stays and is an error.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let text = "a file with that name exists and is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    // The connect must not block: the backlog of a live server may be full.
    match stream_socket(Domain::UNIX)?.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process is already listening there",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use tempfile::{TempDir, tempdir};

    use super::super::unix::close;
    use super::*;

    /// A path for a socket in a new directory.
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
            drop(file);
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
        UnixStream::connect(&path).unwrap();

        drop(alive);
        assert!(path.exists());
        let (fd, file) = listen_on(&address);
        UnixStream::connect(&path).unwrap();
        drop(file);
        close(fd);
    }

    #[test]
    fn a_server_whose_backlog_is_full_is_not_taken_for_dead() {
        let (_directory, path, address) = place();
        let (alive, file) = listen_unix(&address, 0o600, 0).unwrap();
        // The backlog has room for at least one connection, and nobody accepts.
        let wanted = SockAddr::unix(&path).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = stream_socket(Domain::UNIX).unwrap();
            let full = socket.connect(&wanted).is_err();
            waiting.push(socket);
            if full {
                break;
            }
        }
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        drop(file);
        close(alive);
    }

    #[test]
    fn a_socket_that_has_taken_the_place_is_not_removed() {
        let (_directory, path, address) = place();
        let (fd, file) = listen_on(&address);
        // As if somebody had cleaned up.
        fs::remove_file(&path).unwrap();
        fs::remove_file(path.with_extension("lock")).unwrap();
        let (successor, its_file) = listen_on(&address);
        drop(file);
        assert!(path.with_extension("lock").exists());
        close(fd);
        UnixStream::connect(&path).unwrap();
        drop(its_file);
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
                drop(file);
                close(fd);
            }
        }
    }

    #[test]
    fn servers_that_start_and_stop_at_once_never_both_listen() {
        let (directory, path, address) = place();
        let listening = AtomicBool::new(false);
        let start_and_stop = || {
            for _ in 0..200 {
                if let Ok((fd, file)) = listen_unix(&address, 0o600, 8) {
                    assert!(!listening.swap(true, Ordering::SeqCst));
                    UnixStream::connect(&path).unwrap();
                    listening.store(false, Ordering::SeqCst);
                    drop(file);
                    close(fd);
                }
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(start_and_stop))));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn servers_in_one_directory_do_not_hinder_each_other() {
        let directory = tempdir().unwrap();
        let together = Barrier::new(4);
        let start = |index: usize| {
            let path = directory.path().join(index.to_string());
            drop(UnixListener::bind(&path).unwrap());
            let address = UnixSocketAddr::from_pathname(path).unwrap();
            for _ in 0..50 {
                together.wait();
                let (fd, file) = listen_on(&address);
                drop(file);
                close(fd);
            }
        };
        thread::scope(|scope| (0..4).for_each(|index| drop(scope.spawn(move || start(index)))));
    }

    #[test]
    fn a_missing_directory_is_named_in_the_error() {
        let address = UnixSocketAddr::from_pathname("/no/such/directory/s").unwrap();
        let error = listen_unix(&address, 0o600, 8).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("/no/such/directory/s.lock: "), "{error}");
    }

    #[cfg(target_os = "linux")]
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
