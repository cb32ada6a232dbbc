//! Dates in the format of HTTP, formatted once per second.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

/// The last second that the format can state: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// The start of every response with status 200, up to and including its `Date`.
const TEMPLATE: &[u8; 54] = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

/// The positions of the `Date` line in the template and of the date in that line.
const LINE: usize = 17;
const DATE: usize = LINE + 6;

/// The start of the responses of the current second.
pub(super) struct Clock {
    second: u64,
    prefix: [u8; TEMPLATE.len()],
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { second: 0, prefix: *TEMPLATE }
    }

    /// Sets the time, in seconds since 1970.
    #[inline]
    pub(super) fn set(&mut self, second: u64) {
        if second != self.second {
            self.second = second;
            self.prefix[DATE..DATE + 29].copy_from_slice(&http_date(second));
        }
    }

    /// The time in seconds since 1970.
    pub(super) fn second(&self) -> u64 {
        self.second
    }

    /// The status line for 200 and the `Date` line.
    pub(super) fn ok_and_date(&self) -> &[u8] {
        &self.prefix
    }

    /// The `Date` line.
    pub(super) fn date_line(&self) -> &[u8] {
        &self.prefix[LINE..]
    }
}

/// Formats a time in the preferred format (RFC 9110, section 5.6.7).
pub(super) fn http_date(second: u64) -> [u8; 29] {
    let time = UNIX_EPOCH + Duration::from_secs(second.min(LAST));
    let mut date = [b' '; 29];
    let written = write!(&mut date[..], "{}", HttpDate::from(time));
    debug_assert!(written.is_ok(), "a date has 29 bytes");
    date
}

/// Formats a time as access logs do: `10/Oct/2000:13:55:36 +0000`.
pub(super) fn log_date(second: u64) -> String {
    let date = http_date(second);
    let text = |from, to| String::from_utf8_lossy(&date[from..to]).into_owned();
    format!("{}/{}/{}:{} +0000", text(5, 7), text(8, 11), text(12, 16), text(17, 25))
}

/// Formats a time as RFC 3339 does: `2000-10-10T13:55:36Z`.
pub(super) fn timestamp(second: u64) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = http_date(second);
    let text = |from, to| String::from_utf8_lossy(&date[from..to]).into_owned();
    let month = MONTHS.find(&text(8, 11)).unwrap_or(0) / 3 + 1;
    format!("{}-{month:02}-{}T{}Z", text(12, 16), text(5, 7), text(17, 25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_clock_tells_the_epoch() {
        assert_eq!(&TEMPLATE[DATE..DATE + 29], &http_date(0));
        assert_eq!(Clock::new().date_line(), b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    }

    #[test]
    fn row_21_the_date_follows_the_clock() {
        let mut clock = Clock::new();
        clock.set(784_111_777);
        assert_eq!(
            clock.ok_and_date(),
            b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        );
        clock.set(784_111_776);
        assert_eq!(clock.date_line(), b"Date: Sun, 06 Nov 1994 08:49:36 GMT\r\n");
    }

    #[test]
    fn a_clock_gone_wild_is_still_a_date() {
        assert_eq!(&http_date(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_log_has_the_date_in_its_own_format() {
        assert_eq!(log_date(971_186_136), "10/Oct/2000:13:55:36 +0000");
    }

    #[test]
    fn a_timestamp_has_the_number_of_its_month() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (971_186_136, "2000-10-10T13:55:36Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(second), text);
        }
    }
}
