//! Conditional requests and range requests (RFC 9110, sections 13 and 14).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ranges::{self, Selection};
use super::validators::{Modified, Validators};
use crate::http::{Answered, Method, Reply, Request, Status};

/// The response to a conditional or range request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The conditions hold.
    Send(Selection),
    /// 304: the client has this version.
    NotModified,
    /// 412: the client expects another version.
    PreconditionFailed,
}

/// Whether this is a field of conditional or range requests. Most requests have none.
pub(super) fn is_relevant(name: &str) -> bool {
    let candidates: &[&str] = match name.len() {
        5 => &["Range"],
        8 => &["If-Match", "If-Range"],
        13 => &["If-None-Match"],
        17 => &["If-Modified-Since"],
        19 => &["If-Unmodified-Since"],
        _ => &[],
    };
    candidates.iter().any(|candidate| candidate.eq_ignore_ascii_case(name))
}

/// Evaluates the header fields of a GET or HEAD, in the order of section 13.2.2. Malformed dates
/// and ranges are ignored.
pub(super) fn evaluate<'h>(
    method: Method<'_>,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    file: Validators<'_>,
) -> Outcome {
    let conditions = Conditions::collect(headers, file.etag);
    if conditions.has_changed(file) {
        return Outcome::PreconditionFailed;
    }
    match (conditions.if_none_match, conditions.if_modified_since) {
        (Some(true), _) => return Outcome::NotModified,
        (None, Some(date)) if file.modified.is_unchanged_since(date) => {
            return Outcome::NotModified;
        }
        _ => {}
    }
    Outcome::Send(match conditions.range {
        Some(range) if method == Method::Get && if_range(conditions.if_range, file) => {
            ranges::evaluate(range, file.len)
        }
        _ => Selection::Whole,
    })
}

/// Evaluates the conditions of a GET or HEAD of something that is there, but has neither validators
/// nor ranges. Gives the reply back if they hold, and answers otherwise.
pub(super) fn check_without_validators<'a, 'cx>(
    request: &Request<'_>,
    reply: Reply<'a, 'cx>,
) -> Result<Reply<'a, 'cx>, Answered> {
    // No tag that a client can send equals this one, but `*` stands for any.
    let nothing = Validators { etag: "", modified: Modified::Unknown, len: 0 };
    match evaluate(request.method(), request.headers(), nothing) {
        Outcome::NotModified => Err(reply.status(Status::NOT_MODIFIED).send("")),
        Outcome::PreconditionFailed => Err(reply.error(Status::PRECONDITION_FAILED)),
        Outcome::Send(_) => Ok(reply),
    }
}

/// Whether a PUT with these header fields may replace a file.
pub(super) fn permit_replacing<'h>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    file: Validators<'_>,
) -> bool {
    let conditions = Conditions::collect(headers, file.etag);
    !conditions.has_changed(file) && conditions.if_none_match != Some(true)
}

/// Whether a PUT with these header fields may create a file.
pub(super) fn permit_new<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> bool {
    Conditions::collect(headers, "").if_match.is_none()
}

/// The relevant header fields. Lists may be split into several fields; of others the first counts.
#[derive(Default)]
struct Conditions<'h> {
    /// Whether one of the tags is that of the file.
    if_match: Option<bool>,
    if_none_match: Option<bool>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
    if_range: Option<&'h [u8]>,
    range: Option<&'h [u8]>,
}

impl<'h> Conditions<'h> {
    /// Whether the file is not the version that the client expects.
    fn has_changed(&self, file: Validators<'_>) -> bool {
        match (self.if_match, self.if_unmodified_since) {
            (Some(matches), _) => !matches,
            (None, Some(date)) => file.modified.is_after(date),
            (None, None) => false,
        }
    }

    fn collect(headers: impl Iterator<Item = (&'h str, &'h [u8])>, etag: &str) -> Conditions<'h> {
        let mut conditions = Conditions::default();
        for (name, value) in headers.filter(|(name, _)| is_relevant(name)) {
            let is = |candidate: &str| name.eq_ignore_ascii_case(candidate);
            if is("If-Match") {
                let known = conditions.if_match.unwrap_or(false);
                conditions.if_match = Some(known || names(value, etag, Comparison::Strong));
            } else if is("If-None-Match") {
                let known = conditions.if_none_match.unwrap_or(false);
                conditions.if_none_match = Some(known || names(value, etag, Comparison::Weak));
            } else if is("If-Modified-Since") {
                conditions.if_modified_since = conditions.if_modified_since.or_else(|| date(value));
            } else if is("If-Unmodified-Since") {
                conditions.if_unmodified_since =
                    conditions.if_unmodified_since.or_else(|| date(value));
            } else if is("If-Range") {
                conditions.if_range = conditions.if_range.or(Some(value));
            } else {
                conditions.range = conditions.range.or(Some(value));
            }
        }
        conditions
    }
}

/// How entity tags are compared (section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag is equal to none.
    Strong,
    /// Only the quoted parts are compared.
    Weak,
}

/// Whether a list of entity tags, or `*`, matches this one. A malformed list ends at its fault.
fn names(list: &[u8], etag: &str, comparison: Comparison) -> bool {
    if list == b"*" {
        return true;
    }
    let mut rest = list;
    loop {
        rest = trim_start(rest);
        let (tag, is_weak) = match rest.strip_prefix(b"W/") {
            Some(tag) => (tag, true),
            None => (rest, false),
        };
        // A tag may contain commas, but no quotes.
        let closing = tag.iter().skip(1).position(|byte| *byte == b'"');
        let (Some(b'"'), Some(closing)) = (tag.first(), closing) else { return false };
        let (tag, after) = tag.split_at(closing + 2);
        if tag == etag.as_bytes() && !(is_weak && comparison == Comparison::Strong) {
            return true;
        }
        rest = after;
    }
}

