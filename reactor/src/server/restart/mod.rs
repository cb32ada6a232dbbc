//! Hot restart: a new process takes over the listening sockets of the running one without losing a
//! connection.
//!
//! A server that has a control socket ([`Server::take_over`](crate::Server::take_over)) passes its
//! listeners to the next process that starts with the same control socket, such as a new version of
//! the program, or the same version with different options:
//!
//! 1. The new process connects to the control socket and gets all listening sockets (`SCM_RIGHTS` of
//!    `unix(7)`).
//! 2. It starts up normally: it reads its files, listens, and starts its threads. A listener at an
//!    address of the old process gets the sockets of that process. For some time, both processes
//!    accept connections.
//! 3. When all threads serve, it notifies the old process, which closes its own descriptors and
//!    drains as if it had been asked to stop. The sockets stay open throughout, so no connection in
//!    a backlog is reset.
//!
//! If the new process fails before that, or takes more than 30 seconds, the old one logs the reason
//! and keeps serving. If the old process ends or is stopped in the meantime, the new one continues,
//! because it has the sockets, and the files of Unix sockets are kept.
//!
//! Only the server's own user can open the file of the control socket. Each process also checks
//! that the other one belongs to the same user or to root. So root cannot take over from a process
//! of another user. A stale socket file is replaced.
//!
//! # What may differ
//!
//! The options of the new process apply, including the backlog, TCP options and permissions of
//! listeners that it has taken over. An option that is `None` leaves what the old process has set.
//! Whether a listener at `::` also takes IPv4 clients cannot change: the new process fails if that
//! would differ. Sockets that were [adopted](crate::Server::adopt_listener) keep the backlog that
//! their opener has chosen, and still listen wherever else they are open when the last server ends.
//!
//! It may have different listeners: those that only the old process has are closed when that process
//! stops.
//!
//! It may have a different number of threads. If the kernel divides connections between sockets at
//! one address ([`Spread::Divided`](crate::Spread::Divided)), the new process keeps all sockets of
//! the old one, because closing one would reset the connections in its backlog. Each thread must
//! serve the same number of sockets, so the new process may open additional ones. An additional
//! socket gets connections as soon as its thread [serves](crate::Shard::serve) it. If another
//! thread fails to start after that, the connections in the backlog of that socket are reset. On
//! FreeBSD, sockets cannot be added to one that was opened alone, so a server of one thread cannot
//! be followed by one of several.
//!
//! # State
//!
//! The old process can pass up to 64 KiB of state to the new one along with the sockets
//! ([`Server::hand_over_state`](crate::Server::hand_over_state)). It may be secret, such as the keys
//! with which TLS clients resume their sessions: it only passes through the connection between the
//! two processes, and is never logged.
//!
//! # What is not passed on
//!
//! Established connections stay with the old process until they end, or until its [grace
//! period](crate::Reactor::set_drain) is over.
//!
//! If a client sends a request on an idle connection just when the old process closes it, the
//! client has to repeat the request on a new connection, as HTTP clients do (RFC 9112, section
//! 9.3.1).
//!
//! # Generations
//!
//! The first server has [generation](crate::Server::generation) 1. A server that takes over has the
//! generation of its predecessor plus one.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::notify::Notifier;
use super::sockets::{Bound, Opened, open};
use crate::listen::custody::{Custody, Hold, Owner, Sockets};
use crate::listen::{Listen, Origin};
use crate::sys::Address;
use crate::threads::distribute::distribute;
use crate::threads::stopper::Stopper;
use crate::turn::reactor::Reactor;

mod give;
mod message;
mod take;

use give::{Control, Estate};
pub(super) use message::Kind;
pub(super) use take::Offered;
use take::Predecessor;

/// Returns the state of a server for its successor.
pub(super) type State = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// What a server has from its predecessor, and has for its successor.
pub(super) struct Restart {
    pub(super) generation: u64,
    /// The state of the predecessor, until it is taken.
    pub(super) state: Option<Vec<u8>>,
    /// Listeners of the predecessor that this server does not serve, or not yet.
    inherited: Vec<Offered>,
    /// The indexes of those that it serves.
    served: Vec<usize>,
    /// Until it has released its listeners.
    predecessor: Mutex<Option<Predecessor>>,
    /// The listeners of this server, the control socket first.
    listeners: Vec<(Kind, Custody)>,
    /// Whether a successor may ask.
    has_started: Arc<AtomicBool>,
}

