//! Opening the listeners of a server, before its threads start.

use std::error::Error;
use std::io;
use std::mem::take;
use std::os::fd::{AsRawFd, OwnedFd};

use super::restart::{Kind, Offered};
use super::sockets::{self, Bound, Opened, Place};
use super::{Server, ServerListener, Spread};
use crate::core::Target;
use crate::listen::activation::{self, Inherited};
use crate::listen::{self, Listen, Origin};
use crate::sys::{self, Address, Kernel};
use crate::threads::distribute::distribute;

impl Server {
    /// Listens on an address or host name: see [`Turn::listen`](crate::Turn::listen). With port 0,
    /// all threads share the port that the system chooses.
    ///
    /// If another process already listens on the address, this fails, even if that is a
    /// multi-threaded server of the same user, unless this server [takes over](Server::take_over)
    /// from it.
    ///
    /// What [`Listen::share`](crate::Listen::share) divides is divided between the threads: the
    /// maximum numbers of connections and of handshakes, and the rates of accepting, sending and
    /// receiving. A thread that accepts for all of them has the whole rate of accepting.
    /// [`max_per_address`](crate::Listen::max_per_address) applies to each thread.
    ///
    /// # Errors
    /// The same as those of [`Turn::listen`](crate::Turn::listen).
    pub fn listen(
        &mut self,
        at: impl TryInto<Target, Error: Into<Box<dyn Error + Send + Sync>>>,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let count = if self.divides() { self.options.threads } else { 1 };
        let (restart, store) = (&mut self.restart, self.store.as_deref());
        let (opened, kind) = listen::first_bound(at, |address| {
            let inherited = restart.as_mut().and_then(|it| it.take(|found| found.is_at(address)));
            let inherited = inherited.or_else(|| Offered::stored(address, store?.take(address)));
            let kind = match &inherited {
                Some(Offered { kind: Kind::Adopted, .. }) => Kind::Adopted,
                _ if address.port() == Some(0) => Kind::AnyPort,
                _ => Kind::Address,
            };
            let opened = match inherited {
                Some(inherited) => inherited.open(listen, count)?,
                None => sockets::open(address, listen, count)?,
            };
            Ok((opened, kind))
        })
        .inspect_err(|error| {
            if error.kind() == io::ErrorKind::AddrInUse {
                store.iter().for_each(|store| store.on_address_in_use());
            }
        })?;
        self.add(opened, kind, listen)
    }

    /// Accepts connections from a socket that is already listening: see
    /// [`Turn::adopt_listener`](crate::Turn::adopt_listener).
    ///
    /// # Errors
    /// The same as those of [`Turn::adopt_listener`](crate::Turn::adopt_listener).
    pub fn adopt_listener(
        &mut self,
        socket: impl Into<OwnedFd>,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let socket = Kernel::Os.adopt_listener(socket.into(), &listen.tcp)?;
        let bound = Bound { origin: Origin::Adopted, socket: sys::owned(socket), backlog: None };
        self.add(Opened { sockets: vec![bound], from: None }, Kind::Adopted, listen)
    }

    /// Accepts connections from the sockets that a service manager has opened for this process, or
    /// for the one that it [takes over](Server::take_over) from. Returns their names and listeners,
    /// or an empty list if there are no such sockets. See [`activation`].
    ///
    /// Sockets with the same name and address form one listener (`ReusePort=yes` of
    /// `systemd.socket(5)`). If the sockets can be divided evenly, each thread gets the same number
    /// of them. Otherwise the first thread accepts all connections and passes them to the threads
    /// in turn.
    ///
    /// # Errors
    /// Those of [`activation::listeners`] and of
    /// [`Turn::adopt_listener`](crate::Turn::adopt_listener).
    pub fn listen_activated(
        &mut self,
        listen: &Listen,
    ) -> io::Result<Vec<(String, ServerListener)>> {
        let mut all: Vec<(String, Address, Opened)> = Vec::new();
        if let Some(restart) = &mut self.restart {
            while let Some(inherited) = restart.take(|found| found.activated().is_some()) {
                let name = inherited.activated().unwrap_or_default().to_owned();
                let address = inherited.address.clone();
                all.push((name, address, inherited.open(listen, 1)?));
            }
        }
        for Inherited { name, socket } in activation::listeners()? {
            let which = format_args!("socket {name:?} of the service manager");
            let socket =
                Kernel::Os.adopt_listener(socket, &listen.tcp).map_err(sys::about(which))?;
            let bound =
                Bound { origin: Origin::Adopted, socket: sys::owned(socket), backlog: None };
            let address = Kernel::Os.local_address(socket)?;
            match all.iter_mut().find(|(other, at, _)| (other, at) == (&name, &address)) {
                Some((_, _, opened)) => opened.sockets.push(bound),
                None => all.push((name, address, Opened { sockets: vec![bound], from: None })),
            }
        }
        let add = |(name, _, opened): (String, _, _)| {
            let listener = self.add(opened, Kind::Activated(name.clone()), listen)?;
            Ok((name, listener))
        };
        all.into_iter().map(add).collect()
    }

    /// Whether the kernel divides connections between the sockets at one address.
    fn divides(&self) -> bool {
        sys::DIVIDES && self.options.spread == Spread::Divided
    }

    /// Adds a listener. Each thread gets the same number of sockets, or the first thread has them
    /// all and passes connections on.
    fn add(
        &mut self,
        mut opened: Opened,
        kind: Kind,
        listen: &Listen,
    ) -> io::Result<ServerListener> {
        let address = Kernel::Os.local_address(opened.sockets[0].socket.as_raw_fd())?;
        if let Some(store) = &self.store
            && !address.is_unix()
            && !matches!(kind, Kind::Activated(_))
        {
            store.add(&mut opened.sockets)?;
        }
        if let Some(restart) = &mut self.restart {
            restart.share(&mut opened, kind)?;
        }
        let (sockets, threads) = (opened.sockets, self.options.threads);
        let is_divided = threads == 1 || self.divides() && sockets.len().is_multiple_of(threads);
        let new: Vec<_> = if is_divided {
            let mut own: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
            let places = (0..threads).cycle();
            sockets.into_iter().zip(places).for_each(|(socket, at)| own[at].push((socket, None)));
            own.into_iter().map(|sockets| Place { sockets, passed: None }).collect()
        } else {
            let (distributor, mailboxes) = distribute(threads);
            let with_distributor = |socket| (socket, Some(distributor.clone()));
            let mut first: Vec<_> = sockets.into_iter().map(with_distributor).collect();
            let place = |mailbox| Place { sockets: take(&mut first), passed: Some(mailbox) };
            mailboxes.into_iter().map(place).collect()
        };
        self.shares.iter_mut().zip(new).for_each(|(share, place)| share.places.push(Some(place)));
        self.listeners.push((address.clone(), listen.clone()));
        Ok(ServerListener { index: self.listeners.len() - 1, address })
    }
}
