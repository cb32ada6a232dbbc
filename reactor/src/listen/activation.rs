//! Sockets that a service manager opened before it started the process (`sd_listen_fds(3)`).
//!
//! systemd, or any program with the same protocol, can listen on behalf of a server. The server
//! then needs no permission for the port, connections wait while it restarts, and the first
//! connection can start it.
//!
//! To serve the sockets with all threads of a server, use
//! [`Server::listen_activated`](crate::Server::listen_activated).
//!
//! Environment variables describe the sockets: `LISTEN_PID` is the process they are meant for,
//! `LISTEN_FDS` is the number of sockets, which start at descriptor 3, and `LISTEN_FDNAMES` holds
//! their names. The variables stay set, since changing the environment is unsound while other
//! threads run ([`std::env::set_var`]). Child processes inherit them, but not the sockets, and
//! `LISTEN_PID` does not match a child.

use std::env;
use std::io;
use std::os::fd::OwnedFd;

use crate::sys::{self, invalid};

/// A socket that was open when the process started.
#[derive(Debug)]
pub struct Inherited {
    /// Its name (`FileDescriptorName=` of `systemd.socket(5)`), `unknown` if there are no names.
    pub name: String,
    /// The socket, for [`Turn::adopt_listener`](crate::Turn::adopt_listener).
    pub socket: OwnedFd,
}

/// Takes the sockets passed to this process, without those that a server has
/// [stored](crate::server::notify#stored-sockets). Returns an empty list if there are none.
///
/// Call this once, at startup. The sockets become close-on-exec.
///
/// ```no_run
/// # use sluicegate_reactor::{Context, Handler, Input};
/// # struct Echo;
/// # impl Handler for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _: &mut Context<'_>) {}
/// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
/// # }
/// use sluicegate_reactor::{Listen, Reactor, activation};
///
/// # fn main() -> std::io::Result<()> {
/// let mut reactor = Reactor::new()?;
/// let echo = reactor.register(Echo);
/// for inherited in activation::listeners()? {
///     reactor.adopt_listener(inherited.socket, &Listen::default(), echo)?;
/// }
/// reactor.run()
/// # }
/// ```
///
/// # Errors
/// If the variables do not follow `sd_listen_fds(3)`, if a descriptor is not open, or if the
/// sockets have already been taken.
pub fn listeners() -> io::Result<Vec<Inherited>> {
    take(|name| name != STORED)
}

/// The name of the sockets that servers store with a service manager.
pub(crate) const STORED: &str = "sluicegate-stored";

/// Takes the sockets that a server has stored with the service manager.
pub(crate) fn stored() -> io::Result<Vec<OwnedFd>> {
    Ok(take(|name| name == STORED)?.into_iter().map(|it| it.socket).collect())
}

/// Takes the sockets whose names are wanted.
fn take(is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Inherited>> {
    let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let names = meant_for(
        std::process::id(),
        variable("LISTEN_PID").as_deref(),
        variable("LISTEN_FDS").as_deref(),
        variable("LISTEN_FDNAMES").as_deref(),
    )?;
    let wanted = (0..).zip(names).filter(|(_, name)| is_wanted(name));
    let (indexes, names): (Vec<u16>, Vec<_>) = wanted.unzip();
    let pairs = names.into_iter().zip(sys::take_inherited(&indexes)?);
    Ok(pairs.map(|(name, socket)| Inherited { name, socket }).collect())
}

/// The names of the sockets that are for this process, at most 65,535.
fn meant_for(
    own: u32,
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
) -> io::Result<Vec<String>> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(Vec::new()) };
    let meant: u32 = pid.parse().map_err(|_| invalid("LISTEN_PID is not a number"))?;
    if meant != own {
        return Ok(Vec::new());
    }
    let count: u16 = count.parse().map_err(|_| invalid("LISTEN_FDS is not a number of sockets"))?;
    let Some(names) = names else { return Ok(vec!["unknown".to_string(); count.into()]) };
    let names: Vec<String> = names.split(':').map(str::to_string).collect();
    if count > 0 && names.len() != usize::from(count) {
        return Err(invalid("LISTEN_FDNAMES and LISTEN_FDS give different numbers of sockets"));
    }
    Ok(if count > 0 { names } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_by_whom_they_are_meant_for() {
        for (pid, count, names, expected) in [
            (None, None, None, vec![]),
            (Some("42"), None, None, vec![]),
            (None, Some("1"), None, vec![]),
            (Some("41"), Some("1"), None, vec![]),
            (Some("41"), Some("nonsense"), None, vec![]),
            (Some("42"), Some("0"), Some(""), vec![]),
            (Some("42"), Some("2"), None, vec!["unknown", "unknown"]),
            (Some("42"), Some("2"), Some("http:admin"), vec!["http", "admin"]),
            (Some("42"), Some("1"), Some(""), vec![""]),
        ] {
            let taken = meant_for(42, pid, count, names).unwrap();
            assert_eq!(taken, expected, "{pid:?} {count:?} {names:?}");
        }
    }

    #[test]
    fn variables_that_make_no_sense_are_errors() {
        for (pid, count, names) in [
            ("x", "1", None),
            ("42", "-1", None),
            ("42", "100000", None),
            ("42", "2", Some("one")),
            ("42", "1", Some("one:two")),
        ] {
            let error = meant_for(42, Some(pid), Some(count), names).unwrap_err();
            assert!(error.to_string().starts_with("LISTEN_"), "{error}");
        }
    }
}
