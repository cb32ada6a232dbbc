//! The only file that knows the connections of rustls.
//!
//! It uses their unbuffered interface, which decrypts a record in place. rustls nevertheless
//! returns a copy of the plain bytes, which only serves to find them in the record: the handler
//! gets them from there.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, Error};
use sluicegate_reactor::transport::{Opened, Output};

/// One end of a TLS connection.
pub(super) struct Session {
    side: Side,
    /// How many bytes at the front of the wire rustls has processed and still needs: the beginning
    /// of a handshake message that continues in the next record.
    pending: usize,
    /// Whether opening has failed. Nothing can be sent then but the alert.
    failed: bool,
}

pub(super) enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What to do once bytes may be sent.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    Nothing,
    /// Put out the answer to a key update, if rustls has one.
    Answer,
    Seal(&'a [u8]),
    CloseNotify,
}

/// How far a step has come.
enum Step {
    /// There is more to do with the same records.
    Again,
    /// The records are processed, and what was to be sent is in the output if it may be sent.
    Done { sent: bool },
    /// The last record held bytes for the handler.
    Plain(Sample),
    /// The peer has sent a `close_notify`.
    End,
}

/// The length and the first and last bytes of some plain bytes.
///
/// Where a record's plain bytes begin is up to the cryptography: for AES-GCM in TLS 1.2, aws-lc-rs
/// leaves them behind the explicit nonce, and ring moves them over it.
#[derive(PartialEq, Eq)]
struct Sample {
    length: usize,
    first: [u8; SAMPLE],
    last: [u8; SAMPLE],
}

/// Long enough that other bytes do not match by accident.
const SAMPLE: usize = 16;

impl Sample {
    fn of(plain: &[u8]) -> Sample {
        let (mut first, mut last) = ([0; SAMPLE], [0; SAMPLE]);
        let count = plain.len().min(SAMPLE);
        first[..count].copy_from_slice(&plain[..count]);
        last[..count].copy_from_slice(&plain[plain.len() - count..]);
        Sample { length: plain.len(), first, last }
    }

    /// Finds the bytes in the record whose header ends at `header`.
    fn find(&self, wire: &[u8], header: usize) -> Result<Range<usize>, Error> {
        let mut places =
            [header, header + NONCE].map(|start| start..start + self.length).into_iter();
        places
            .find(|place| wire.get(place.clone()).map(Sample::of).as_ref() == Some(self))
            .ok_or_else(|| Error::General("the plain bytes are not in their record".into()))
    }
}

/// The length of a record's header (RFC 8446, section 5.1).
const HEADER: usize = 5;

/// The maximum number of plain bytes of a record.
const RECORD: usize = 16 << 10;

/// The length of the nonce at the front of a record of AES-GCM in TLS 1.2 (RFC 5288, section 3).
const NONCE: usize = 8;

/// The maximum number of bytes that a record is longer than its plain bytes: the header, a nonce in
/// TLS 1.2 or the content type in TLS 1.3, and a tag of 16 bytes.
const OVERHEAD: usize = HEADER + NONCE + 16;

/// A `close_notify` alert of 2 bytes fits into this, with a key update before it.
const CLOSE_ROOM: usize = 128;

impl Session {
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Session, Error> {
        let side = Side::Server(UnbufferedServerConnection::new(config)?);
        Ok(Session { side, pending: 0, failed: false })
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Session, Error> {
        let side = Side::Client(UnbufferedClientConnection::new(config, name)?);
        Ok(Session { side, pending: 0, failed: false })
    }

    pub(super) fn into_side(self) -> Side {
        self.side
    }

    pub(super) fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// The state that rustls keeps for connections of both sides.
    pub(super) fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(server) => server.deref(),
            Side::Client(client) => client.deref(),
        }
    }

    /// Processes the records of `wire`, up to the next step. Returns how many bytes to remove from
    /// the front.
    fn step(
        &mut self,
        wire: &mut [u8],
        task: Task<'_>,
        out: &mut Output<'_>,
    ) -> (usize, Result<Step, Error>) {
        match &mut self.side {
            Side::Server(server) => take(server.process_tls_records(wire), task, out),
            Side::Client(client) => take(client.process_tls_records(wire), task, out),
        }
    }

    /// Opens records up to the first with plain bytes.
    pub(super) fn open(&mut self, wire: &mut [u8], out: &mut Output<'_>) -> Result<Opened, Error> {
        // The bytes before `consumed` are done with, those before `processed` known to rustls.
        let (mut consumed, mut processed) = (0, self.pending);
        // Whether there was a record without plain bytes.
        let mut has_message = false;
        let opened = loop {
            let rest = wire.get(processed..).unwrap_or_default();
            // One record at a time: its plain bytes are then found by its length. rustls also gets
            // to see an incomplete one, since it may refuse the header.
            let record = record_length(rest);
            let end = processed + record.unwrap_or(rest.len());
            let (discard, step) = self.step(&mut wire[consumed..end], Task::Nothing, out);
            consumed += discard;
            let step = step.inspect_err(|_| self.failed = true)?;
            match step {
                Step::Again => {
                    processed = processed.max(consumed);
                    has_message = true;
                }
                Step::Done { .. } if record.is_some() => {
                    processed = end;
                    has_message = true;
                }
                Step::Done { .. } if consumed == 0 => break Opened::Incomplete,
                Step::Done { .. } => break Opened::nothing(consumed),
                Step::Plain(sample) => {
                    let plain = sample.find(wire, processed + HEADER)?;
                    processed = end;
                    break Opened::Bytes { consumed, plain };
                }
                Step::End => break Opened::End,
            }
        };
        self.pending = processed - consumed.min(processed);
        if has_message && !self.common().is_handshaking() {
            self.send(Task::Answer, out)?;
            self.send(Task::Nothing, out)?;
        }
        Ok(opened)
    }

    /// Sends as soon as it may. Returns whether it may.
    pub(super) fn send(&mut self, task: Task<'_>, out: &mut Output<'_>) -> Result<bool, Error> {
        if self.failed {
            return Ok(false);
        }
        // rustls wants to see the pending bytes again, whatever they are by now, or it panics.
        let mut pending = vec![0; self.pending];
        loop {
            match self.step(&mut pending, task, out).1? {
                Step::Done { sent } => return Ok(sent),
                Step::Again | Step::Plain(_) | Step::End => {}
            }
        }
    }

    /// Puts out the alert that rustls has prepared for the peer, if it has.
    pub(super) fn put_alert(&mut self, out: &mut Output<'_>) {
        while self.common().wants_write() {
            let (_, Ok(Step::Again)) = self.step(&mut [], Task::Nothing, out) else { return };
        }
    }
}

