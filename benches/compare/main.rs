//! Side by side: what a unit of work costs this server, its peers, and bare system calls.
//!
//! ```text
//! cargo build --profile bench --all-features --examples
//! cargo bench --bench compare                      # everything: about an hour
//! cargo bench --bench compare -- http static-1k    # two workloads
//! cargo bench --bench compare -- --list            # what there is
//! cargo bench --bench compare -- --rounds 5 http   # a first look
//! ```
//!
//! The figure is CPU time of the server per unit of work, from the scheduler's own count in
//! nanoseconds (`/proc/PID/task/*/schedstat`, child processes included), while a client in this
//! program keeps the server busy over the loopback interface. What the client costs is not in it.
//!
//! Four things make it repeatable on a machine that does other things as well:
//!
//! - Server and client share one core. Between cores, a figure depends on which idle state a core
//!   was woken from, and in a virtual machine it has two modes.
//! - In each round every server runs once, in random order, each as a fresh process that is
//!   warmed up before it is measured.
//! - The ratio is taken within a round, where the machine was as fast for both, and the table
//!   shows the median of the ratios and their quartiles. A server compared with itself gives a
//!   median within 1% of 1 in 30 rounds, and within 5% where bulk data dominates. Bulk also
//!   differs from run to run by more than its quartiles show: take several.
//! - The client throws the bodies of files away in the kernel (`MSG_TRUNC`), so that it does not
//!   push the server's data out of the cache it shares with it. Over TLS it has to decrypt them.
//!
//! All servers use the system's congestion control. BBR paces by a timer, which costs more than the
//! servers' work as soon as much is sent: choose another one first
//! (`sysctl -w net.ipv4.tcp_congestion_control=reno`).
//!
//! The servers:
//!
//! - `sluicegate`: the examples `echo`, `hello`, `http` and `proxy`.
//! - `bare`: a loop that does nothing but the system calls, without parsing what arrives or
//!   looking up what is asked for. With large files its one choice of call sizes is not always the
//!   best one. See `baselines.rs`.
//! - `nginx`, `h2o`, `lighttpd`, if they are installed (in Debian: `nginx-light`, `h2o`,
//!   `lighttpd`): one worker, no access log, connections kept without limit, open files cached,
//!   sendfile where the server has it and is faster with it. `h2o` and `lighttpd` have no cheap way
//!   to answer from memory: in `http` and `http-pipelined` they serve a file.
//! - `haproxy`, if it is installed: one thread, `splice-auto`, buffers of 64 KiB and pipes of
//!   256 KiB, with which it is fastest.
//! - `tungstenite`, in the workloads `ws-...`: the crate of this name, on the loop of `bare`.
//! - `ws`, in the workloads `ws-...`, if Node.js and this package are installed (in Debian:
//!   `nodejs`, `node-ws`): without compression.
//!
//! In the workloads `ws-...`, `sluicegate` is a server in this program: no example sends messages
//! back without a limit on their rate. `bare` takes frames apart and unmasks them, and checks
//! nothing.
//!
//! Only `sluicegate`, `nginx` and `haproxy` take part in the workloads `tls-...`. They use the same
//! P-256 certificate, TLS 1.3 and the one cipher suite that the client offers,
//! TLS_AES_256_GCM_SHA384. None of them leaves encryption to the kernel. Handshakes are complete
//! before the measurement starts.
//!
//! What is behind a relay is a process of its own on the same core, and is not counted.
//!
//! A wrong status, a wrong length or a connection that ends early fails the run.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(target_os = "linux")]
mod baselines;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod poll;
#[cfg(target_os = "linux")]
mod rounds;
#[cfg(target_os = "linux")]
mod servers;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod workloads;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    rounds::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("The comparison needs epoll and /proc: it runs on Linux only.");
}
