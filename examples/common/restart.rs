//! Starting the program again on SIGUSR2, with the same arguments, to take over from this process.

use std::process::{Command, Stdio};
use std::{env, io, thread};

/// Starts the installed version of the program. A thread waits for the new process, which ends only
/// after this one unless it fails.
pub(crate) fn start_again() {
    let started = thread::Builder::new().name("restart".into()).spawn(|| match run() {
        Ok(()) => {}
        Err(error) => log::error!("restart: {error}; this server keeps running"),
    });
    if let Err(error) = started {
        log::error!("restart: cannot start a thread: {error}; this server keeps running");
    }
}

/// Says why a process in a sandbox does not start the program.
pub(crate) fn refuse() {
    log::error!(
        "restart: a process in a sandbox cannot start programs; start the next one yourself, with \
         the same --control; this server keeps running"
    );
}

fn run() -> io::Result<()> {
    let mut arguments = env::args_os();
    let program = arguments.next().ok_or_else(|| io::Error::other("the program has no name"))?;
    let mut command = Command::new(&program);
    // The watchdog is for whichever process serves.
    command.args(arguments).stdin(Stdio::null()).env_remove("WATCHDOG_PID");
    let name = program.display();
    let status = command
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{name} has failed: {status}")))
}
