//! Every size, count and time that the reactor decides by, as data.

use std::time::Duration;

/// What bounds a connection and chooses how its data moves.
///
/// One value belongs to each listener ([`Listen::limits`](crate::Listen)). The defaults suit a
/// server on the open internet.
///
/// ```
/// use sluicegate_reactor::Limits;
/// use std::time::Duration;
///
/// let limits = Limits { idle: Some(Duration::from_secs(10)), ..Limits::default() };
/// assert_eq!(limits.send_high, 64 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Shared bytes up to this size are copied to the queue's tail and leave with their neighbours;
    /// longer ones are referenced. Eight of 256 bytes cost 0.85 times as much copied as referenced,
    /// of 1 KiB 0.95, of 2 KiB 1.1 and of 8 KiB 1.4 times (CPU time; bench `outbound`, as all
    /// ratios here that name none; Linux 6.18, loopback). The default is 1 KiB.
    pub join: usize,
    /// Shared bytes up to this size are copied too if the tail has room for them as it is. Behind a
    /// header of 200 bytes, 1 KiB, 2 KiB and 3 KiB cost 0.9 to 0.97 times as much copied as
    /// referenced. The default is 4 KiB.
    pub join_in_room: usize,
    /// Borrowed bytes longer than this are sent at once if nothing is queued; only what the socket
    /// refuses is copied. Two slices of 2 KiB cost 1.8 times as much in a call each as joined in
    /// one, two of 8 KiB 1.5 times, two of 32 KiB 0.75 times. The default is 16 KiB.
    pub write_through: usize,
    /// The first borrowed bytes of a callback are sent at once if they are longer than this, and
    /// nothing is queued: most callbacks send once, and then 512 bytes to 2 KiB cost 0.95 to
    /// 1 times as much as queued and sent a moment later, 16 KiB 0.8 times. A callback that goes on
    /// sending pays for one call too many at most. The default is 1 KiB.
    pub write_first: usize,
    /// Most pieces of one gathered send, up to [`MAX_PIECES`](crate::outbound::MAX_PIECES). With
    /// 16, 64 pieces of 2 KiB cost 1.2 times as much as with 64, with 4 they cost 2.7 times.
    ///
    /// A socket that has refused more is offered less: up to twice as many bytes as it took the
    /// last time that it had room. To offer 64 pieces of 4 KiB or 8 KiB to one that takes 64 KiB at
    /// a time costs 1.03 times as much. The default is 64.
    pub gather_pieces: usize,
    /// File regions up to this size are read beside what is queued before them and leave in the
    /// same call. Larger ones go by sendfile. Behind a header, 4 KiB cost 0.75 times as much read
    /// as by sendfile, 16 KiB 0.93, 32 KiB 1.2 and 64 KiB 1.4 times. The default is 16 KiB.
    pub small_file: u64,
    /// Most bytes of one sendfile call. Files of 1 MiB cost 1.3 times as much in calls of 64 KiB as
    /// of 1 MiB, 1.1 times in calls of 128 KiB and 1.05 times of 256 KiB; to sixteen clients 1.4,
    /// 1.2 and 1.05 times; files of 8 MiB and 64 MiB 1.2, 1.1 and 1.05 times, and as much in calls
    /// of 4 MiB. The default is 1 MiB.
    pub sendfile_chunk: usize,
    /// How file regions are moved. The default is [`Sendfile`](FileTransfer::Sendfile).
    pub files: FileTransfer,
    /// What is done about regions that are not in memory. The default is [`Warm`](ColdFiles::Warm).
    pub cold_files: ColdFiles,
    /// How much of a region is looked at, and brought to memory if need be, at a time. It should be
    /// at least twice `sendfile_chunk`. The look costs two calls for the
    /// first of them and one for each that follows: nothing that a file of 1 MiB would show. The
    /// default is 2 MiB.
    pub warm_window: usize,
    /// A [relay](crate::Context::relay_to) that has received this many bytes in large pieces, one
    /// after the other, goes over to `splice(2)` through a pipe, where the system has that, until
    /// the pieces become small. So does a [file](crate::Context::receive_file) in memory while this
    /// many bytes of it are still to come. 0 begins so, `usize::MAX` never does.
    ///
    /// A burst and sixteen little pieces behind it, which end the use of the pipe, cost as follows,
    /// relative to memory alone (bench `inbound`); if fewer follow, the next burst begins with the
    /// pipe, and of 256 KiB costs 0.4 to 0.9 times as much:
    ///
    /// | burst | after 256 KiB | after 128 KiB | after 64 KiB |
    /// |---|---|---|---|
    /// | 64 KiB | 1.0 | 1.0 | 1.25 |
    /// | 128 KiB | 1.0 | 1.2 | 1.1 |
    /// | 256 KiB | 1.15 | 1.05 | 1.0 |
    /// | 512 KiB | 0.95 | 0.85 | 0.8 |
    ///
    /// A file of 64 KiB costs as much by pipe as by buffer, of 128 KiB 0.95, of 256 KiB and 512 KiB
    /// 0.9 and of 8 MiB 0.8 times as much.
    ///
    /// The default is 128 KiB.
    pub splice_after: usize,
    /// A piece that a relay receives at a time is large from this many bytes on. A pipe costs 1.2
    /// times as much as memory for pieces of 8 KiB, 1.1 for 16 KiB, 0.8 for 32 KiB, 0.75 for 64 KiB
    /// and a third for 256 KiB (bench `inbound`). The default is 20 KiB.
    pub splice_least: usize,
    /// A connection that has received this many bytes in one turn waits for the next one before it
    /// receives more. One receive of a large buffer is enough: an echo of 1 MiB messages costs as
    /// much with two (bench `inbound`). The default is 256 KiB.
    pub receive_quantum: usize,
    /// A connection that has sent this many bytes in one turn, of what was queued before it or of
    /// what that turn's input caused, waits for the next one. To sixteen clients, files of 1 MiB
    /// cost as much in one turn as in two, four or eight, within 0.03. The default is 1 MiB.
    pub send_quantum: usize,
    /// A connection that has made this many calls in one direction in one turn waits for the next
    /// one. Files of 1 MiB to sixteen clients cost as much with 4, 8 or 16, within 0.06. The
    /// default is 24.
    pub quantum_calls: u32,
    /// With this many bytes of memory queued, `send` answers [`Full`](crate::Sent::Full) and the
    /// connection's own reading stops. Regions of files do not count: they are pulled. The default
    /// is 64 KiB.
    pub send_high: usize,
    /// A full queue that has fallen to this many bytes is open again. The default is 32 KiB.
    pub send_low: usize,
    /// With this many segments queued the queue is full whatever their size. The default is 256.
    pub send_segments: usize,
    /// With this many regions of files queued the queue is full: each keeps its file open. The
    /// default is 4.
    pub send_files: usize,
    /// A handler that leaves this many bytes unconsumed while it waits for more has its connection
    /// reset with [`Reason::Overrun`](crate::Reason::Overrun). The default is 64 KiB.
    pub keep: usize,
    /// Most bytes that [`Context::receive_exact`](crate::Context::receive_exact) can be asked for.
    /// The default is 16 MiB.
    pub receive_exact: usize,
    /// If it is asked for more bytes than this they are received straight into a buffer of their
    /// own; up to this many are lent from the buffer that everything is received into. In a buffer
    /// of their own, which the handler may keep, messages of 8 KiB to 64 KiB cost 1.2 times as much
    /// as lent, of 128 KiB 0.95 times and of 256 KiB 0.9 times (bench `inbound`). The default is 64
    /// KiB.
    pub receive_direct: usize,
    /// While such a request waits for its sender and twice this many bytes are missing, the kernel
    /// wakes it only once so many have arrived, or the end (`SO_RCVLOWAT`; TCP on Linux). Messages
    /// of 1 MiB that come from a hundred slow clients, 1448 bytes at a time, cost 0.45 times as
    /// much so; of 256 KiB from 16 clients 0.55 times, and 0.73 times with 8 KiB or 64 KiB (bench
    /// `inbound`). With 0 or 1 each arrival wakes it.
    ///
    /// What has arrived meanwhile is not [`unread`](crate::Context::unread) yet. It is received,
    /// and counts, before the connection is [`idle`](crate::Limits::idle). The default is 32 KiB.
    pub receive_low_water: usize,
    /// Most batches of a file that workers have at a time, of up to 512 KiB each; then the
    /// receiving of that file waits for the disk. All connections of a reactor together have at
    /// most 16 such batches, so that a disk that is too slow costs 8 MiB of memory. The default is
    /// 2.
    pub file_batches: usize,
    /// A connection on which nothing moved in either direction for this long times out, which
    /// closes it unless the handler's [`on_timeout`](crate::Handler::on_timeout) does something
    /// else. The default is 75 s.
    ///
    /// This suits protocols in which clients ask and the server answers. If clients may be silent
    /// while they wait for messages, as in a chat or a feed, set it to `None`. A client that has
    /// vanished is then noticed when something is sent to it
    /// ([`write_stall`](crate::Limits::write_stall)), or by
    /// [`Listen::keepalive`](crate::Listen::keepalive).
    pub idle: Option<Duration>,
    /// A connection of which the kernel took no byte for this long, though some were queued, times
    /// out. A slow reader is not an idle one: files count too. The default is 60 s.
    pub write_stall: Option<Duration>,
    /// Bytes that a connection sends in a second, files included. What it may send and does not is
    /// kept for some 70 ms, or as long as it takes for 4 KiB; then it sends at the next of the
    /// ticks of 17 ms. While it waits for that it is neither idle nor stalled. 0 counts as 1. What
    /// other bytes the network adds is not counted. The default is none.
    pub send_rate: Option<u64>,
    /// Bytes that a connection receives in a second, however it does, as with
    /// [`send_rate`](crate::Limits::send_rate): its peer is held back by full buffers, which take
    /// more at first. The default is none.
    pub receive_rate: Option<u64>,
    /// How long a closed connection waits for the peer to end its side, so that input in flight
    /// does not turn into a reset that destroys the answer. The default is 5 s.
    pub linger_time: Duration,
    /// How many bytes a closed connection discards while it waits for that. The default is 1 MiB.
    pub linger_bytes: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            join: 1 << 10,
            join_in_room: 4 << 10,
            write_through: 16 << 10,
            write_first: 1 << 10,
            gather_pieces: 64,
            small_file: 16 << 10,
            sendfile_chunk: 1 << 20,
            files: FileTransfer::Sendfile,
            cold_files: ColdFiles::Warm,
            warm_window: 2 << 20,
            splice_after: 128 << 10,
            splice_least: 20 << 10,
            receive_quantum: 256 << 10,
            send_quantum: 1 << 20,
            quantum_calls: 24,
            send_high: 64 << 10,
            send_low: 32 << 10,
            send_segments: 256,
            send_files: 4,
            keep: 64 << 10,
            receive_exact: 16 << 20,
            receive_direct: 64 << 10,
            receive_low_water: 32 << 10,
            file_batches: 2,
            idle: Some(Duration::from_secs(75)),
            write_stall: Some(Duration::from_secs(60)),
            send_rate: None,
            receive_rate: None,
            linger_time: Duration::from_secs(5),
            linger_bytes: 1 << 20,
        }
    }
}

