//! The new process of a hot restart: it takes over the listeners of the old one, and tells it to
//! release them once it serves.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::{self, Entry, Kind, Lines, Offer};
use crate::listen::{Listen, Origin};
use crate::server::sockets::{Bound, Opened};
use crate::sys::{self, Address, Kernel, SocketFile};

/// How long the old process may take to answer. It is serving, so it answers soon.
const ANSWER: Duration = Duration::from_secs(10);

/// The connection to the old process, until it has released its listeners.
pub(super) struct Predecessor {
    pub(super) stream: UnixStream,
    /// For the log.
    pub(super) name: String,
}

/// A listener of the old process, until this one listens at its address.
pub(crate) struct Offered {
    /// Its index among the listeners of the old process. `None` if a service manager has stored it.
    index: Option<usize>,
    pub(crate) kind: Kind,
    pub(crate) address: Address,
    sockets: Vec<OwnedFd>,
    lock: Option<OwnedFd>,
}

/// Whether an error means that the old process has ended. Linux reports a reset if it has ended
/// with unread bytes.
pub(super) fn has_ended(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

impl Predecessor {
    /// Connects to the process that listens at a control socket. `None` if there is none.
    pub(super) fn connect(path: &Path) -> io::Result<Option<Predecessor>> {
        let stream = match sys::connect_at(path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        message::check_user(&stream)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let pid = sys::peer_process(&stream)?.pid;
        let name = pid.map_or("the previous process".into(), |pid| format!("process {pid}"));
        Ok(Some(Predecessor { stream, name }))
    }

    /// Asks for its listeners. Returns its generation and its state too.
    pub(super) fn ask(&self) -> io::Result<(u64, Vec<Offered>, Vec<u8>)> {
        message::send(&self.stream, message::request(), &[])?;
        let (offer, descriptors) = Offer::receive(&mut Lines::of(&self.stream))?;
        let mut descriptors = descriptors.into_iter();
        let inherit = |Entry { index, sockets, has_lock, kind }| {
            let sockets: Vec<_> = descriptors.by_ref().take(sockets).collect();
            let lock = if has_lock { descriptors.next() } else { None };
            let address = Kernel::Os.local_address(sockets[0].as_raw_fd())?;
            Ok(Offered { index: Some(index), kind, address, sockets, lock })
        };
        let inherited = offer.listeners.into_iter().map(inherit);
        Ok((offer.generation, inherited.collect::<io::Result<_>>()?, offer.state))
    }

    /// Says that this process serves these listeners, and waits until they are released and the
    /// service manager knows which process is the main one. It ignores others.
    pub(super) fn finish(self, served: &[usize]) -> io::Result<()> {
        let Predecessor { stream, name } = &self;
        // A process that has refused or ended has closed the connection, so sending may fail. What
        // it said is still there to read.
        let _ = message::send(stream, message::ready(served), &[]);
        let mut lines = Lines::of(stream);
        match lines.answer() {
            Ok(line) if line == "released" => {
                // The end of the stream. Other errors do not change that they are released.
                let _ = lines.answer();
                Ok(())
            }
            Ok(line) => Err(io::Error::new(ErrorKind::InvalidData, format!("{name}: {line:?}"))),
            // It says so if it goes on.
            Err(error) if has_ended(&error) => {
                log::warn!("{name} ended before it released its listeners");
                Ok(())
            }
            Err(error) => Err(sys::about(format_args!("{name} keeps running"))(error)),
        }
    }
}

impl Offered {
    /// The sockets of an address that a service manager has stored, if there are any.
    pub(crate) fn stored(address: &Address, sockets: Vec<OwnedFd>) -> Option<Offered> {
        let (kind, address) = (Kind::Address, address.clone());
        let offered = Offered { index: None, kind, address, sockets, lock: None };
        (!offered.sockets.is_empty()).then_some(offered)
    }

    /// Whether it is what a server gets that listens at an address.
    pub(crate) fn is_at(&self, address: &Address) -> bool {
        match self.kind {
            Kind::AnyPort if address.port() == Some(0) => address.ip() == self.address.ip(),
            Kind::AnyPort | Kind::Address | Kind::Adopted => *address == self.address,
            Kind::Control | Kind::Activated(_) => false,
        }
    }

    /// The name of a socket that a service manager has opened.
    pub(crate) fn activated(&self) -> Option<&str> {
        match &self.kind {
            Kind::Activated(name) => Some(name),
            _ => None,
        }
    }

    /// The sockets with these options, and as many more as `threads` can divide evenly.
    pub(crate) fn open(self, listen: &Listen, threads: usize) -> io::Result<Opened> {
        let is_adopted = matches!(self.kind, Kind::Adopted | Kind::Activated(_));
        // Whoever has opened an adopted socket has chosen its backlog.
        let backlog = (!is_adopted).then_some(listen.backlog);
        let prepare = |socket| Kernel::Os.adopt_listener(socket, &listen.tcp).map(sys::owned);
        let mut sockets: Vec<_> =
            self.sockets.into_iter().map(prepare).collect::<io::Result<_>>()?;
        if !is_adopted {
            sockets.iter().try_for_each(|socket| sys::check_only_ipv6(socket, &listen.tcp))?;
        }
        // As when it was adopted: one thread accepts, and passes connections on.
        while !is_adopted && !self.address.is_unix() && !sockets.len().is_multiple_of(threads) {
            sockets.push(sys::bind_beside(&sockets[0], &listen.tcp)?);
        }
        let mut file = match (self.address.path(), self.lock) {
            (Some(path), Some(lock)) => Some(SocketFile::inherit(path, listen.unix_mode, lock)?),
            _ => None,
        };
        let bound = |socket| {
            // A Unix socket with a file has no other beside it.
            let origin = if is_adopted { Origin::Adopted } else { Origin::Made(file.take()) };
            Bound { origin, socket, backlog }
        };
        let sockets = sockets.into_iter().map(bound).collect();
        Ok(Opened { sockets, from: self.index })
    }
}
