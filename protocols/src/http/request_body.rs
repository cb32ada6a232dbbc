//! A request body that is being received into a file.

use std::io;

use sluicegate_reactor::fs::{Committed, NewFile, NotSaved, Saved};
use sluicegate_reactor::{Context, Input};

use super::chunks::{Chunk, ChunkDecoder};
use super::limits::HttpLimits;
use super::request::BodyLength;
use super::status::Status;

/// A request body that is being received. The reactor writes its bytes to the file; the handler
/// sees only what is between the chunks.
pub(super) struct RequestBody {
    /// The head of the request, which is answered when the body is complete.
    head: Box<[u8]>,
    /// `None` if the length is known.
    chunked: Option<ChunkedFile>,
    /// Bytes that the connection had received when its rate was last checked.
    received: u64,
}

/// A file for a chunked body.
struct ChunkedFile {
    decoder: ChunkDecoder,
    /// `None` while the reactor has the file: during a chunk.
    file: Option<NewFile>,
}

/// A request body that was saved, or not.
pub(super) struct SavedBody {
    pub(super) saved: io::Result<Committed>,
    /// How many bytes of the body are still to come, if that is known.
    pub(super) left: Option<u64>,
}

impl RequestBody {
    /// Starts to receive a body.
    pub(super) fn receive(
        cx: &mut Context<'_>,
        head: &[u8],
        length: BodyLength,
        file: NewFile,
    ) -> RequestBody {
        let known = match length {
            BodyLength::None => Some(0),
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked => None,
        };
        let chunked = match known {
            Some(length) => {
                cx.receive_file(file, Some(length));
                None
            }
            None => Some(ChunkedFile { decoder: ChunkDecoder::default(), file: Some(file) }),
        };
        RequestBody { head: head.into(), chunked, received: cx.received() }
    }

    /// Decodes what is between two chunks, and lets the reactor receive the next chunk.
    ///
    /// # Errors
    /// The status that refuses the request.
    pub(super) fn next_chunk(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input<'_>,
        limits: &HttpLimits,
    ) -> Result<Chunk, Status> {
        // Without chunks all input goes to the file.
        let Some(ChunkedFile { decoder, file }) = &mut self.chunked else {
            return Ok(Chunk::Incomplete);
        };
        let mut rest = input.bytes();
        let chunk = decoder.next(&mut rest, limits);
        input.consume(input.len() - rest.len());
        match chunk {
            Ok(Chunk::Data(size)) => {
                if let Some(file) = file.take() {
                    cx.receive_part(file, size);
                }
            }
            Ok(Chunk::End) => {
                if let Some(file) = file.take() {
                    cx.receive_file(file, Some(0));
                }
            }
            Ok(Chunk::Incomplete) | Err(_) => {}
        }
        chunk
    }

    /// Takes back the file after a chunk. Returns the body when it is complete or failed.
    pub(super) fn on_saved(&mut self, saved: Result<Saved, NotSaved>) -> Option<SavedBody> {
        let (saved, left) = match (saved, &mut self.chunked) {
            (Ok(Saved::Part(part)), chunked) => {
                if let Some(ChunkedFile { file, .. }) = chunked {
                    *file = Some(part);
                }
                return None;
            }
            (Ok(Saved::Committed(committed)), _) => (Ok(committed), Some(0)),
            (Err(NotSaved { error, left }), None) => (Err(error), left),
            // Where a chunked body ends is not known.
            (Err(NotSaved { error, .. }), Some(_)) => (Err(error), None),
        };
        Some(SavedBody { saved, left })
    }

    /// Whether fewer bytes have arrived since the last check than [`HttpLimits::body_rate`] asks
    /// for. A client whose input is not read is not to blame.
    pub(super) fn is_too_slow(&mut self, cx: &Context<'_>, limits: &HttpLimits) -> bool {
        let expected = u128::from(limits.body_rate) * limits.head_timeout.as_millis() / 1000;
        let arrived = cx.received() - std::mem::replace(&mut self.received, cx.received());
        u128::from(arrived) < expected && cx.wants_input()
    }

    /// The head of the request.
    pub(super) fn take_head(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.head)
    }
}
