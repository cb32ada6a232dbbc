//! How a WebSocket ends.

use std::error::Error;
use std::fmt;

use sluicegate_reactor::Reason;

/// A status code of a Close frame (RFC 6455, section 7.4).
///
/// ```
/// use sluicegate_protocols::websocket::CloseCode;
///
/// assert_eq!(CloseCode::GOING_AWAY.code(), 1001);
/// assert_eq!(CloseCode::new(4000).map(CloseCode::code), Some(4000));
/// assert_eq!(CloseCode::new(1006), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: the server is stopping, or the user has left the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: the peer sent binary data instead of text, or the reverse.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1007: a text is not UTF-8, or compressed data is corrupt.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// 1008: the peer broke a rule of the application.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: a message is too long.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// 1011: the server cannot fulfil the request.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1013: the server is overloaded.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// 1005: the Close frame contains no code, and no reason.
    pub const ABSENT: CloseCode = CloseCode(1005);

    /// The code with this number; `None` if a Close frame must not contain it. Applications can use
    /// 4000 to 4999 as they like.
    #[must_use]
    pub const fn new(code: u16) -> Option<CloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// How a WebSocket ended: passed to [`on_close`](super::WebSocketHandler::on_close).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer sent a Close frame, before or after this side did.
    Cleanly {
        /// The code; [`CloseCode::ABSENT`] if there is none.
        code: CloseCode,
        /// The reason, for debugging. At most 123 bytes, usually empty.
        reason: Box<str>,
    },
    /// The peer broke a rule or exceeded a limit. Unless this side was already closing, it was sent
    /// a Close frame that says so.
    Failed(Fault),
    /// The connection ended without a Close frame from the peer.
    Lost(Reason),
}

impl Closed {
    /// Parses the payload of a Close frame.
    pub(super) fn parse(payload: &[u8]) -> Result<Closed, Fault> {
        let (code, reason) = match payload {
            [] => (CloseCode::ABSENT, &[][..]),
            [high, low, reason @ ..] => {
                let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
                (code.ok_or(Fault::CloseCode)?, reason)
            }
            _ => return Err(Fault::CloseCode),
        };
        let reason = str::from_utf8(reason).map_err(|_| Fault::Utf8)?;
        Ok(Closed::Cleanly { code, reason: reason.into() })
    }
}

/// A rule that the peer broke, or a limit that it exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A reserved bit is set, without an extension that defines it.
    ReservedBits,
    /// The opcode is reserved.
    Opcode,
    /// A client's frame is not masked, or a server's is.
    Masking,
    /// The length does not have its shortest form, or exceeds 63 bits.
    Length,
    /// A control frame is fragmented, or longer than 125 bytes.
    Control,
    /// A continuation frame without a message to continue, or a new message within another one.
    Fragment,
    /// A Close frame contains a code that must not be sent, or half of one.
    CloseCode,
    /// A text or the reason in a Close frame is not UTF-8.
    Utf8,
    /// Compressed data is corrupt.
    Deflate,
    /// A frame exceeds [`WebSocketLimits::frame`](super::WebSocketLimits::frame).
    FrameTooLong,
    /// A message exceeds [`WebSocketLimits::message`](super::WebSocketLimits::message), compressed
    /// or not.
    MessageTooLong,
}

impl Fault {
    /// The code with which the connection is closed.
    #[must_use]
    pub const fn code(self) -> CloseCode {
        match self {
            Fault::Utf8 | Fault::Deflate => CloseCode::INVALID_DATA,
            Fault::FrameTooLong | Fault::MessageTooLong => CloseCode::MESSAGE_TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The reason that is sent with it.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Fault::ReservedBits => "a reserved bit is set",
            Fault::Opcode => "the opcode is reserved",
            Fault::Masking => "only clients mask their frames",
            Fault::Length => "the length does not have its shortest form",
            Fault::Control => "a control frame is fragmented or too long",
            Fault::Fragment => "a fragment is out of order",
            Fault::CloseCode => "the code of a Close frame is invalid",
            Fault::Utf8 => "a text is not UTF-8",
            Fault::Deflate => "compressed data is corrupt",
            Fault::FrameTooLong => "a frame is too long",
            Fault::MessageTooLong => "a message is too long",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl Error for Fault {}
