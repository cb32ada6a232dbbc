//! The `Range` field (RFC 9110, section 14).

use std::ops::Range;

/// The maximum number of ranges of one request. A request for more gets the whole file (section
/// 14.2): it may be an attack, and a client that reads sparsely is better served by the whole.
const MAX_RANGES: usize = 16;

/// The part of a file that a `Range` field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// 200 with the whole file.
    Whole,
    /// 206 with these bytes.
    Part(Range<u64>),
    /// 206 with several ranges, which do not overlap.
    Parts(Vec<Range<u64>>),
    /// 416: the file has no such bytes.
    NotSatisfiable,
}

/// Evaluates `Range` for a file of `len` bytes. A malformed value is ignored; ranges that overlap
/// get the whole file, so that no response is longer than it.
pub(super) fn evaluate(value: &[u8], len: u64) -> Selection {
    let Some(set) = byte_ranges(value) else { return Selection::Whole };
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    for spec in set.split(',').map(|s| s.trim_matches([' ', '\t'])).filter(|s| !s.is_empty()) {
        count += 1;
        let Some(spec) = Spec::parse(spec) else { return Selection::Whole };
        let Some(part) = spec.within(len) else { continue };
        // `Content-Range` cannot state a part of an empty file.
        let overlaps = |other: &Range<u64>| part.start < other.end && other.start < part.end;
        if part.is_empty() || count > MAX_RANGES || parts.iter().any(overlaps) {
            return Selection::Whole;
        }
        parts.push(part);
    }
    match (count, &parts[..]) {
        (0, _) => Selection::Whole,
        (_, []) => Selection::NotSatisfiable,
        (_, [part]) => Selection::Part(part.clone()),
        _ => Selection::Parts(parts),
    }
}

/// The ranges of a value whose unit is bytes.
fn byte_ranges(value: &[u8]) -> Option<&str> {
    let (unit, set) = str::from_utf8(value).ok()?.split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(set)
}

/// One range of bytes.
enum Spec {
    /// From the first to the last position, inclusive.
    From(u64, u64),
    /// This many at the end.
    Last(u64),
}

impl Spec {
    fn parse(spec: &str) -> Option<Spec> {
        match spec.split_once('-')? {
            ("", last) => Some(Spec::Last(number(last)?)),
            (first, "") => Some(Spec::From(number(first)?, u64::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::From(first, last))
            }
        }
    }

    /// The bytes of a file of this length; `None` if it has no such bytes.
    fn within(self, len: u64) -> Option<Range<u64>> {
        match self {
            Spec::From(first, last) => {
                (first < len).then(|| first..last.saturating_add(1).min(len))
            }
            Spec::Last(count) => (count > 0).then(|| len.saturating_sub(count)..len),
        }
    }
}

/// Parses a number of any length. One beyond `u64` counts as `u64::MAX`.
pub(super) fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, len: u64) -> Selection {
        evaluate(value.as_bytes(), len)
    }

    #[test]
    fn a_range_is_limited_to_the_file_and_a_malformed_one_is_ignored() {
        use Selection::{NotSatisfiable as Not, Part, Whole};
        let table = [
            ("bytes=0-0", Part(0..1)),
            ("bytes=10-19", Part(10..20)),
            ("BYTES=10-", Part(10..100)),
            ("bytes=99-500", Part(99..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-1000", Part(0..100)),
            ("bytes=, 0-1 ,", Part(0..2)),
            ("bytes=0-99999999999999999999999", Part(0..100)),
            ("bytes=0-18446744073709551615", Part(0..100)),
            ("bytes=-99999999999999999999999", Part(0..100)),
            ("bytes=100-", Not),
            ("bytes=100-200", Not),
            ("bytes=-0", Not),
            ("bytes=99999999999999999999999-", Not),
            ("bytes=2-1", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1 - 2", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes 0-1", Whole),
            ("lines=0-1", Whole),
            ("", Whole),
        ];
        for (range, expected) in table {
            assert_eq!(of(range, 100), expected, "{range}");
        }
    }

    #[test]
    fn row_28_several_ranges_are_parts_unless_they_overlap_or_are_too_many() {
        use Selection::{NotSatisfiable as Not, Part, Parts, Whole};
        let table = [
            ("bytes=0-1,5-6", Parts(vec![0..2, 5..7])),
            ("bytes=5-6 ,\t0-1,", Parts(vec![5..7, 0..2])),
            ("bytes=0-1,2-3", Parts(vec![0..2, 2..4])),
            ("bytes=0-49,50-", Parts(vec![0..50, 50..100])),
            ("bytes=-1,0-0", Parts(vec![99..100, 0..1])),
            ("bytes=0-1,100-,5-6,-0", Parts(vec![0..2, 5..7])),
            ("bytes=100-,5-6", Part(5..7)),
            ("bytes=-0,5-6,200-300", Part(5..7)),
            ("bytes=100-,-0", Not),
            ("bytes=0-1,1-2", Whole),
            ("bytes=5-6,0-99", Whole),
            ("bytes=0-99,5-6", Whole),
            ("bytes=0-,-1", Whole),
            ("bytes=0-0,0-0", Whole),
            ("bytes=0-1,x", Whole),
            ("bytes=0-1,6-5", Whole),
        ];
        for (ranges, expected) in table {
            assert_eq!(of(ranges, 100), expected, "{ranges}");
        }
        let ranges = |count: u64| {
            let specs: Vec<_> = (0..count).map(|i| format!("{}-{}", i * 2, i * 2)).collect();
            format!("bytes={}", specs.join(","))
        };
        let parts = (0..16).map(|i| i * 2..i * 2 + 1).collect();
        assert_eq!(of(&ranges(16), 100), Parts(parts));
        assert_eq!(of(&ranges(17), 100), Whole);
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        for (range, expected) in [
            ("bytes=0-", Selection::NotSatisfiable),
            ("bytes=-0", Selection::NotSatisfiable),
            ("bytes=-5", Selection::Whole),
            ("bytes=0-,-5", Selection::Whole),
        ] {
            assert_eq!(of(range, 0), expected, "{range}");
        }
    }
}
