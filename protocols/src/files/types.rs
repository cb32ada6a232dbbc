//! The media types of files, by their extensions.

/// The value of `Content-Type` for a file with this name.
pub(super) fn content_type(name: &[u8]) -> String {
    let guess = mime_guess::from_ext(extension(name)).first_raw();
    let guess = guess.unwrap_or("application/octet-stream");
    let charset = if is_text(guess) { "; charset=utf-8" } else { "" };
    format!("{guess}{charset}")
}

/// The extension of a path's last segment; empty if nothing precedes its dot.
fn extension(path: &[u8]) -> &str {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    match memchr::memrchr(b'.', name) {
        None | Some(0) => "",
        Some(dot) => std::str::from_utf8(&name[dot + 1..]).unwrap_or(""),
    }
}

/// Whether a type is text, which is taken for UTF-8.
fn is_text(content_type: &str) -> bool {
    const TEXT: [&str; 3] = ["application/javascript", "application/json", "application/xml"];
    const ENDS: [&str; 2] = ["+json", "+xml"];
    content_type.starts_with("text/")
        || TEXT.contains(&content_type)
        || ENDS.iter().any(|end| content_type.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_of_a_name_determines_the_type() {
        let table: [(&[u8], &str); 21] = [
            (b"index.html", "text/html; charset=utf-8"),
            (b"a/b.CSS", "text/css; charset=utf-8"),
            (b"app.js", "text/javascript; charset=utf-8"),
            (b"app.mjs", "application/javascript; charset=utf-8"),
            (b"data.json", "application/json; charset=utf-8"),
            (b"logo.svg", "image/svg+xml; charset=utf-8"),
            (b"feed.xml", "text/xml; charset=utf-8"),
            (b"page.xhtml", "application/xhtml+xml; charset=utf-8"),
            (b"news.rss", "application/rss+xml; charset=utf-8"),
            (b"app.webmanifest", "application/manifest+json; charset=utf-8"),
            (b"map.geojson", "application/geo+json; charset=utf-8"),
            (b"table.csv", "text/csv; charset=utf-8"),
            (b"notes.md", "text/markdown; charset=utf-8"),
            (b"photo.jpeg", "image/jpeg"),
            (b"code.wasm", "application/wasm"),
            (b"a.tar.gz", "application/gzip"),
            (b"Makefile", "application/octet-stream"),
            (b".html", "application/octet-stream"),
            (b"d.html/file", "application/octet-stream"),
            (b"name.\xff", "application/octet-stream"),
            (b"name.", "application/octet-stream"),
        ];
        for (name, expected) in table {
            assert_eq!(content_type(name), expected, "{}", name.escape_ascii());
        }
    }
}
