//! Whether a server should get traffic.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The phase of a server, as a load balancer sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It is not serving yet.
    #[default]
    Starting,
    /// It serves.
    Ready,
    /// It still serves, but is about to stop and should get no new traffic.
    Draining,
}

impl Phase {
    /// The phase in lower case, as `/readyz` and `/status.json` show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }
}

/// Whether a server should get traffic: its phase, and checks of its dependencies. `/readyz` of the
/// status listener reports it. Clones share the state.
///
/// A server is ready once its phase is [`Ready`](Phase::Ready) and no check fails. All threads
/// share it behind a lock, so it is meant to change a few times per minute, not for each request.
///
/// ```
/// use sluicegate_protocols::ops::{Phase, Readiness};
///
/// let readiness = Readiness::default();
/// assert!(!readiness.is_ready());
/// readiness.set_phase(Phase::Ready);
/// let database = readiness.check("database");
/// assert!(readiness.is_ready());
///
/// database.fail("connection refused");
/// assert!(!readiness.is_ready());
/// assert_eq!(
///     readiness.to_string(),
///     "[+] phase: ready\n[-] database: connection refused\nnot ready\n"
/// );
/// database.pass();
/// assert!(readiness.is_ready());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    checks: Vec<(String, Result<(), String>)>,
}

impl State {
    fn is_ready(&self) -> bool {
        self.phase == Phase::Ready && self.checks.iter().all(|(_, result)| result.is_ok())
    }
}

impl Readiness {
    /// Calls `read` with the state. The state is complete even if a thread panicked while it held
    /// the lock.
    fn with<R>(&self, read: impl FnOnce(&mut State) -> R) -> R {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the phase.
    pub fn set_phase(&self, phase: Phase) {
        self.with(|state| state.phase = phase);
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.with(|state| state.phase)
    }

    /// Whether the server should get traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.with(|state| state.is_ready())
    }

    /// Adds a check with this name, which passes initially. If there is already a check with this
    /// name, returns that one.
    #[must_use]
    pub fn check(&self, name: &str) -> ReadinessCheck {
        let index = self.with(|state| {
            let known = state.checks.iter().position(|(other, _)| other == name);
            known.unwrap_or_else(|| {
                state.checks.push((name.to_owned(), Ok(())));
                state.checks.len() - 1
            })
        });
        ReadinessCheck { readiness: self.clone(), index }
    }

    /// The names and results of all checks, with the reasons of those that fail.
    #[must_use]
    pub fn checks(&self) -> Vec<(String, Result<(), String>)> {
        self.with(|state| state.checks.clone())
    }
}

/// A line for the phase, one for each check, and the result: what `/readyz?verbose` sends.
impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, checks, is_ready) =
            self.with(|state| (state.phase, state.checks.clone(), state.is_ready()));
        let mark = |passes| if passes { "[+]" } else { "[-]" };
        writeln!(f, "{} phase: {}", mark(phase == Phase::Ready), phase.name())?;
        for (name, result) in &checks {
            let why = result.as_ref().map_or_else(String::as_str, |()| "ok");
            writeln!(f, "{} {name}: {why}", mark(result.is_ok()))?;
        }
        f.write_str(if is_ready { "ready\n" } else { "not ready\n" })
    }
}

/// A check of [`Readiness`]. Dropping this handle does not remove or change the check.
#[derive(Clone, Debug)]
pub struct ReadinessCheck {
    readiness: Readiness,
    index: usize,
}

impl ReadinessCheck {
    /// Records that the check passes.
    pub fn pass(&self) {
        self.set(Ok(()));
    }

    /// Records that the check fails, and why.
    pub fn fail(&self, why: impl Into<String>) {
        self.set(Err(why.into()));
    }

    fn set(&self, result: Result<(), String>) {
        self.readiness.with(|state| state.checks[self.index].1 = result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_in_the_phase_ready_is_ready() {
        let readiness = Readiness::default();
        let phases = [Phase::Starting, Phase::Ready, Phase::Draining];
        let is_ready = phases.map(|phase| {
            readiness.set_phase(phase);
            readiness.is_ready()
        });
        assert_eq!(is_ready, [false, true, false]);
    }

    #[test]
    fn one_check_that_fails_is_enough_and_a_clone_can_note_it() {
        let readiness = Readiness::default();
        readiness.set_phase(Phase::Ready);
        let (disk, cache) = (readiness.check("disk"), readiness.clone().check("cache"));
        disk.fail("full");
        cache.pass();
        assert!(!readiness.is_ready());
        readiness.check("disk").pass();
        assert!(readiness.is_ready());
        assert_eq!(readiness.to_string(), "[+] phase: ready\n[+] disk: ok\n[+] cache: ok\nready\n");
    }
}
