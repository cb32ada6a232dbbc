//! A request body that is being received, for a service that has asked for it.

use std::borrow::Cow;
use std::io;

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved};
use sluicegate_reactor::{Context, Input};

use super::chunks::{Chunk, ChunkDecoder};
use super::limits::HttpLimits;
use super::request::BodyLength;
use super::status::Status;

/// A request body that is being received.
pub(super) struct RequestBody<V> {
    /// The head of the request, which is answered when the body is complete.
    head: Box<[u8]>,
    /// What the service has set aside.
    state: V,
    sink: Sink,
    /// Bytes that the connection had received when its rate was last checked.
    received: u64,
}

/// Where a body goes. The handler sees only chunked ones, and those only as far as the reactor does
/// not receive them elsewhere.
enum Sink {
    /// All of it to the reactor: into a file, or into a buffer.
    Reactor,
    /// Chunks into a file. The file is `None` while the reactor has it: during a chunk.
    File { decoder: ChunkDecoder, file: Option<NewFile> },
    /// To the service in pieces. `left` counts the body, or the chunk if there is a decoder.
    Pieces { decoder: Option<ChunkDecoder>, left: u64 },
    /// Chunks into memory.
    Memory { decoder: ChunkDecoder, bytes: Vec<u8>, limit: usize, left: u64 },
}

/// A request body that has arrived, or failed to.
pub(super) enum Received<'a> {
    /// All of it.
    Whole(Cow<'a, [u8]>),
    /// It was saved, or not. `left` says how many bytes are still to come, if that is known.
    Saved { saved: io::Result<Committed>, left: Option<u64> },
}

/// What a look at the input brought.
pub(super) enum Progress {
    /// More input is needed.
    Incomplete,
    /// The reactor receives what comes next.
    Elsewhere,
    /// This many bytes of the input are the next piece for the service.
    Piece(usize),
    /// The body is complete; this much of it was not delivered yet.
    Whole(Vec<u8>),
}

impl<V> RequestBody<V> {
    /// Starts to receive a body into a file.
    pub(super) fn save(
        cx: &mut Context<'_>,
        head: &[u8],
        length: BodyLength,
        (state, file): (V, NewFile),
    ) -> RequestBody<V> {
        let sink = match length.known() {
            Some(length) => {
                cx.receive_file(file, Some(length));
                Sink::Reactor
            }
            None => Sink::File { decoder: ChunkDecoder::default(), file: Some(file) },
        };
        RequestBody { head: head.into(), state, sink, received: cx.received() }
    }

    /// Starts to receive a body of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// 413 if it is known to be longer than that, or than the reactor's limit.
    pub(super) fn read(
        cx: &mut Context<'_>,
        head: &[u8],
        length: BodyLength,
        (state, limit): (V, usize),
    ) -> Result<RequestBody<V>, Status> {
        let sink = match length.known() {
            Some(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= limit);
                let asked = length.map(|length| cx.receive_exact(length));
                asked.and_then(Result::ok).ok_or(Status::CONTENT_TOO_LARGE)?;
                Sink::Reactor
            }
            None => {
                let limit = limit.min(cx.limits().receive_exact);
                Sink::Memory { decoder: ChunkDecoder::default(), bytes: Vec::new(), limit, left: 0 }
            }
        };
        Ok(RequestBody { head: head.into(), state, sink, received: cx.received() })
    }

    /// Starts to deliver a body in pieces.
    pub(super) fn deliver(
        cx: &Context<'_>,
        head: &[u8],
        length: BodyLength,
        state: V,
    ) -> RequestBody<V> {
        let (decoder, left) = match length.known() {
            Some(length) => (None, length),
            None => (Some(ChunkDecoder::default()), 0),
        };
        let sink = Sink::Pieces { decoder, left };
        RequestBody { head: head.into(), state, sink, received: cx.received() }
    }

    /// What the service has set aside.
    pub(super) fn state(&mut self) -> &mut V {
        &mut self.state
    }

    /// Whether all of a body that is delivered in pieces was delivered.
    pub(super) fn is_delivered(&self) -> bool {
        matches!(self.sink, Sink::Pieces { decoder: None, left: 0 })
    }

    /// Takes what the input has of the body.
    ///
    /// # Errors
    /// The status that refuses the request.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input<'_>,
        limits: &HttpLimits,
    ) -> Result<Progress, Status> {
        let mut rest = input.bytes();
        let progress = match &mut self.sink {
            Sink::Reactor => Ok(Progress::Elsewhere),
            Sink::File { decoder, file } => {
                let chunk = decoder.next(&mut rest, limits);
                input.consume(input.len() - rest.len());
                return chunk.map(|chunk| receive_chunk(cx, file, &chunk));
            }
            Sink::Pieces { decoder, left } => next_piece(decoder, &mut rest, left, limits),
            Sink::Memory { decoder, bytes, limit, left } => {
                join_chunks(decoder, &mut rest, (bytes, *limit, left), limits)
            }
        };
        input.consume(input.len() - rest.len());
        progress
    }

    /// Takes back the file after a chunk. Returns the result when the body is complete or failed.
    pub(super) fn on_saved(&mut self, saved: Result<Saved, NotSaved>) -> Option<Received<'static>> {
        let (saved, left) = match (saved, &mut self.sink) {
            (Ok(Saved::Part(part)), Sink::File { file, .. }) => {
                *file = Some(part);
                return None;
            }
            (Ok(Saved::Part(_)), _) => return None,
            (Ok(Saved::Committed(committed)), _) => (Ok(committed), Some(0)),
            (Err(NotSaved { error, left }), Sink::Reactor) => (Err(error), left),
            // Where a chunked body ends is not known.
            (Err(NotSaved { error, .. }), _) => (Err(error), None),
        };
        Some(Received::Saved { saved, left })
    }

    /// Whether fewer bytes have arrived since the last check than [`HttpLimits::body_rate`] asks
    /// for. A client whose input is not read is not to blame.
    pub(super) fn is_too_slow(&mut self, cx: &Context<'_>, limits: &HttpLimits) -> bool {
        let expected = u128::from(limits.body_rate) * limits.head_timeout.as_millis() / 1000;
        let arrived = cx.received() - std::mem::replace(&mut self.received, cx.received());
        u128::from(arrived) < expected && cx.wants_input()
    }

    /// The head of the request, and what the service has set aside.
    pub(super) fn into_parts(self) -> (Box<[u8]>, V) {
        (self.head, self.state)
    }

    /// The head of the request, to refuse it.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }
}

