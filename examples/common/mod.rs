//! What the examples share: the options of a server, and how it starts and ends.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Parser, value_parser};
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;
use sluicegate_reactor::{Address, Handler, HandlerId, LedgerReader, Listen, ServerOptions, Shard};

/// The options of every example.
#[derive(Parser)]
pub(crate) struct Server {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) bind: IpAddr,
    /// Port to listen on; 0 picks a free port.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Also listen on a Unix socket at this path, for processes of the same user.
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,
    /// Number of threads.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    pub(crate) threads: u16,
    /// Seconds that connections get to finish after SIGINT or SIGTERM.
    #[arg(long, value_name = "SECS", default_value_t = 30)]
    pub(crate) drain: u64,
    /// Print counters on SIGUSR1 and at exit.
    #[arg(long)]
    pub(crate) stats: bool,
}

impl Server {
    /// Listens, prints the address, and serves until SIGINT or SIGTERM. `make` creates the handler
    /// of each thread from one of `parts`, one for each thread.
    pub(crate) fn run_with<H: Handler, P: Send>(
        &self,
        parts: Vec<P>,
        listen: &Listen,
        describe: impl FnOnce(&Address) -> String,
        make: impl Fn(&mut Shard<'_>, P) -> io::Result<HandlerId<H>> + Sync,
    ) -> Result<(), Failure> {
        let options = ServerOptions { threads: self.threads.into(), ..ServerOptions::default() };
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
        writeln!(io::stdout(), "{}", describe(listeners[0].address()))
            .map_err(|error| format!("standard output: {error}"))?;
        server.run_with(parts, |shard, part| {
            shard.set_drain(Duration::from_secs(self.drain));
            let handler = make(shard, part)?;
            listeners.iter().try_for_each(|listener| shard.serve(listener, handler).map(drop))
        })?;
        reader.iter().for_each(report);
        Ok(())
    }
}

/// How long to wait for the counters of a thread. A thread whose callback runs longer is considered
/// stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the counters. If standard output has no reader, they are lost.
fn report(reader: &LedgerReader) {
    match reader.snapshot(PATIENCE) {
        Some(snapshot) => drop(writeln!(io::stdout(), "{snapshot}")),
        None => log::warn!("no counters: a thread has not answered for {} s", PATIENCE.as_secs()),
    }
}

/// Prints the counters on each SIGUSR1.
fn report_on_signal(reader: LedgerReader) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1])?;
    let report_each = move || signals.forever().for_each(|_| report(&reader));
    thread::Builder::new().name("stats".into()).spawn(report_each).map(drop)
}

/// Why a program ends: one line for the user.
pub(crate) struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Parses the options and runs a program. A failure prints one line and exits with code 1.
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
