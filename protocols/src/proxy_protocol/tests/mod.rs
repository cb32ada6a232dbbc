//! Headers as values, and connections that begin with them.

mod behind;
mod binary;
mod listening;
mod peer;
mod properties;
mod sending;
mod text;
#[cfg(feature = "tls-self-signed")]
mod tls;

use sluicegate_reactor::Address;

use super::{Header, HeaderError};

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

/// A header of two addresses.
fn pair(source: &str, destination: &str) -> Header {
    Header::new(address(source), address(destination))
}

/// Runs an exchange with bytes cut at each position.
fn at_every_cut(bytes: &[u8], exchange: impl Fn(&[u8], &[u8])) {
    for at in 0..=bytes.len() {
        exchange(&bytes[..at], &bytes[at..]);
    }
}

/// Parses bytes and each of their prefixes. What is incomplete never becomes another error, what is
/// an error stays one, and bytes after a header change nothing.
fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let whole = Header::parse(bytes);
    let mut decided = None;
    for len in 0..=bytes.len() {
        let parsed = Header::parse(&bytes[..len]);
        if let Ok(Some((_, end))) = &parsed {
            assert!(*end <= len, "a header of {end} bytes in {len}");
        }
        match decided {
            None if parsed == Ok(None) => {}
            None => decided = Some(parsed),
            Some(ref before) => assert_eq!(&parsed, before, "{len} bytes"),
        }
    }
    assert_eq!(whole, decided.unwrap_or(Ok(None)));
    whole
}

/// The error of bytes, and after how many of them it is found.
fn error(bytes: &[u8]) -> (String, usize) {
    let error = parse(bytes).expect_err("an error").to_string();
    let found = (0..=bytes.len()).find(|len| Header::parse(&bytes[..*len]).is_err());
    let error = error.strip_prefix("PROXY protocol: ").expect("the protocol").to_owned();
    (error, found.expect("the same error"))
}