/// Lets the reactor receive the next chunk into a file, or commit the file.
fn receive_chunk(cx: &mut Context<'_>, file: &mut Option<NewFile>, chunk: &Chunk) -> Progress {
    match (chunk, file.take()) {
        (Chunk::Data(size), Some(part)) => cx.receive_part(part, *size),
        (Chunk::End, Some(whole)) => cx.receive_file(whole, Some(0)),
        (_, unused) => {
            *file = unused;
            return Progress::Incomplete;
        }
    }
    Progress::Elsewhere
}

/// The smaller of the two.
pub(super) fn at_most(len: usize, left: u64) -> usize {
    usize::try_from(left).map_or(len, |left| left.min(len))
}

/// Finds the next piece in the input, and skips what is before it.
fn next_piece(
    decoder: &mut Option<ChunkDecoder>,
    input: &mut &[u8],
    left: &mut u64,
    limits: &HttpLimits,
) -> Result<Progress, Status> {
    if let Some(decoder) = decoder
        && *left == 0
    {
        match decoder.next(input, limits)? {
            Chunk::Incomplete => return Ok(Progress::Incomplete),
            Chunk::End => return Ok(Progress::Whole(Vec::new())),
            Chunk::Data(size) => *left = size,
        }
    }
    let here = at_most(input.len(), *left);
    *left -= here as u64;
    Ok(if here == 0 { Progress::Incomplete } else { Progress::Piece(here) })
}

/// Appends the chunks in the input.
fn join_chunks(
    decoder: &mut ChunkDecoder,
    input: &mut &[u8],
    (bytes, limit, left): (&mut Vec<u8>, usize, &mut u64),
    limits: &HttpLimits,
) -> Result<Progress, Status> {
    loop {
        let here = at_most(input.len(), *left);
        if bytes.capacity() - bytes.len() < here {
            // The buffer grows to twice its size, but not beyond the limit. What a client sends
            // must not end the process.
            let more = bytes.len().max(here).min(limit - bytes.len());
            bytes.try_reserve_exact(more).map_err(|_| Status::SERVICE_UNAVAILABLE)?;
        }
        bytes.extend_from_slice(&input[..here]);
        *input = &input[here..];
        *left -= here as u64;
        if *left > 0 {
            return Ok(Progress::Incomplete);
        }
        match decoder.next(input, limits)? {
            Chunk::Incomplete => return Ok(Progress::Incomplete),
            Chunk::End => return Ok(Progress::Whole(std::mem::take(bytes))),
            Chunk::Data(size) if size > (limit - bytes.len()) as u64 => {
                return Err(Status::CONTENT_TOO_LARGE);
            }
            Chunk::Data(size) => *left = size,
        }
    }
}
