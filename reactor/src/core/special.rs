//! State that few connections have, and only temporarily. An idle connection has none of it.

use super::connect::Attempt;
use super::exact::Exact;
use super::flags::Flags;
use super::id::ConnId;
use super::meter::Meter;
use super::pool::Chunk;
use super::relay::Relay;
use super::transport::{Error, Layer, Transport};
use crate::fs::Saving;

/// The rarely needed state of a connection. Boxed and pooled; a connection has it only while it is
/// not empty.
#[derive(Default)]
pub(crate) struct Special {
    /// Input that was received and not consumed.
    pub(crate) unread: Chunk,
    /// Where the next received bytes go.
    pub(crate) strategy: Strategy,
    /// Whether receiving waits for the destination of a relay, or for workers that write a file.
    /// The code that clears this puts the connection on the worklist.
    pub(crate) blocked: bool,
    /// The connection that relays to this one, if any.
    pub(crate) feeder: Option<ConnId>,
    /// The meter of its rate, if it has one.
    pub(crate) meter: Option<Box<Meter>>,
    /// While connecting: how far it has come.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// The transport that its bytes pass through, if any.
    pub(crate) layer: Option<Box<Layer>>,
    /// A transport that has become transparent, and still knows the addresses.
    pub(crate) retired: Option<Box<dyn Transport>>,
    /// Why its transport has failed, if it has.
    pub(crate) failure: Option<Error>,
}

/// Where the next received bytes go.
#[derive(Default)]
pub(crate) enum Strategy {
    /// To the handler, as they come.
    #[default]
    Stream,
    /// To the handler, in one piece of a known length.
    Exact(Exact),
    /// To another connection: this many bytes, or everything until the end of the stream.
    Relay(Relay),
    /// To a file.
    File(Box<Saving>),
    /// Nowhere, for this many bytes.
    Discard(u64),
}

impl Strategy {
    /// The flags that stop receiving. The connection's own full queue does not stop input that goes
    /// to another connection or to a file, since that cannot make the queue longer.
    pub(crate) fn stopped_by(&self) -> Flags {
        match self {
            Strategy::Relay(_) | Strategy::File(_) | Strategy::Discard(_) => Flags::PAUSED,
            Strategy::Stream | Strategy::Exact(_) => Flags::PAUSED.union(Flags::FULL),
        }
    }
}

impl Special {
    /// Whether all of it is in its default state.
    pub(crate) fn is_empty(&self) -> bool {
        self.unread.len() == 0
            && matches!(self.strategy, Strategy::Stream)
            && !self.blocked
            && self.feeder.is_none()
            && self.meter.is_none()
            && self.attempt.is_none()
            && self.layer.is_none()
            && self.retired.is_none()
            && self.failure.is_none()
    }

    /// The transports: the one in use, and the retired one.
    pub(crate) fn transports(&self) -> impl Iterator<Item = &dyn Transport> {
        let layer = self.layer.as_ref().map(|layer| &*layer.transport);
        layer.into_iter().chain(self.retired.as_deref())
    }

    /// Whether a transport protects the bytes.
    pub(crate) fn is_secure(&self) -> bool {
        let is_handshaking = self.layer.as_ref().is_some_and(|layer| layer.handshaking);
        !is_handshaking && self.transports().any(Transport::is_secure)
    }

    /// Whether nothing here requires action while nothing arrives and no callback is owed.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.strategy, Strategy::Stream | Strategy::Exact(_) | Strategy::Relay(_))
    }

    /// Whether nothing here is in progress.
    pub(crate) fn is_idle(&self) -> bool {
        let holds = |layer: &Layer| {
            layer.incoming.len() > 0 || layer.plain.len() > 0 || layer.outgoing.len() > 0
        };
        self.unread.len() == 0
            && matches!(self.strategy, Strategy::Stream)
            && self.feeder.is_none()
            && !self.layer.as_deref().is_some_and(holds)
            && !self.meter.as_deref().is_some_and(Meter::is_waiting)
    }

    /// Whether the input waits for the disk: a worker is writing a part of its file, or workers
    /// hold all buffers.
    pub(crate) fn waits_for_worker(&self) -> bool {
        match &self.strategy {
            Strategy::File(saving) => saving.is_with_worker() || self.blocked,
            _ => false,
        }
    }
}
