//! What Landlock forbids (`landlock(7)`): files, TCP and signals.

use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use super::{Access, Sandbox, missing};

/// The version of Landlock that the rules are written for, that of Linux 6.12. Newer ones can
/// forbid more, but that has not been tried.
const VERSION: ABI = ABI::V6;

/// What name lookups of glibc and musl read.
const RESOLVER: &[&str] = &[
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    // glibc loads its modules for hosts from these.
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

pub(super) fn enforce(sandbox: &Sandbox) -> io::Result<()> {
    let ruleset = create(sandbox).map_err(|error| match failed(error) {
        error if sandbox.require => {
            let text = format!("{error}; Linux 6.12 has all that is required");
            io::Error::new(ErrorKind::Unsupported, text)
        }
        error => error,
    })?;
    let mut ruleset = allow_own(ruleset)?;
    for (access, path) in &sandbox.paths {
        for place in places(*access, path)? {
            ruleset = allow(ruleset, &place, rights(*access))?;
        }
    }
    if sandbox.connect {
        ruleset = allow_lookups(ruleset)?;
    }
    let status = ruleset.restrict_self().map_err(failed)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => {
            let tcp = if sandbox.connect { "" } else { ", TCP" };
            log::info!("sandbox: Landlock restricts files{tcp}, devices and signals");
            Ok(())
        }
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            let (has, all) = (effective_abi as i32, VERSION as i32);
            let text = "truncating needs 3, TCP 4, devices 5 and signals 6";
            missing(
                sandbox,
                &format!("the kernel has version {has} of Landlock, not {all}: {text}"),
            )
        }
        _ => missing(sandbox, "the kernel has no Landlock: files and signals are not restricted"),
    }
}

/// A ruleset that allows nothing.
fn create(sandbox: &Sandbox) -> Result<RulesetCreated, RulesetError> {
    let level =
        if sandbox.require { CompatLevel::HardRequirement } else { CompatLevel::BestEffort };
    let tcp = AccessNet::from_all(VERSION);
    let tcp = if sandbox.connect { tcp & !AccessNet::ConnectTcp } else { tcp };
    // Abstract Unix sockets are not in the scope: a service manager may listen at one. Without
    // `connect`, the process cannot open a socket to reach others.
    Ruleset::default()
        .set_compatibility(level)
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(tcp)?
        .scope(Scope::Signal)?
        .create()
}

fn failed(error: RulesetError) -> io::Error {
    io::Error::other(format!("sandbox: Landlock: {error}"))
}

/// Allows access at a path.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> io::Result<RulesetCreated> {
    let opened =
        PathFd::new(path).map_err(|error| io::Error::other(format!("sandbox: {error}")))?;
    // The kernel refuses the rights of directories for others.
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(VERSION) };
    ruleset.add_rule(PathBeneath::new(opened, rights)).map_err(failed)
}

/// Allows reading what the kernel tells the process about itself.
fn allow_own(ruleset: RulesetCreated) -> io::Result<RulesetCreated> {
    let Ok(opened) = PathFd::new("/proc/self") else { return Ok(ruleset) };
    let ruleset = ruleset.add_rule(PathBeneath::new(&opened, rights(Access::Read)));
    // The rule is for an inode. procfs makes a new one once nobody uses this one.
    mem::forget(opened);
    ruleset.map_err(failed)
}

/// Allows what looking names up needs.
fn allow_lookups(mut ruleset: RulesetCreated) -> io::Result<RulesetCreated> {
    let there = RESOLVER.iter().map(Path::new).filter(|path| path.exists());
    for path in there {
        ruleset = allow(ruleset, path, rights(Access::Read))?;
    }
    // It is often a link to a file that the network manager replaces.
    let place = Path::new("/etc/resolv.conf").canonicalize().ok();
    match place.as_deref().map(directory).filter(|directory| *directory != Path::new("/etc")) {
        Some(directory) => allow(ruleset, directory, rights(Access::ReadAgain)),
        None => Ok(ruleset),
    }
}

/// What is allowed beneath a directory.
fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match access {
        Access::Read => read,
        Access::Write => {
            let files = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::Refer;
            let make = AccessFs::MakeReg | AccessFs::MakeDir;
            read | files | make | AccessFs::RemoveFile | AccessFs::RemoveDir
        }
        Access::ReadAgain => AccessFs::ReadFile.into(),
        Access::Append => AccessFs::WriteFile | AccessFs::MakeReg,
        Access::Socket => AccessFs::RemoveFile.into(),
    }
}

/// Where something is to be allowed for a path: rules are for what is there now, so a file that is
/// replaced needs a rule for its directory.
fn places(access: Access, path: &Path) -> io::Result<Vec<PathBuf>> {
    let error = |error: io::Error| {
        io::Error::new(error.kind(), format!("sandbox: {}: {error}", path.display()))
    };
    let places = match access {
        Access::Read | Access::Write => vec![path.to_owned()],
        Access::Socket => vec![directory(path).to_owned()],
        Access::ReadAgain => {
            let target = path.canonicalize().map_err(error)?;
            vec![directory(path).to_owned(), directory(&target).to_owned()]
        }
        Access::Append => match (path.is_file() || !path.exists(), path.canonicalize()) {
            (true, Ok(target)) => vec![directory(&target).to_owned()],
            (true, Err(_)) => vec![directory(path).to_owned()],
            (false, Ok(device)) => vec![device],
            // /dev/stdout may be a pipe without a name, which has no rules.
            (false, Err(_)) => Vec::new(),
        },
    };
    // Rules hold for everything beneath a directory.
    let is_root = |place: &PathBuf| place.canonicalize().is_ok_and(|it| it.parent().is_none());
    if !matches!(access, Access::Read | Access::Write) && places.iter().any(is_root) {
        let text = format!(
            "sandbox: {} is in the root directory, so all files would be allowed; move it to a \
             directory of its own",
            path.display()
        );
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(places)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        // The path is a name, or the root.
        _ if path.is_absolute() => path,
        _ => Path::new("."),
    }
}