impl Restart {
    /// Takes over from the process that listens at a control socket, if there is one. Returns the
    /// control socket too.
    pub(super) fn begin(path: &Path) -> io::Result<(Restart, Bound)> {
        let predecessor = Predecessor::connect(path)?;
        let asked = predecessor.map(|it| it.ask().map(|offer| (it, offer))).transpose();
        let (asked, mut ended) = match asked {
            Err(error) if take::has_ended(&error) => (None, Some(error)),
            asked => (asked?, None),
        };
        let (predecessor, offer) = asked.unzip();
        let (last, inherited, state) = offer.unwrap_or_default();
        let mut restart = Restart {
            generation: last.saturating_add(1),
            state: Some(state).filter(|state| !state.is_empty()),
            inherited,
            served: Vec::new(),
            predecessor: Mutex::new(predecessor),
            listeners: Vec::new(),
            has_started: Arc::default(),
        };
        let listen = Listen { backlog: 8, unix_mode: 0o600, ..Listen::default() };
        let mut bound = match restart.take(|it| it.kind == Kind::Control) {
            Some(control) => control.open(&listen, 1)?,
            // If the last process is still there, this fails.
            None => open(&Address::from_path(path)?, &listen, 1)
                .map_err(|error| ended.take().unwrap_or(error))?,
        };
        if let Some(error) = ended {
            let path = path.display();
            log::warn!("{path}: the last process ended before it offered its listeners: {error}");
        }
        restart.share(&mut bound, Kind::Control)?;
        Ok((restart, bound.sockets.remove(0)))
    }

    /// Takes a listener of the predecessor.
    pub(super) fn take(&mut self, suits: impl FnMut(&Offered) -> bool) -> Option<Offered> {
        let at = self.inherited.iter().position(suits)?;
        Some(self.inherited.remove(at))
    }

    /// Notes a listener, and keeps copies of its sockets for a successor.
    pub(super) fn share(&mut self, opened: &mut Opened, kind: Kind) -> io::Result<()> {
        let copy = |bound: &Bound| bound.socket.try_clone().map(Some);
        let copies = opened.sockets.iter().map(copy).collect::<io::Result<_>>()?;
        let file = opened.sockets.iter_mut().find_map(|bound| match &mut bound.origin {
            Origin::Made(file) => file.take(),
            Origin::Adopted | Origin::InCustody(_) => None,
        });
        let owner = opened.from.map_or(Owner::ThisProcess, |_| Owner::AnotherProcess);
        let adopted = opened.sockets.iter().any(|bound| matches!(bound.origin, Origin::Adopted));
        let custody = Custody::new(Sockets { file, copies, owner, adopted });
        for (copy, bound) in opened.sockets.iter_mut().enumerate() {
            bound.origin = Origin::InCustody(Hold { custody: custody.clone(), copy });
        }
        self.served.extend(opened.from);
        self.listeners.push((kind, custody));
        Ok(())
    }

    /// Serves the control socket on a reactor.
    pub(super) fn serve(
        &self,
        control: Bound,
        reactor: &mut Reactor,
        stopper: &Stopper,
        notifier: Option<&Notifier>,
        state: Option<State>,
    ) -> io::Result<()> {
        let estate = Estate {
            generation: self.generation,
            listeners: self.listeners.clone().into(),
            state,
            stopper: stopper.clone(),
            notifier: notifier.cloned(),
            has_started: self.has_started.clone(),
            is_offered: Arc::default(),
        };
        let (distributor, mailboxes) = distribute(1);
        let handler = reactor.register(Control::new(estate));
        mailboxes.into_iter().for_each(|mailbox| reactor.attach(mailbox, handler));
        let source = control.source(Some(distributor))?;
        let id = reactor.add_listener(source, &Listen::default(), handler, None)?;
        // Its connections are none of the service: they must not appear in the statistics.
        reactor.core.groups[usize::from(id.group)].address = None;
        Ok(())
    }

    /// Tells the predecessor, if there is one, to release its listeners: all threads serve.
    pub(super) fn finish(&self) -> io::Result<()> {
        let predecessor = self.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(predecessor) = predecessor {
            let name = predecessor.name.clone();
            predecessor.finish(&self.served)?;
            self.listeners.iter().for_each(|(_, custody)| custody.receive());
            let (generation, count) = (self.generation, self.served.len());
            log::info!("generation {generation} has taken over {count} listeners from {name}");
        }
        self.has_started.store(true, Ordering::Release);
        Ok(())
    }

    /// Tells the predecessor that this server has failed, if it was still to take over.
    pub(super) fn give_up(&self) {
        drop(self.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Closes the listeners of the predecessor that this server does not serve. The predecessor
    /// still has them open.
    pub(super) fn close_unserved(&mut self) {
        self.inherited.clear();
    }

    /// Whether a successor has taken over.
    pub(super) fn is_over(&self) -> impl Fn() -> bool + use<> {
        let control = self.listeners[0].1.clone();
        move || control.is_elsewhere()
    }
}

#[cfg(test)]
mod tests;
