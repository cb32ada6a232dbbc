//! The only room that touches the operating system, behind one flat contract.
//!
//! `unsafe`, `libc` and `cfg(target_os)` are used only here. The rooms above see two types:
//! [`Kernel`], the stateless calls, and [`Selector`], the readiness queue. Each of them chooses
//! between the operating system and, with the feature `testing`, a [simulated one](sim). Without
//! the feature each is a type with a single variant, so the choice costs nothing.
//!
//! Calls go through `rustix` where it has them, without `unsafe`. On Linux it makes them inline,
//! which `safe_ret.rs` needs.
//!
//! # The contract
//!
//! *Descriptors* are plain numbers ([`Fd`]); the caller that opens one must close it. Every
//! descriptor opened here is close-on-exec, and every socket is non-blocking, with `TCP_NODELAY`
//! where that applies.
//!
//! *Calls* make one system call and return its result. They do not retry: `EINTR` is returned as
//! `ErrorKind::Interrupted` and `EAGAIN` as `ErrorKind::WouldBlock`, so that the same paths run on
//! the simulated kernel. An errno with a system-specific meaning is translated here (`ENOBUFS` on
//! macOS is `WouldBlock`, `EPROTOTYPE` on macOS is `ConnectionReset`). No call delivers `SIGPIPE`
//! or `SIGXFSZ`, whatever their disposition in the process: sends pass a flag, and the calls that
//! have no such flag block the signals in the calling thread. On systems other than Linux, `SIGXFSZ`
//! is sent to the process, so its other threads must block it too.
//!
//! *Readiness* is edge-triggered. A socket is registered once, for all events, and the registration
//! ends when the descriptor is closed, unless the socket has other descriptors, which would keep an
//! epoll registration alive (`epoll(7)`, question 6). A socket opened elsewhere, or passed on, may
//! be open in another process too, so call [`Selector::remove`] before closing it. An event says
//! what *may* have changed since the last one; merged and spurious events are allowed, lost ones
//! are not. After [`Kernel::recv`] or a send has returned `WouldBlock`, an edge follows once the
//! call can succeed, or, for a send, once a third of the socket's buffer is free: Linux waits for
//! that much (`sk_stream_is_writeable`), though a send would succeed with less. FreeBSD waits for
//! half of the buffer after a sendfile (`sb_lowat`). The same holds after a short receive on TCP,
//! unless an event has reported [`Ready::READ_END`], [`Ready::HANGUP`] or [`Ready::URGENT`] since
//! the last `WouldBlock`, or the kernel opens records of TLS. No edge is promised after anything
//! else, in particular not after a short send.
//!
//! *Files* are opened beneath a directory and never outside of it. Reading a file may block on a
//! disk whatever the flags: `O_NONBLOCK` has no effect on regular files. Where
//! [`Kernel::read_nowait`] is supported, it does not block.
//!
//! *Time* is monotonic, in nanoseconds. For display there are also seconds since 1970.
//!
//! # The backends
//!
//! `epoll.rs` is for Linux, `kqueue.rs` for the BSDs and macOS. Both keep the contract, which
//! `selector_tests.rs` checks for the backend that is built. The rooms above must work with either
//! side of these differences:
//!
//! | | epoll | kqueue |
//! |---|---|---|
//! | one change of a stream | one event with the whole state | up to two, one for each direction |
//! | [`Ready::URGENT`] | urgent data | any data: the filter cannot distinguish it, so every receive loop continues to `WouldBlock` |
//! | [`Ready::HANGUP`] | both directions have ended, or an error | an error, which the event contains; without one only [`Ready::READ_END`] |
//! | our own shutdown | nothing | [`Ready::WRITE`] only (`EV_EOF` of that filter) |
//! | a registration belongs to | the open file description, so [`Selector::remove`] matters | the descriptor, and ends with it |
//! | registering a socket | one entry | two, each with a receipt; `EPIPE` does not count as an error |
//! | a wait | milliseconds, rounded up | nanoseconds |
//! | the waker watches | an `eventfd(2)` | a socket pair |
//! | close-on-exec of the queue | set by the call that opens it | set by a second call |
//!
//! Outside of the selector, only some systems have `MSG_MORE`, `MSG_NOSIGNAL`, `MSG_CMSG_CLOEXEC`,
//! `SO_RCVLOWAT`, `SO_PEERCRED`, `accept4`, `splice`, `sendfile`, `RWF_NOWAIT`, `openat2`,
//! `O_TMPFILE`, `fstatfs`, TLS in the kernel and all [`TcpOptions`].
//!
//! With `--cfg sluicegate_libkqueue` the kqueue backend runs on Linux, over libkqueue, for tests
//! (CONTRIBUTING.md). The library differs from a kernel in ways that `kqueue/libkqueue.rs` lists
//! and compensates for.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr as UnixSocketAddr;
use std::path::Path;
use std::time::Duration;

