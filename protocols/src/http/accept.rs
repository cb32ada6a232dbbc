//! Content negotiation (RFC 9110, section 12).

use super::{Request, values};

/// The members of lists such as `Accept`, with their qualities in thousandths. Malformed members
/// are ignored.
pub(crate) fn members<'a>(
    lists: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = (&'a str, u16)> {
    let lists = lists.filter_map(|list| str::from_utf8(list).ok());
    lists.flat_map(|list| list.split(',')).filter_map(member)
}

/// Whether a client names HTML among what it accepts, as browsers do when they show a page.
pub(crate) fn accepts_html(request: &Request<'_>) -> bool {
    is_named("text/html", values(request.headers(), "Accept"))
}

/// Whether these `Accept` fields name a media type, and not with `q=0`. A wildcard does not name it.
pub(crate) fn is_named<'a>(media_type: &str, accept: impl Iterator<Item = &'a [u8]>) -> bool {
    media_ranges(accept).any(|(name, quality)| quality > 0 && name.eq_ignore_ascii_case(media_type))
}

/// Whether a client with these `Accept` fields prefers JSON to HTML. At equal quality it gets HTML,
/// unless it names JSON more specifically.
pub(crate) fn prefers_json<'a>(accept: impl Iterator<Item = &'a [u8]>) -> bool {
    // Quality and specificity.
    let (mut html, mut json) = ((0, 0), (0, 0));
    for (name, quality) in media_ranges(accept) {
        let better = |known: &mut (u16, u8), precision| {
            if precision > known.1 {
                *known = (quality, precision);
            }
        };
        match name.to_ascii_lowercase().as_str() {
            "text/html" => better(&mut html, 3),
            "text/*" => better(&mut html, 2),
            "application/json" => better(&mut json, 3),
            "application/*" => better(&mut json, 2),
            "*/*" => {
                better(&mut html, 1);
                better(&mut json, 1);
            }
            _ => {}
        }
    }
    json.0 > 0 && json > html
}

/// The types of `Accept` fields, without their parameters, with their qualities in thousandths.
fn media_ranges<'a>(
    accept: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = (&'a str, u16)> {
    members(accept).map(|(range, quality)| {
        let name = range.split(';').next().unwrap_or(range);
        (name.trim_end(), quality)
    })
}

/// Splits a member at its quality. What precedes that may have parameters of its own.
fn member(member: &str) -> Option<(&str, u16)> {
    for (at, _) in member.match_indices(';') {
        let parameter = member[at + 1..].split(';').next().unwrap_or_default().trim();
        let weight = parameter.strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
        if let Some(weight) = weight {
            return Some((member[..at].trim(), quality(weight)?));
        }
    }
    Some((member.trim(), 1000))
}

/// Parses a quality of at most three decimals (section 12.4.2), in thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimals = (0..3).fold(0, |sum, at| {
        let digit = decimals.as_bytes().get(at).map_or(0, |digit| digit - b'0');
        10 * sum + u16::from(digit)
    });
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_prefer_json_to_html_get_it() {
        let table: [(&[&str], bool); 14] = [
            (&[], false),
            (&[""], false),
            (&["*/*"], false),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], false),
            (&["application/json"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["application/json, text/plain, */*"], true),
            (&["text/html, application/json"], false),
            (&["text/html;q=0.5, application/json;q=0.6"], true),
            (&["text/html;q=0.5", "application/json;q=0.6"], true),
            (&["application/json;q=0, */*"], false),
            (&["application/json;q=0"], false),
            (&["application/json;q=nan"], false),
            (&["text/html;q=0, */*;q=0.1"], true),
        ];
        for (accept, expected) in table {
            let values = accept.iter().map(|value| value.as_bytes());
            assert_eq!(prefers_json(values), expected, "{accept:?}");
        }
    }
}
