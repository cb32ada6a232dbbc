//! Counting the calls.

/// How often the reactor made each kind of system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Accepting a connection.
    pub accept: u64,
    /// Starting a connection.
    pub connect: u64,
    /// Looking a name up.
    pub look_up: u64,
    /// Closing a descriptor of any kind, in order or with a reset.
    pub close: u64,
    /// Ending the sending direction of a connection.
    pub shutdown: u64,
    /// Receiving.
    pub recv: u64,
    /// Saying how many bytes have to be there for an event (`SO_RCVLOWAT`).
    pub receive_mark: u64,
    /// Sending one piece of memory.
    pub send: u64,
    /// Sending several pieces of memory.
    pub send_gather: u64,
    /// Of both of these, how many said that more follows at once (`MSG_MORE`).
    pub send_more: u64,
    /// Sending from a file.
    pub sendfile: u64,
    /// Moving bytes into a pipe or out of one.
    pub splice: u64,
    /// Opening a file or directory.
    pub open: u64,
    /// Asking for what is known of a file.
    pub metadata: u64,
    /// Reading from a file.
    pub read_at: u64,
    /// Reading from a file what is in memory (`RWF_NOWAIT`).
    pub read_nowait: u64,
    /// Bringing a part of a file to memory, for which a worker waits.
    pub warm: u64,
    /// Of reading and sending from a file, how many had to wait for the disk.
    pub disk_waits: u64,
    /// Making a file.
    pub create: u64,
    /// Writing to a file.
    pub write_at: u64,
    /// Waiting until what was written is on the disk.
    pub sync: u64,
    /// Giving a file another name.
    pub rename: u64,
    /// Removing a file.
    pub unlink: u64,
    /// Listing a directory.
    pub read_dir: u64,
    /// Waiting for events.
    pub wait: u64,
}
