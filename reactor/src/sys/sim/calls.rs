//! Counting system calls.

/// The number of system calls that the reactor has made, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Accepting a connection.
    pub accept: u64,
    /// Starting a connection.
    pub connect: u64,
    /// Looking up a name.
    pub look_up: u64,
    /// Closing a descriptor of any kind, normally or with a reset.
    pub close: u64,
    /// Ending the sending direction of a connection.
    pub shutdown: u64,
    /// Receiving.
    pub recv: u64,
    /// Setting how many bytes must have arrived for an event (`SO_RCVLOWAT`).
    pub receive_mark: u64,
    /// Sending one slice of memory.
    pub send: u64,
    /// Sending several slices of memory.
    pub send_gather: u64,
    /// The number of those sends with `MSG_MORE`.
    pub send_more: u64,
    /// Sending from a file.
    pub sendfile: u64,
    /// Moving bytes into or out of a pipe.
    pub splice: u64,
    /// Opening a file or directory.
    pub open: u64,
    /// Reading the attributes of a file.
    pub metadata: u64,
    /// Reading from a file.
    pub read_at: u64,
    /// Reading only bytes of a file that are in memory (`RWF_NOWAIT`).
    pub read_nowait: u64,
    /// Loading a part of a file into memory, for which a worker waits.
    pub warm: u64,
    /// The number of file reads and sends from files that had to wait for the disk.
    pub disk_waits: u64,
    /// Creating a file.
    pub create: u64,
    /// Writing to a file.
    pub write_at: u64,
    /// Waiting until written data is on the disk.
    pub sync: u64,
    /// Renaming a file.
    pub rename: u64,
    /// Removing a file.
    pub unlink: u64,
    /// Reading an entry of a directory.
    pub read_dir: u64,
    /// Waiting for events.
    pub wait: u64,
}
