//! Reasons to refuse a message.

use std::fmt;

use super::status::Status;

/// Why a message is refused: it breaks a rule of HTTP, or exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A line does not end with CRLF.
    LineEnd,
    /// A control character in the framing of a chunked body.
    ControlCharacter,
    /// The first line is too long.
    FirstLineLength,
    /// The head is too long.
    HeadLength,
    /// There are too many header fields.
    FieldCount,
    /// The status line is malformed, or its version is not 1.x.
    StatusLine,
    /// A header field is malformed.
    Field,
    /// `Connection` is malformed.
    Connection,
    /// `Content-Length` is not one number, or is repeated.
    ContentLength,
    /// `Transfer-Encoding` is malformed, does not end with `chunked`, or is not allowed: in
    /// HTTP/1.0, or with `Content-Length`.
    TransferEncoding,
    /// `Transfer-Encoding` names a coding other than `chunked`.
    UnknownCoding,
    /// The size line of a chunk is malformed.
    ChunkSize,
    /// A chunk is not followed by CRLF.
    ChunkEnd,
    /// The framing of the chunks takes far more bytes than the body.
    ChunkOverhead,
    /// A line between chunks or in the trailer section is too long.
    LineLength,
    /// A trailer field is malformed.
    Trailer,
    /// The trailer section is too long.
    TrailerLength,
    /// The body is too long.
    BodyLength,
    /// There is no memory left for the body.
    Memory,
    /// There are too many interim responses (1xx).
    InterimCount,
    /// The response switches to another protocol (101), but the request did not offer it, or the
    /// response does not name it.
    Upgrade,
    /// The response is a 101 of HTTP/1.0, which has no upgrades.
    UpgradeVersion,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::LineEnd => "a line does not end with CRLF",
            Fault::ControlCharacter => "there is a control character between chunks",
            Fault::FirstLineLength => "the first line is too long",
            Fault::HeadLength => "the head is too long",
            Fault::FieldCount => "there are too many header fields",
            Fault::StatusLine => "the status line is malformed",
            Fault::Field => "a header field is malformed",
            Fault::Connection => "Connection is malformed",
            Fault::ContentLength => "Content-Length is malformed or repeated",
            Fault::TransferEncoding => "Transfer-Encoding is malformed or not allowed",
            Fault::UnknownCoding => "the transfer coding is unknown",
            Fault::ChunkSize => "the size of a chunk is malformed",
            Fault::ChunkEnd => "a chunk does not end with CRLF",
            Fault::ChunkOverhead => "the chunks are too small for their framing",
            Fault::LineLength => "a line between chunks is too long",
            Fault::Trailer => "a trailer field is malformed",
            Fault::TrailerLength => "the trailer section is too long",
            Fault::BodyLength => "the body is too long",
            Fault::Memory => "there is no memory left for the body",
            Fault::InterimCount => "there are too many interim responses",
            Fault::Upgrade => "101 does not switch to what was offered",
            Fault::UpgradeVersion => "101 in a response of HTTP/1.0",
        })
    }
}

impl From<Fault> for Status {
    /// The status that refuses a request with this fault.
    fn from(fault: Fault) -> Status {
        match fault {
            Fault::FirstLineLength => Status::URI_TOO_LONG,
            Fault::HeadLength | Fault::FieldCount | Fault::TrailerLength => {
                Status::HEADER_FIELDS_TOO_LARGE
            }
            Fault::UnknownCoding => Status::NOT_IMPLEMENTED,
            Fault::BodyLength => Status::CONTENT_TOO_LARGE,
            Fault::Memory => Status::SERVICE_UNAVAILABLE,
            _ => Status::BAD_REQUEST,
        }
    }
}
