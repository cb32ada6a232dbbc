//! What the examples have in common: where to listen, and how to end.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sluicegate_reactor::{Address, Handler, HandlerId, Listen, Reactor, ServerOptions};

/// Where a server listens, and with how many threads.
#[derive(clap::Args)]
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
}

impl Server {
    /// Listens, prints where, and serves until SIGINT or SIGTERM. `make` gives each thread its
    /// handler.
    pub(crate) fn run<H: Handler>(
        &self,
        listen: &Listen,
        describe: impl FnOnce(&Address) -> String,
        make: impl Fn(&mut Reactor) -> io::Result<HandlerId<H>> + Sync,
    ) -> Result<(), Failure> {
        let threads = self.threads.get();
        let options = ServerOptions { threads, ..ServerOptions::default() };
        let mut server = sluicegate_reactor::Server::new(&options);
        let mut listeners = vec![server.listen((self.bind, self.port), listen)?];
        if let Some(path) = &self.unix {
            listeners.push(server.listen_at(&Address::from_path(path)?, listen)?);
        }
        server.stop_on_signals()?;
        println!("{}", describe(listeners[0].address()));
        server.run(|shard| {
            shard.set_drain(Duration::from_secs(self.drain));
            let handler = make(shard)?;
            listeners.iter().try_for_each(|listener| shard.serve(listener, handler).map(drop))
        })?;
        Ok(())
    }
}

/// What ends a program: one line for a person.
pub(crate) struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs a program; a failure is one line and exit code 1.
pub(crate) fn main(run: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
