//! All sizes, counts and times that the reactor's decisions depend on, as data.

use std::time::Duration;

/// The limits of a connection, and the sizes that decide how its data moves.
///
/// Each listener has its own value ([`Listen::limits`](crate::Listen)). The defaults suit a server
/// on the open internet. The measurements behind them are in `benches/README.md`.
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
    /// Shared bytes up to this size are copied to the queue's tail and sent with their neighbours.
    /// Longer ones are referenced: copying them would cost more than another piece in the call. The
    /// default is 1 KiB.
    pub join: usize,
    /// Shared bytes up to this size are also copied if they fit into the buffer at the queue's
    /// tail, since they then need no other buffer. The default is 4 KiB.
    pub join_in_room: usize,
    /// Borrowed bytes longer than this are sent immediately if nothing is queued, and only the part
    /// that the socket refuses is copied. For shorter ones, a separate call costs more than the
    /// copy. The default is 16 KiB.
    pub write_through: usize,
    /// The first borrowed bytes of a callback are sent immediately if they are longer than this and
    /// nothing is queued. Most callbacks send once, so this saves the copy. A callback that sends
    /// again has made at most one unnecessary call. The default is 1 KiB.
    pub write_first: usize,
    /// The maximum number of pieces in one gathered send, up to
    /// [`MAX_PIECES`](crate::outbound::MAX_PIECES). The default is 64.
    pub gather_pieces: usize,
    /// File regions up to this size are read into memory and sent in the same call as what is
    /// queued before them. Larger ones are sent with `sendfile(2)`, if the system has one that does
    /// not block and no [transport](crate::transport) seals them. With `u64::MAX`, files are always
    /// copied through a buffer, and sendfile is never used. The default is 16 KiB.
    pub small_file: u64,
    /// The maximum number of bytes of one sendfile call. Smaller calls cost more; larger calls save
    /// nothing and make other connections wait. The default is 1 MiB.
    pub sendfile_chunk: usize,
    /// How regions that are not in memory are treated. The default is [`Warm`](ColdFiles::Warm).
    pub cold_files: ColdFiles,
    /// The number of bytes of a region that are checked at a time, and that a worker reads if they
    /// are not in memory. It should be at least twice `sendfile_chunk`. The check takes two calls
    /// for the first window and one for each window that follows. The default is 2 MiB.
    pub warm_window: usize,
    /// A [relay](crate::Peer::relay_to) that has received this many bytes in consecutive large
    /// pieces switches to `splice(2)` through a pipe, until the pieces become small again. A [part]
    /// of at least this many bytes is spliced from its beginning. A
    /// [file](crate::Context::receive_file) on a memory file system is spliced if at least this
    /// many of its bytes have yet to arrive or, if its length is unknown, have arrived. With 0,
    /// splicing starts immediately; with `usize::MAX`, never. Has no effect on systems without
    /// splice. The default is 128 KiB.
    ///
    /// [part]: crate::Peer::relay_part
    pub splice_after: usize,
    /// A piece of at least this size that a relay receives counts as large. For smaller pieces,
    /// memory is cheaper than a pipe. The default is 20 KiB.
    pub splice_least: usize,
    /// The maximum number of bytes that one receive delivers to the handler. Use a small value if
    /// the handler parses the beginning of a long message and then directs the rest elsewhere, as a
    /// proxy does, because the bytes received along with the beginning have to be copied. The
    /// default is `usize::MAX`, so the reactor's buffer of 512 KiB is the limit. Behind input that
    /// the handler has left unconsumed, it is the room in the buffer that keeps that input, which
    /// at least doubles when it is full.
    pub receive_most: usize,
    /// A connection that has received this many bytes in one turn waits for the next turn before it
    /// receives more. The default is 256 KiB, which a single receive into the reactor's buffer can
    /// reach.
    pub receive_quantum: usize,
    /// A connection that has sent this many bytes in one turn waits for the next turn. This
    /// includes bytes queued earlier and those queued in response to the turn's input. The default
    /// is 1 MiB.
    pub send_quantum: usize,
    /// A connection that has made this many calls in one direction in one turn waits for the next
    /// turn. Those of a handshake count. The default is 24.
    pub quantum_calls: u32,
    /// With this many bytes of memory queued, `send` returns [`Full`](crate::Sent::Full) and the
    /// connection stops reading. Regions of files do not count: they are read as the socket takes
    /// them. The default is 64 KiB.
    ///
    /// If both ends stop reading while they have much to send, each waits for the other until
    /// [`write_stall`](Limits::write_stall) ends the connection. A client that sends requests
    /// before it has read the responses to earlier ones should therefore set this and
    /// [`send_segments`](Limits::send_segments) to `usize::MAX`, and limit its queue itself, with
    /// [`Peer::pending`](crate::Peer::pending) and
    /// [`Peer::request_drain`](crate::Peer::request_drain). The guide has an example. If a memory
    /// budget is nearly used up, the queue is full at [`send_low`](Limits::send_low) nevertheless.
    pub send_high: usize,
    /// A full queue accepts more once it has drained to this many bytes. The default is 32 KiB.
    pub send_low: usize,
    /// With this many segments the queue is full, regardless of their size. The default is 256.
    pub send_segments: usize,
    /// With this many regions of files the queue is full, since each keeps its file open. The
    /// default is 4.
    pub send_files: usize,
    /// A connection whose handler leaves this many bytes unconsumed while it waits for more is
    /// reset with [`Reason::Overrun`](crate::Reason::Overrun). The default is 64 KiB.
    pub max_unread: usize,
    /// The maximum number of bytes that [`Context::receive_exact`](crate::Context::receive_exact)
    /// can request. The default is 16 MiB.
    pub max_exact: usize,
    /// Requests for more bytes than this receive into a separate buffer, which the handler may
    /// keep. Up to this many bytes are lent from the shared receive buffer, which is cheaper for
    /// short messages. The default is 64 KiB.
    pub receive_direct: usize,
    /// The kernel reports input for a pending [`receive_exact`](crate::Context::receive_exact) only
    /// once this many bytes or the end of the stream have arrived (`SO_RCVLOWAT`; TCP on Linux).
    /// This applies as long as the request still lacks at least twice this many bytes. It saves a
    /// receive for each segment of a slow sender. With 0 or 1, every arrival is reported. The
    /// default is 32 KiB.
    ///
    /// Bytes that have arrived below this mark are not counted by
    /// [`unread`](crate::Context::unread) yet. They are received and counted before the connection
    /// is considered [`idle`](crate::Limits::idle), and before its handler's own deadline passes.
    pub receive_low_water: usize,
    /// The maximum number of batches of a received file, of up to 512 KiB each, that workers hold
    /// at a time. At this limit the connection stops receiving until the disk has caught up. All
    /// connections of a reactor together may have 8 MiB in batches; at that limit none of them
    /// receives more for a file, so a slow disk costs no more memory with many peers. This does not
    /// include the bytes that arrive together with the request for a file, and up to 64 KiB per
    /// file that are too few for a batch. The default is 2.
    pub file_batches: usize,
    /// A connection times out if no bytes move in either direction for this long. It is then
    /// closed, unless the handler's [`on_timeout`](crate::Handler::on_timeout) does something else.
    /// The default is 75 s.
    ///
    /// This suits request-response protocols. If clients may stay silent while they wait for
    /// messages, as in a chat or a feed, set it to `None`. A client that has vanished is then
    /// noticed when something is sent to it ([`write_stall`](crate::Limits::write_stall)), or by
    /// [`TcpOptions::keepalive`](crate::TcpOptions::keepalive).
    pub idle: Option<Duration>,
    /// Once one direction of a [relay](crate::Peer::relay_to) has ended, its connections time out
    /// after this long without traffic, if that is shorter than [`idle`](Limits::idle). A peer that
    /// has sent the end of its stream usually waits only for the rest of an answer. The default is
    /// 30 s.
    pub half_closed: Option<Duration>,
    /// How long the handshake of a [transport](crate::transport) may take, from the connect, the
    /// accept, or the [start](crate::Context::start_transport). The default is 10 s.
    pub handshake: Duration,
    /// A connection times out if it has queued bytes and the kernel accepts none for this long.
    /// Files count as queued bytes. A peer that reads slowly does not time out. The default is 60
    /// s.
    pub write_stall: Option<Duration>,
    /// The maximum send rate of a connection in bytes per second, files included; 0 counts as 1.
    /// The unused rate accumulates for about 70 ms, or for the time that 4 KiB take at this rate if
    /// that is longer. A connection that has used up its rate sends again at the next tick (every
    /// 17 ms); until then it counts as neither idle nor stalled. Only the payload is counted, not
    /// protocol headers. The default is no limit.
    pub send_rate: Option<u64>,
    /// How long a closed connection lingers: it discards input until the peer shuts down its
    /// sending side. Without the wait, input in flight would cause a reset that destroys the
    /// response. The default is 30 s.
    pub linger_time: Duration,
    /// How long a connection that lingers may be without input. The default is 5 s.
    pub linger_idle: Duration,
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
            cold_files: ColdFiles::Warm,
            warm_window: 2 << 20,
            splice_after: 128 << 10,
            splice_least: 20 << 10,
            receive_most: usize::MAX,
            receive_quantum: 256 << 10,
            send_quantum: 1 << 20,
            quantum_calls: 24,
            send_high: 64 << 10,
            send_low: 32 << 10,
            send_segments: 256,
            send_files: 4,
            max_unread: 64 << 10,
            max_exact: 16 << 20,
            receive_direct: 64 << 10,
            receive_low_water: 32 << 10,
            file_batches: 2,
            idle: Some(Duration::from_secs(75)),
            half_closed: Some(Duration::from_secs(30)),
            handshake: Duration::from_secs(10),
            write_stall: Some(Duration::from_secs(60)),
            send_rate: None,
            linger_time: Duration::from_secs(30),
            linger_idle: Duration::from_secs(5),
        }
    }
}

/// The rest of a connection's quantum in one direction in the current turn.
#[derive(Clone, Default)]
pub(crate) struct Quantum {
    pub(crate) calls: u32,
    pub(crate) bytes: usize,
}

impl Quantum {
    /// The quantum of a turn, with this many bytes.
    pub(crate) fn new(limits: &Limits, bytes: usize) -> Quantum {
        Quantum { calls: limits.quantum_calls.max(1), bytes: bytes.max(1) }
    }

    pub(crate) fn use_bytes(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.calls == 0 || self.bytes == 0
    }
}

/// How regions of files that are not in memory are treated; see
/// [`outbound`](crate::outbound#cold-files).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ColdFiles {
    /// A worker reads them. Some file systems do not report what is in memory, such as FUSE and
    /// overlayfs, which containers use; ext4, XFS and Btrfs do. On file systems that do not, a
    /// worker reads everything that no worker has read through the same open file in the last 10 s.
    #[default]
    Warm,
    /// A worker reads them if the file system reports what is in memory. On other file systems the
    /// reactor itself reads the file and waits for the disk. Use this for an overlayfs whose files
    /// are in memory.
    WarmIfReported,
    /// The reactor waits for the disk. Nothing is checked.
    Wait,
}
