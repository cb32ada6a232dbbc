//! Sizes and times as people read them.

use std::fmt::Write;

/// Appends a length for people, in units of 1024.
pub(super) fn push_size(len: u64, out: &mut String) {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if len < 1024 {
        // Writing to a string cannot fail.
        let _ = write!(out, "{len} B");
        return;
    }
    let mut value = len as f64 / 1024.0;
    let mut unit = 0;
    // A value that would be printed as 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let _ = write!(out, "{value:.1} {}", UNITS[unit]);
}

/// Appends the date of a time, which is in seconds since 1970, UTC.
pub(super) fn push_date(seconds: i64, out: &mut String) {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// Appends the hour and the minute of a time, which is in seconds since 1970, UTC.
pub(super) fn push_time_of_day(seconds: i64, out: &mut String) {
    let minutes = seconds.rem_euclid(86_400) / 60;
    let _ = write!(out, "{:02}:{:02}", minutes / 60, minutes % 60);
}

/// The year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years count
/// from March, so that the leap day is the last, in cycles of 400 years.
fn civil(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let day_of_cycle = (days + EPOCH).rem_euclid(CYCLE);
    let cycle = (days + EPOCH).div_euclid(CYCLE);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Five months from March or August have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year_of_cycle + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    #[test]
    fn sizes_are_short() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (len, expected) in table {
            assert_eq!(text(|out| push_size(len, out)), expected);
        }
    }

    fn date_and_time(seconds: i64) -> String {
        let date = text(|out| push_date(seconds, out));
        let time = text(|out| push_time_of_day(seconds, out));
        format!("{date} {time}")
    }

    #[test]
    fn times_are_dates_of_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_800, "2000-03-01 00:00"),
            (1_767_225_599, "2025-12-31 23:59"),
            (-1, "1969-12-31 23:59"),
            (4_107_542_400, "2100-03-01 00:00"),
        ];
        for (seconds, expected) in table {
            assert_eq!(date_and_time(seconds), expected);
        }
        // Whatever a file system holds is printed.
        date_and_time(i64::MIN);
        date_and_time(i64::MAX);
    }
}
