//! HTTP Basic credentials (RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The user and the password in the value of `Authorization`.
pub(crate) fn basic(credentials: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, token) = credentials.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let mut user = STANDARD.decode(token.trim_ascii_start()).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}
