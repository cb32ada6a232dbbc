//! The listening sockets of a server in the store of a service manager: see
//! [`notify`](super::notify#stored-sockets).

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::notify::Notifier;
use super::sockets::Bound;
use crate::listen::Origin;
use crate::listen::activation::{self, STORED};
use crate::sys::{self, Address, Kernel, invalid};

/// The store of a service manager.
pub(super) struct Store {
    notifier: Notifier,
    /// Connected to the service manager. It is opened early: a sandbox may forbid that later.
    socket: UnixDatagram,
    /// The maximum number of descriptors in the store.
    most: usize,
    /// What the last process has stored, until a listener has it.
    found: Mutex<Vec<OwnedFd>>,
    /// Whether that was anything.
    was_filled: bool,
    /// Copies of the sockets of this process, until they are stored. `None` once it stops.
    copies: Mutex<Option<Vec<OwnedFd>>>,
}

impl Store {
    /// The store of a service manager, from the environment variable `FDSTORE`. `None` if it stores
    /// nothing.
    pub(super) fn from_environment(notifier: &Notifier) -> io::Result<Option<Store>> {
        let Ok(most) = env::var("FDSTORE") else { return Ok(None) };
        let wrong = |_| invalid("FDSTORE is not a number of descriptors");
        Store::new(notifier, most.parse().map_err(wrong)?, activation::stored()?).map(Some)
    }

    fn new(notifier: &Notifier, most: usize, found: Vec<OwnedFd>) -> io::Result<Store> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&notifier.to)?;
        socket.set_nonblocking(true)?;
        let (was_filled, found) = (!found.is_empty(), Mutex::new(found));
        let copies = Mutex::new(Some(Vec::new()));
        Ok(Store { notifier: notifier.clone(), socket, most, found, was_filled, copies })
    }

    /// Takes the sockets at an address that were stored.
    pub(super) fn take(&self, address: &Address) -> Vec<OwnedFd> {
        let is_there = |socket: &mut OwnedFd| {
            Kernel::Os.local_address(socket.as_raw_fd()).is_ok_and(|found| found == *address)
        };
        lock(&self.found).extract_if(.., is_there).collect()
    }

    /// An address is in use, perhaps by a socket in the store. Then the next start succeeds.
    pub(super) fn on_address_in_use(&self) {
        if self.was_filled {
            self.empty();
        }
    }

    /// Closes the sockets that no listener has taken.
    pub(super) fn close_unserved(&self) {
        lock(&self.found).clear();
    }

    /// Has the sockets of a listener stored once all threads serve, unless the service manager has
    /// opened them.
    pub(super) fn add(&self, sockets: &mut [Bound]) -> io::Result<()> {
        let made = sockets.iter_mut().filter(|bound| matches!(bound.origin, Origin::Made(_)));
        for bound in made {
            let copy = bound.socket.try_clone()?;
            if let Some(copies) = lock(&self.copies).as_mut() {
                copies.push(copy);
            }
            // The service manager will have it open, too.
            bound.origin = Origin::Adopted;
        }
        Ok(())
    }

    /// Stores the sockets instead of those that were stored before, and closes the copies.
    pub(super) fn fill(&self) {
        // Until the end of this, so that nothing is stored after the store is emptied for good.
        let mut copies = lock(&self.copies);
        let Some(sockets) = copies.as_mut().map(std::mem::take) else { return };
        self.empty();
        let (count, most) = (sockets.len(), self.most);
        if count > most {
            return log::warn!("{count} sockets are not stored: FileDescriptorStoreMax= is {most}");
        }
        let text = format!("FDSTORE=1\nFDNAME={STORED}");
        for sockets in sockets.chunks(sys::MOST_RIGHTS) {
            let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            if let Err(error) = sys::send_with_rights(&self.socket, text.as_bytes(), &sockets) {
                log::warn!("cannot store sockets with the service manager: {error}");
            }
        }
    }

    /// Closes the copies. Nothing is stored from now on.
    pub(super) fn close(&self) {
        lock(&self.copies).take();
    }

    /// Removes all sockets from the store.
    pub(super) fn empty(&self) {
        self.notifier.send(&format!("FDSTOREREMOVE=1\nFDNAME={STORED}"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// What the service manager has heard after `act` with a store that is to get a socket.
    fn heard(found: Vec<OwnedFd>, act: impl FnOnce(&Store)) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let store = Store::new(&Notifier::of(&manager), 1, found).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = Bound { origin: Origin::Made(None), socket: listener.into(), backlog: None };
        let mut sockets = [bound];
        store.add(&mut sockets).unwrap();
        assert!(matches!(sockets[0].origin, Origin::Adopted), "it would be shut down with ours");
        drop(sockets);
        act(&store);
        let next = || {
            let mut message = [0; 64];
            let length = manager.recv(&mut message).ok()?;
            Some(String::from_utf8(message[..length].to_vec()).unwrap())
        };
        std::iter::from_fn(next).collect()
    }

    const REMOVED: &str = "FDSTOREREMOVE=1\nFDNAME=sluicegate-stored";
    const STORES: &str = "FDSTORE=1\nFDNAME=sluicegate-stored";

    #[test]
    fn sockets_replace_those_that_were_stored() {
        assert_eq!(heard(Vec::new(), Store::fill), [REMOVED, STORES]);
    }

    #[test]
    fn nothing_is_stored_by_a_server_that_stops_before_all_its_threads_serve() {
        let messages = heard(Vec::new(), |store| {
            store.close();
            store.fill();
        });
        assert!(messages.is_empty(), "{messages:?}");
    }

    #[test]
    fn a_server_that_stops_closes_its_copies() {
        heard(Vec::new(), |store| {
            let copy = lock(&store.copies).as_ref().unwrap()[0].as_raw_fd();
            let address = Kernel::Os.local_address(copy).unwrap();
            let Address::Ip(address) = address else { panic!("not a socket of TCP") };
            TcpStream::connect(address).unwrap();
            store.close();
            assert_eq!(
                TcpStream::connect(address).unwrap_err().kind(),
                ErrorKind::ConnectionRefused
            );
        });
    }

    #[test]
    fn an_address_in_use_empties_only_a_store_with_sockets() {
        assert!(heard(Vec::new(), Store::on_address_in_use).is_empty());
        let found = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(heard(vec![found.into()], Store::on_address_in_use), [REMOVED]);
    }
}
