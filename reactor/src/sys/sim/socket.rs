//! TCP and Unix streams with their two directions.
//!
//! A stream is a state machine. Every method that changes it sets [`Stream::edge`] if the kernel
//! would wake a selector; the caller queues the edge.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};

use super::ktls::{self, Tls};
use super::{Address, Fd, More, Ready, Script};

/// How many bytes a stream holds before its client takes some, unless a test changes it.
const DEFAULT_SEND_CAPACITY: usize = 256 * 1024;
/// The maximum number of slices in one call (`IOV_MAX` of Linux); more fail with `EMSGSIZE`.
const IOV_MAX: usize = 1024;

/// The state of the server's end, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Open in both directions.
    Open,
    /// The server has shut down its sending side and still receives.
    Shut,
    /// Closed normally: everything it had sent arrives, then the end of the stream.
    Closed,
    /// Reset, or closed with unread input, which has the same effect. On a real network the bytes
    /// sent before may be lost; here the client can still take them.
    Reset,
}

/// What the client's end has done so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientSide {
    Open,
    Finished,
    Reset,
}

pub(super) struct Stream {
    /// The server's descriptor, from its accept to its close.
    pub(super) fd: Option<Fd>,
    pub(super) local: Address,
    pub(super) peer: Address,
    /// Sent by the client, not yet received.
    pub(super) inbox: VecDeque<u8>,
    /// The records that the kernel opens and seals, if it was told to.
    pub(super) tls: Option<Box<Tls>>,
    /// How many bytes must have arrived for an event (`SO_RCVLOWAT`).
    receive_mark: usize,
    /// The position of an urgent byte in `inbox`. Like TCP, it knows the last one only.
    pub(super) urgent: Option<usize>,
    /// Sent by the server, not yet taken by the client.
    outbox: Vec<u8>,
    capacity: usize,
    /// A send found no room, so an edge follows once there is enough.
    refused: bool,
    /// The last send promised more data (`MSG_MORE`).
    held: bool,
    client: ClientSide,
    server: State,
    /// The server's end has asked for the connection, which is not established yet.
    connecting: bool,
    /// The machine itself has asked for the connection.
    pub(super) outgoing: bool,
    /// A fault has ended the connection that no reactor survives.
    pub(super) spoilt: bool,
    /// The other stream, if the client's end belongs to the same machine.
    pub(super) pair: Option<usize>,
    /// An error that the next call reports, once (`SO_ERROR`).
    error: Option<i32>,
    pub(super) recvs: Script,
    pub(super) sends: Script,
    /// Whether the last change wakes a selector.
    pub(super) edge: bool,
}

impl Stream {
    pub(super) fn new(local: Address, peer: Address) -> Stream {
        Stream {
            fd: None,
            local,
            peer,
            inbox: VecDeque::new(),
            tls: None,
            receive_mark: 1,
            urgent: None,
            outbox: Vec::new(),
            capacity: DEFAULT_SEND_CAPACITY,
            refused: false,
            held: false,
            client: ClientSide::Open,
            server: State::Open,
            connecting: false,
            outgoing: false,
            spoilt: false,
            pair: None,
            error: None,
            recvs: Script::default(),
            sends: Script::default(),
            edge: false,
        }
    }

    /// A stream that the machine itself asks for.
    pub(super) fn connecting(local: Address, peer: Address) -> Stream {
        Stream { connecting: true, outgoing: true, ..Stream::new(local, peer) }
    }

    /// The present state (`tcp_poll` of Linux, as the selector translates it).
    pub(super) fn ready(&self) -> Ready {
        if self.connecting {
            return Ready::default();
        }
        let ended = self.has_ended();
        let urgent = self.urgent.is_some();
        // A call that can only fail is ready, too.
        let over = self.is_over();
        [
            (Ready::READ, ended || urgent || self.has_reached_mark()),
            (Ready::WRITE, over || self.server != State::Open || self.is_writable()),
            (Ready::READ_END, ended),
            (Ready::HANGUP, over),
            (Ready::URGENT, urgent),
        ]
        .into_iter()
        .filter(|(_, so)| *so)
        .fold(Ready::default(), |all, (bit, _)| all.union(bit))
    }

    /// The readiness in an event, which is then known. An event may mean nothing: the event of an
    /// unfinished connection that is being watched always does.
    pub(super) fn report(&mut self) -> Ready {
        if self.connecting {
            return Ready::WRITE;
        }
        let ready = self.ready().union(self.take_damage());
        self.refused &= !ready.any(Ready::WRITE);
        ready
    }

