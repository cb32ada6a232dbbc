//! Running as another user.

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::str::FromStr;

use nix::sys::prctl;
use nix::unistd::{self, Gid, Group, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A user as whom a process can run, with its groups. It is parsed from `NAME`, or from
/// `NAME:GROUP` if another group is to be its first one. Numbers can be in place of both names; for
/// a number that the system does not know as a user, a group must follow.
///
/// ```no_run
/// use sluicegate_protocols::sandbox::{self, User};
/// use sluicegate_reactor::{Listen, Server, ServerOptions};
///
/// # fn main() -> std::io::Result<()> {
/// let user: User = "www-data".parse()?;
/// user.switch()?;
/// let mut server = Server::new(&ServerOptions::default());
/// let listener = server.listen("0.0.0.0:80", &Listen::default())?;
/// sandbox::drop_capabilities()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct User {
    /// As it was parsed.
    text: String,
    uid: Uid,
    gid: Gid,
    /// All groups.
    groups: Vec<Gid>,
}

impl FromStr for User {
    type Err = io::Error;

    /// # Errors
    /// `NotFound` if the system does not know the user or the group, or the error of asking it.
    fn from_str(text: &str) -> io::Result<User> {
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let group = group.map(find_group).transpose()?;
        let number = number(name);
        let found = match (unistd::User::from_name(name)?, number) {
            (None, Some(number)) => unistd::User::from_uid(Uid::from_raw(number))?,
            (found, _) => found,
        };
        let Some(found) = found else {
            return match (number, group) {
                (Some(number), Some(gid)) => {
                    let uid = Uid::from_raw(number);
                    Ok(User { text: text.to_owned(), uid, gid, groups: vec![gid] })
                }
                (Some(_), None) => Err(unknown("user", name, "; write NUMBER:GROUP")),
                (None, _) => Err(unknown("user", name, "")),
            };
        };
        let (uid, gid) = (found.uid, group.unwrap_or(found.gid));
        let groups = unistd::getgrouplist(&CString::new(found.name)?, gid)?;
        Ok(User { text: text.to_owned(), uid, gid, groups })
    }
}

fn find_group(name: &str) -> io::Result<Gid> {
    match (Group::from_name(name)?, number(name)) {
        (Some(group), _) => Ok(group.gid),
        (None, Some(number)) => Ok(Gid::from_raw(number)),
        (None, None) => Err(unknown("group", name, "")),
    }
}

/// The number of a user or a group. `u32::MAX` is no id: `setresuid(2)` takes it for "leave
/// unchanged", and the process would stay root.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

fn unknown(what: &str, name: &str, advice: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("there is no {what} {name:?}{advice}"))
}

impl User {
    /// Runs the process as this user from now on. All threads change, and only the calling one
    /// keeps a capability, to bind ports below 1024 (`CAP_NET_BIND_SERVICE`). Threads that it
    /// starts inherit it until [`drop_capabilities`].
    ///
    /// Call it first: what the process opens as root may be closed to it when it is opened again,
    /// such as a certificate that is renewed. If the process runs as this user already, nothing
    /// happens: its other groups stay too.
    ///
    /// # Errors
    /// `PermissionDenied` if the process may not change its user, which usually takes root. The
    /// process may have changed in part then, so it should end.
    pub fn switch(&self) -> io::Result<()> {
        self.try_to_switch().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot run as {}: {error}", self.text))
        })
    }

    fn try_to_switch(&self) -> io::Result<()> {
        let (users, groups) = (unistd::getresuid()?, unistd::getresgid()?);
        let is_user = [users.real, users.effective, users.saved].iter().all(|id| *id == self.uid);
        let is_group =
            [groups.real, groups.effective, groups.saved].iter().all(|id| *id == self.gid);
        if is_user && is_group {
            return Ok(());
        }
        // Otherwise the new user has none (`capabilities(7)`).
        prctl::set_keepcaps(true)?;
        unistd::setgroups(&self.groups)?;
        unistd::setresgid(self.gid, self.gid, self.gid)?;
        unistd::setresuid(self.uid, self.uid, self.uid)?;
        let kept = capabilities(None)?.permitted & CapabilitySet::NET_BIND_SERVICE;
        set(kept)?;
        Ok(prctl::set_keepcaps(false)?)
    }
}

/// Gives up all capabilities of the calling thread: what [`User::switch`] has kept and, if the
/// process ran as its user already, what it was started with. Root without them reads only what
/// root owns or others may read. Call it when the server listens, and before other threads start,
/// since it affects the calling thread only. Programs that the process starts cannot get privileges
/// back (`PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// The error of `capset(2)` or `prctl(2)`.
pub fn drop_capabilities() -> io::Result<()> {
    set(CapabilitySet::empty())?;
    Ok(prctl::set_no_new_privs()?)
}

fn set(capabilities: CapabilitySet) -> io::Result<()> {
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: capabilities, permitted: capabilities, inheritable };
    Ok(set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_name_or_a_number_with_a_group() {
        let root: User = "root".parse().unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert!(root.groups.contains(&root.gid));
        let same: User = "0:0".parse().unwrap();
        assert_eq!((same.uid, same.gid), (root.uid, root.gid));
        let unknown: User = "4000000:4000001".parse().unwrap();
        assert_eq!((unknown.uid.as_raw(), unknown.gid.as_raw()), (4_000_000, 4_000_001));
        assert_eq!(unknown.groups, [unknown.gid]);
    }

    #[test]
    fn what_the_system_does_not_know_is_named() {
        for (text, expected) in [
            ("no-such-user", r#"there is no user "no-such-user""#),
            ("root:no-such-group", r#"there is no group "no-such-group""#),
            ("4294967295:root", r#"there is no user "4294967295""#),
            ("root:4294967295", r#"there is no group "4294967295""#),
            ("4000000", r#"there is no user "4000000"; write NUMBER:GROUP"#),
        ] {
            let error = text.parse::<User>().unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, expected));
        }
    }

    #[test]
    fn a_user_that_the_process_has_already_needs_no_privileges() {
        let own = format!("{}:{}", unistd::getuid(), unistd::getgid());
        own.parse::<User>().unwrap().switch().unwrap();
    }
}
