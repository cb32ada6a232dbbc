//! CRC-32C (RFC 4960, appendix B), which a header of version 2 may contain.

/// The remainders of all bytes, for the reflected polynomial.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0x82f6_3b78 } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

/// The checksum of these pieces, one after the other.
fn crc32c(pieces: [&[u8]; 3]) -> u32 {
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(!0, |crc: u32, byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// The checksum of a header whose checksum field begins at `at`. The field counts as zeros.
fn of(header: &[u8], at: usize) -> u32 {
    crc32c([&header[..at], &[0; 4], &header[at + 4..]])
}

/// Whether the checksum at `at` is that of the header.
pub(super) fn holds(header: &[u8], at: usize) -> bool {
    header[at..at + 4] == of(header, at).to_be_bytes()
}

/// Writes the checksum of the header to `at`.
pub(super) fn write(header: &mut [u8], at: usize) {
    let checksum = of(header, at).to_be_bytes();
    header[at..at + 4].copy_from_slice(&checksum);
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// RFC 3720, section B.4, and the usual check value.
    #[test]
    fn known_checksums_are_found() {
        assert_eq!(crc32c([b"123", b"", b"456789"]), 0xe306_9283);
        assert_eq!(crc32c([&[0; 32], b"", b""]), 0x8a91_36aa);
        assert_eq!(crc32c([&[0xff; 32], b"", b""]), 0x62a8_ab43);
    }
}
