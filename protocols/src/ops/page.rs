//! The live page, and the header fields of all responses of the status listener.

use std::sync::LazyLock;

use sluicegate_reactor::Bytes;

use crate::http::{Answered, Reply};

const STYLE: &str = include_str!("page.css");

const SCRIPT: &str = include_str!("page.js");

/// The page is one file, so that it can be saved.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let page = include_str!("page.html");
    let page = page.replacen("</style>", &format!("\n{STYLE}</style>"), 1);
    Bytes::from(page.replacen("</script>", &format!("\n{SCRIPT}</script>"), 1))
});

/// Allows the browser to use the style and the script of the page, whose hashes these are, and its
/// empty icon, and to ask this server for events.
const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
    form-action 'none'; connect-src 'self'; img-src data:; \
    style-src 'sha256-dks5EoWw4g76Pwg/LbB94zb8HkB7BQGawBJuJPqL9+8='; \
    script-src 'sha256-ozvkEFmEqqKhLT2Dm/Qgmu5vtBUW7zuF23mppjTINKI='";

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Adds what all responses have.
pub(super) fn unstored<'a, 'cx>(reply: Reply<'a, 'cx>) -> Reply<'a, 'cx> {
    reply.header("Cache-Control", "no-store").header("X-Content-Type-Options", "nosniff")
}

/// Answers with the page.
pub(super) fn answer(reply: Reply<'_, '_>) -> Answered {
    let reply = reply
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Content-Security-Policy", POLICY)
        .header("Referrer-Policy", "no-referrer");
    unstored(reply).send(PAGE.clone())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else() {
        let page = std::str::from_utf8(&PAGE).expect("text");
        for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
            let (open, close) = (format!("<{element}>"), format!("</{element}>"));
            let mut parts = page.split(&open).skip(1);
            let content = parts.next().and_then(|rest| rest.split(&close).next()).expect(element);
            assert_eq!(parts.next(), None, "one {element}");
            let hash = STANDARD.encode(Sha256::digest(content));
            let allowed = format!("{directive} 'sha256-{hash}'");
            assert!(POLICY.contains(&allowed), "the policy needs {allowed}");
        }
        for forbidden in [" style=", " onclick=", "https://", "@import", "url(", " src="] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        let namespace = "http://www.w3.org/2000/svg";
        assert_eq!(page.matches("http://").count(), page.matches(namespace).count());
    }
}