/// Takes a step of rustls. Returns how many bytes of the wire it is done with.
fn take<D>(
    status: UnbufferedStatus<'_, '_, D>,
    task: Task<'_>,
    out: &mut Output<'_>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state, .. } = status;
    let step = state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(mut data) => {
            fill(out, 0, |room| data.encode(room))?;
            Ok(Step::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Again)
        }
        ConnectionState::ReadTraffic(mut traffic) => {
            let record = traffic.next_record().ok_or(Error::HandshakeNotComplete)??;
            discard += record.discard;
            Ok(Step::Plain(Sample::of(record.payload)))
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            match task {
                Task::Nothing => {}
                // rustls keeps the answer to a key update until it encrypts data, although it
                // already has the new key: if the kernel got that key, the peer would never learn
                // of it. An attempt without room queues the answer, and fails.
                Task::Answer => _ = traffic.encrypt(&[0], &mut []),
                Task::Seal(plain) => {
                    let room = plain.len() + plain.len().div_ceil(RECORD) * OVERHEAD;
                    fill(out, room, |room| traffic.encrypt(plain, room))?;
                }
                Task::CloseNotify => {
                    fill(out, CLOSE_ROOM, |room| traffic.queue_close_notify(room))?;
                }
            }
            Ok(Step::Done { sent: true })
        }
        ConnectionState::BlockedHandshake | ConnectionState::Closed => {
            Ok(Step::Done { sent: false })
        }
        ConnectionState::PeerClosed => Ok(Step::End),
        // The configuration allows no early data.
        state => Err(Error::General(format!("unexpected state {state:?}"))),
    });
    (discard, step)
}

/// Lets `encode` write to `out`. It is called again with the room that it says it needs.
fn fill<E: Into<Refused>>(
    out: &mut Output<'_>,
    room: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), Error> {
    let written = match encode(out.room(room)).map_err(E::into) {
        Err(Refused::Size(InsufficientSizeError { required_size })) => {
            encode(out.room(required_size)).map_err(E::into)
        }
        result => result,
    };
    match written {
        Ok(count) => out.filled(count),
        Err(refused) => return Err(Error::General(refused.to_string())),
    }
    Ok(())
}

/// Why rustls has not encoded or encrypted anything.
enum Refused {
    Size(InsufficientSizeError),
    Other(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Size(InsufficientSizeError { required_size }) => {
                write!(f, "{required_size} bytes are needed to send")
            }
            Refused::Other(text) => f.write_str(text),
        }
    }
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Refused {
        match error {
            EncodeError::InsufficientSize(size) => Refused::Size(size),
            EncodeError::AlreadyEncoded => Refused::Other(error.to_string()),
        }
    }
}

impl From<EncryptError> for Refused {
    fn from(error: EncryptError) -> Refused {
        match error {
            EncryptError::InsufficientSize(size) => Refused::Size(size),
            EncryptError::EncryptExhausted => Refused::Other(error.to_string()),
        }
    }
}

/// The length of the record at the front of `wire`, if it is complete.
fn record_length(wire: &[u8]) -> Option<usize> {
    let header = wire.first_chunk::<HEADER>()?;
    let length = HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
    (wire.len() >= length).then_some(length)
}