    /// Whether the bytes in `inbox` cause an event. A mark above half of the receive buffer is
    /// reduced (`tcp_set_rcvlowat` of Linux).
    fn has_reached_mark(&self) -> bool {
        if let Some(tls) = self.tls.as_ref().filter(|tls| tls.opens()) {
            return tls.has_record(&self.inbox);
        }
        self.inbox.len() >= self.receive_mark.min(self.capacity / 2).max(1)
    }

    /// Whether the kernel opens the records that the client sends.
    fn opens_records(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.opens())
    }

    /// Whether the client has ended its side.
    pub(super) fn has_ended(&self) -> bool {
        self.client != ClientSide::Open
    }

    /// Whether both directions have ended.
    fn is_over(&self) -> bool {
        match self.client {
            ClientSide::Open => false,
            ClientSide::Finished => self.server != State::Open,
            ClientSide::Reset => true,
        }
    }

    /// Whether the client has reset the stream, or the connection was refused.
    pub(super) fn is_reset(&self) -> bool {
        self.client == ClientSide::Reset
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.outbox.len())
    }

    /// Whether there is enough room for an event: a third of the buffer (`sk_stream_is_writeable`
    /// of Linux).
    fn is_writable(&self) -> bool {
        self.room() > 0 && self.room() >= self.outbox.len() / 2
    }
}

/// The server's calls.
impl Stream {
    pub(super) fn peer_address(&self) -> io::Result<Address> {
        self.check_connected()?;
        Ok(self.peer.clone())
    }

    fn check_connected(&self) -> io::Result<()> {
        if self.connecting || self.is_over() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        Ok(())
    }

    pub(super) fn take_error(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    }

    /// Whether the next byte is behind an urgent one, which a splice does not get past.
    pub(super) fn is_at_urgent(&self) -> bool {
        self.urgent == Some(0)
    }

    /// Causes no edge, even if enough bytes are there now: Linux before 4.18 does not.
    pub(super) fn set_receive_mark(&mut self, bytes: usize) {
        self.receive_mark = bytes;
    }

