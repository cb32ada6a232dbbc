//! The old process of a hot restart: it offers its listeners, and releases them once the new
//! process serves.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::State;
use super::message::{self, Entry, Kind, LARGEST_STATE, Lines, Offer};
use crate::handler::{Context, Handler, Input, Receive, Sessions};
use crate::listen::custody::{Custody, Owner};
use crate::server::notify::Notifier;
use crate::sys::{self, SocketFile};
use crate::threads::stopper::Stopper;

/// How long a new process may take from the offer until it serves: enough to read its files.
pub(super) const START: Duration = Duration::from_secs(30);

/// What a server has for its successor. The handler of its control socket, and the thread of a hot
/// restart, have clones.
#[derive(Clone)]
pub(super) struct Estate {
    pub(super) generation: u64,
    pub(super) listeners: Arc<[(Kind, Custody)]>,
    pub(super) state: Option<State>,
    pub(super) stopper: Stopper,
    pub(super) notifier: Option<Notifier>,
    /// Whether all threads serve, and the predecessor has released its listeners.
    pub(super) has_started: Arc<AtomicBool>,
    /// Whether a new process is starting.
    pub(super) is_offered: Arc<AtomicBool>,
}

/// Accepts the connections of new processes. A thread serves each of them and ends with it: a
/// server with one reactor should not keep a second thread.
pub(super) struct Control {
    estate: Estate,
    /// Each of these threads has a clone.
    serving: Arc<()>,
}

/// The maximum number of processes served at the same time. Further ones are disconnected.
const MOST_SERVED: usize = 8;

impl Control {
    pub(super) fn new(estate: Estate) -> Control {
        Control { estate, serving: Arc::default() }
    }
}

impl Handler for Control {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

impl Receive<OwnedFd> for Control {
    fn on_message(&mut self, _: &mut Sessions<'_>, socket: OwnedFd) {
        if Arc::strong_count(&self.serving) > MOST_SERVED {
            return log::warn!("hot restart: refused a process, because {MOST_SERVED} are waiting");
        }
        let (estate, stream) = (self.estate.clone(), UnixStream::from(socket));
        let serving = self.serving.clone();
        let spawned = thread::Builder::new().name("hot-restart".into()).spawn(move || {
            estate.hand_over(&stream);
            drop(serving);
        });
        if let Err(error) = spawned {
            log::error!("hot restart: cannot start a thread: {error}; this server keeps running");
        }
    }
}

impl Estate {
    fn hand_over(&self, stream: &UnixStream) {
        let pid = sys::peer_process(stream).ok().and_then(|peer| peer.pid);
        let name = pid.map_or("a process".into(), |pid| format!("process {pid}"));
        if let Err(error) = self.try_to_hand_over(stream, &name) {
            message::refuse(stream, &error.to_string());
            return log::warn!("{}", self.failure(&name, &error));
        }
        log::info!("{name} has taken over; generation {} stops", self.generation);
        if let (Some(notifier), Some(pid)) = (&self.notifier, pid) {
            notifier.main_pid(pid);
        }
        // Comes last: if nothing is open, the process ends before this call returns.
        if let Err(error) = self.stopper.retire() {
            log::error!("cannot wake the threads to stop them: {error}");
        }
    }

