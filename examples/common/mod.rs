//! What the examples have in common: where to listen, and how to end.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use sluicegate_reactor::{Address, Handler, HandlerId, Listen, Reactor};

/// Where a server listens.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) bind: IpAddr,
    /// Port to listen on; 0 takes any free one and prints it.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Number of threads; one so far.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=1))]
    pub(crate) threads: u8,
}

impl Server {
    /// Listens, prints where, and serves until SIGINT or SIGTERM.
    pub(crate) fn run<H: Handler>(
        &self,
        mut reactor: Reactor,
        handler: HandlerId<H>,
        listen: &Listen,
        describe: impl FnOnce(&Address) -> String,
    ) -> Result<(), Failure> {
        let listener = reactor.listen((self.bind, self.port), listen, handler)?;
        reactor.stop_on_signals()?;
        println!("{}", describe(reactor.local_address(listener)));
        reactor.run()?;
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
