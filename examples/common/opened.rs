//! Serving: the threads of a server, its signals, and what it prints.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use sluicegate_protocols::ops::{Phase, StatusPart};
use sluicegate_reactor::server::notify::Notifier;
use sluicegate_reactor::{
    Address, Handle, Handler, HandlerId, LedgerReader, Limits, Mailbox, ServerListener, Shard,
    mailbox,
};

use super::connections::{Given, Limited};
use super::print::print;
use super::signals::SignalSource;
use super::tls::Certificates;
use super::{Extra, Failure, Server, reload, restart, status};

/// A server whose listeners are open. The process has given up the rights that this needed.
pub(crate) struct Opened<'a> {
    pub(super) options: &'a Server,
    pub(super) server: sluicegate_reactor::Server,
    pub(super) notifier: Option<Notifier>,
    pub(super) certificates: Option<Certificates>,
    /// The default limits of the listeners.
    pub(super) limits: Limits,
    pub(super) listeners: Vec<ServerListener>,
    pub(super) web: Option<ServerListener>,
    pub(super) status: Option<ServerListener>,
}

/// The action on a signal.
type Action = Box<dyn FnMut() + Send>;

/// What one thread starts with.
struct Start<P> {
    part: P,
    /// Limits that were reloaded.
    given: Mailbox<Given>,
    status: Option<StatusPart>,
    signals: Vec<(SignalSource, Action)>,
}

impl Opened<'_> {
    /// Serves until SIGINT or SIGTERM. `make` creates the handler of each thread from one of
    /// `parts`, one for each thread, and itself serves [`web`](Server::web) if it is set. Once all
    /// threads have a handler, the server is ready, and the addresses are printed. On SIGHUP, the
    /// certificates, the limits and the parts in [`reload`](Server::reload) are reloaded.
    pub(crate) fn run_with<H: Handler, P: Send>(
        mut self,
        parts: Vec<P>,
        describe: impl Fn(&Address) -> String + Sync,
        make: impl Fn(&mut Shard<'_>, P, Extra<'_>) -> io::Result<HandlerId<H>> + Sync,
    ) -> Result<(), Failure> {
        self.server.stop_on_signals()?;
        // By default, these signals end the process. Nothing reads the flag.
        for signal in [SIGHUP, SIGUSR1, SIGUSR2] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
        let reader = self.options.stats.then(|| self.server.ledger_reader());
        if let Some(reader) = reader.clone() {
            report_on_signal(reader)?;
        }
        let threads = 0..self.options.threads;
        let (handles, mailboxes): (Vec<_>, Vec<_>) = threads.map(|_| mailbox()).unzip();
        let mut signals = self.signals(handles)?;
        let Opened { options, server, certificates, limits, listeners, web, status, .. } = self;
        let statuses =
            options.status.parts(options.threads, server.generation(), certificates.as_ref());
        let parts = parts.into_iter().zip(mailboxes).zip(statuses);
        let parts = parts.map(|((part, given), status)| {
            // The first thread handles all signals.
            Start { part, given, status, signals: std::mem::take(&mut signals) }
        });
        let unready = AtomicU16::new(options.threads);
        let more = [web.as_ref(), status.as_ref()];
        server.run_with(parts.collect(), |shard, start: Start<P>| {
            options.set_up(shard);
            let metrics = status::serve(shard, start.status, status.as_ref())?;
            let mut limited = Limited::new(options.threads);
            let handler = make(shard, start.part, (web.as_ref(), metrics, &mut limited))?;
            for listener in &listeners {
                limited.add(shard.serve(listener, handler)?, &limits);
            }
            if options.connections.file().is_some() {
                let limited = shard.register(limited);
                shard.attach(start.given, limited);
            }
            for (signals, action) in start.signals {
                signals.handle(shard, action)?;
            }
            match unready.fetch_sub(1, Ordering::Relaxed) {
                1 => {
                    options.status.readiness.set_phase(Phase::Ready);
                    let scheme = if options.tls.is_on() { "https" } else { "http" };
                    let own = certificates.as_ref().and_then(Certificates::fingerprint);
                    announce(&listeners, &describe, scheme, more, own)
                }
                _ => Ok(()),
            }
        })?;
        reader.iter().for_each(report);
        Ok(())
    }

    /// The signals that this process handles, and the actions on them.
    fn signals(&mut self, threads: Vec<Handle<Given>>) -> io::Result<Vec<(SignalSource, Action)>> {
        let mut signals: Vec<(_, Action)> = Vec::new();
        let certificates = self.certificates.clone();
        let certificates = certificates.map(|it| -> reload::Read { Box::new(move || it.reload()) });
        let limits = self.options.connections.reload(threads, &self.limits);
        let mut parts: Vec<_> = certificates.into_iter().chain(limits).collect();
        parts.append(&mut self.options.reload.lock().unwrap_or_else(PoisonError::into_inner));
        let notifier = self.notifier.take();
        if !parts.is_empty() || notifier.is_some() {
            let action = move || {
                notifier.iter().for_each(Notifier::reloading);
                reload::reload(&mut parts);
                notifier.iter().for_each(Notifier::ready);
            };
            signals.push((SignalSource::register(SIGHUP)?, Box::new(action)));
        }
        if self.options.control.is_some() {
            let action: Action = match self.options.privileges.is_confined() {
                true => Box::new(restart::refuse),
                false => Box::new(restart::start_again),
            };
            signals.push((SignalSource::register(SIGUSR2)?, action));
        }
        Ok(signals)
    }
}

/// Prints the addresses other than Unix sockets, and the fingerprint of a certificate that was made
/// for this process.
fn announce(
    listeners: &[ServerListener],
    describe: impl Fn(&Address) -> String,
    scheme: &str,
    [web, status]: [Option<&ServerListener>; 2],
    own: Option<String>,
) -> io::Result<()> {
    let addresses = listeners.iter().map(ServerListener::address);
    let addresses = addresses.filter(|address| !address.is_unix()).map(describe);
    let web = web.map(|web| format!("page on {scheme}://{}/", web.address()));
    let status = status.map(|status| match status.address() {
        at if at.is_unix() => format!("status on {at}"),
        at => format!("status on http://{at}/"),
    });
    let own = own.map(|it| format!("certificate with SHA-256 fingerprint {it}"));
    // In one write: whoever starts this process may read the first line only.
    let lines = addresses.chain(web).chain(status).chain(own);
    let lines: String = lines.map(|line| line + "\n").collect();
    match print(lines) {
        // Whoever reads the first line only may have left: it has read that of the process before a
        // restart.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// How long to wait for the counters of a thread. A thread whose callback runs longer is considered
/// stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the counters, unless standard output has no reader for a second: then they wait, and may
/// be lost.
fn report(reader: &LedgerReader) {
    match reader.snapshot(PATIENCE) {
        Some(snapshot) => drop(print(format!("{snapshot}\n"))),
        None => log::warn!("no counters: a thread has not answered for {} s", PATIENCE.as_secs()),
    }
}

/// Prints the counters on each SIGUSR1.
fn report_on_signal(reader: LedgerReader) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1])?;
    let report_each = move || signals.forever().for_each(|_| report(&reader));
    thread::Builder::new().name("stats".into()).spawn(report_each).map(drop)
}
