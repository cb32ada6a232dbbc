//! Confining a server to what it needs, so that a fault in it does less harm. Linux only.
//!
//! A [`Sandbox`] uses two mechanisms of the kernel. What they forbid fails, and the server goes on:
//!
//! | mechanism | what it forbids | since |
//! |---|---|---|
//! | Landlock | files beneath other directories (`EACCES`) | Linux 5.13; truncating since 6.2 |
//! | | TCP connections, and listening at another port (`EACCES`) | Linux 6.7 |
//! | | controlling devices (`EACCES`) | Linux 6.10 |
//! | | signals to other processes (`EPERM`) | Linux 6.12 |
//! | seccomp | system calls that are not [allowed](Sandbox#system-calls) (`EPERM`): among others, starting programs and processes, opening sockets, and changing owners and permissions of files | Linux 3.17, on x86-64, AArch64 and RISC-V |
//!
//! Neither can be undone. Confine a server after it has read its files and opened its listeners,
//! and before other threads start: Landlock applies to the calling thread and to those that it
//! starts. Open files and sockets stay usable, and the names, sizes and times of all files stay
//! visible (`stat(2)`).
//!
//! A [`User`] runs a server that was started as root with fewer rights. The two work together.
//!
//! ```no_run
//! use sluicegate_protocols::http::{Answered, Http, Reply, Request, Service};
//! use sluicegate_protocols::sandbox::{self, Sandbox, User};
//! use sluicegate_reactor::{Listen, Server, ServerOptions};
//!
//! # struct Hello;
//! # impl Service for Hello {
//! #     type State = ();
//! #     fn call(&mut self, _: &Request<'_>, reply: Reply<'_, '_>) -> Answered { reply.send("") }
//! # }
//! # fn main() -> std::io::Result<()> {
//! let user: User = "www-data".parse()?;
//! user.switch()?;
//! let mut server = Server::new(&ServerOptions { threads: 2, ..ServerOptions::default() });
//! let listener = server.listen("0.0.0.0:80", &Listen::default())?;
//! sandbox::drop_capabilities()?;
//! Sandbox::new().read("/srv/www").write("/var/uploads").confine()?;
//! server.run(|shard| {
//!     let http = shard.register(Http::new(Hello));
//!     shard.serve(&listener, http).map(drop)
//! })
//! # }
//! ```

use std::io;
use std::path::{Path, PathBuf};

#[cfg_attr(not(target_os = "linux"), path = "confine/missing.rs")]
mod confine;
#[cfg_attr(not(target_os = "linux"), path = "user/missing.rs")]
mod user;

pub use user::{User, drop_capabilities};

/// What a process may still do once it is [confined](Sandbox::confine). By default it serves the
/// sockets that it has open, and reads what the kernel tells it about itself (`/proc/self`).
///
/// # System calls
///
/// The calls that a server makes are allowed, as far as the rules for files let them succeed:
/// serving connections, using files, starting threads, and what the C libraries (glibc and musl)
/// need for that. A call that no server needs may still be one that a handler needs: see
/// [`call`](Sandbox::call).
///
/// Forbidden calls fail, and do not end the process. A library that tries a call of which this list
/// does not know thus costs one operation, and not all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    paths: Vec<(Access, PathBuf)>,
    connect: bool,
    calls: Vec<String>,
    require: bool,
}

/// What is allowed at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    ReadAgain,
    Append,
    Socket,
}

impl Sandbox {
    /// Creates a sandbox that allows the default.
    #[must_use]
    pub fn new() -> Sandbox {
        Sandbox::default()
    }

    /// Allows reading a file, or all files beneath a directory. Links that lead elsewhere do not
    /// widen this.
    ///
    /// The file or directory is the one that has this path when the process is confined. Another
    /// one that takes its place later is not allowed.
    pub fn read(&mut self, path: impl AsRef<Path>) -> &mut Sandbox {
        self.allow(Access::Read, path)
    }

    /// Allows reading, creating, writing, renaming and removing files and directories beneath a
    /// directory, or reading and writing a file.
    pub fn write(&mut self, path: impl AsRef<Path>) -> &mut Sandbox {
        self.allow(Access::Write, path)
    }

    /// Allows reading a file again after another one has taken its place, such as a renewed
    /// certificate. This allows reading all files beneath its directory and, if the path is a link,
    /// beneath the directory to which it leads now. Give such files a directory of their own.
    pub fn read_again(&mut self, file: impl AsRef<Path>) -> &mut Sandbox {
        self.allow(Access::ReadAgain, file)
    }

    /// Allows writing a log, and creating it again after it was renamed. This allows creating and
    /// writing files beneath its directory, but not reading or removing them.
    pub fn append(&mut self, file: impl AsRef<Path>) -> &mut Sandbox {
        self.allow(Access::Append, file)
    }

    /// Allows removing the file of a Unix socket at which the server listens. This allows removing
    /// files beneath its directory.
    pub fn socket(&mut self, path: impl AsRef<Path>) -> &mut Sandbox {
        self.allow(Access::Socket, path)
    }

    /// Allows connections to other servers, and looking their names up: opening sockets for IP and
    /// Unix addresses, and reading the configuration of the resolver and the system's libraries. If
    /// a file of this configuration is replaced, the process must be restarted to read it.
    pub fn connect(&mut self) -> &mut Sandbox {
        self.connect = true;
        self
    }

    /// Also allows a system call, by its name in `syscalls(2)` and with any arguments.
    pub fn call(&mut self, name: &str) -> &mut Sandbox {
        self.calls.push(name.to_owned());
        self
    }

    /// Makes [`confine`](Sandbox::confine) fail if the kernel cannot enforce everything. By
    /// default, it enforces what the kernel can, and logs a warning.
    pub fn require(&mut self) -> &mut Sandbox {
        self.require = true;
        self
    }

    /// Confines the process from now on, and logs what is enforced. The process also cannot get new
    /// privileges by starting programs (`PR_SET_NO_NEW_PRIVS`).
    ///
    /// # Errors
    /// - `InvalidInput` if other threads run already, if a [`call`](Sandbox::call) does not exist
    ///   on this architecture, or if a file that is read again, a log or a socket is in the root
    ///   directory;
    /// - the error of opening a path, which it names;
    /// - `Unsupported` on systems other than Linux and, if everything is
    ///   [required](Sandbox::require), on kernels that cannot enforce it;
    /// - an error of the kernel that refuses to enforce the rules.
    ///
    /// The process may be confined in part after an error, so it should end.
    pub fn confine(&self) -> io::Result<()> {
        confine::confine(self)
    }

    fn allow(&mut self, access: Access, path: impl AsRef<Path>) -> &mut Sandbox {
        self.paths.push((access, path.as_ref().to_owned()));
        self
    }
}
