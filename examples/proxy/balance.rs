//! The options for several targets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use sluicegate_protocols::forward::HealthCheck;
use sluicegate_protocols::proxy_protocol::Version;
use sluicegate_protocols::upstreams::{Balance, BalancerOptions, UpstreamsOptions};
use sluicegate_reactor::Connect;

use super::common::reload;
use super::common::units::time;
use super::target::{ProxyTarget, check_schemes};

#[derive(Args)]
#[command(next_help_heading = "Several targets")]
#[group(conflicts_with = "sni")]
pub(crate) struct Balancing {
    /// How to choose the target of a connection or of an HTTP request.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = How::RoundRobin)]
    balance: How,
    /// Maximum number of connections to each target, in each thread; further clients wait. With
    /// --http, maximum number of requests that are not completely answered; further ones get 503.
    /// By default only --max-connections limits them.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    per_target: Option<u32>,
    /// Maximum number of waiting clients, in each thread; further ones are closed.
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "http")]
    waiting: usize,
    /// Close a client that is not connected to a target within this time.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    #[arg(conflicts_with = "http")]
    waiting_timeout: Duration,
    /// Eject a target after this many consecutive failed connects, unless it is the only one; 0
    /// means never. With --http, requests without a response count as failures too. If all targets
    /// are ejected or down, all are used.
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_fails: u32,
    /// How long a target stays ejected before one connection tries it again.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    fail_timeout: Duration,
    /// Also check each target at this interval, by connecting to it. With --http, by a request,
    /// which must be answered within the interval. By default there are no checks.
    #[arg(long, value_name = "TIME", value_parser = period)]
    check: Option<Duration>,
    /// Path that checks of --http request. They succeed if the status is from 200 to 399.
    #[arg(long, value_name = "PATH", default_value = "/", requires = "check")]
    #[arg(conflicts_with_all = ["to", "to_file"])]
    check_path: String,
    /// Host that checks of --http request. By default it is the name and port of the target.
    #[arg(long, value_name = "HOST", requires = "check", conflicts_with_all = ["to", "to_file"])]
    check_host: Option<String>,
    /// Mark a target up after this many consecutive successful checks.
    #[arg(long, value_name = "N", default_value_t = 2)]
    rise: u32,
    /// Mark a target down after this many consecutive failed checks.
    #[arg(long, value_name = "N", default_value_t = 3)]
    fall: u32,
    /// Ramp up the share of a recovered or added target over this time.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    slow_start: Duration,
    /// Resolve host names at this interval, and use each address as a target. By default a name is
    /// one target, and is resolved for each connection.
    #[arg(long, value_name = "TIME", value_parser = period, conflicts_with = "http")]
    pub(crate) resolve: Option<Duration>,
}

/// Parses the time between two events.
fn period(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("the time must be longer than zero".to_owned()),
        period => Ok(period),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum How {
    /// Each target in turn.
    RoundRobin,
    /// The target with the fewest connections.
    LeastConnections,
    /// By a hash of the client's address: each client keeps its target.
    SourceHash,
}

impl Balancing {
    pub(crate) fn upstreams(&self) -> UpstreamsOptions {
        UpstreamsOptions {
            balance: match self.balance {
                How::RoundRobin => Balance::RoundRobin,
                How::LeastConnections => Balance::LeastConnections,
                How::SourceHash => Balance::SourceHash,
            },
            max_connections: self.per_target,
            max_failures: (self.max_fails > 0).then_some(self.max_fails),
            fail_timeout: self.fail_timeout,
            rise: self.rise,
            fall: self.fall,
            slow_start: self.slow_start,
        }
    }

    /// The checks of targets of HTTP requests.
    pub(crate) fn health_check(&self) -> Option<HealthCheck> {
        let (target, host) = (self.check_path.clone(), self.check_host.clone());
        Some(HealthCheck { interval: self.check?, target, host })
    }

    pub(crate) fn options(&self, connect: Connect, announce: Option<Version>) -> BalancerOptions {
        BalancerOptions {
            upstreams: self.upstreams(),
            connect,
            announce,
            waiting: self.waiting,
            waiting_timeout: self.waiting_timeout,
            check_interval: self.check,
        }
    }
}

/// Where the targets come from.
#[derive(Clone)]
pub(crate) enum Source {
    Targets(Vec<ProxyTarget>),
    /// A file with one target per line. `#` starts a comment, and empty lines are skipped.
    File(PathBuf),
}

impl Source {
    /// The targets as they are now.
    ///
    /// # Errors
    /// Text that names the file and the line, or says that only some targets have TLS.
    pub(crate) fn targets(&self) -> Result<Vec<ProxyTarget>, String> {
        let targets = match self {
            Source::Targets(targets) => targets.clone(),
            Source::File(path) => {
                read(path).map_err(|error| format!("{}: {error}", path.display()))?
            }
        };
        check_schemes(&targets)?;
        Ok(targets)
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Targets(targets) => {
                let targets: Vec<_> = targets.iter().map(ProxyTarget::to_string).collect();
                f.write_str(&targets.join(", "))
            }
            Source::File(path) => write!(f, "the targets in {}", path.display()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<ProxyTarget>, String> {
    let text = reload::read(path).map_err(|error| error.to_string())?;
    let parse = |(number, line): (usize, &str)| {
        ProxyTarget::of_connections(line).map_err(|error| format!("line {number}: {error}"))
    };
    let targets: Vec<_> = reload::lines(&text).map(parse).collect::<Result<_, String>>()?;
    if targets.is_empty() { Err("there is no target".to_owned()) } else { Ok(targets) }
}
