//! Starting the program again on SIGUSR2, with the same arguments, to take over from this process.

use std::process::{Command, Stdio};
use std::{env, io, thread};

use super::Failure;

/// Set in a process that only starts the next one.
const STARTS_NEXT: &str = "SLUICEGATE_STARTS_NEXT";

/// Starts the installed version of the program.
///
/// The new process must not be a child of this one: systemd would take it for a process of somebody
/// else, of which it hears nothing, and would neither notice its crash nor wait for its drain. So
/// another process starts it and ends. A thread waits for that one.
pub(crate) fn start_again() {
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

/// Starts the next process, if that is all that this one is for.
pub(super) fn start_next() -> Option<Result<(), Failure>> {
    env::var_os(STARTS_NEXT)?;
    let mut next = match this_program() {
        Ok(next) => next,
        Err(error) => return Some(Err(error.into())),
    };
    let started = next.env_remove(STARTS_NEXT).spawn().map(drop);
    Some(started.map_err(|error| about(&next, &error.to_string()).into()))
}

fn start() -> io::Result<()> {
    let mut command = this_program()?;
    // The watchdog is for whichever process serves.
    command.env(STARTS_NEXT, "1").env_remove("WATCHDOG_PID");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(about(&command, &status.to_string())),
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
