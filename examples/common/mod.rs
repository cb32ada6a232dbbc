//! What the examples have in common: where to listen, and how to end.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;
use sluicegate_reactor::{Address, Handler, HandlerId, LedgerReader, Listen, ServerOptions, Shard};

/// Where a server listens, and with how many threads.
#[derive(Parser)]
pub(crate) struct Server {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) bind: IpAddr,
    /// Port to listen on; 0 takes any free one and prints it.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Listen on a Unix socket at this path as well, for this user's processes.
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,
    /// Number of threads.
    #[arg(long, value_name = "N", default_value_t = NonZero::<usize>::MIN)]
    pub(crate) threads: NonZero<usize>,
    /// Seconds that connections get to end, after SIGINT or SIGTERM.
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    pub(crate) drain: u64,
    /// Print what was done, in numbers, at SIGUSR1 and at the end.
    #[arg(long)]
    pub(crate) stats: bool,
}

impl Server {
    /// Listens, prints where, and serves until SIGINT or SIGTERM. `make` gives each thread its
    /// handler, from one of the parts, of which there are as many.
    pub(crate) fn run_with<H: Handler, P: Send>(
        &self,
        parts: Vec<P>,
        listen: &Listen,
        describe: impl FnOnce(&Address) -> String,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<HandlerId<H>> + Sync,
    ) -> Result<(), Failure> {
        let threads = self.threads.get();
        let options = ServerOptions { threads, ..ServerOptions::default() };
        let mut server = sluicegate_reactor::Server::new(&options);
        let mut listeners = vec![server.listen((self.bind, self.port), listen)?];
        if let Some(path) = &self.unix {
            listeners.push(server.listen(&Address::from_path(path)?, listen)?);
        }
        server.stop_on_signals()?;
        let reader = self.stats.then(|| server.ledger_reader());
        if let Some(reader) = reader.clone() {
            report_on_signal(reader)?;
        }
        writeln!(io::stdout(), "{}", describe(listeners[0].address()))?;
        server.run_with(parts, |shard, part| {
            shard.set_drain(Duration::from_secs(self.drain));
            let handler = make(shard, part)?;
            listeners.iter().try_for_each(|listener| shard.serve(listener, handler).map(drop))
        })?;
        reader.iter().for_each(report);
        Ok(())
    }
}

/// How long a thread may take to say what it has done: one with a longer callback is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints what was done so far, if anybody reads it.
fn report(reader: &LedgerReader) {
    match reader.snapshot(PATIENCE) {
        Some(snapshot) => drop(writeln!(io::stdout(), "{snapshot}")),
        None => log::warn!("no statistics: a thread does not answer"),
    }
}

/// Does so at each SIGUSR1.
fn report_on_signal(reader: LedgerReader) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1])?;
    let report_each = move || signals.forever().for_each(|_| report(&reader));
    thread::Builder::new().name("stats".into()).spawn(report_each).map(drop)
}

/// What ends a program: one line for a person.
pub(crate) struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs a program with its options; a failure is one line and exit code 1.
pub(crate) fn main<O: Parser>(run: impl FnOnce(O) -> Result<(), Failure>) -> ExitCode {
    let options = O::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
