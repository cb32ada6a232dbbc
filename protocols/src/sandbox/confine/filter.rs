//! What seccomp forbids (`seccomp(2)`): system calls.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::io::{self, ErrorKind};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use syscalls::Sysno;

use super::calls::{CALLS, CONNECT, RAISE, RESTRICTED, Restricted, SIGNALS, SOCKETS};
use super::{Sandbox, missing};

/// The numbers of calls, and of which of them arguments are restricted: one of the rules must
/// match.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The error of calls that are not allowed. The process goes on: a call that is missing in the list
/// would end all connections otherwise.
const EPERM: u32 = 1;

/// The error of `clone3`. The flags of that call are in memory, where a filter cannot check them. C
/// libraries use `clone` in its place if the kernel does not have it.
const ENOSYS: u32 = 38;

pub(super) fn enforce(sandbox: &Sandbox) -> io::Result<()> {
    let Ok(arch) = TargetArch::try_from(ARCH) else {
        return missing(sandbox, &format!("system calls are not restricted on {ARCH}"));
    };
    let rules = rules(sandbox).map_err(|error| match error {
        Invalid::Call(name) => {
            let text = format!("sandbox: {name} is no system call on {ARCH}");
            io::Error::new(ErrorKind::InvalidInput, text)
        }
        Invalid::Rule(error) => io::Error::other(format!("sandbox: seccomp: {error}")),
    })?;
    let count = rules.len();
    let hidden = number("clone3").map(|number| (number, Vec::new()));
    let hidden = hidden.into_iter().collect();
    // The second filter forbids to install another one.
    let installed = install(hidden, SeccompAction::Allow, SeccompAction::Errno(ENOSYS), arch)
        .and_then(|()| install(rules, SeccompAction::Errno(EPERM), SeccompAction::Allow, arch));
    match installed {
        Ok(()) => {
            log::info!("sandbox: seccomp allows {count} system calls");
            Ok(())
        }
        Err(seccompiler::Error::Seccomp(error)) => {
            missing(sandbox, &format!("system calls are not restricted: seccomp: {error}"))
        }
        Err(error) => Err(io::Error::other(format!("sandbox: seccomp: {error}"))),
    }
}

/// Installs a filter in all threads.
fn install(
    rules: Rules,
    otherwise: SeccompAction,
    action: SeccompAction,
    arch: TargetArch,
) -> seccompiler::Result<()> {
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, action, arch)?.try_into()?;
    seccompiler::apply_filter_all_threads(&program)
}

enum Invalid {
    Call(String),
    Rule(seccompiler::BackendError),
}

/// What is allowed.
fn rules(sandbox: &Sandbox) -> Result<Rules, Invalid> {
    let mut rules = Rules::new();
    let connect: &[&str] = if sandbox.connect { CONNECT } else { &[] };
    // The lists have calls that this architecture does not have.
    let any = CALLS.iter().chain(connect).copied().chain(RAISE).filter_map(number);
    rules.extend(any.map(|number| (number, Vec::new())));
    let socket = sandbox.connect.then_some(SOCKETS);
    for Restricted { name, argument, mask, values } in RESTRICTED.iter().chain(&socket) {
        let rule = |value: &u32| rule(*argument, *mask, *value);
        let all = values.iter().map(rule).collect::<Result<_, _>>().map_err(Invalid::Rule)?;
        rules.extend(number(name).map(|number| (number, all)));
    }
    for name in SIGNALS {
        let own = rule(0, u32::MAX, std::process::id()).map_err(Invalid::Rule)?;
        rules.extend(number(name).map(|number| (number, vec![own])));
    }
    for name in &sandbox.calls {
        let number = number(name).ok_or_else(|| Invalid::Call(name.clone()))?;
        rules.insert(number, Vec::new());
    }
    Ok(rules)
}

/// The number of a call on this architecture.
fn number(name: &str) -> Option<i64> {
    name.parse().ok().map(|call: Sysno| call.id().into())
}

/// Matches if an argument has this value in the bits of the mask.
fn rule(argument: u8, mask: u32, value: u32) -> Result<SeccompRule, seccompiler::BackendError> {
    let operator = SeccompCmpOp::MaskedEq(mask.into());
    // The kernel uses the lower half of these arguments.
    let length = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(argument, length, operator, value.into())?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_name_in_the_lists_is_a_call() {
        let restricted = RESTRICTED.iter().chain([&SOCKETS]).map(|call| &call.name);
        let names = CALLS.iter().chain(CONNECT).chain(SIGNALS).chain(restricted);
        for name in names {
            assert!(number(name).is_some(), "{name}");
        }
    }

    #[test]
    fn programs_files_of_others_and_sockets_are_not_in_the_list_unless_they_are_asked_for() {
        let dangerous = ["execve", "execveat", "fchmodat", "fchownat", "ptrace", "setuid", "mount"];
        let sockets = ["socket", "connect", "bind"];
        let has = |sandbox: &Sandbox, name: &str| {
            let rules = rules(sandbox).unwrap_or_else(|_| panic!("rules for {name}"));
            rules.contains_key(&number(name).expect("a call"))
        };
        let mut sandbox = Sandbox::new();
        for name in dangerous.into_iter().chain(sockets) {
            assert!(!has(&sandbox, name), "{name}");
        }
        sandbox.connect().call("execve");
        for name in sockets.into_iter().chain(["execve"]) {
            assert!(has(&sandbox, name), "{name}");
        }
    }

    #[test]
    fn a_call_that_does_not_exist_is_named() {
        let wrong = rules(Sandbox::new().call("reed"));
        assert!(matches!(wrong, Err(Invalid::Call(name)) if name == "reed"));
    }
}