mod address;
mod adopt;
mod buffer;
mod connect;
mod create;
mod dir;
mod errors;
mod event;
#[cfg(target_os = "linux")]
mod ktls;
mod listen;
mod lock_file;
mod lookup;
mod metadata;
mod options;
#[cfg(target_os = "linux")]
mod pipe;
mod process;
mod residency;
mod rights;
mod safe_ret;
mod sendfile;
mod shared;
mod signal;
mod socket_file;
mod tls;
mod unix;
mod waker;

#[cfg(all(target_os = "linux", not(sluicegate_libkqueue)))]
#[path = "epoll.rs"]
mod selector;
#[cfg(any(not(target_os = "linux"), sluicegate_libkqueue))]
#[path = "kqueue.rs"]
mod selector;

#[cfg(feature = "testing")]
pub(crate) mod sim;

pub use address::Address;
pub(crate) use adopt::take_inherited;
pub(crate) use buffer::{AlignedBuffer, PAGE, to_middle_of_page, trim_heap};
pub(crate) use connect::connect_at;
pub use errors::is_out_of_descriptors;
pub(crate) use errors::{about, invalid, is_shortage, retry};
pub(crate) use event::{Event, Ready};
pub(crate) use listen::{DIVIDES, bind_beside, check_only_ipv6, set_backlog};
pub(crate) use lookup::look_up;
pub use metadata::{Entry, FileKind, Metadata, ReadDir};
pub use options::{Keepalive, TcpOptions};
pub use process::ProcessUsage;
pub(crate) use rights::{
    MOST_RIGHTS, own_user, peer_process, receive_with_rights, send_with_rights,
};
pub(crate) use safe_ret::detect as detect_safe_ret;
pub(crate) use shared::Shared;
pub use signal::block_io_signals;
pub(crate) use signal::on_termination;
pub(crate) use socket_file::SocketFile;
pub use tls::{Cipher, Key, Suite, TlsVersion};
pub(crate) use tls::{HeldUp, held_up};
pub(crate) use unix::{is_from_network, owned};
pub(crate) use waker::Waker;

/// A descriptor: a number of the operating system or of the simulated kernel.
pub(crate) type Fd = i32;

/// The value that stands for no descriptor.
pub(crate) const NO_FD: Fd = -1;

/// A direction in which bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Send,
    Receive,
}

/// Whether more data follows immediately, so that the kernel may hold back a partial segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum More {
    /// No more data follows.
    No,
    /// Another send follows immediately (`MSG_MORE`).
    Yes,
}

/// The calls without state: sockets, files, clocks.
#[derive(Clone, Debug)]
pub(crate) enum Kernel {
    /// The operating system.
    Os,
    /// A simulated one, in memory.
    #[cfg(feature = "testing")]
    Sim(sim::World),
}

/// A call of the operating system. One that only Linux has is marked with `@linux`, and
/// `Unsupported` on other systems.
macro_rules! os_call {
    (@linux $module:ident :: $name:ident ( $($arg:ident),* )) => {{
        #[cfg(target_os = "linux")]
        {
            $module::$name($($arg),*)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = ($($arg,)*);
            Err(io::ErrorKind::Unsupported.into())
        }
    }};
    ($module:ident :: $name:ident ( $($arg:ident),* )) => { $module::$name($($arg),*) };
}