/// Removes the commas and whitespace before the next member of a list.
fn trim_start(list: &[u8]) -> &[u8] {
    let start = list.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','));
    &list[start.unwrap_or(list.len())..]
}

/// Parses a date in any of the three formats, in seconds since 1970.
fn date(value: &[u8]) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}

/// Whether `If-Range` matches: by the same tag, compared strongly, or by exactly the same date
/// (section 13.1.5).
fn if_range(value: Option<&[u8]>, file: Validators<'_>) -> bool {
    value.is_none_or(|value| {
        value == file.etag.as_bytes() || date(value).is_some_and(|date| file.modified.is_at(date))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"a,b\"";
    const MODIFIED: Modified = Modified::At(784_111_777);
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const WHOLE: Outcome = Outcome::Send(Selection::Whole);
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn ask(method: Method<'_>, fields: &[(&str, &str)], len: u64) -> Outcome {
        let file = Validators { etag: ETAG, modified: MODIFIED, len };
        evaluate(method, fields.iter().map(|(name, value)| (*name, value.as_bytes())), file)
    }

    fn get(fields: &[(&str, &str)]) -> Outcome {
        ask(Method::Get, fields, 100)
    }

    #[test]
    fn if_match_needs_the_same_strong_tag() {
        use Outcome::PreconditionFailed as Failed;
        let table = [
            ("*", WHOLE),
            ("\"a,b\"", WHOLE),
            ("\"x\" , ,\t\"a,b\"", WHOLE),
            ("W/\"x\",\"a,b\"", WHOLE),
            ("W/\"a,b\"", Failed),
            ("\"a\"", Failed),
            ("a,b", Failed),
            ("\"a,b", Failed),
            ("\"", Failed),
            ("W/", Failed),
            ("", Failed),
            ("\"a,b\"x", WHOLE),
        ];
        for (list, expected) in table {
            assert_eq!(get(&[("if-match", list)]), expected, "{list}");
        }
        assert_eq!(get(&[("If-Match", "\"x\""), ("If-Match", "\"a,b\"")]), WHOLE);
        assert_eq!(get(&[("If-Match", "\"a,b\""), ("If-Match", "\"x\"")]), WHOLE);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for list in ["*", "\"a,b\"", "W/\"a,b\"", "\"x\",W/\"a,b\""] {
            assert_eq!(get(&[("If-None-Match", list)]), Outcome::NotModified, "{list}");
            assert_eq!(
                ask(Method::Head, &[("If-None-Match", list)], 1),
                Outcome::NotModified,
                "{list}"
            );
        }
        for list in ["\"x\"", "\"b\"", "a,b", "W/x", ""] {
            assert_eq!(get(&[("If-None-Match", list)]), WHOLE, "{list}");
        }
    }

    #[test]
    fn dates_are_read_in_three_forms_and_ignored_in_others() {
        let forms = [AT, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
        for date in forms {
            assert_eq!(get(&[("If-Modified-Since", date)]), Outcome::NotModified, "{date}");
            assert_eq!(get(&[("If-Unmodified-Since", date)]), WHOLE, "{date}");
        }
        assert_eq!(get(&[("If-Modified-Since", AFTER)]), Outcome::NotModified);
        assert_eq!(get(&[("If-Modified-Since", BEFORE)]), WHOLE);
        assert_eq!(get(&[("If-Unmodified-Since", AFTER)]), WHOLE);
        assert_eq!(get(&[("If-Unmodified-Since", BEFORE)]), Outcome::PreconditionFailed);
        for none in ["", "yesterday", "0", "1994-11-06T08:49:37Z", "Sun, 99 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(get(&[("If-Modified-Since", none)]), WHOLE, "{none}");
            assert_eq!(get(&[("If-Unmodified-Since", none)]), WHOLE, "{none}");
        }
    }

    #[test]
    fn tags_come_before_dates_and_match_before_none_match() {
        let fields = [("If-None-Match", "\"x\""), ("If-Modified-Since", AT)];
        assert_eq!(get(&fields), WHOLE);
        let fields = [("If-Match", ETAG), ("If-Unmodified-Since", BEFORE)];
        assert_eq!(get(&fields), WHOLE);
        let fields = [("If-None-Match", ETAG), ("If-Match", "\"x\"")];
        assert_eq!(get(&fields), Outcome::PreconditionFailed);
        let fields = [("Range", "bytes=0-1"), ("If-None-Match", ETAG)];
        assert_eq!(get(&fields), Outcome::NotModified);
    }

    #[test]
    fn only_get_has_ranges() {
        let range = [("Range", "bytes=0-1")];
        assert_eq!(get(&range), Outcome::Send(Selection::Part(0..2)));
        assert_eq!(ask(Method::Head, &range, 100), WHOLE);
    }

    #[test]
    fn a_part_is_sent_only_if_the_client_has_the_same_version() {
        let part = Outcome::Send(Selection::Part(0..2));
        let table = [
            (ETAG, part.clone()),
            (AT, part.clone()),
            ("Sunday, 06-Nov-94 08:49:37 GMT", part),
            ("W/\"a,b\"", WHOLE),
            ("\"x\"", WHOLE),
            (AFTER, WHOLE),
            (BEFORE, WHOLE),
            ("*", WHOLE),
            ("", WHOLE),
        ];
        for (validator, expected) in table {
            let fields = [("If-Range", validator), ("Range", "bytes=0-1")];
            assert_eq!(get(&fields), expected, "{validator}");
        }
        assert_eq!(get(&[("If-Range", ETAG)]), WHOLE);
    }
}
