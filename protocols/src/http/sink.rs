//! Where the body of a message goes while it is received.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved};
use sluicegate_reactor::{Context, Input};

use super::chunks::{Chunk, ChunkDecoder};
use super::fault::Fault;
use super::limits::ChunkLimits;
use super::trailers::Trailers;

/// Where a body goes. The handler sees only the parts that the reactor does not receive elsewhere.
pub(super) enum Sink {
    /// All of it to the reactor: into a file, into a buffer, or to another connection.
    Reactor,
    /// Chunks into a file. The file is `None` while the reactor has it: during a chunk.
    File { decoder: ChunkDecoder, file: Option<NewFile> },
    /// To the application in pieces. `left` counts the body, or the chunk if there is a decoder.
    Pieces { decoder: Option<ChunkDecoder>, left: u64 },
    /// Into memory. `left` counts the same.
    Memory { decoder: Option<ChunkDecoder>, bytes: Vec<u8>, limit: usize, left: u64 },
}

/// The result of examining the input.
pub(super) enum Progress {
    /// More input is needed.
    Incomplete,
    /// The reactor receives what comes next.
    Elsewhere,
    /// This many bytes of the input are the next piece for the application.
    Piece(usize),
    /// The body is complete; this much of it was not delivered yet.
    Whole(Vec<u8>),
}

impl Sink {
    /// A sink that delivers a body of this length in pieces, or a chunked one without a length.
    pub(super) fn pieces(length: Option<u64>) -> Sink {
        let decoder = length.is_none().then(ChunkDecoder::default);
        Sink::Pieces { decoder, left: length.unwrap_or(0) }
    }

    /// A sink that receives such a body into memory, up to `limit` bytes.
    pub(super) fn memory(length: Option<u64>, limit: usize) -> Sink {
        let decoder = length.is_none().then(ChunkDecoder::default);
        Sink::Memory { decoder, bytes: Vec::new(), limit, left: length.unwrap_or(0) }
    }

    /// A sink that receives a chunked body into a file.
    pub(super) fn chunked_file(file: NewFile) -> Sink {
        Sink::File { decoder: ChunkDecoder::default(), file: Some(file) }
    }

    /// Whether all of a body that is delivered in pieces was delivered.
    pub(super) fn is_delivered(&self) -> bool {
        matches!(self, Sink::Pieces { decoder: None, left: 0 })
    }

    /// The trailer fields of a body that is complete.
    pub(super) fn trailers(&self) -> Trailers<'_> {
        let decoder = match self {
            Sink::Reactor => None,
            Sink::File { decoder, .. } => Some(decoder),
            Sink::Pieces { decoder, .. } | Sink::Memory { decoder, .. } => decoder.as_ref(),
        };
        decoder.map(ChunkDecoder::trailers).unwrap_or_default()
    }

    /// Takes what the input has of the body.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input<'_>,
        limits: ChunkLimits,
    ) -> Result<Progress, Fault> {
        let mut rest = input.bytes();
        let progress = match self {
            Sink::Reactor => Ok(Progress::Elsewhere),
            Sink::File { decoder, file } => {
                let chunk = decoder.next(&mut rest, limits);
                input.consume(input.len() - rest.len());
                return chunk.map(|chunk| receive_chunk(cx, file, &chunk));
            }
            Sink::Pieces { decoder, left } => next_piece(decoder, &mut rest, left, limits),
            Sink::Memory { decoder, bytes, limit, left } => {
                append(decoder, &mut rest, (bytes, *limit, left), limits)
            }
        };
        input.consume(input.len() - rest.len());
        progress
    }

    /// Takes back the file after a chunk. Returns the result when the body is complete or failed,
    /// and how many bytes are still to come if that is known.
    pub(super) fn on_saved(
        &mut self,
        saved: Result<Saved, NotSaved>,
    ) -> Option<(io::Result<Committed>, Option<u64>)> {
        match (saved, self) {
            (Ok(Saved::Part(part)), Sink::File { file, .. }) => {
                *file = Some(part);
                None
            }
            (Ok(Saved::Part(_)), _) => None,
            (Ok(Saved::Committed(committed)), _) => Some((Ok(committed), Some(0))),
            (Err(NotSaved { error, left }), Sink::Reactor) => Some((Err(error), left)),
            // Where a chunked body ends is not known.
            (Err(NotSaved { error, .. }), _) => Some((Err(error), None)),
        }
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
    limits: ChunkLimits,
) -> Result<Progress, Fault> {
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

/// Appends what the input has of the body.
fn append(
    decoder: &mut Option<ChunkDecoder>,
    input: &mut &[u8],
    (bytes, limit, left): (&mut Vec<u8>, usize, &mut u64),
    limits: ChunkLimits,
) -> Result<Progress, Fault> {
    loop {
        let here = at_most(input.len(), *left);
        if here > limit - bytes.len() {
            return Err(Fault::BodyLength);
        }
        if bytes.capacity() - bytes.len() < here {
            // The buffer grows to twice its size, but not beyond the limit. What a peer sends must
            // not end the process.
            let more = bytes.len().max(here).min(limit - bytes.len());
            bytes.try_reserve_exact(more).map_err(|_| Fault::Memory)?;
        }
        bytes.extend_from_slice(&input[..here]);
        *input = &input[here..];
        *left -= here as u64;
        let Some(decoder) = decoder else { return Ok(Progress::Incomplete) };
        if *left > 0 {
            return Ok(Progress::Incomplete);
        }
        match decoder.next(input, limits)? {
            Chunk::Incomplete => return Ok(Progress::Incomplete),
            Chunk::End => return Ok(Progress::Whole(std::mem::take(bytes))),
            Chunk::Data(size) if size > (limit - bytes.len()) as u64 => {
                return Err(Fault::BodyLength);
            }
            Chunk::Data(size) => *left = size,
        }
    }
}
