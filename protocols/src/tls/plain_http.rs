//! The response to a plain HTTP request on a TLS port.

use httparse::{EMPTY_HEADER, Request, Status};
use sluicegate_reactor::transport::{Error, Output};

/// The response to a plain HTTP request on a TLS port, which is usually a URL with `http://`
/// instead of `https://`. The connection then ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Status 400.
    #[default]
    Refuse,
    /// Status 308, a redirect to the same URL with `https://`, on the same port.
    Redirect,
}

/// The longest method that is recognized.
const METHOD: usize = 16;

/// The longest head of a request that is waited for, in bytes.
const HEAD: usize = 8 << 10;

/// The maximum number of header fields of a request that is redirected.
const FIELDS: usize = 64;

const BODY: &str = "This port speaks HTTPS: use https:// instead of http://.\n";

/// Whether the first bytes of a connection are for TLS. `false` means that more must arrive.
///
/// # Errors
/// If they are a plain HTTP request. The response is in `out`.
pub(super) fn is_tls(
    wire: &[u8],
    plain_http: PlainHttp,
    out: &mut Output<'_>,
) -> Result<bool, Error> {
    let letters = wire.iter().take(METHOD).take_while(|byte| byte.is_ascii_uppercase()).count();
    match wire.get(letters) {
        // A TLS record begins with its type, which is below 32.
        _ if letters == 0 || letters == METHOD => return Ok(true),
        None => return Ok(false),
        Some(b' ') => {}
        Some(_) => return Ok(true),
    }
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = Request::new(&mut fields);
    let parsed = request.parse(wire);
    if parsed == Ok(Status::Partial) && wire.len() < HEAD {
        return Ok(false);
    }
    let location = match plain_http {
        PlainHttp::Redirect if parsed.is_ok_and(|status| status.is_complete()) => url(&request),
        _ => None,
    };
    let (status, location) = match location {
        Some(url) => ("308 Permanent Redirect", format!("Location: {url}\r\n")),
        None => ("400 Bad Request", String::new()),
    };
    let body = if wire.starts_with(b"HEAD ") { "" } else { BODY };
    let response = format!(
        "HTTP/1.1 {status}\r\n{location}Content-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        BODY.len()
    );
    out.put(response.as_bytes());
    Err("plain HTTP request on a TLS port".into())
}

/// The URL of a request with `https`, if it has one that can be written into a header field.
fn url(request: &Request<'_, '_>) -> Option<String> {
    let path = request.path.filter(|path| path.starts_with('/'))?;
    let host = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("host"))?;
    let host = std::str::from_utf8(host.value).ok()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let valid = !host.is_empty() && host.bytes().all(allowed);
    (valid && path.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| format!("https://{host}{path}"))
}
