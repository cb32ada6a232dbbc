//! The tar format of POSIX (`pax`): headers and padding.

use std::io::Write;

/// Headers and contents are padded to this size.
const BLOCK: usize = 512;

/// What follows the last entry: two blocks of zeros.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest number that the fields for sizes and times can hold: eleven octal digits.
const MAX_NUMBER: u64 = (1 << 33) - 1;

/// An entry of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    File,
    Directory,
}

/// Appends the header of an entry. The name of a directory ends with a slash. `len` is that of the
/// content, `modified` is in seconds since 1970.
///
/// A name or a length that does not fit goes to an extended header, which precedes the other.
pub(super) fn push_header(out: &mut Vec<u8>, name: &[u8], kind: Kind, len: u64, modified: i64) {
    let mut records = Vec::new();
    if name.len() > 100 || !name.is_ascii() {
        push_record(&mut records, "path", name);
    }
    if len > MAX_NUMBER {
        push_record(&mut records, "size", len.to_string().as_bytes());
    }
    let modified = u64::try_from(modified).unwrap_or(0).min(MAX_NUMBER);
    if !records.is_empty() {
        push_block(out, name, b'x', 0o644, records.len() as u64, modified);
        out.extend_from_slice(&records);
        push_padding(out, records.len() as u64);
    }
    let (flag, mode) = match kind {
        Kind::File => (b'0', 0o644),
        Kind::Directory => (b'5', 0o755),
    };
    push_block(out, name, flag, mode, len.min(MAX_NUMBER), modified);
}

/// Appends the zeros that follow a content of this length.
pub(super) fn push_padding(out: &mut Vec<u8>, len: u64) {
    let count = len.next_multiple_of(BLOCK as u64) - len;
    out.resize(out.len() + count as usize, 0);
}

/// Appends a record of an extended header: its length, a key and a value.
fn push_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + " =\n".len();
    // The length counts its own digits.
    let mut len = rest;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn push_block(out: &mut Vec<u8>, name: &[u8], flag: u8, mode: u64, len: u64, modified: u64) {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(100)]);
    put(100, format!("{mode:07o}").as_bytes());
    // The user and the group: root.
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{len:011o}").as_bytes());
    put(136, format!("{modified:011o}").as_bytes());
    put(156, &[flag]);
    put(257, b"ustar\x0000");
    // The checksum counts its own field as spaces.
    put(148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let mut field = &mut block[148..155];
    let written = write!(field, "{sum:06o}\0");
    debug_assert!(written.is_ok(), "512 bytes add up to six octal digits");
    out.extend_from_slice(&block);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &[u8], kind: Kind, len: u64, modified: i64) -> Vec<u8> {
        let mut out = Vec::new();
        push_header(&mut out, name, kind, len, modified);
        out
    }

    #[test]
    fn a_header_is_one_block_with_its_checksum() {
        let block = header(b"dir/a.txt", Kind::File, 1000, 1_000_000_000);
        assert_eq!(block.len(), BLOCK);
        assert!(block.starts_with(b"dir/a.txt\0"));
        assert_eq!(&block[124..136], b"00000001750\0");
        assert_eq!(&block[136..148], b"07346545000\0");
        assert_eq!(&block[257..265], b"ustar\x0000");
        let sum: u32 = block[..148].iter().chain(&block[156..]).map(|b| u32::from(*b)).sum();
        let field = format!("{:06o}\0 ", sum + 8 * u32::from(b' '));
        assert_eq!(&block[148..156], field.as_bytes());
        assert_eq!(header(b"dir/", Kind::Directory, 0, -5)[156], b'5');
    }

    #[test]
    fn what_does_not_fit_is_in_an_extended_header() {
        let long = "d/".repeat(60) + "file";
        for (name, len, expected) in [
            (long.as_bytes(), 5, format!("134 path={long}\n")),
            ("\u{e4}".as_bytes(), 5, "11 path=\u{e4}\n".to_owned()),
            (b"a", 1 << 33, "19 size=8589934592\n".to_owned()),
        ] {
            let blocks = header(name, Kind::File, len, 0);
            assert_eq!(blocks.len(), 3 * BLOCK);
            assert_eq!((blocks[156], blocks[2 * BLOCK + 156]), (b'x', b'0'));
            let records = &blocks[BLOCK..2 * BLOCK];
            let end = records.iter().position(|byte| *byte == 0).expect("padding");
            assert_eq!(String::from_utf8_lossy(&records[..end]), expected);
        }
        assert_eq!(header(b"a", Kind::File, MAX_NUMBER, i64::MAX).len(), BLOCK);
    }

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for len in 0..300 {
            let mut out = Vec::new();
            push_record(&mut out, "path", &vec![b'a'; len]);
            let text = String::from_utf8(out).expect("ASCII");
            let (digits, _) = text.split_once(' ').expect("a length");
            assert_eq!(digits.parse(), Ok(text.len()));
        }
    }
}
