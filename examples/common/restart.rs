//! Starting the program again on SIGUSR2, with the same arguments, to take over from this process.

use std::os::unix::process::parent_id;
use std::process::{self, Command, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use super::Failure;

/// Set in a process that only starts the next one, and in that one to the id of the process that
/// has started it.
const STARTER: &str = "SLUICEGATE_STARTER";

/// Starts the installed version of the program.
///
/// The new process must not be a child of this one: systemd is not told when a process that is not
/// its own child exits, so it would neither notice a crash nor wait for the drain. Therefore
/// another process starts it and exits. A thread waits for that one.
///
/// The first process of a container is not replaced: when it ends, the kernel kills all others
/// there (`pid_namespaces(7)`).
pub(crate) fn start_again() {
    if process::id() == 1 {
        return log::error!(
            "restart: this is the first process of its container, so it cannot be replaced; this \
             server keeps running"
        );
    }
    let started = thread::Builder::new().name("restart".into()).spawn(|| match start() {
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

/// Starts the next process, if that is all that this one is for. The next one waits here until its
/// starter has exited and it has been reparented.
pub(super) fn start_next() -> Option<Result<(), Failure>> {
    match env::var(STARTER).ok()?.parse::<u32>() {
        Ok(starter) => {
            while parent_id() == starter {
                thread::sleep(Duration::from_millis(1));
            }
            None
        }
        Err(_) => Some(spawn().map_err(Failure::from)),
    }
}

fn spawn() -> io::Result<()> {
    let mut next = this_program()?;
    let spawned = next.env(STARTER, process::id().to_string()).spawn();
    spawned.map(drop).map_err(|error| about(&next, &error.to_string()))
}

fn start() -> io::Result<()> {
    let mut command = this_program()?;
    // The watchdog is for whichever process serves.
    command.env(STARTER, "").env_remove("WATCHDOG_PID");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(about(&command, &format!("failed: {status}"))),
        Err(error) => Err(about(&command, &error.to_string())),
    }
}

/// This program with its arguments.
fn this_program() -> io::Result<Command> {
    let mut arguments = env::args_os();
    let program = arguments.next().ok_or_else(|| io::Error::other("the program has no name"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn about(command: &Command, text: &str) -> io::Error {
    io::Error::other(format!("{}: {text}", command.get_program().display()))
}
