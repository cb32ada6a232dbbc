//! The [`Transport`] trait, and the state that a connection keeps for its transport.

use std::any::{Any, TypeId};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::pool::{Chunk, Pool};
use crate::sys::{Address, Key, Suite};

/// The error with which a transport ends its connection. The reactor logs it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A filter between the wire and a handler; see the [module](crate::transport).
///
/// A transport belongs to one connection and makes no system calls. The reactor passes the bytes
/// that arrive to [`open`](Transport::open), and the bytes that the handler sends to
/// [`seal`](Transport::seal). In every callback, the bytes that the transport puts into `out` are
/// sent, in order.
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait Transport: 'static {
    /// Called once when the connection is established, before any other method. If this side sends
    /// the first message, it does so here.
    ///
    /// # Errors
    /// An error ends the connection.
    fn start(&mut self, out: &mut Output<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Opens the next unit at the front of `wire`, which holds all bytes that have arrived and were
    /// not consumed. It may change them in place. The reactor calls it until it returns
    /// [`Opened::Incomplete`] or has consumed everything, and again with the rest once more bytes
    /// have arrived.
    ///
    /// # Errors
    /// An error ends the connection after `out` has been sent, so an alert can be sent first.
    fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error>;

    /// Turns all of `plain`, up to 64 KiB that are sent together, into bytes for the wire. A
    /// transport may keep bytes back, but nothing asks it for them: they leave with the next call.
    /// One that must not delay a message puts out all of it here. It is called only while the
    /// transport is [open](State::Open).
    ///
    /// # Errors
    /// An error ends the connection, once `out` was sent.
    fn seal(&mut self, plain: &[u8], out: &mut Output<'_>) -> Result<(), Error>;

    /// Called once when nothing more will be sent. Writes the end of the stream, if the transport
    /// has one. The reactor then shuts down the socket's sending side, and drops any later output
    /// of the transport.
    fn close(&mut self, out: &mut Output<'_>) {}

    /// The state of the transport. The reactor checks it after each callback until it is no longer
    /// [`State::Handshake`].
    fn state(&self) -> State;

    /// Whether the bytes are protected from being read or changed on the way.
    /// [`Context::is_secure`](crate::Context::is_secure) returns it.
    fn is_secure(&self) -> bool {
        false
    }

    /// The address of the peer, if the transport knows it better than the socket does. Shared,
    /// because each [`Endpoints`](crate::Endpoints) keeps it.
    fn peer_address(&self) -> Option<&Arc<Address>> {
        None
    }

    /// The address that the peer connected to, if the transport knows it better than the socket
    /// does.
    fn local_address(&self) -> Option<&Arc<Address>> {
        None
    }

    /// Details about the peer for [`Context::transport`](crate::Context::transport): the
    /// transport's value of the type `of`, if it has one. A transport that wraps another one
    /// forwards the call.
    fn details(&self, of: TypeId) -> Option<&dyn Any> {
        None
    }

    /// Returns the transport as an [`Offload`] if the kernel can take over its work. The reactor
    /// calls this once, at the end of the handshake. A transport that wraps another one forwards
    /// the call.
    fn offload(&mut self) -> Option<&mut dyn Offload> {
        None
    }
}

/// A TLS [`Transport`] that the kernel can take over; see the
/// [module](crate::transport#tls-in-the-kernel).
///
/// Once the kernel has the keys, neither `open` nor `seal` is called again. The transport must then
/// put out whole plaintext records with their headers (`TLSPlaintext` of RFC 8446, section 5.1)
/// that contain no application data. The kernel seals them.
pub trait Offload {
    /// The cipher suite that the kernel must support. `None` if no kernel supports it.
    fn suite(&self) -> Option<Suite>;

    /// Extracts the keys. The reactor calls this once, after all output has been sent and all input
    /// has been opened.
    ///
    /// # Errors
    /// An error ends the connection.
    fn keys(&mut self) -> Result<Keys, Error>;

    /// Called with the content type and the payload of each record that is not application data.
    ///
    /// # Errors
    /// An error ends the connection, once `out` was sent.
    fn control(&mut self, kind: u8, payload: &[u8], out: &mut Output<'_>)
    -> Result<Control, Error>;

    /// Called when the kernel cannot open a record or has refused a key. Puts out an alert, and
    /// returns the error to log. The connection then ends.
    fn fail(&mut self, error: &io::Error, out: &mut Output<'_>) -> Error;
}

/// The keys of both directions of a connection.
#[derive(Debug)]
pub struct Keys {
    /// The key for sending.
    pub send: Key,
    /// The key for receiving.
    pub receive: Key,
}

/// The result of [`Offload::control`].
#[derive(Debug)]
pub enum Control {
    /// Nothing more to do than to send the output.
    Nothing,
    /// The peer has ended its stream.
    End,
    /// The peer has updated its key.
    Update {
        /// The key of the records that follow.
        receive: Box<Key>,
        /// The key of the records sent after the one that was put out, which announces the new key
        /// to the peer.
        send: Option<Box<Key>>,
    },
}

/// Makes the transport of a connection from an address: of a client for
/// [`Listen::transport`](crate::Listen), of the target for [`Connect::transport`](crate::Connect).
/// `Ok(None)` means that the connection needs none. The threads of a server share it.
pub struct Factory<A> {
    make: Arc<Make<A>>,
}

type Make<A> = dyn Fn(&A) -> Result<Option<Box<dyn Transport>>, Error> + Send + Sync;

impl<A> Factory<A> {
    /// A factory that calls `make` for each connection.
    pub fn new(
        make: impl Fn(&A) -> Result<Option<Box<dyn Transport>>, Error> + Send + Sync + 'static,
    ) -> Factory<A> {
        Factory { make: Arc::new(make) }
    }

    /// Makes the transport of the connection with this address.
    ///
    /// # Errors
    /// The error of the closure, or that it panicked. The reactor logs it and resets the
    /// connection.
    pub fn make(&self, address: &A) -> Result<Option<Box<dyn Transport>>, Error> {
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)(address)));
        made.unwrap_or_else(|_| Err("the factory of transports panicked".into()))
    }
}

impl<A> Clone for Factory<A> {
    fn clone(&self) -> Self {
        Factory { make: Arc::clone(&self.make) }
    }
}

/// Two factories are equal if they are clones of each other.
impl<A> PartialEq for Factory<A> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.make, &other.make)
    }
}

