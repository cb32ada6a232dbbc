//! Notifying a service manager of the state of the process (`sd_notify(3)`).
//!
//! For a service with `Type=notify`, systemd waits until it is ready, tracks its reloads, and
//! restarts it if it hangs. With [`Server::set_notifier`](crate::Server::set_notifier), the server
//! sends these messages:
//!
//! - `READY=1` once all threads serve, and `STOPPING=1` when the server begins to drain;
//! - `FDSTORE=1` with the listening sockets, if the service manager [stores](#stored-sockets) them,
//!   and `FDSTOREREMOVE=1` after `STOPPING=1`;
//! - `WATCHDOG=1` several times per `WatchdogSec=`, as long as all threads turn. If a callback
//!   hangs on any of them, the messages stop;
//! - `MAINPID=` when another process [takes over](crate::server::restart).
//!
//! The program sends all other messages.
//!
//! # Stored sockets
//!
//! If systemd sets the variable `FDSTORE` (version 254 and later, with `FileDescriptorStoreMax=` in
//! the unit), the server stores copies of its listening sockets there, except Unix sockets and
//! sockets that systemd itself has opened. If the process crashes and systemd restarts it, it gets
//! these sockets when it [listens](crate::Server::listen) at the same addresses, whatever its
//! number of threads. So clients that connect in between wait instead of being refused. Stored
//! sockets with other addresses are closed.
//!
//! The store is emptied when the server begins to drain, also because a thread has failed: a port
//! that nobody serves any more refuses clients. A restart that somebody asks for is not a crash:
//! use a [hot restart](crate::server::restart) or sockets that systemd [opens](crate::activation).
//! While the server runs, the store also keeps the sockets of a listener that is
//! [closed](crate::Turn::close_listener).
//!
//! `FileDescriptorStoreMax=` must be at least the number of sockets: the number of listeners times
//! that of threads, and more after a crash that changes the number of threads, since no socket is
//! given up. If it is too small, none are stored, and a warning is logged.

use std::env;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::handler::{Context, Handler, Input, Receive, Sessions};
use crate::sys::{Address, Kernel, about, invalid};
use crate::turn::reactor::Reactor;

/// Sends messages to the service manager that started the process. Clones send to the same service
/// manager.
///
/// If a message cannot be sent, the failure is logged, and the service continues.
///
/// ```
/// use sluicegate_reactor::server::notify::Notifier;
///
/// # fn main() -> std::io::Result<()> {
/// if let Some(notifier) = Notifier::from_environment()? {
///     notifier.status("Reading the index");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Notifier {
    socket: Arc<UnixDatagram>,
    /// Where the messages go.
    pub(super) to: SocketAddr,
    /// How often the service manager wants to hear from the process.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The notifier for the service manager that started this process, from the environment
    /// variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. `None` if no service manager
    /// expects messages.
    ///
    /// # Errors
    /// If the variables do not follow `sd_notify(3)` and `sd_watchdog_enabled(3)`, or no socket can
    /// be opened.
    pub fn from_environment() -> io::Result<Option<Notifier>> {
        let Some(to) = env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
        let address = match to.as_bytes() {
            [b'@', name @ ..] => Address::from_abstract_name(name),
            _ => Address::from_path(&to),
        };
        let address = address.map_err(about(format_args!("NOTIFY_SOCKET={}", to.display())))?;
        let Address::Unix(to) = address else { unreachable!("made above") };
        let variable = |name| env::var(name).ok();
        let (period, pid) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        let watchdog = watchdog(std::process::id(), period.as_deref(), pid.as_deref())?;
        let socket = UnixDatagram::unbound()?;
        // A service manager that reads nothing must not hold up a reactor.
        socket.set_nonblocking(true)?;
        Ok(Some(Notifier { socket: Arc::new(socket), to, watchdog }))
    }

    /// Reports that the process is ready, at startup or after a [reload](Notifier::reloading).
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Reports that the process is reloading its configuration. [`ready`](Notifier::ready) must
    /// follow, whether that succeeds or not.
    pub fn reloading(&self) {
        let microseconds = Kernel::Os.monotonic() / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// Reports the status of the process as one line of text for people.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    pub(super) fn main_pid(&self, pid: u32) {
        // The watchdog goes on from the last message, and the next process may take half of the
        // time until its first one.
        self.send(&format!("MAINPID={pid}\nWATCHDOG=1"));
    }

    pub(super) fn send(&self, text: &str) {
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.to) {
            log::warn!("cannot send {text:?} to the service manager: {error}");
        }
    }
}

#[cfg(test)]
impl Notifier {
    /// For a service manager that a test plays.
    pub(super) fn of(manager: &UnixDatagram) -> Notifier {
        let socket = Arc::new(UnixDatagram::unbound().unwrap());
        Notifier { socket, to: manager.local_addr().unwrap(), watchdog: None }
    }
}

