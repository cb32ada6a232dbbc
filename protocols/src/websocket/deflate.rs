//! Negotiating permessage-deflate (RFC 7692, section 7.1). No connection keeps its window from one
//! message to the next ("no context takeover"), so that none needs memory for it.

use super::codec::WINDOW_BITS;
use crate::http::list;

/// The parameters that a client offers.
pub(super) const OFFER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The parameters of an offer or a response.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Without a number, the client only says that it knows the parameter.
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// Parses an element of `Sec-WebSocket-Extensions`. `None` if it is another extension, or has
    /// parameters that are unknown, repeated or invalid.
    fn parse(element: &[u8]) -> Option<Parameters> {
        let mut parts = str::from_utf8(element).ok()?.split(';').map(str::trim_ascii);
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut all = Parameters::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_ascii(), Some(unquote(value.trim_ascii()))),
                None => (part, None),
            };
            let is_new = match (name.to_ascii_lowercase().as_str(), value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut all.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut all.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    all.server_max_window_bits.replace(window_bits(value)?).is_none()
                }
                ("client_max_window_bits", None) => {
                    all.client_max_window_bits.replace(None).is_none()
                }
                ("client_max_window_bits", Some(value)) => {
                    all.client_max_window_bits.replace(Some(window_bits(value)?)).is_none()
                }
                _ => return None,
            };
            if !is_new {
                return None;
            }
        }
        Some(all)
    }
}

/// The content of a quoted string. No valid parameter contains a backslash.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (value.starts_with(|first| matches!(first, '1'..='9'))).then_some(bits)
}

/// The response to the first acceptable offer in the fields of a request. Offers with a smaller
/// window than that of the compressor are declined.
pub(super) fn respond<'a>(offers: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let is_acceptable =
        |offer: &Parameters| offer.server_max_window_bits.is_none_or(|bits| bits >= WINDOW_BITS);
    let offer = offers.flat_map(list).filter_map(Parameters::parse).find(is_acceptable)?;
    let window = match offer.server_max_window_bits {
        Some(_) => format!("; server_max_window_bits={WINDOW_BITS}"),
        None => String::new(),
    };
    Some(format!("{OFFER}{window}"))
}

/// Whether a server has responded to [`OFFER`] as it should.
pub(super) fn is_accepted<'a>(response: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut extensions = response.flat_map(list);
    let parameters = extensions.next().and_then(Parameters::parse);
    let is_valid = |response: Parameters| {
        // The window of the server can have any size, and nothing was said about the client's.
        response.server_no_context_takeover && response.client_max_window_bits.is_none()
    };
    parameters.is_some_and(is_valid) && extensions.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(offers: &[&str]) -> Option<String> {
        respond(offers.iter().map(|offer| offer.as_bytes()))
    }

    #[test]
    fn row_22_an_offer_is_answered_with_parameters_that_it_allows() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "Permessage-Deflate;client_max_window_bits=9;client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=11, permessage-deflate",
        ] {
            assert_eq!(response(&[offer]).as_deref(), Some(OFFER), "{offer}");
        }
        let with_window = format!("{OFFER}; server_max_window_bits=12");
        for offer in [
            "permessage-deflate; server_max_window_bits=12",
            "permessage-deflate; server_max_window_bits=\"15\"; client_max_window_bits = 12",
        ] {
            assert_eq!(response(&[offer]), Some(with_window.clone()), "{offer}");
        }
        assert_eq!(response(&["foo", "permessage-deflate"]).as_deref(), Some(OFFER));
    }

    #[test]
    fn row_22_an_offer_that_is_invalid_or_cannot_be_met_is_declined() {
        for offer in [
            "",
            "deflate",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=012",
            "permessage-deflate; server_max_window_bits=+12",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; unknown",
            "permessage-deflate;",
        ] {
            assert_eq!(response(&[offer]), None, "{offer}");
        }
    }

    #[test]
    fn row_22_a_client_accepts_only_what_it_has_offered() {
        let is_accepted = |response: &str| is_accepted([response.as_bytes()].into_iter());
        assert!(is_accepted(OFFER));
        assert!(is_accepted("permessage-deflate; server_no_context_takeover"));
        assert!(is_accepted(&format!("{OFFER}; server_max_window_bits=8")));
        for response in [
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover",
            &format!("{OFFER}; client_max_window_bits=12"),
            &format!("{OFFER}; unknown=1"),
            &format!("{OFFER}, {OFFER}"),
            "foo",
            "",
        ] {
            assert!(!is_accepted(response), "{response}");
        }
    }
}
