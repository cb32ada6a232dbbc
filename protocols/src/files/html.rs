//! The parts that all HTML pages share.

/// Appends a page up to the start of its body. `title` is text.
pub(super) fn push_head(title: &[u8], style: &str, page: &mut String) {
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    // With `no-referrer`, which the options may set for all responses, the form for uploads would
    // not state its origin, and so be refused.
    page.push_str("<meta name=\"referrer\" content=\"same-origin\">\n");
    page.push_str("<title>");
    push_text(title, page);
    page.extend(["</title>\n<style>", style, "</style>\n</head>\n<body>\n"]);
}

/// Appends a name as HTML text. Control characters and invalid UTF-8 are shown as U+FFFD.
pub(super) fn push_text(name: &[u8], page: &mut String) {
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c if c.is_control() => page.push(char::REPLACEMENT_CHARACTER),
            c => page.push(c),
        }
    }
}

/// The source expression that allows a style or a script (Content Security Policy, section 2.3.1).
#[cfg(test)]
pub(super) fn source_hash(source: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source)))
}
