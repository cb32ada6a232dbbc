//! Compressing and decompressing messages (RFC 7692, section 7.2).

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::fault::Fault;

/// Shorter messages are sent as they are: they hardly become smaller.
pub(super) const COMPRESS_FROM: usize = 128;

/// The base-2 logarithm of the window with which messages are compressed. The window of a client
/// may be smaller than the usual 15 bits; with 12, one compressor serves nearly all of them, and
/// messages of some kilobytes lose little.
pub(super) const WINDOW_BITS: u8 = 12;

/// The largest window, which every peer may use.
const MAX_WINDOW_BITS: u8 = 15;

/// The end of each compressed message, which is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// How many bytes are decompressed at a time.
const PIECE: usize = 16 << 10;

/// A compressor and a decompressor, which all connections of a handler use in turn: no message
/// refers to an earlier one.
pub(super) struct Codec {
    compress: Compress,
    decompress: Decompress,
}

impl Default for Codec {
    fn default() -> Codec {
        Codec {
            compress: Compress::new_with_window_bits(Compression::default(), false, WINDOW_BITS),
            decompress: Decompress::new_with_window_bits(false, MAX_WINDOW_BITS),
        }
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl Codec {
    /// Compresses a message.
    pub(super) fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        self.compress.reset();
        let mut compressed = Vec::with_capacity(message.len() / 2 + 64);
        loop {
            let rest = &message[self.compress.total_in() as usize..];
            let status = self.compress.compress_vec(rest, &mut compressed, FlushCompress::Sync);
            debug_assert!(status.is_ok(), "compressing into memory does not fail");
            let is_done = self.compress.total_in() == message.len() as u64;
            if is_done && compressed.len() < compressed.capacity() {
                break;
            }
            compressed.reserve(compressed.len() + 64);
        }
        if compressed.ends_with(&TAIL) {
            compressed.truncate(compressed.len() - TAIL.len());
        }
        compressed
    }

    /// Decompresses a message of at most `limit` bytes.
    pub(super) fn inflate(&mut self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
        self.decompress.reset(false);
        let mut message = Vec::with_capacity(limit.min(PIECE));
        for mut rest in [compressed, &TAIL] {
            loop {
                let (before, room) = (self.decompress.total_in(), message.capacity());
                let status =
                    self.decompress.decompress_vec(rest, &mut message, FlushDecompress::Sync);
                rest = &rest[(self.decompress.total_in() - before) as usize..];
                if message.len() > limit {
                    return Err(Fault::MessageTooLong);
                }
                match status {
                    Err(_) => return Err(Fault::Deflate),
                    // A sender may end its stream within the message (section 7.2.3.5).
                    Ok(Status::StreamEnd) if !rest.is_empty() => self.decompress.reset(false),
                    // One byte more than the limit shows that the message is too long.
                    Ok(_) if message.len() == room => {
                        let most = limit.saturating_sub(room).saturating_add(1);
                        message.reserve_exact(room.max(PIECE).min(most));
                    }
                    Ok(_) if rest.is_empty() => break,
                    Ok(_) => return Err(Fault::Deflate),
                }
            }
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|at| b"abcdefgh"[at * at / 5 % 8]).collect()
    }

    #[test]
    fn row_22_what_was_compressed_is_the_same_afterwards_in_any_order() {
        let mut codec = Codec::default();
        for len in [0, 1, 127, 128, 5000, 16 << 10, 100_000, 3] {
            let message = text(len);
            let compressed = codec.deflate(&message);
            assert_eq!(codec.inflate(&compressed, len), Ok(message), "{len} bytes");
        }
        let noise: Vec<u8> =
            (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let compressed = codec.deflate(&noise);
        assert_eq!(codec.inflate(&compressed, noise.len()), Ok(noise));
    }

    #[test]
    fn row_22_a_bomb_takes_no_more_memory_than_the_limit() {
        let mut codec = Codec::default();
        let bomb = codec.deflate(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        for limit in [1 << 20, (10 << 20) - 1] {
            assert_eq!(codec.inflate(&bomb, limit), Err(Fault::MessageTooLong));
            let inflated = codec.decompress.total_out() as usize;
            assert_eq!(inflated, limit + 1, "no more than it takes to see that");
        }
        assert_eq!(codec.inflate(&bomb, 10 << 20).map(|message| message.len()), Ok(10 << 20));
    }

    /// The examples of RFC 7692, section 7.2.3.
    #[test]
    fn row_22_blocks_of_any_kind_are_decompressed() {
        let mut codec = Codec::default();
        for (compressed, message) in [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], "Hello"),
            (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
            (
                &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
                "Hello",
            ),
        ] {
            let inflated = codec.inflate(compressed, 5);
            assert_eq!(inflated.as_deref(), Ok(message.as_bytes()), "{compressed:x?}");
        }
        assert_eq!(codec.inflate(&[0xff; 10], 100), Err(Fault::Deflate));
    }
}
