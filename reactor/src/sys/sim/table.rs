//! The descriptors of a simulated machine: their numbers, objects and registrations.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::pipes::End;
use super::{Address, Fd, Inode, Listener};

/// The lowest number. 0, 1 and 2 are taken, as in every process.
const FIRST: Fd = 3;

/// The number of open descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenDescriptors {
    /// Listening sockets.
    pub listeners: usize,
    /// Connections that were accepted.
    pub streams: usize,
    /// Files and directories.
    pub files: usize,
    /// Ends of pipes.
    pub pipes: usize,
}

pub(super) enum Object {
    Listener(Listener),
    /// An index into the streams of the world.
    Stream(usize),
    File(Inode),
    /// A directory opened with `O_PATH`. Files can be created in it, but it cannot be synced.
    PathOnly(Inode),
    /// An index into the pipes of the world, and which end it is.
    Pipe(usize, End),
}

/// A registration with a selector.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    pub(super) selector: usize,
    pub(super) token: u64,
}

pub(super) struct Table {
    open: BTreeMap<Fd, (Object, Option<Watch>)>,
    /// The free numbers below `next`.
    free: BTreeSet<Fd>,
    next: Fd,
    pub(super) limit: usize,
    pub(super) watch_limit: usize,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            open: BTreeMap::new(),
            free: BTreeSet::new(),
            next: FIRST,
            limit: usize::MAX,
            watch_limit: usize::MAX,
        }
    }

    pub(super) fn check_limit(&self) -> io::Result<()> {
        if self.open.len() >= self.limit {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        Ok(())
    }

    pub(super) fn check_watch_limit(&self) -> io::Result<()> {
        if self.open.values().filter(|(_, watch)| watch.is_some()).count() >= self.watch_limit {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, object: Object) -> io::Result<Fd> {
        self.check_limit()?;
        // The lowest free number, as on Unix: a late event or a stale number meets another
        // descriptor.
        let fd = self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.open.insert(fd, (object, None));
        Ok(fd)
    }

    pub(super) fn remove(&mut self, fd: Fd) -> Option<(Object, Option<Watch>)> {
        let removed = self.open.remove(&fd)?;
        self.free.insert(fd);
        Some(removed)
    }

    pub(super) fn object(&self, fd: Fd) -> Option<&Object> {
        self.open.get(&fd).map(|(object, _)| object)
    }

    pub(super) fn watch(&self, fd: Fd) -> Option<Watch> {
        self.open.get(&fd).and_then(|(_, watch)| *watch)
    }

    /// The descriptor that was registered with a token.
    pub(super) fn registered_as(&self, token: u64) -> Option<Fd> {
        let mut open = self.open.iter();
        open.find(|(_, (_, watch))| watch.is_some_and(|w| w.token == token)).map(|(fd, _)| *fd)
    }

    /// Registers a descriptor. `false` if it is already registered, `None` if it is not open.
    pub(super) fn register(&mut self, fd: Fd, new: Watch) -> Option<bool> {
        let (_, watch) = self.open.get_mut(&fd)?;
        let first = watch.is_none();
        watch.get_or_insert(new);
        Some(first)
    }

    /// Ends a registration, if there is one, and returns its selector.
    pub(super) fn unregister(&mut self, fd: Fd) -> Option<Watch> {
        self.open.get_mut(&fd).and_then(|(_, watch)| watch.take())
    }

    /// # Panics
    /// If the descriptor is not a listener.
    pub(super) fn listener(&mut self, fd: Fd) -> &mut Listener {
        match self.open.get_mut(&fd) {
            Some((Object::Listener(listener), _)) => listener,
            _ => panic!("descriptor {fd} is not a listener"),
        }
    }

    /// The listener that a client reaches when it connects to `address`.
    pub(super) fn listener_at(&mut self, address: &Address) -> Option<(Fd, &mut Listener)> {
        self.open.iter_mut().find_map(|(fd, (object, _))| match object {
            Object::Listener(listener) if listener.is_reached_by(address) => Some((*fd, listener)),
            _ => None,
        })
    }

    pub(super) fn listens_on(&self, address: &Address) -> bool {
        let mut objects = self.open.values().map(|(object, _)| object);
        objects.any(|object| matches!(object, Object::Listener(l) if l.address == *address))
    }

    pub(super) fn count(&self) -> OpenDescriptors {
        let mut count = OpenDescriptors::default();
        for (object, _) in self.open.values() {
            match object {
                Object::Listener(_) => count.listeners += 1,
                Object::Stream(_) => count.streams += 1,
                Object::File(_) | Object::PathOnly(_) => count.files += 1,
                Object::Pipe(..) => count.pipes += 1,
            }
        }
        count
    }
}
