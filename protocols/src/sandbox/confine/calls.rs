//! The system calls that a running server makes, and those that C libraries may make in place of
//! them.
//!
//! `chmod`, `chown`, `utimensat` and `setxattr` are missing, although they are about files:
//! Landlock does not restrict them.

/// Allowed with any arguments. Not every architecture has all of them.
pub(super) const CALLS: &[&str] = &[
    // Connections.
    "accept",
    "accept4",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socketpair",
    // Bytes.
    "close",
    "dup",
    "dup3",
    "fcntl",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readv",
    "sendfile",
    "splice",
    "write",
    "writev",
    // Events.
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    // Files and directories. Landlock says which.
    "access",
    "copy_file_range",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fdatasync",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcwd",
    "getdents64",
    "link",
    "linkat",
    "lseek",
    "lstat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "readlink",
    "readlinkat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "stat",
    "statfs",
    "statx",
    "unlink",
    "unlinkat",
    // Memory.
    "brk",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    // Threads.
    // A second filter hides it.
    "clone3",
    "exit",
    "futex",
    "gettid",
    "membarrier",
    "rseq",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    // The process.
    "exit_group",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "getrusage",
    "getuid",
    "prctl",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "sysinfo",
    "uname",
    // The clock.
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "gettimeofday",
    "nanosleep",
    "time",
];

/// Allowed with some values of an argument.
pub(super) struct Restricted {
    pub(super) name: &'static str,
    /// The number of the argument, from 0.
    pub(super) argument: u8,
    /// Which of its bits count.
    pub(super) mask: u32,
    pub(super) values: &'static [u32],
}

pub(super) const RESTRICTED: &[Restricted] = &[
    // Starts a thread, not a process (CLONE_THREAD).
    Restricted { name: "clone", argument: 0, mask: 0x1_0000, values: &[0x1_0000] },
    // FIONREAD, FIONBIO and FIOCLEX, but not TIOCSTI, which types at the terminal of the operator.
    Restricted { name: "ioctl", argument: 1, mask: u32::MAX, values: &[0x541b, 0x5421, 0x5451] },
    // The limits of this process, and the cores of this thread.
    Restricted { name: "prlimit64", argument: 0, mask: u32::MAX, values: &[0] },
    Restricted { name: "sched_setaffinity", argument: 0, mask: u32::MAX, values: &[0] },
];

/// Allowed, for this process, as the argument with number 0: a program ends itself with a signal.
pub(super) const SIGNALS: &[&str] = &["kill", "tgkill"];

/// Allowed for `raise` of musl, which names the thread only.
pub(super) const RAISE: Option<&str> = if cfg!(target_env = "musl") { Some("tkill") } else { None };

/// Allowed for a server that connects, together with [`SOCKETS`].
pub(super) const CONNECT: &[&str] = &["bind", "connect"];

/// The families of sockets, for a server that connects: AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK,
/// by which glibc learns which addresses the machine has.
pub(super) const SOCKETS: Restricted =
    Restricted { name: "socket", argument: 0, mask: u32::MAX, values: &[1, 2, 10, 16] };
