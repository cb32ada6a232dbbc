//! Error responses: an HTML page for browsers, a line of text for other clients.

use super::html::{push_head, push_text};
use crate::http::accept::accepts_html;
use crate::http::{Answered, Reply, Request, Status};

/// The header fields of the page. Its policy allows [`STYLE`], by its hash, and nothing else.
const FIELDS: &str = "Content-Type: text/html; charset=utf-8\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; \
    style-src 'sha256-u3InccrV7Gkd+O/rmyHEZsT2sHnsytK7o+jr3st5uFc='\r\n";

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}\
    p{overflow-wrap:anywhere}";

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

/// The page, with a link to the directory above the encoded `path`; at the top, to the root if that
/// is elsewhere.
fn html(status: Status, path: &str, root: &str) -> String {
    let title = format!("{} {}", status.code(), status.reason());
    let (back, name) = match path {
        "/" => (root, "Home"),
        _ if path.ends_with('/') => ("../", "Parent directory"),
        _ => ("./", "Parent directory"),
    };
    let mut page = String::new();
    push_head(title.as_bytes(), STYLE, &mut page);
    page.extend(["<h1>", &title, "</h1>\n<p><code>"]);
    push_text(path.as_bytes(), &mut page);
    page.push_str("</code></p>\n");
    if back != path {
        page.extend(["<p><a href=\"", back, "\">", name, "</a></p>\n"]);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::html::source_hash;
    use super::*;

    #[test]
    fn the_policy_allows_the_style_of_the_page_by_its_hash() {
        let page = html(Status::NOT_FOUND, "/", "/");
        assert!(page.contains(&format!("<style>{STYLE}</style>")), "{page}");
        let allowed = format!("style-src {}\r\n", source_hash(STYLE));
        assert!(FIELDS.contains(&allowed), "not {allowed}");
    }

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
