//! Sizes and times, as options have them.

use std::time::Duration;

/// Parses a number of bytes: `1500`, `64K`, `1M`, `1MiB`, `2G`. K is 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => {
            return Err(
                "a size is a number of bytes, or a number with K, M or G, as in 64K".to_owned()
            );
        }
    };
    let number: u64 = number.parse().map_err(|_| "a size begins with a whole number")?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size is too large".to_owned())
}

/// Parses a number of bytes per second.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("a rate is at least 1".to_owned()),
        rate => Ok(rate),
    }
}

/// Parses a number of bytes that limits memory. 0 is refused: elsewhere it often means no limit, and
/// here almost no connection would be left.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("the memory is at least 1; without the option, there is no limit".to_owned()),
        memory => Ok(memory),
    }
}

/// Parses a time: `500ms`, `10s`, `5m`, `2h`, or a number of seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time is a number with ms, s, m or h, as in 30s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a time begins with a whole number")?;
    let time = number.checked_mul(unit).map(Duration::from_millis);
    time.ok_or_else(|| "the time is too long".to_owned())
}

/// Splits the unit from a number.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}
