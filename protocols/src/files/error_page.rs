//! Error responses: an HTML page for browsers, a line of text for other clients.

use super::page::push_text;
use crate::http::{Answered, Reply, Request, Status};

/// The header fields of the page. Its policy allows its own style, and nothing else.
const FIELDS: &str = "Content-Type: text/html; charset=utf-8\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
    form-action 'none'\r\n";

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <style>:root{color-scheme:light dark}\
    body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}\
    p{overflow-wrap:anywhere}</style>\n<title>";

/// Finishes the response with an error. `root` is the encoded path of the root.
pub(super) fn send<V>(
    status: Status,
    root: &str,
    request: &Request<'_>,
    reply: Reply<'_, '_>,
) -> Answered<V> {
    let reply = reply.header("Vary", "Accept");
    if accepts_html(request) {
        let page = html(status, request.path(), root);
        reply.status(status).fields(FIELDS.as_bytes()).send(page)
    } else {
        reply.error(status)
    }
}

/// Whether a client names HTML among what it accepts, as browsers do when they show a page.
pub(super) fn accepts_html(request: &Request<'_>) -> bool {
    let fields = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Accept"));
    let lists = fields.filter_map(|(_, value)| str::from_utf8(value).ok());
    lists.flat_map(|list| list.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        let is_zero = |part: &str| {
            let quality = part.strip_prefix("q=").or(part.strip_prefix("Q="));
            quality.is_some_and(|quality| quality.bytes().all(|byte| matches!(byte, b'0' | b'.')))
        };
        is_html && !parts.any(is_zero)
    })
}

/// The page, with a link to the directory above the encoded `path`; at the top, to the root if that
/// is elsewhere.
fn html(status: Status, path: &str, root: &str) -> String {
    let title = format!("{} {}", status.code(), status.reason());
    let (back, name) = match path {
        "/" => (root, "Home"),
        _ if path.ends_with('/') => ("../", "Parent directory"),
        _ => ("./", "Parent directory"),
    };
    let mut page = format!("{HEAD}{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<p><code>");
    push_text(path.as_bytes(), &mut page);
    page.push_str("</code></p>\n");
    if back != path {
        page.extend(["<p><a href=\"", back, "\">", name, "</a></p>\n"]);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_path_and_leads_up() {
        for (path, root, expected) in [
            ("/a/b", "/", "<a href=\"./\">Parent directory</a>"),
            ("/a/b/", "/", "<a href=\"../\">Parent directory</a>"),
            ("/", "/s/", "<a href=\"/s/\">Home</a>"),
        ] {
            let page = html(Status::NOT_FOUND, path, root);
            assert!(page.contains("<h1>404 Not Found</h1>"));
            assert!(page.contains(&format!("<code>{path}</code>")) && page.contains(expected));
        }
        assert!(!html(Status::FORBIDDEN, "/", "/").contains("href"));
        let page = html(Status::NOT_FOUND, "/<b>\"&'", "/");
        assert!(page.contains("<code>/&lt;b&gt;&quot;&amp;&#39;</code>"), "{page}");
    }
}
