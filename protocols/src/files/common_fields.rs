//! The header fields that all responses have: those of the options, and those that let pages of
//! other origins read the response (CORS: Fetch Standard, section 3.3).

use std::io;

use super::options::{Cors, FilesOptions};
use crate::http::{Reply, Request, check_option, is_token};

/// The formatted header fields.
pub(super) struct CommonFields {
    /// Unless the origin of the request is listed.
    lines: String,
    /// For requests from these origins.
    of_origins: Vec<(String, String)>,
    has_cors: bool,
}

impl CommonFields {
    /// Checks the options.
    pub(super) fn new(options: &FilesOptions) -> io::Result<CommonFields> {
        let mut lines = String::new();
        for (name, value) in &options.headers {
            check_field(name, value, options)?;
            lines.extend([name, ": ", value.trim(), "\r\n"]);
        }
        let mut of_origins = Vec::new();
        match &options.cors {
            None => {}
            Some(Cors::AnyOrigin) => lines.push_str(&cors_lines("*")),
            Some(Cors::Origins(origins)) => {
                lines.push_str("Vary: Origin\r\n");
                for origin in origins {
                    check_origin(origin)?;
                    of_origins.push((origin.clone(), lines.clone() + &cors_lines(origin)));
                }
            }
        }
        Ok(CommonFields { lines, of_origins, has_cors: options.cors.is_some() })
    }

    /// The lines for the response to a request that may not have been read.
    pub(super) fn of_refusals(&self) -> &str {
        &self.lines
    }

    /// The lines for the response to this request.
    #[inline]
    pub(super) fn lines(&self, request: &Request<'_>) -> &str {
        if self.of_origins.is_empty() { &self.lines } else { self.lines_of_origin(request) }
    }

    fn lines_of_origin(&self, request: &Request<'_>) -> &str {
        let origin = request.header("Origin").unwrap_or_default();
        let known = self.of_origins.iter().find(|(known, _)| known.as_bytes() == origin);
        known.map_or(&self.lines, |(_, lines)| lines)
    }

    /// Adds the fields that allow what a browser asks for before it sends a request (section
    /// 3.3.3). Only reading is allowed: otherwise any page that a visitor opens could change the
    /// files that the visitor's browser can reach. A wildcard does not include `Authorization`.
    pub(super) fn add_preflight<'a, 'cx>(
        &self,
        request: &Request<'_>,
        reply: Reply<'a, 'cx>,
    ) -> Reply<'a, 'cx> {
        if !self.has_cors || request.header("Access-Control-Request-Method").is_none() {
            return reply;
        }
        reply
            .header("Access-Control-Allow-Methods", "GET, HEAD")
            .header("Access-Control-Allow-Headers", "*, Authorization")
            .header("Access-Control-Max-Age", "86400")
    }
}

/// Scripts may read all header fields.
fn cors_lines(origin: &str) -> String {
    format!("Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Expose-Headers: *\r\n")
}

fn check_field(name: &str, value: &str, options: &FilesOptions) -> io::Result<()> {
    /// Fields that may come only once, and that the server writes itself.
    const OWN: [&str; 12] = [
        "Accept-Ranges",
        "Allow",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "Content-Range",
        "Content-Type",
        "Date",
        "ETag",
        "Last-Modified",
        "Location",
        "Transfer-Encoding",
    ];
    const OF_CORS: [&str; 2] = ["Access-Control-Allow-Origin", "Access-Control-Expose-Headers"];
    let is_one_of = |names: &[&str]| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let is_own = is_one_of(&OWN)
        || options.cors.is_some() && is_one_of(&OF_CORS)
        // Browsers refuse a response that has it twice.
        || options.archive && is_one_of(&["Content-Disposition"]);
    check_option(name, value, is_own)
}

/// An origin as browsers send it: `scheme://host`, with a port unless it is the default one.
fn check_origin(origin: &str) -> io::Result<()> {
    let is_valid = origin == "null"
        || origin.split_once("://").is_some_and(|(scheme, host)| {
            let is_host = |byte: u8| byte.is_ascii_graphic() && !b"/?#@*,".contains(&byte);
            is_token(scheme.as_bytes()) && !host.is_empty() && host.bytes().all(is_host)
        });
    if is_valid {
        return Ok(());
    }
    let text = format!("origin {origin:?}: it must look like \"https://example.org\"");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_would_break_a_response_is_refused_by_its_name() {
        let with = |name: &str, value: &str, cors| {
            let headers = vec![(name.to_owned(), value.to_owned())];
            let options = FilesOptions { headers, cors, ..FilesOptions::default() };
            CommonFields::new(&options).map(|fields| fields.lines).map_err(|e| e.to_string())
        };
        for (name, value, lines) in [
            ("X-A", "b", "X-A: b\r\n"),
            ("x-a", " b\tc ", "x-a: b\tc\r\n"),
            ("Cache-Control", "", "Cache-Control: \r\n"),
            ("X-Text", "caf\u{e9}", "X-Text: caf\u{e9}\r\n"),
        ] {
            assert_eq!(with(name, value, None).as_deref(), Ok(lines));
        }
        for (name, value) in [
            ("", "b"),
            ("X A", "b"),
            ("X-A:", "b"),
            ("X-\u{e9}", "b"),
            ("X-A", "b\r\nSet-Cookie: c"),
            ("X-A", "\0"),
            ("content-type", "text/html"),
            ("Transfer-Encoding", "chunked"),
        ] {
            let error = with(name, value, None).unwrap_err();
            assert!(error.starts_with(&format!("header field {name:?}: ")), "{error}");
        }
        let name = "Access-Control-Allow-Origin";
        assert!(with(name, "*", None).is_ok());
        assert!(with(name, "*", Some(Cors::AnyOrigin)).is_err());
        let headers = vec![("content-disposition".to_owned(), "attachment".to_owned())];
        let options = FilesOptions { headers, ..FilesOptions::default() };
        assert!(CommonFields::new(&options).is_ok());
        assert!(CommonFields::new(&FilesOptions { archive: true, ..options }).is_err());
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for origin in ["https://example.org", "http://localhost:8080", "http://[::1]:80", "null"] {
            assert!(check_origin(origin).is_ok(), "{origin}");
        }
        for origin in [
            "",
            "*",
            "example.org",
            "https://",
            "https://a/",
            "https://*.a",
            "a b://c",
            "a://b\r\n",
        ] {
            let error = check_origin(origin).unwrap_err().to_string();
            assert!(error.starts_with(&format!("origin {origin:?}: ")), "{error}");
        }
    }
}