/// Forwards a call to the operating system's function or to the simulated kernel's method.
macro_rules! kernel_calls {
    ($(
        $(#[$doc:meta])*
        $(@$system:ident)? $module:ident :: $name:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty;
    )*) => {
        impl Kernel {
            $(
                $(#[$doc])*
                #[inline]
                pub(crate) fn $name(&self, $($arg: $ty),*) -> $ret {
                    match self {
                        Kernel::Os => os_call!($(@$system)? $module::$name($($arg),*)),
                        #[cfg(feature = "testing")]
                        Kernel::Sim(world) => world.$name($($arg),*),
                    }
                }
            )*
        }
    };
}

kernel_calls! {
    /// Opens TCP sockets that listen at one address, with `SO_REUSEADDR` and this backlog. Their
    /// number is 1 unless the kernel [divides](DIVIDES) connections between them. Accepted sockets
    /// inherit the options.
    listen::listen_tcp(address: SocketAddr, backlog: u32, options: &TcpOptions, count: usize)
        -> io::Result<Vec<Fd>>;
    /// Stops listening at a TCP socket that no other process has open, before it is closed.
    listen::stop_listening(listener: Fd) -> ();
    /// Opens a listening Unix socket, and its file, with these permissions, if the address is a
    /// path. An existing socket file is replaced if no process listens there.
    socket_file::listen_unix(address: &UnixSocketAddr, mode: u32, backlog: u32)
        -> io::Result<(Fd, Option<SocketFile>)>;
    /// Prepares a listening socket that was opened elsewhere to behave like one opened here.
    /// `InvalidInput` if it is not a stream socket or does not listen.
    adopt::adopt_listener(socket: OwnedFd, options: &TcpOptions) -> io::Result<Fd>;
    /// Prepares a connected socket that was opened elsewhere. `InvalidInput` if it is not a stream
    /// socket.
    adopt::adopt_stream(socket: OwnedFd) -> io::Result<Fd>;
    /// Accepts a connection: non-blocking, close-on-exec, without delay. An error that concerns
    /// only this connection is `ErrorKind::ConnectionAborted`.
    unix::accept(listener: Fd) -> io::Result<Fd>;
    /// Starts to connect a stream to an address. Once it is registered, an edge with
    /// [`Ready::WRITE`], [`Ready::READ_END`] or [`Ready::HANGUP`] reports the end of the attempt,
    /// immediately if it has already ended. An error is one of the call itself: an address that cannot be reached, no
    /// descriptor or port left, a Unix socket that does not exist or whose backlog is full
    /// (`WouldBlock` on Linux), or an option that the system refuses. The options do not apply to
    /// Unix sockets.
    connect::start_connect(address: &Address, options: &TcpOptions) -> io::Result<Fd>;
    /// Takes the error of a socket that no other call has reported yet (`SO_ERROR`).
    connect::take_error(socket: Fd) -> io::Result<()>;
    /// The address a socket is bound to.
    address::local_address(socket: Fd) -> io::Result<Address>;
    /// The address of the other end. It is unknown after a reset and, except on Linux, once the peer
    /// of a Unix socket has closed it.
    address::peer_address(socket: Fd) -> io::Result<Address>;
    /// Closes a descriptor. On Linux, closing a socket with unread input resets the connection.
    unix::close(fd: Fd) -> ();
    /// Closes a socket with a reset (`SO_LINGER` of zero).
    unix::reset(socket: Fd) -> ();
    /// Ends the sending direction (`shutdown(2)`), also of a Unix socket whose peer has closed.
    unix::shutdown_write(socket: Fd) -> io::Result<()>;
    /// Makes a TCP stream [`Ready::READ`] only once this many bytes have arrived, or its end or an
    /// error (`SO_RCVLOWAT`; the kernel may reduce the mark). A receive still returns all that has
    /// arrived. Raising the mark loses no edge; lowering it causes none. `Unsupported` on systems
    /// other than Linux.
    unix::set_receive_mark(socket: Fd, bytes: usize) -> io::Result<()>;
    /// Receives into `buffer`; 0 is the end of the stream (`buffer` is never empty).
    unix::recv(socket: Fd, buffer: &mut [u8]) -> io::Result<usize>;
    /// Receives up to `most` bytes, which is not 0, into the spare capacity of `buffer`, and
    /// appends them.
    unix::recv_append(socket: Fd, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize>;
    /// Sends one slice.
    unix::send(socket: Fd, data: &[u8], more: More) -> io::Result<usize>;
    /// Sends several slices in one call.
    unix::send_gather(socket: Fd, pieces: &[IoSlice<'_>], more: More) -> io::Result<usize>;
    /// Sends from a file without copying into the process. 0 means that the file ends before
    /// `offset`. Only where [`HAS_SENDFILE`].
    sendfile::sendfile(socket: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize>;
    /// `Unsupported` if the kernel cannot open and seal the records of this suite of TLS. The first
    /// call probes all suites.
    @linux ktls::supports_tls(suite: Suite) -> io::Result<()>;
    /// Prepares a TCP stream for the keys of TLS (`TCP_ULP`). Until it has one, nothing changes. An
    /// error changes nothing: `ENOTCONN` if the peer has ended its side.
    @linux ktls::attach_tls(socket: Fd) -> io::Result<()>;
    /// From now on the kernel seals what is sent, or opens what is received, as records of data. A
    /// second key takes the place of the first only since Linux 6.14, else this fails with `EBUSY`.
    /// A receive fails with an error that [`held_up`] recognizes if the next record is not data.
    @linux ktls::set_tls_key(socket: Fd, direction: Direction, key: &Key) -> io::Result<()>;
    /// Receives the next record as a whole, if `buffer` has room: its content type and length.
    /// `None` is the end of the stream.
    @linux ktls::recv_record(socket: Fd, buffer: &mut [u8]) -> io::Result<Option<(u8, usize)>>;
    /// Sends a short record of another content type. What was sent before is then on its way.
    @linux ktls::send_record(socket: Fd, kind: u8, payload: &[u8]) -> io::Result<()>;
    /// Opens a pipe of about `bytes`, or less if the user's quota does not allow more. Returns its
    /// read end, its write end and its size. Only where [`HAS_SPLICE`].
    @linux pipe::open_pipe(bytes: usize) -> io::Result<(Fd, Fd, usize)>;
    /// Moves bytes from a socket to a pipe or from a pipe to a socket. From a socket, 0 is the end
    /// of the stream; urgent data stops a splice for good, and only a receive gets past it. Into a
    /// pipe that is not empty, `WouldBlock` may mean that the pipe is full, so callers only splice
    /// into empty pipes. Only where [`HAS_SPLICE`].
    @linux pipe::splice(from: Fd, to: Fd, bytes: usize) -> io::Result<usize>;
    /// Moves bytes from a pipe to a file, at an offset. Only where [`HAS_SPLICE`].
    @linux pipe::splice_to_file(from: Fd, file: Fd, offset: u64, bytes: usize) -> io::Result<usize>;
    /// Reads from a file at an offset; 0 is its end.
    unix::read_at(file: Fd, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads only bytes that are in memory; `WouldBlock` if the first byte is not. `Unsupported`
    /// where the system or the file system does not report that; only where [`HAS_NOWAIT`].
    @linux residency::read_nowait(file: Fd, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Loads a part of a file into memory. Waits for the disk, so workers call it.
    residency::warm(file: Fd, offset: u64, bytes: usize) -> io::Result<()>;
    /// Opens a directory by its path, for use with [`Kernel::open_beneath`].
    dir::open_dir(path: &Path) -> io::Result<Fd>;
    /// Opens a file or directory for reading, by a path relative to `dir`. Symbolic links that stay
    /// beneath `dir` are followed, absolute ones if their target passes through `dir`. A path that
    /// leaves it, or has too many links, is refused with `ErrorKind::PermissionDenied`. Never
    /// blocks on a FIFO. An empty path is `dir` itself.
    dir::open_beneath(dir: Fd, path: &OsStr) -> io::Result<Fd>;
    /// Opens a directory by a path relative to `dir`, like [`Kernel::open_beneath`], to create,
    /// rename and remove names in it. It need not be readable, and cannot be read or synced.
    dir::open_dir_beneath(dir: Fd, path: &OsStr) -> io::Result<Fd>;
    /// Creates a file in a directory and opens it for reading and writing; `AlreadyExists` if the
    /// name is taken. This call and the next ones take names, not paths.
    create::create_new(dir: Fd, name: &OsStr, mode: u32) -> io::Result<Fd>;
    /// Opens a file for reading and writing, which is created if it does not exist, and locks it
    /// until the descriptor is closed (`flock(2)`). `WouldBlock` if it is locked already. Before
    /// the lock was taken, the file may have been renamed or removed.
    create::open_locked(dir: Fd, name: &OsStr, mode: u32) -> io::Result<Fd>;
    /// Creates a file without a name, in the file system of a directory, and opens it for reading
    /// and writing. `Unsupported` if the system or the file system cannot do that.
    @linux create::create_unnamed(dir: Fd) -> io::Result<Fd>;
    /// Renames a file, and replaces a file with the new name. `CrossesDevices` if the directories
    /// are on different file systems.
    create::rename(dir: Fd, name: &OsStr, new_dir: Fd, new_name: &OsStr) -> io::Result<()>;
    /// Creates a directory in a directory; `AlreadyExists` if the name is taken.
    create::make_dir(dir: Fd, name: &OsStr) -> io::Result<()>;
    /// Removes the name of a file from a directory. Fails for directories.
    create::unlink(dir: Fd, name: &OsStr) -> io::Result<()>;
    /// Whether a name in a directory leads to a file: a symbolic link that leads nowhere does not.
    create::exists(dir: Fd, name: &OsStr) -> io::Result<bool>;
    /// Writes to a file at an offset.
    create::write_at(file: Fd, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Waits until everything written to a file or changed in a directory is on the disk. A
    /// directory must be opened for reading ([`Kernel::open_beneath`]): on Linux, `fsync(2)` of an
    /// `O_PATH` descriptor fails with `EBADF`.
    create::sync(file: Fd) -> io::Result<()>;
    /// Whether a file is on a file system in memory, so that nothing waits for a disk.
    /// `Unsupported` where the system cannot tell.
    @linux create::is_in_memory(file: Fd) -> io::Result<bool>;
    /// The length of an open file that has no name left; 0 if it has one.
    dir::removed_len(file: Fd) -> u64;
    /// The attributes of an open file.
    dir::metadata(file: Fd) -> io::Result<Metadata>;
    /// The attributes of an entry of a directory (`.` and `..` excluded). Symbolic links that stay
    /// beneath `dir` are followed.
    dir::metadata_beneath(dir: Fd, path: &OsStr) -> io::Result<Metadata>;
    /// The entries of a directory, without `.` and `..`, in no particular order. They are read as
    /// the iterator advances, and the descriptor may be closed before it ends.
    dir::read_dir(dir: Fd) -> io::Result<ReadDir>;
    /// Nanoseconds of a monotonic clock.
    unix::monotonic() -> u64;
    /// Seconds since 1970.
    unix::realtime() -> u64;
    /// 64 random bits, for anything but secrets.
    unix::random() -> u64;
    /// The resources that this process uses. The simulated kernel reports nothing.
    process::process() -> ProcessUsage;
}

/// Whether [`Kernel::sendfile`] exists and is non-blocking on this system.
pub(crate) const HAS_SENDFILE: bool = cfg!(any(target_os = "linux", target_os = "freebsd"));

/// Whether [`Kernel::splice`] exists on this system.
pub(crate) const HAS_SPLICE: bool = cfg!(target_os = "linux");

/// Whether [`Kernel::read_nowait`] exists on this system.
pub(crate) const HAS_NOWAIT: bool = cfg!(target_os = "linux");

/// The readiness queue.
pub(crate) enum Selector {
    /// epoll or kqueue.
    Os(selector::Selector),
    /// The event queue of the simulated kernel.
    #[cfg(feature = "testing")]
    Sim(sim::Selector),
}

impl Selector {
    /// Creates a selector of `kernel` that returns at most `capacity` events from a wait.
    pub(crate) fn new(kernel: &Kernel, capacity: usize) -> io::Result<Selector> {
        match kernel {
            Kernel::Os => {
                detect_safe_ret();
                selector::Selector::new(capacity).map(Selector::Os)
            }
            #[cfg(feature = "testing")]
            Kernel::Sim(world) => Ok(Selector::Sim(world.selector(capacity))),
        }
    }

    /// Registers a stream or a listener for all events, edge-triggered.
    pub(crate) fn add(&mut self, socket: Fd, token: u64) -> io::Result<()> {
        match self {
            Selector::Os(os) => os.add(socket, token),
            #[cfg(feature = "testing")]
            Selector::Sim(sim) => sim.add(socket, token),
        }
    }

    /// Ends the registration of a socket whose description others have open too (`dup(2)`, or a
    /// socket inherited or passed by another process): closing this descriptor would not end it.
    pub(crate) fn remove(&mut self, socket: Fd) {
        match self {
            Selector::Os(os) => os.remove(socket),
            #[cfg(feature = "testing")]
            Selector::Sim(sim) => sim.remove(socket),
        }
    }

    /// Registers and returns a waker with this token; once per selector. `None` in the simulated
    /// kernel, which has one thread.
    pub(crate) fn add_waker(&mut self, token: u64) -> io::Result<Option<Waker>> {
        match self {
            Selector::Os(os) => os.add_waker(token).map(Some),
            #[cfg(feature = "testing")]
            Selector::Sim(_) => Ok(None),
        }
    }

    /// Waits until there are events or the timeout has passed (rounded up to the kernel's
    /// resolution; `None` waits without limit), and returns the number of events. `EINTR` is
    /// returned as no events.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        match self {
            Selector::Os(os) => match os.wait(timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                other => other,
            },
            #[cfg(feature = "testing")]
            Selector::Sim(sim) => sim.wait(timeout),
        }
    }

    /// The event at this index of the last wait.
    #[inline]
    pub(crate) fn event(&self, index: usize) -> Event {
        match self {
            Selector::Os(os) => os.event(index),
            #[cfg(feature = "testing")]
            Selector::Sim(sim) => sim.event(index),
        }
    }
}
