//! Status codes.

/// A status code.
///
/// ```
/// use sluicegate_protocols::http::Status;
///
/// assert_eq!(Status::NOT_FOUND.code(), 404);
/// assert_eq!(Status::NOT_FOUND.reason(), "Not Found");
/// assert_eq!(Status::new(299).map(Status::reason), Some(""));
/// assert_eq!(Status::new(1000), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Status = Status($code);
            )*

            /// The registered reason phrase of the code, or an empty string.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    101 => "Switching Protocols",
                    103 => "Early Hints",
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }
    };
}

impl Status {
    /// Sent by [`Reply::upgrade`](super::Reply::upgrade) only: services send final responses.
    pub(super) const SWITCHING_PROTOCOLS: Status = Status(101);
    /// 103 Early Hints, for [`Reply::interim`](super::Reply::interim).
    pub const EARLY_HINTS: Status = Status(103);
    /// Only in logs and metrics: the client has left.
    pub(crate) const CLIENT_CLOSED: Status = Status(499);
}

statuses! {
    OK = 200, "OK";
    CREATED = 201, "Created";
    ACCEPTED = 202, "Accepted";
    NO_CONTENT = 204, "No Content";
    RESET_CONTENT = 205, "Reset Content";
    PARTIAL_CONTENT = 206, "Partial Content";
    MOVED_PERMANENTLY = 301, "Moved Permanently";
    FOUND = 302, "Found";
    SEE_OTHER = 303, "See Other";
    NOT_MODIFIED = 304, "Not Modified";
    TEMPORARY_REDIRECT = 307, "Temporary Redirect";
    PERMANENT_REDIRECT = 308, "Permanent Redirect";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed";
    NOT_ACCEPTABLE = 406, "Not Acceptable";
    REQUEST_TIMEOUT = 408, "Request Timeout";
    CONFLICT = 409, "Conflict";
    GONE = 410, "Gone";
    LENGTH_REQUIRED = 411, "Length Required";
    PRECONDITION_FAILED = 412, "Precondition Failed";
    CONTENT_TOO_LARGE = 413, "Content Too Large";
    URI_TOO_LONG = 414, "URI Too Long";
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type";
    RANGE_NOT_SATISFIABLE = 416, "Range Not Satisfiable";
    EXPECTATION_FAILED = 417, "Expectation Failed";
    MISDIRECTED_REQUEST = 421, "Misdirected Request";
    UPGRADE_REQUIRED = 426, "Upgrade Required";
    TOO_MANY_REQUESTS = 429, "Too Many Requests";
    HEADER_FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large";
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error";
    NOT_IMPLEMENTED = 501, "Not Implemented";
    BAD_GATEWAY = 502, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    GATEWAY_TIMEOUT = 504, "Gateway Timeout";
    VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported";
    INSUFFICIENT_STORAGE = 507, "Insufficient Storage";
}

impl Status {
    /// The status with this code; `None` unless it is from 200 to 999. Services do not send interim
    /// responses (1xx).
    #[must_use]
    pub const fn new(code: u16) -> Option<Status> {
        if code >= 200 && code <= 999 { Some(Status(code)) } else { None }
    }

    /// The status of a received response, which may be interim; `None` unless the code is from 100
    /// to 999.
    pub(super) fn received(code: u16) -> Option<Status> {
        (100..1000).contains(&code).then_some(Status(code))
    }

    /// Whether a final response follows.
    #[must_use]
    pub const fn is_interim(self) -> bool {
        self.0 < 200
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether its responses have no content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
    pub(super) const fn forbids_content(self) -> bool {
        matches!(self.0, 204 | 205 | 304)
    }

    /// The three digits.
    pub(super) const fn digits(self) -> [u8; 3] {
        let code = self.0;
        [b'0' + (code / 100) as u8, b'0' + (code / 10 % 10) as u8, b'0' + (code % 10) as u8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_digits() {
        assert_eq!(&Status::OK.digits(), b"200");
        assert_eq!(&Status::VERSION_NOT_SUPPORTED.digits(), b"505");
        assert_eq!(&Status::new(999).unwrap().digits(), b"999");
    }

    #[test]
    fn interim_and_impossible_codes_are_refused() {
        for code in [0, 99, 100, 101, 199, 1000, u16::MAX] {
            assert_eq!(Status::new(code), None, "{code}");
        }
    }
}
