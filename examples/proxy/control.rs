//! Changing and showing the targets while the proxy runs, on signals and after name lookups.

use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use signal_hook::consts::SIGUSR1;
use sluicegate_protocols::upstreams::{Inspect, Replace, Upstream, UpstreamStatus};
use sluicegate_reactor::workers::Workers;
use sluicegate_reactor::{
    Context, Handle, Handler, Input, Mailbox, PostError, Reactor, Receive, Sessions, Target,
    mailbox,
};

use super::balance::Source;
use super::common::print;
use super::common::reload::Read;
use super::common::signals::SignalSource;
use super::target::ProxyTarget;

/// The source of the targets, and their conversion to upstreams.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) source: Source,
    /// How often names are resolved, if each address is a target.
    pub(crate) resolve: Option<Duration>,
}

impl Loader {
    /// The upstreams of targets. A name that cannot be looked up keeps its addresses in `before`.
    pub(crate) fn look_up(&self, targets: &[ProxyTarget], before: &[Upstream]) -> Vec<Upstream> {
        let targets = targets.iter().map(|target| target.target.clone());
        if self.resolve.is_none() {
            return targets.map(Upstream::from).collect();
        }
        targets.flat_map(|target| addresses(target, before)).collect()
    }
}

/// One upstream per address of a target.
fn addresses(name: Target, before: &[Upstream]) -> Vec<Upstream> {
    let Target::Name(host, port) = &name else { return vec![name.into()] };
    match (&**host, *port).to_socket_addrs() {
        Ok(addresses) => addresses
            .map(|address| Upstream { name: name.clone(), address: address.into() })
            .collect(),
        Err(error) => {
            log::warn!("{name}: {error}");
            let known: Vec<_> = before.iter().filter(|it| it.name == name).cloned().collect();
            // Connects look the name up, and may succeed.
            if known.is_empty() { vec![name.into()] } else { known }
        }
    }
}

/// How to reach the balancer of a thread.
pub(crate) struct Thread {
    pub(crate) replace: Handle<Replace>,
    pub(crate) inspect: Handle<Inspect>,
}

/// Keeps the targets of all threads up to date.
pub(crate) struct Control {
    loader: Loader,
    targets: Vec<ProxyTarget>,
    /// Counts how often `targets` was replaced.
    version: u64,
    /// Whether a worker looks these targets up. While a name server does not answer, further
    /// lookups would hold all workers, and new targets would wait behind them.
    is_looking_up: bool,
    upstreams: Vec<Upstream>,
    threads: Vec<Thread>,
    workers: Workers,
    looked_up: Handle<LookedUp>,
}

/// The mailboxes through which a control receives messages from outside of its reactor.
pub(crate) struct Mailboxes {
    targets: Mailbox<Targets>,
    looked_up: Mailbox<LookedUp>,
}

/// The targets have been reloaded.
struct Targets(Vec<ProxyTarget>);

/// It is time to resolve names.
#[derive(Clone)]
struct LookUp;

/// A worker has looked up the targets of this version.
struct LookedUp(u64, Vec<Upstream>);

/// Shows the targets.
struct Report;

impl Control {
    /// Creates the control of these threads, which begin with these upstreams, and what SIGHUP
    /// reads.
    pub(crate) fn new(
        loader: Loader,
        targets: Vec<ProxyTarget>,
        upstreams: Vec<Upstream>,
        threads: Vec<Thread>,
    ) -> ((Control, Mailboxes), Read) {
        let (reload, reloaded) = mailbox();
        let (looked_up, mailbox) = mailbox();
        let source = loader.source.clone();
        let is_encrypted = targets.first().is_some_and(ProxyTarget::is_encrypted);
        let read: Read = Box::new(move || {
            let targets = source.targets()?;
            if targets.iter().any(|target| target.is_encrypted() != is_encrypted) {
                return Err(format!("{source}: a restart is needed to change TLS").into());
            }
            let reload = reload.clone();
            // It is refused only by a reactor that has stopped, or that has too many to handle.
            Ok(Box::new(move || drop(reload.post(Targets(targets)))))
        });
        let control = Control {
            loader,
            targets,
            version: 0,
            is_looking_up: false,
            upstreams,
            threads,
            workers: Workers::new(),
            looked_up,
        };
        ((control, Mailboxes { targets: reloaded, looked_up: mailbox }), read)
    }