impl<A> Eq for Factory<A> {}

impl<A> fmt::Debug for Factory<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Factory")
    }
}

/// The state of a [`Transport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The handshake is in progress. The handler gets no input yet, and its output waits.
    Handshake,
    /// Bytes pass through [`open`](Transport::open) and [`seal`](Transport::seal).
    Open,
    /// The transport is done: from now on bytes pass unchanged, and neither `open` nor `seal` is
    /// called again. Unconsumed bytes go to the handler.
    Transparent,
}

/// The result of [`Transport::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The unit at the front is incomplete; nothing was consumed. The reactor buffers at most 128
    /// KiB.
    Incomplete,
    /// The first `consumed` bytes were processed. The range `plain` within them goes to the
    /// handler; it is empty if the unit was for the transport only.
    Bytes {
        /// How many bytes to remove from the front.
        consumed: usize,
        /// The bytes for the handler. Empty before the transport is [open](State::Open).
        plain: Range<usize>,
    },
    /// The peer has ended its stream, as the transport defines it. Later bytes are ignored.
    End,
}

impl Opened {
    /// `consumed` bytes that were for the transport only.
    #[must_use]
    pub fn nothing(consumed: usize) -> Opened {
        Opened::Bytes { consumed, plain: 0..0 }
    }
}

/// Where a [`Transport`] puts bytes for the wire.
pub struct Output<'a> {
    pub(crate) chunk: &'a mut Chunk,
    pub(crate) pool: &'a mut Pool,
}