    fn try_to_hand_over(&self, stream: &UnixStream, name: &str) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(START))?;
        stream.set_write_timeout(Some(START))?;
        message::check_user(stream)?;
        let mut lines = Lines::of(stream);
        message::check_request(&lines.next()?)?;
        if !self.has_started.load(Ordering::Acquire) {
            return refused("this server is still starting");
        }
        // If this panics, the server still has its listeners, and the next process may ask.
        let state = self.state()?;
        if self.is_offered.swap(true, Ordering::AcqRel) {
            return refused("another process is taking over");
        }
        log::info!("{name} is starting to take over");
        let result = self.offer(stream, state).and_then(|()| {
            let ready = lines.next()?;
            let served = message::parse_ready(&ready, self.listeners.len())?;
            // Even if the server is stopping: what it has closed since the offer, it has left.
            served.iter().for_each(|at| self.listeners[*at].1.release());
            let sent = message::send(stream, "released\n", &[]);
            // The new process has just ended.
            sent.inspect_err(|_| served.iter().for_each(|at| self.listeners[*at].1.receive()))
        });
        // What it does not serve belongs to this process again.
        self.listeners.iter().for_each(|(_, custody)| custody.withdraw());
        if result.is_err() {
            self.is_offered.store(false, Ordering::Release);
        }
        result
    }

    /// What the log says if a process has not taken over.
    fn failure(&self, name: &str, error: &io::Error) -> String {
        let outcome = if self.stopper.is_asked() { "" } else { "; this server keeps running" };
        format!("{name} has not taken over: {error}{outcome}")
    }

    fn state(&self) -> io::Result<Vec<u8>> {
        let state = self.state.as_ref().map_or_else(Vec::new, |state| state());
        if state.len() > LARGEST_STATE {
            let text = format!("its state has {} bytes, more than {LARGEST_STATE}", state.len());
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        Ok(state)
    }

    /// Sends all open listeners.
    fn offer(&self, stream: &UnixStream, state: Vec<u8>) -> io::Result<()> {
        let mut entries = Vec::new();
        let mut descriptors = Vec::new();
        for (index, (kind, custody)) in self.listeners.iter().enumerate() {
            custody.with(|own| {
                let sockets = own.copies.iter().flatten().count();
                match (sockets, kind) {
                    (0, Kind::Control) => return refused("this server is stopping"),
                    (0, _) => return Ok(()),
                    _ => own.owner = Owner::Offered,
                }
                let lock = own.file.as_ref().and_then(SocketFile::lock);
                let has_lock = lock.is_some();
                entries.push(Entry { index, sockets, has_lock, kind: kind.clone() });
                // Until they are sent, the server may close its own.
                let all = own.copies.iter().flatten().map(AsFd::as_fd).chain(lock);
                let copy = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned();
                descriptors.extend(all.map(copy).collect::<io::Result<Vec<_>>>()?);
                Ok(())
            })?;
        }
        let offer = Offer { generation: self.generation, listeners: entries, state };
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        message::send(stream, offer.encode(), &descriptors)
    }
}

fn refused<T>(why: &str) -> io::Result<T> {
    Err(io::Error::new(ErrorKind::ResourceBusy, why))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::listen::custody::Sockets;

    /// What a server logs that refuses a process with this request.
    fn refuses(is_stopping: bool, request: &str) -> String {
        let socket = (!is_stopping).then(|| TcpListener::bind("127.0.0.1:0").unwrap().into());
        let owner = Owner::ThisProcess;
        let sockets = Sockets { file: None, copies: vec![socket], owner, adopted: false };
        let estate = Estate {
            generation: 1,
            listeners: [(Kind::Control, Custody::new(sockets))].into(),
            state: None,
            stopper: Stopper::new(1, Duration::ZERO),
            notifier: None,
            has_started: Arc::new(AtomicBool::new(true)),
            is_offered: Arc::default(),
        };
        if is_stopping {
            estate.stopper.stop().unwrap();
        }
        let (new, old) = UnixStream::pair().unwrap();
        message::send(&new, request, &[]).unwrap();
        let error = estate.try_to_hand_over(&old, "process 7").unwrap_err();
        estate.failure("process 7", &error)
    }

    #[test]
    fn a_server_that_refuses_because_it_is_stopping_does_not_say_that_it_keeps_running() {
        let text = refuses(true, &message::request());
        assert_eq!(text, "process 7 has not taken over: this server is stopping");
        let text = refuses(false, "hello\n");
        assert!(text.ends_with("requested the listeners; this server keeps running"), "{text}");
    }
}
