//! The options for running with fewer rights.

use std::io;

use clap::{Args, ValueEnum};
use sluicegate_protocols::sandbox::{self, Sandbox, User};

/// The id of the option that [`main`](super::main) uses, before anything else is done.
pub(super) const USER: &str = "user";

#[derive(Args)]
pub(crate) struct Privileges {
    /// Run as this user, with GROUP instead of the user's own group. Requires root. Until the
    /// program listens, it can still bind ports below 1024; it opens all files as this user. Linux
    /// only.
    #[arg(id = USER, long = "user", value_name = "NAME[:GROUP]", help_heading = "Process")]
    user: Option<User>,
    /// Confine the process to what its options need: it cannot use other files, start programs,
    /// open other connections or make unusual system calls. With `available`, the default, the
    /// kernel enforces what it can, and a warning is logged about the rest; with `required`, an
    /// older kernel is an error. Linux only.
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Process")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "available")]
    sandbox: Option<How>,
    /// What the sandbox allows.
    #[arg(skip)]
    pub(crate) allowed: Sandbox,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// As far as the kernel can.
    Available,
    /// Completely.
    Required,
}

impl Privileges {
    /// Gives up what only opening listeners needs, and enters the sandbox, which also allows what
    /// `allow` adds.
    pub(super) fn reduce(&self, allow: impl FnOnce(&mut Sandbox)) -> io::Result<()> {
        if self.user.is_some() {
            sandbox::drop_capabilities()?;
        }
        let Some(how) = self.sandbox else { return Ok(()) };
        let mut sandbox = self.allowed.clone();
        allow(&mut sandbox);
        if how == How::Required {
            sandbox.require();
        }
        sandbox.confine()
    }

    /// Whether the process may not start programs.
    pub(super) fn is_confined(&self) -> bool {
        self.sandbox.is_some()
    }
}