    /// Starts to handle signals and to resolve names, on one thread for all of them.
    pub(crate) fn start(self, reactor: &mut Reactor, mailboxes: Mailboxes) -> io::Result<()> {
        let resolve = self.loader.resolve;
        let me = reactor.register(self);
        reactor.attach(mailboxes.targets, me);
        reactor.attach(mailboxes.looked_up, me);
        if let Some(period) = resolve {
            reactor.every(period, me, LookUp);
        }
        let report = reactor.handle(me);
        let signals = SignalSource::register(SIGUSR1)?;
        signals.handle(reactor, move || drop(report.post(Report)))
    }

    /// Resolves the targets, on a worker if that may take time.
    fn look_up(&mut self) {
        let (loader, targets) = (self.loader.clone(), self.targets.clone());
        if loader.resolve.is_none() {
            let upstreams = loader.look_up(&targets, &[]);
            return self.replace(upstreams);
        }
        let (version, before) = (self.version, self.upstreams.clone());
        let look_up = move || LookedUp(version, loader.look_up(&targets, &before));
        let begun = self.workers.run(look_up, &self.looked_up);
        self.is_looking_up =
            begun.inspect_err(|error| log::warn!("cannot look up the targets: {error}")).is_ok();
    }

    /// Gives the upstreams to all threads, if they have changed.
    fn replace(&mut self, upstreams: Vec<Upstream>) {
        if upstreams == self.upstreams {
            return;
        }
        for thread in &self.threads {
            if let Err(PostError::Full(_)) = thread.replace.post(Replace(upstreams.clone())) {
                log::warn!("a thread keeps its old targets: too many messages are waiting for it");
            }
        }
        self.upstreams = upstreams;
    }
}

impl Receive<Targets> for Control {
    fn on_message(&mut self, _: &mut Sessions<'_>, Targets(targets): Targets) {
        self.targets = targets;
        self.version += 1;
        self.look_up();
    }
}

impl Receive<LookUp> for Control {
    fn on_message(&mut self, _: &mut Sessions<'_>, _: LookUp) {
        if !self.is_looking_up {
            self.look_up();
        }
    }
}

impl Receive<LookedUp> for Control {
    fn on_message(&mut self, _: &mut Sessions<'_>, LookedUp(version, upstreams): LookedUp) {
        // A name server may be slow to answer for targets that have been replaced since.
        if version == self.version {
            self.is_looking_up = false;
            self.replace(upstreams);
        }
    }
}

impl Receive<Report> for Control {
    fn on_message(&mut self, _: &mut Sessions<'_>, _: Report) {
        for (number, thread) in self.threads.iter().enumerate() {
            let show = Inspect::new(move |status| {
                // Nobody waits for it: a table that has no reader by the end of the process is lost.
                let _ = print::start(table(number, &status.upstreams));
            });
            // A thread that has stopped has nothing to show.
            let _ = thread.inspect.post(show);
        }
    }
}

/// The targets of a thread as text.
fn table(thread: usize, upstreams: &[UpstreamStatus]) -> String {
    let widths = upstreams.iter().map(|it| it.upstream.to_string().chars().count());
    let width = widths.max().unwrap_or(0).max("target".len());
    let head =
        format!("thread  {:<width$}  state     connecting    open  connected  failed\n", "target");
    let line = |it: &UpstreamStatus| {
        let UpstreamStatus { upstream, state, connecting, open, connected, failed, .. } = it;
        let upstream = upstream.to_string();
        format!(
            "{thread:>6}  {upstream:<width$}  {state:<8}  {connecting:>10}  {open:>6}  \
             {connected:>9}  {failed:>6}\n"
        )
    };
    head + &upstreams.iter().map(line).collect::<String>()
}

/// It has no connections.
impl Handler for Control {
    type Session = ();

    fn on_open(&mut self, _: &mut Context<'_>) {}

    fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
}