/// The period of the watchdog, if it is for this process.
fn watchdog(own: u32, period: Option<&str>, pid: Option<&str>) -> io::Result<Option<Duration>> {
    let Some(period) = period else { return Ok(None) };
    let meant = pid.map(str::parse).transpose();
    if meant
        .map_err(|_| invalid("WATCHDOG_PID is not a number"))?
        .is_some_and(|pid: u32| pid != own)
    {
        return Ok(None);
    }
    match period.parse() {
        Ok(microseconds) if microseconds > 0 => Ok(Some(Duration::from_micros(microseconds))),
        _ => Err(invalid("WATCHDOG_USEC is not a number of microseconds")),
    }
}

/// The threads of a server that have turned since the last message.
pub(super) struct Watch {
    notifier: Notifier,
    period: Duration,
    turned: Box<[AtomicBool]>,
}

impl Watch {
    /// `None` unless the service manager wants messages.
    pub(super) fn new(notifier: &Notifier, threads: usize) -> Option<Arc<Watch>> {
        let turned = (0..threads).map(|_| AtomicBool::new(false)).collect();
        // A thread notices up to a period late what another one has noted. Both together are half
        // of what the service manager allows.
        let period = notifier.watchdog? / 4;
        Some(Arc::new(Watch { notifier: notifier.clone(), period, turned }))
    }

    /// Watches the thread with this index.
    pub(super) fn add(self: &Arc<Watch>, reactor: &mut Reactor, index: usize) {
        let watched = reactor.register(Watched { watch: self.clone(), index });
        reactor.every(self.period, watched, Tick);
    }
}

/// Notes that a thread turns.
struct Watched {
    watch: Arc<Watch>,
    index: usize,
}

#[derive(Clone)]
struct Tick;

impl Receive<Tick> for Watched {
    fn on_message(&mut self, _: &mut Sessions<'_>, _: Tick) {
        let Watch { notifier, turned, .. } = &*self.watch;
        turned[self.index].store(true, Ordering::Relaxed);
        if self.index == 0 && turned.iter().all(|it| it.load(Ordering::Relaxed)) {
            turned.iter().for_each(|it| it.store(false, Ordering::Relaxed));
            notifier.send("WATCHDOG=1");
        }
    }
}

impl Handler for Watched {
    type Session = ();
    fn on_open(&mut self, _: &mut Context<'_>) {}
    fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;
    use crate::{Server, ServerOptions};

    /// Ticks with the period of the watchdog, and blocks while the sender of its channel waits.
    struct Ticking(Sender<Sender<()>>);

    impl Handler for Ticking {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, _: &mut Context<'_>, (): &mut (), _: &mut Input<'_>) {}
    }

    impl Receive<Tick> for Ticking {
        fn on_message(&mut self, _: &mut Sessions<'_>, _: Tick) {
            let (tell, told) = channel();
            if self.0.send(tell).is_ok() {
                // The answer is that the sender is dropped.
                let _ = told.recv();
            }
        }
    }

    #[test]
    fn the_watchdog_ends_while_one_thread_is_stuck() {
        let period = Duration::from_millis(5);
        let directory = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        let notifier = Notifier { watchdog: Some(4 * period), ..Notifier::of(&manager) };
        let mut server = Server::new(&ServerOptions { threads: 2, ..ServerOptions::default() });
        server.set_notifier(&notifier).unwrap();
        let stopper = server.stopper();
        let (ticks, ticked): (Vec<_>, Vec<_>) = (0..2).map(|_| channel()).unzip();
        let run = thread::spawn(move || {
            server.run_with(ticks, |shard, tick| {
                let ticking = shard.register(Ticking(tick));
                shard.every(period, ticking, Tick);
                Ok(())
            })
        });
        let next = || {
            let mut message = [0; 64];
            let length = manager.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap()
        };
        assert_eq!(next(), "READY=1");
        // The second thread is stuck until this is dropped. The first one goes on.
        let stuck = ticked[1].recv().unwrap();
        for _ in 0..20 {
            drop(ticked[0].recv().unwrap());
        }
        manager.set_nonblocking(true).unwrap();
        let said = std::iter::from_fn(|| manager.recv(&mut [0; 64]).ok()).count();
        assert!(said <= 2, "{said} messages, of before and of what was noted before");
        manager.set_nonblocking(false).unwrap();
        drop((stuck, ticked));
        assert_eq!(next(), "WATCHDOG=1");
        stopper.stop().unwrap();
        run.join().unwrap().unwrap();
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names_or_for_any() {
        let second = Some(Duration::from_secs(1));
        for (period, pid, expected) in [
            (None, None, None),
            (None, Some("42"), None),
            (Some("1000000"), None, second),
            (Some("1000000"), Some("42"), second),
            (Some("1000000"), Some("41"), None),
        ] {
            assert_eq!(watchdog(42, period, pid).unwrap(), expected, "{period:?} {pid:?}");
        }
        for (period, pid) in [("0", None), ("-1", None), ("x", Some("42")), ("1", Some("x"))] {
            let error = watchdog(42, Some(period), pid).unwrap_err();
            assert!(error.to_string().starts_with("WATCHDOG_"), "{error}");
        }
    }
}
