//! Several ranges of a file in one response: `multipart/byteranges` (RFC 9110, section 14.6).

use std::ops::Range;

use sluicegate_reactor::Outgoing;
use sluicegate_reactor::fs::Metadata;

/// The line that separates the parts. It does not occur in the file, because it contains the time
/// of the last change, which was not known when the contents were written.
pub(super) fn boundary(metadata: &Metadata) -> String {
    let Metadata { changed_seconds, changed_nanos, inode, .. } = metadata;
    format!("{changed_seconds:x}.{changed_nanos:x}.{inode:x}")
}

/// The pieces of the body: each part after its head. `content_type` is the header line for the type
/// of the file, `len` its length, and `read` returns the bytes of a part.
pub(super) fn body(
    parts: Vec<Range<u64>>,
    boundary: &str,
    content_type: &str,
    len: u64,
    read: impl Fn(Range<u64>) -> Outgoing<'static>,
) -> Vec<Outgoing<'static>> {
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    let mut separator = "";
    for part in parts {
        let Range { start, end } = part;
        let range = format!("Content-Range: bytes {start}-{}/{len}", end - 1);
        let head = format!("{separator}--{boundary}\r\n{content_type}{range}\r\n\r\n");
        pieces.extend([head.into(), read(part)]);
        separator = "\r\n";
    }
    pieces.push(format!("\r\n--{boundary}--\r\n").into());
    pieces
}