    pub(super) fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a receive into no buffer looks like the end of the stream");
        assert!(!self.connecting, "a receive before the connection is established");
        let limit = self.recvs.next(&mut self.edge)?;
        // A receive skips an urgent byte. If it already has other bytes, it stops before it.
        if self.urgent == Some(0) {
            self.urgent = None;
        }
        if let Some(tls) = self.tls.as_mut().filter(|tls| tls.opens())
            && let Some(opened) = tls.recv(&mut self.inbox, buffer, limit, &mut self.edge)
        {
            return opened;
        }
        let there = self.urgent.unwrap_or(self.inbox.len()).min(buffer.len());
        if there > 0 && !self.opens_records() {
            let count = there.min(limit);
            self.inbox.read_exact(&mut buffer[..count])?;
            self.urgent = self.urgent.map(|at| at - count);
            self.edge |= count < there && !self.local.is_unix();
            return Ok(count);
        }
        match self.client {
            ClientSide::Open => Err(io::ErrorKind::WouldBlock.into()),
            ClientSide::Finished => Ok(0),
            // Bytes that arrived before a reset can be read. Then the error is reported once,
            // except after an orderly end.
            ClientSide::Reset => match self.error.take_if(|code| *code == libc::ECONNRESET) {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => Ok(0),
            },
        }
    }

    pub(super) fn send(&mut self, pieces: &[IoSlice<'_>], more: More) -> io::Result<usize> {
        if pieces.len() > IOV_MAX {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let count = self.room_for(pieces.iter().map(|piece| piece.len()).sum())?;
        self.held = more == More::Yes;
        if let Some(tls) = self.tls.as_ref().filter(|tls| tls.seals()) {
            tls.seal(pieces, count, &mut self.outbox);
            return Ok(count);
        }
        let end = self.outbox.len() + count;
        for piece in pieces {
            let take = piece.len().min(end - self.outbox.len());
            self.outbox.extend_from_slice(&piece[..take]);
        }
        Ok(count)
    }

    /// Sends a record that the kernel seals, whole if there is any room.
    pub(super) fn send_record(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        self.room_for(payload.len().max(1))?;
        self.held = false;
        ktls::put(kind, payload, &mut self.outbox);
        Ok(())
    }

    /// How many of `wanted` bytes a send may take now.
    fn room_for(&mut self, wanted: usize) -> io::Result<usize> {
        assert!(!self.connecting, "a send before the connection is established");
        let limit = self.sends.next(&mut self.edge).inspect_err(|error| {
            self.refused |= error.kind() == io::ErrorKind::WouldBlock;
        })?;
        if let Some(code) = self.error.take() {
            return Err(io::Error::from_raw_os_error(code));
        }
        if self.server != State::Open || self.client == ClientSide::Reset {
            return Err(io::Error::from_raw_os_error(libc::EPIPE));
        }
        if wanted > 0 && self.room() == 0 {
            self.refused = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(wanted.min(self.room()).min(limit))
    }

    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        self.check_connected()?;
        self.server = State::Shut;
        self.held = false;
        // `shutdown(2)` wakes all who poll, its caller included.
        self.edge = true;
        Ok(())
    }

    pub(super) fn close(&mut self) {
        let unread = !self.inbox.is_empty();
        self.server = if unread { State::Reset } else { State::Closed };
        self.held = false;
    }

    pub(super) fn reset(&mut self) {
        self.server = State::Reset;
        self.held = false;
    }
}

/// What the client does and sees.
impl Stream {
    fn assert_client_open(&self) {
        assert!(self.client == ClientSide::Open, "the client has shut down its sending side");
    }

    /// Whether the server could still receive what the client sends.
    fn server_receives(&self) -> bool {
        matches!(self.server, State::Open | State::Shut)
    }

    pub(super) fn client_send(&mut self, bytes: &[u8]) {
        self.assert_client_open();
        if self.server_receives() && !bytes.is_empty() {
            // The kernel announces a record once, although more bytes follow.
            let announced = self.tls.as_ref().is_some_and(|tls| tls.has_announced(&self.inbox));
            self.inbox.extend(bytes);
            self.edge |= self.has_reached_mark() && !announced;
        }
    }

    pub(super) fn client_send_urgent(&mut self) {
        self.assert_client_open();
        // The byte itself is never received. A kernel that opens records skips it.
        self.urgent = (!self.opens_records()).then_some(self.inbox.len());
        self.edge = true;
    }

    pub(super) fn client_finish(&mut self) {
        self.assert_client_open();
        self.client = ClientSide::Finished;
        self.edge = true;
    }

    pub(super) fn client_reset(&mut self) {
        assert!(self.client != ClientSide::Reset, "the client has already reset the stream");
        let finished = self.client == ClientSide::Finished;
        self.error = Some(if finished { libc::EPIPE } else { libc::ECONNRESET });
        self.client = ClientSide::Reset;
        self.edge = true;
    }

    pub(super) fn client_take(&mut self) -> Vec<u8> {
        self.client_take_some(self.outbox.len())
    }

    pub(super) fn client_take_some(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.outbox.drain(..count).collect();
        self.offer_room();
        bytes
    }

    /// Takes the bytes of a client that is the other end of a connection within the machine; `end`
    /// is what it has done after `all` of its bytes. Returns whether the bytes met a closed socket.
    pub(super) fn client_becomes(&mut self, bytes: &[u8], end: State, all: bool) -> bool {
        let too_late = self.server == State::Closed && !bytes.is_empty();
        if self.client == ClientSide::Open {
            self.client_send(bytes);
        }
        match end {
            State::Shut | State::Closed if all && self.client == ClientSide::Open => {
                self.client_finish();
            }
            State::Reset if self.client != ClientSide::Reset => self.client_reset(),
            _ => {}
        }
        too_late
    }

    /// The connection is established.
    pub(super) fn establish(&mut self) {
        (self.connecting, self.edge) = (false, true);
    }

    /// The connection has failed.
    pub(super) fn refuse(&mut self, errno: i32) {
        (self.connecting, self.edge) = (false, true);
        (self.client, self.error) = (ClientSide::Reset, Some(errno));
    }

    /// How many more bytes from the other end the machine can hold.
    pub(super) fn inbox_room(&self) -> usize {
        self.capacity.saturating_sub(self.inbox.len())
    }

    pub(super) fn set_capacity(&mut self, bytes: usize) {
        self.capacity = bytes;
        self.offer_room();
    }

    fn offer_room(&mut self) {
        self.edge |= self.refused && self.is_writable();
    }

    pub(super) fn state(&self) -> State {
        self.server
    }

    pub(super) fn client_address(&self) -> Address {
        self.peer.clone()
    }

    pub(super) fn unread(&self) -> usize {
        self.inbox.len()
    }

    pub(super) fn untaken(&self) -> usize {
        self.outbox.len()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }
}
