//! Bodies that are sent part by part: the framing that marks their end.

use sluicegate_reactor::{Outgoing, Peer, Sent};

use super::writer::{Own, send_chunk, write_fields};

/// How the end of a body that is sent part by part is marked.
#[derive(Clone, Copy, Debug)]
pub(super) enum FramedBody {
    /// By the last chunk, which trailers may follow if the head has announced them.
    Chunked { has_trailers: bool },
    /// By its length, which the head has stated and of which this is left.
    Sized(u64),
    /// By the end of the connection.
    UntilClose,
}

impl FramedBody {
    /// Whether the head has announced trailers.
    pub(super) fn has_trailers(self) -> bool {
        matches!(self, FramedBody::Chunked { has_trailers: true })
    }

    /// Sends the next part. If it is longer than what is left of the stated length, an error is
    /// logged and the connection is reset.
    pub(super) fn send(&mut self, peer: &mut Peer<'_>, part: Outgoing<'_>) -> Sent {
        let length = part.len();
        if !peer.is_open() {
            return Sent::Gone;
        }
        match self {
            // An empty chunk would be the last.
            _ if length == 0 => Sent::Accepted,
            FramedBody::Chunked { .. } => send_chunk(peer, part),
            FramedBody::UntilClose => peer.send(part),
            FramedBody::Sized(left) if length > *left => {
                log::error!("{}: a body exceeds its Content-Length", peer.describe());
                peer.abort();
                Sent::Gone
            }
            FramedBody::Sized(left) => {
                *left -= length;
                peer.send(part)
            }
        }
    }

    /// Notes that another connection relays this many bytes of a body of known length.
    pub(super) fn note_relayed(&mut self, count: u64) {
        if let FramedBody::Sized(left) = self {
            *left = left.saturating_sub(count);
        }
    }

    /// Ends the body. If a part of the stated length is missing, an error is logged and the
    /// connection is reset.
    pub(super) fn finish(
        self,
        peer: &mut Peer<'_>,
        trailers: &[(&str, impl AsRef<[u8]>)],
        own: Own,
    ) -> Sent {
        if !peer.is_open() {
            return Sent::Gone;
        }
        match self {
            FramedBody::Chunked { has_trailers } => {
                if !has_trailers && !trailers.is_empty() {
                    log::warn!("{}: trailers omitted: no Trailer field", peer.describe());
                }
                let mut end = b"0\r\n".to_vec();
                write_fields(&mut end, if has_trailers { trailers } else { &[] }, own);
                peer.send(end)
            }
            FramedBody::Sized(left) if left > 0 => {
                log::error!(
                    "{}: a body ended {left} bytes before its Content-Length",
                    peer.describe()
                );
                peer.abort();
                Sent::Gone
            }
            FramedBody::Sized(_) | FramedBody::UntilClose => Sent::Accepted,
        }
    }
}