/// What a connection may still do in one direction in the present turn.
pub(crate) struct Quantum {
    pub(crate) calls: u32,
    pub(crate) bytes: usize,
    /// Whether a [rate](crate::rates) says how much of it can be used.
    pub(crate) metered: bool,
}

impl Quantum {
    pub(crate) fn to_receive(limits: &Limits) -> Quantum {
        Quantum {
            calls: limits.quantum_calls.max(1),
            bytes: limits.receive_quantum.max(1),
            metered: false,
        }
    }

    pub(crate) fn to_send(limits: &Limits) -> Quantum {
        Quantum {
            calls: limits.quantum_calls.max(1),
            bytes: limits.send_quantum.max(1),
            metered: false,
        }
    }

    pub(crate) fn use_bytes(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.calls == 0 || self.bytes == 0
    }
}

/// How regions of files move to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FileTransfer {
    /// `sendfile(2)` where the system has one that does not block, else [`Copy`](Self::Copy).
    #[default]
    Sendfile,
    /// Through one buffer of the reactor: what a system without sendfile does.
    Copy,
}

/// What is done about regions of files that are not in memory: see
/// [`outbound`](crate::outbound#cold-files).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ColdFiles {
    /// A worker reads them. Where the file system does not say what is in memory (FUSE, and
    /// overlayfs, which containers live on; not ext4, XFS and Btrfs) it reads whatever no worker
    /// has read through the same open file in the last 10 s.
    #[default]
    Warm,
    /// A worker reads them where the file system says what is in memory. Elsewhere the reactor
    /// waits for what is not: right for an overlay whose files are in memory.
    WarmIfTold,
    /// The reactor waits, and nobody looks.
    Wait,
}
