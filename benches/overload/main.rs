//! How the example `http` treats normal clients while others overload it.
//!
//! ```sh
//! cargo build --profile bench --all-features --example http && cargo bench --bench overload
//! ```
//!
//! For some seconds, normal clients ask for a small file, one request after the other on each of
//! their connections. Then these come on top, in a process that runs only while the normal clients
//! are idle:
//!
//! - 1,000 clients that send a request byte by byte;
//! - 1,000 clients that ask for listings of 100 KiB again and again, and hardly read them;
//! - 1,000 connects a second that send nothing and end, and as many that send half a request and
//!   are reset;
//! - one client that downloads as fast as it can.
//!
//! It prints the latency of the normal clients before and during that, and how much memory the
//! server has. The bench fails if the median or the 99th percentile is more than three times as
//! long, or if memory has grown by more than the budget of the server (`--memory`). The server
//! has the first processor to itself, and all clients share the last one: a run needs two
//! processors that nothing else uses.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(target_os = "linux")]
mod attack;
#[cfg(target_os = "linux")]
mod normal;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<std::process::ExitCode> {
    run::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("overload: memory is read from /proc, which only Linux has");
}

#[cfg(target_os = "linux")]
mod run {
    use std::fs::{self, File};
    use std::io::{self, BufRead, BufReader};
    use std::net::SocketAddr;
    use std::path::Path;
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::time::Duration;

    use clap::Parser;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use tempfile::tempdir;

    use super::{attack, normal};

    /// The budget of the server.
    const BUDGET: u64 = 32 << 20;
    /// The most that latency may grow by.
    const MOST: f64 = 3.0;

    #[derive(Parser)]
    struct Options {
        /// How long to measure before and during the overload, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        seconds: u64,
        /// Overloads this server until the process is killed.
        #[arg(long, value_name = "ADDRESS", hide = true)]
        attack: Option<SocketAddr>,
        /// Cargo passes this.
        #[arg(long, hide = true)]
        bench: bool,
    }

    /// A process that is killed at the end of its scope.
    struct Process(Child);

    impl Drop for Process {
        fn drop(&mut self) {
            // It may have ended by itself.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    pub(super) fn run() -> io::Result<ExitCode> {
        let options = Options::parse();
        if let Some(server) = options.attack {
            return attack::run(server);
        }
        let folder = tempdir()?;
        put_files(folder.path())?;
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (Some(first), Some(last)) = (cores.next(), cores.next_back()) else {
            return Err(io::Error::other("there is only one processor"));
        };
        pin_to(first)?;
        let (server, address) = start(folder.path())?;
        pin_to(last)?;
        let time = Duration::from_secs(options.seconds);
        normal::measure(address, time / 4)?;
        let (before, least) = (normal::measure(address, time)?, resident(&server)?);
        println!("before: {before}, {} MiB", least >> 20);
        let attackers = Command::new("chrt")
            .args(["--idle", "0"])
            .arg(std::env::current_exe()?)
            .args(["--attack", &address.to_string()])
            .spawn()?;
        let _attackers = Process(attackers);
        normal::measure(address, time / 4)?;
        let mut most = 0;
        let mut latencies = normal::Latencies::default();
        for _ in 0..4 {
            latencies.add(normal::measure(address, time / 4)?);
            most = most.max(resident(&server)?);
        }
        println!("during: {latencies}, {} MiB", most >> 20);
        let grown = [0.5, 0.99].map(|share| {
            latencies.quantile(share).as_secs_f64() / before.quantile(share).as_secs_f64()
        });
        let memory = most.saturating_sub(least);
        println!(
            "latency grew by {:.2} and {:.2}, memory by {} MiB",
            grown[0],
            grown[1],
            memory >> 20
        );
        if grown.iter().any(|grown| *grown > MOST) || memory > BUDGET {
            println!("FAIL: the limits are {MOST} and {} MiB", BUDGET >> 20);
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Stays on one processor from now on, with all processes that are started.
    fn pin_to(core: usize) -> io::Result<()> {
        let mut one = CpuSet::new();
        one.set(core);
        Ok(sched_setaffinity(None, &one)?)
    }

    /// A small file, a large one, and a directory whose listing has 100 KiB.
    fn put_files(folder: &Path) -> io::Result<()> {
        fs::write(folder.join("small"), [b'x'; 1000])?;
        File::create(folder.join("large"))?.set_len(256 << 20)?;
        let many = folder.join("many");
        fs::create_dir(&many)?;
        (0..400).try_for_each(|number| fs::write(many.join(format!("file-{number}")), b""))
    }

    fn start(folder: &Path) -> io::Result<(Process, SocketAddr)> {
        let this = std::env::current_exe()?;
        // This program is target/release/deps/overload-HASH.
        let release = this.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(release.join("examples/http"));
        command.arg(folder).args(["--port", "0", "--memory", &BUDGET.to_string()]);
        let mut server = Process(command.stdout(Stdio::piped()).spawn()?);
        let output = server.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.split(['/', ' ', '\n']).find_map(|word| word.parse().ok());
        let address = address.ok_or_else(|| io::Error::other(format!("no address: {line}")))?;
        Ok((server, address))
    }

    /// The memory of a process in bytes that is not of files.
    fn resident(process: &Process) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kilobytes.map(|it: u64| it << 10).ok_or_else(|| io::Error::other("no RssAnon"))
    }
}
