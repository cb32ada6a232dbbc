//! Arguments, rounds and measurements.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use crate::baselines::{self, Baseline, Job};
use crate::servers::{self, Program, Server, Site};
use crate::table::Table;
use crate::workloads::{self, Content, Workload};

/// Compares what a unit of work costs this server, its peers, and the practical limit.
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    /// Workloads to run; all of them if none is given.
    #[arg(value_name = "WORKLOAD", value_parser = names())]
    workloads: Vec<String>,
    /// Number of rounds.
    #[arg(long, value_name = "N", default_value = "30")]
    rounds: NonZeroUsize,
    /// Measured time of each server in each round, in seconds.
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Print the workloads and end.
    #[arg(long)]
    list: bool,
    /// Given by cargo.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
    /// Be a baseline.
    #[arg(long, hide = true, requires = "port")]
    serve: Option<Baseline>,
    #[arg(long, hide = true)]
    port: Option<u16>,
    #[arg(long, hide = true)]
    path: Option<PathBuf>,
    #[arg(long, hide = true)]
    to: Option<SocketAddr>,
    #[arg(long, hide = true, default_value_t = 0)]
    length: u64,
}

fn names() -> clap::builder::PossibleValuesParser {
    workloads::ALL.iter().map(|workload| workload.name).collect::<Vec<_>>().into()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // In a longer time, a connection might reach lighttpd's limit of 65535 requests.
    if !(0.1..=10.0).contains(&seconds) {
        return Err("it has to be within 0.1 and 10".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

pub(crate) fn main() -> ExitCode {
    let options = Options::parse();
    let result = match (options.serve, options.port) {
        (Some(baseline), Some(port)) => {
            let (path, to, length) = (options.path.as_deref(), options.to, options.length);
            baselines::serve(baseline, Job { port, path, to, length })
        }
        _ if options.list => {
            for workload in workloads::ALL {
                println!("{:<16}{}", workload.name, workload.about);
            }
            Ok(())
        }
        _ if cfg!(debug_assertions) => {
            println!("Costs mean something in release builds only: cargo bench --bench compare");
            Ok(())
        }
        _ => compare(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the workloads and prints a table for each.
fn compare(options: &Options) -> io::Result<()> {
    let core = pin()?;
    raise_descriptor_limit()?;
    let wanted = |workload: &&Workload| {
        options.workloads.is_empty() || options.workloads.iter().any(|name| name == workload.name)
    };
    println!(
        "CPU time of the server; servers and client on core {core}; {} rounds of {:?}.",
        options.rounds, options.seconds
    );
    for workload in workloads::ALL.iter().filter(wanted) {
        let folder = folder(workload.content)?;
        let Workload { content, tls, .. } = *workload;
        let site = Site { content, tls, folder: folder.path(), behind: None };
        site.write()?;
        println!("\n{}", rounds(workload, &site, options)?);
    }
    Ok(())
}

/// Where a server finds its files. What is uploaded goes to a file system in memory.
fn folder(content: Content) -> io::Result<TempDir> {
    TempDir::new_in(match content {
        Content::Upload(_) => "/dev/shm",
        _ => env!("CARGO_TARGET_TMPDIR"),
    })
}

/// A server that takes part.
struct Contender {
    program: Program,
    executable: PathBuf,
    costs: Vec<f64>,
}

/// Runs a workload on every server in every round.
fn rounds<'a>(workload: &'a Workload, site: &Site<'_>, options: &Options) -> io::Result<Table<'a>> {
    let mut contenders = contenders(workload)?;
    for round in 1..=options.rounds.get() {
        if io::stderr().is_terminal() {
            eprint!("\r{}: round {round} of {}\r", workload.name, options.rounds);
        }
        let mut order: Vec<_> = contenders.iter_mut().collect();
        // Each `RandomState` has other keys, so that equal values get different hashes.
        order.sort_by_cached_key(|_| RandomState::new().hash_one(0));
        for contender in order {
            let cost = measure(workload, contender, site, options.seconds).map_err(|error| {
                let (workload, program) = (workload.name, contender.program.name());
                io::Error::other(format!("{workload}, {program}, round {round}: {error}"))
            })?;
            contender.costs.push(cost);
        }
    }
    let rows = contenders.into_iter().map(|contender| (contender.program, contender.costs));
    Ok(Table { workload, rows: rows.collect() })
}

/// The servers that can do the workload. Says which ones are not installed.
fn contenders(workload: &Workload) -> io::Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for program in servers::ALL.into_iter().filter(|program| program.offers(workload)) {
        match program.executable(workload.content)? {
            Some(executable) => {
                contenders.push(Contender { program, executable, costs: Vec::new() });
            }
            None if program == Program::Sluicegate => {
                let build = "cargo build --profile bench --all-features --examples";
                return Err(io::Error::other(format!("the examples are missing: {build}")));
            }
            None => println!("\n{} is not installed and left out.", program.name()),
        }
    }
    Ok(contenders)
}

/// Starts a server, warms it up, and answers the CPU time of a unit in nanoseconds.
fn measure(
    workload: &Workload,
    contender: &Contender,
    site: &Site<'_>,
    time: Duration,
) -> io::Result<f64> {
    let behind = match site.content.behind() {
        Some(content) => Some(Server::start(
            Program::Bare,
            &std::env::current_exe()?,
            &Site { content, tls: false, ..*site },
        )?),
        None => None,
    };
    let site = Site { behind: behind.as_ref().map(|server| server.address), ..*site };
    let server = Server::start(contender.program, &contender.executable, &site)?;
    let mut load = workload.load(server.address, &site.identity())?;
    load.run(workload.warm_up)?;
    let before = server.cpu_time()?;
    let work = workload.unit.of(load.run(time)?);
    let after = server.cpu_time()?;
    if work == 0.0 {
        return Err(io::Error::other("nothing has been answered"));
    }
    Ok((after - before) as f64 / work)
}

/// Stays on one core from now on, with all processes that are started, and answers which.
fn pin() -> io::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    // The last one: interrupts and other programs are often served by the first.
    let core = (0..CpuSet::MAX_CPU).rfind(|&core| allowed.is_set(core)).unwrap_or(0);
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one)?;
    Ok(core)
}

/// Allows this program and the servers as many descriptors as the system does.
fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