impl Output<'_> {
    /// Runs `act` and returns its output, for testing a transport without a reactor.
    #[cfg(feature = "testing")]
    pub fn collect<T>(act: impl FnOnce(&mut Output<'_>) -> T) -> (T, Vec<u8>) {
        let (mut chunk, mut pool) = (Chunk::default(), Pool::default());
        let result = act(&mut Output { chunk: &mut chunk, pool: &mut pool });
        (result, chunk.bytes().to_vec())
    }

    /// Returns a writable buffer of at least `count` bytes; call [`filled`](Output::filled)
    /// afterwards.
    pub fn room(&mut self, count: usize) -> &mut [u8] {
        if self.chunk.room() < count {
            let mut larger = self.pool.take_whole(self.chunk.len() + count);
            larger.fill(self.chunk.bytes());
            self.pool.give(std::mem::replace(self.chunk, larger));
        }
        self.chunk.spare()
    }

    /// Records that `count` bytes were written to the front of [`room`](Output::room).
    ///
    /// # Panics
    /// If there was less room.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.chunk.room(), "{count} bytes do not fit");
        self.chunk.filled(count);
    }

    /// Appends a copy of these bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// The number of bytes that wait to be sent.
    pub fn len(&self) -> usize {
        self.chunk.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A transport and the bytes that it has not dealt with. A connection at rest has none of them.
pub(crate) struct Layer {
    pub(crate) transport: Box<dyn Transport>,
    /// Whether the handshake is in progress, and counted in the group.
    pub(crate) handshaking: bool,
    /// Whether the connection was open before it got the transport.
    pub(crate) was_open: bool,
    /// How many bytes at the front of the queue are sent in the clear before the transport starts.
    /// `None` once it has started.
    pub(crate) clear: Option<u64>,
    /// The tick at which the handshake must be over.
    pub(crate) until: u32,
    /// Bytes that were received and not opened.
    pub(crate) incoming: Chunk,
    /// Whether `incoming` may hold a complete unit, for which there was no room.
    pub(crate) holds_units: bool,
    /// Opened bytes for which there was no room.
    pub(crate) plain: Chunk,
    /// How the peer's stream has ended, if it has.
    pub(crate) end: Option<End>,
    /// Bytes for the wire.
    pub(crate) outgoing: Chunk,
    /// How many bytes at the front of the queue are sealed in `outgoing`. They leave the queue once
    /// `outgoing` has been sent.
    pub(crate) sealed: usize,
    /// Whether the transport was closed.
    pub(crate) closed: bool,
    /// Whether the kernel opens and seals the records. `outgoing` then holds records in the clear.
    pub(crate) in_kernel: bool,
    /// The key for what is sent after the next record in `outgoing`.
    pub(crate) next_key: Option<Box<Key>>,
}

/// How the peer's stream has ended.
pub(crate) enum End {
    /// The transport says that it is complete.
    Clean,
    /// The socket's stream has ended and the transport's has not.
    Cut,
    /// The transport has failed. This is reported after earlier input has been handled.
    Failed(Error),
}

/// The maximum number of bytes that are sealed at a time. With what a transport adds to them, they
/// fit into the largest buffer of the pool.
pub(crate) const SEALED: usize = 63 << 10;

impl Layer {
    pub(crate) fn new(transport: Box<dyn Transport>) -> Layer {
        Layer {
            transport,
            handshaking: false,
            was_open: false,
            clear: Some(0),
            until: 0,
            incoming: Chunk::default(),
            holds_units: false,
            plain: Chunk::default(),
            end: None,
            outgoing: Chunk::default(),
            sealed: 0,
            closed: false,
            in_kernel: false,
            next_key: None,
        }
    }

    /// Notes that the transport has failed.
    pub(crate) fn fail(&mut self, error: impl Into<Error>) {
        self.end = Some(End::Failed(error.into()));
    }

    /// Takes out the error with which the transport has failed. From then on its stream is cut.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        let failed = self.end.take_if(|end| matches!(end, End::Failed(_)));
        let Some(End::Failed(error)) = failed else { return None };
        self.end = Some(End::Cut);
        Some(error)
    }

    /// Calls the transport. A panic becomes an error.
    pub(crate) fn call<T>(
        &mut self,
        pool: &mut Pool,
        act: impl FnOnce(&mut dyn Transport, &mut Output<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (transport, chunk) = (&mut *self.transport, &mut self.outgoing);
        catch_unwind(AssertUnwindSafe(|| act(transport, &mut Output { chunk, pool })))
            .unwrap_or_else(|_| Err("the transport panicked".into()))
    }

    /// Seals the pieces at the front of the queue. An error is reported after the transport's
    /// output has been sent.
    pub(crate) fn seal(&mut self, pieces: &[IoSlice<'_>], pool: &mut Pool) {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        // One buffer for all records, so that they leave in one call.
        let sealed = pool.take(total + total / 64 + 512);
        pool.give(std::mem::replace(&mut self.outgoing, sealed));
        let result = if let [piece] = pieces {
            self.call(pool, |transport, out| transport.seal(piece, out))
        } else {
            // Joined, since each record costs a transport a header and a check value.
            let mut joined = pool.take(total);
            for piece in pieces {
                joined.fill(piece);
            }
            let result = self.call(pool, |transport, out| transport.seal(joined.bytes(), out));
            pool.give(joined);
            result
        };
        if self.outgoing.len() == 0 {
            // Nothing is sent that would give the buffer back.
            pool.give(std::mem::take(&mut self.outgoing));
        }
        match result {
            Ok(()) => self.sealed = total,
            Err(error) => self.fail(error),
        }
    }

    /// Whether bytes for the wire wait, or bytes of the queue for which the transport has put out
    /// nothing so far.
    pub(crate) fn is_sending(&self) -> bool {
        self.outgoing.len() > 0 || self.sealed > 0
    }
}
