//! Processes: the examples, and the tools that ask them for something. None outlives its test.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// After this long something hangs. No test waits for it unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats a check until it has something.
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process that is killed at the end of its scope.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Process {
        match command.spawn() {
            Ok(child) => Process(child),
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    /// What it writes to its standard output, which must be piped.
    pub(crate) fn stdout(&mut self) -> impl Read + use<> {
        self.0.stdout.take().expect("a pipe, taken once")
    }

    /// What it reads from its standard input, which must be piped.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.0.stdin.take().expect("a pipe, taken once")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal, named as for `kill(1)`.
    pub(crate) fn signal(&self, name: &str) {
        let killed = run(Command::new("kill").args(["-s", name, &self.pid().to_string()]));
        assert_eq!(killed.code, Some(0), "{killed:?}");
    }

    /// Waits until it has ended; its exit code, unless a signal has killed it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let ended = || self.0.try_wait().expect("a child");
        eventually("the end of a process", ended).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a process to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let mut process = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let stdout = collect(process.0.stdout.take().expect("a pipe"));
    let stderr = collect(process.0.stderr.take().expect("a pipe"));
    let text = |output: Receiver<Vec<u8>>| {
        let bytes = output.recv_timeout(PATIENCE).expect("a process that ends");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    Outcome { code: process.wait(), stdout, stderr }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        // Whoever waits may have given up; then nobody wants it.
        let _ = from.read_to_end(&mut all);
        let _ = tell.send(all);
    });
    told
}

/// Whether a tool is there; a test that needs it ends if not. See the top of `main.rs`.
pub(crate) fn has(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    found || skip(&format!("{tool} is not installed"))
}

/// Debian's Python, which finds Debian's modules; another that comes first in `PATH` may not.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Whether [`PYTHON`] finds a module, which is in Debian's package `python3-MODULE`.
pub(crate) fn has_python_module(module: &str) -> bool {
    let mut finds = Command::new(PYTHON);
    finds.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
    let found = finds.status().is_ok_and(|status| status.success());
    found || skip(&format!("python3-{module} is not installed"))
}

/// Node.js, which finds the modules of Debian's packages, or those in `NODE_PATH`.
pub(crate) fn node() -> Command {
    let path = env::var_os("NODE_PATH").unwrap_or("/usr/share/nodejs".into());
    let mut node = Command::new("node");
    node.env("NODE_PATH", path);
    node
}

/// Whether [`node`] finds a module, which is in Debian's package `node-MODULE`.
pub(crate) fn has_node_module(module: &str) -> bool {
    let mut finds = node();
    finds.args(["-e", &format!("require({module:?})")]).stderr(Stdio::null());
    let found = has("node") && finds.status().is_ok_and(|status| status.success());
    found || skip(&format!("node-{module} is not installed"))
}

/// Says why a test does not run, or fails where it must.
#[expect(
    clippy::print_stderr,
    reason = "a test that did not run should not look like one that did"
)]
pub(crate) fn skip(why: &str) -> bool {
    let required = cfg!(target_os = "linux") && env::var_os("CI").is_some();
    assert!(!required, "{why}");
    eprintln!("skipped: {why}");
    false
}

/// Where an example was built: beside this test.
pub(crate) fn path_of(example: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let target = test.ancestors().nth(2).expect("a target directory");
    let path = target.join("examples").join(example);
    assert!(path.is_file(), "{} is missing: cargo build --all-features --examples", path.display());
    path
}

pub(crate) fn example(name: &str) -> Command {
    Command::new(path_of(name))
}

/// An example that listens.
pub(crate) struct Server {
    process: Process,
    /// The first line it has printed.
    pub(crate) line: String,
    pub(crate) address: SocketAddr,
    /// Where its status listener is, if it has one at an IP address.
    pub(crate) status: Option<SocketAddr>,
}

impl Server {
    /// Starts one on a free port.
    pub(crate) fn start(command: &mut Command) -> Server {
        Server::start_at(command, 0)
    }

    /// Starts one on a port.
    pub(crate) fn start_at(command: &mut Command, port: u16) -> Server {
        command.args(["--port", &port.to_string()]).stdout(Stdio::piped());
        let mut process = Process::spawn(command);
        let stdout = process.stdout();
        let has_status = command.get_args().any(|argument| argument == "--status");
        let (tell, told) = channel();
        thread::spawn(move || {
            // The pipe is closed behind what is read, or by an example that has failed.
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.take(1 + usize::from(has_status)).try_for_each(|line| tell.send(line))
        });
        let line = || told.recv_timeout(PATIENCE).expect("a line that says where it listens");
        let first = line();
        let address = address_in(&first).unwrap_or_else(|| panic!("no address in {first:?}"));
        let status = has_status.then(line).and_then(|line| address_in(&line));
        Server { process, line: first, address, status }
    }

    /// A connection whose reads and writes fail if nothing moves.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Sends it a signal, named as for `kill(1)`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits until it has ended; its exit code, unless a signal has killed it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Whether a signal has stopped a process.
#[cfg(target_os = "linux")]
pub(crate) fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let state = stat.rsplit_once(") ").expect("a state after the name").1;
    state.starts_with(['T', 't'])
}

pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
    let from = &line[line.find("127.0.0.1:")?..];
    let end = from.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
    from[..end.unwrap_or(from.len())].parse().ok()
}
